"""End a lineage on purpose, so that the next submission begins a new one.

The end is written to the register before anything is deleted, so models that a reset has deleted are never
taken for lost.
"""

from collections.abc import Callable

from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import FlinkUnavailable, JobError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.operations.lock import lock_submission
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.waiting import wait_until

_CANCEL_S = 60.0


def end_lineage(settings: Settings, pipeline: Pipeline, *, force: bool, echo: Callable[[str], None]) -> None:
    """End the pipeline's lineage and delete its models from Redis.

    Raises
    ------
    JobError
        The job runs, or Flink does not answer, and `force` is not given.
    """
    with lock_submission(settings, pipeline):
        job = _find_live_job(settings, pipeline, force=force)
        if job and not force:
            raise JobError(f"{job.name} is running; cancel it first, or say --force")
        if cancel_live_job(settings, pipeline, force=force):
            name = job_name(pipeline.name)
            echo(f"{name} cancelled; `streamlearn train {pipeline.name}` begins anew")
        with Broker(settings) as broker:
            ensure_topics(broker, pipeline)
            lineage = LineageRegister(broker, pipeline).end()
        echo(f"lineage {lineage.id} ended" if lineage else f"{pipeline.name} has no open lineage")
        with Store.of(settings) as store:
            echo(f"{store.clear(pipeline.name)} keys deleted")


def cancel_live_job(settings: Settings, pipeline: Pipeline, *, force: bool) -> bool:
    """Cancel the pipeline's job, and wait until it has stopped; return whether there was one.

    Raises
    ------
    JobError
        Flink does not answer, and `force` is not given.
    """
    job = _find_live_job(settings, pipeline, force=force)
    if job is None:
        return False
    flink_api.cancel(settings, job)
    wait_until(
        lambda: _find_live_job(settings, pipeline, force=force) is None, _CANCEL_S, f"{job.name} to stop"
    )
    return True


def _find_live_job(settings: Settings, pipeline: Pipeline, *, force: bool) -> flink_api.Job | None:
    try:
        job = flink_api.newest_job(settings, job_name(pipeline.name))
    except FlinkUnavailable as error:
        if force:
            return None
        raise JobError(
            f"{error}; so it is not known whether {job_name(pipeline.name)} runs. If it does not, say --force"
        ) from error
    return job if job and job.live else None
