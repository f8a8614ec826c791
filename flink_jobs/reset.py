"""Ending a lineage on purpose, so that the next submission begins a new one.

The end is first written to the register, which lies outside of what is deleted: models that are gone after
a reset were meant to go, and nobody takes them for lost.
"""

from collections.abc import Callable

from flink_jobs.lock import submitting
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import FlinkUnavailable, JobError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.waiting import wait_until

_CANCEL_S = 60.0


def end_lineage(settings: Settings, pipeline: Pipeline, *, force: bool, say: Callable[[str], None]) -> None:
    """End the pipeline's lineage and delete its models from Redis.

    Raises
    ------
    JobError
        The job runs, and `force` does not say to cancel it.
    """
    with submitting(settings, pipeline):
        job = _running(settings, pipeline, force=force)
        if job and not force:
            raise JobError(f"{job.name} is running; cancel it first, or say --force")
        if job:
            flink_api.cancel(settings, job)
            wait_until(
                lambda: _running(settings, pipeline, force=force) is None, _CANCEL_S, f"{job.name} to stop"
            )
            say(f"{job.name} cancelled; `streamlearn train {pipeline.name}` begins anew")
        with Broker(settings) as broker:
            ensure_topics(broker, pipeline)
            ended = LineageRegister(broker, pipeline).end()
        say(f"lineage {ended.id} ended" if ended else f"{pipeline.name} has no open lineage")
        say(f"{Store.of(settings).clear(pipeline.name)} keys deleted")


def _running(settings: Settings, pipeline: Pipeline, *, force: bool) -> flink_api.Job | None:
    try:
        job = flink_api.newest_job(settings, job_name(pipeline.name))
    except FlinkUnavailable as error:
        if force:
            return None
        raise JobError(f"whether the job runs cannot be told: {error}; --force does without") from error
    return job if job and job.live else None
