"""Keep the jobs of pipelines running: the one program that submits without being asked.

A session cluster forgets its jobs when the JobManager dies; then the job is submitted again, from its newest
checkpoint. A job that a person has cancelled or stopped is left alone until the person submits it again.
"""

import time
from collections.abc import Callable, Sequence

from flink_jobs.submit import submit
from streamlearn.errors import BrokerUnavailable, FlinkUnavailable, StreamlearnError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings

_POLL_S = 2.0
_RETRY_S = 0.3
"""After how many seconds a part that does not answer is asked again: learning waits for nothing else then."""
_BACKOFF_S = 10.0


def keep_running(settings: Settings, pipelines: Sequence[Pipeline], echo: Callable[[str], None]) -> None:
    """Watch the pipelines' jobs for ever, and submit each whenever Flink does not have it.

    A job's status is echoed when it changes: a refusal that repeats at every attempt is echoed once.
    """
    statuses = dict.fromkeys((pipeline.name for pipeline in pipelines), "")
    due_s = dict.fromkeys(statuses, 0.0)
    while True:
        for pipeline in pipelines:
            if time.monotonic() < due_s[pipeline.name]:
                continue
            status, pause_s = _check(settings, pipeline, echo)
            if status != statuses[pipeline.name]:
                echo(status)
            statuses[pipeline.name] = status
            due_s[pipeline.name] = time.monotonic() + pause_s
        time.sleep(max(0.0, min(due_s.values()) - time.monotonic()))


def _check(settings: Settings, pipeline: Pipeline, echo: Callable[[str], None]) -> tuple[str, float]:
    """Submit a job if it is missing; return its status and after how many seconds to check again."""
    try:
        return _submit_if_missing(settings, pipeline, echo)
    except (FlinkUnavailable, BrokerUnavailable) as error:
        return str(error), _RETRY_S
    except StreamlearnError as error:
        return (
            f"{job_name(pipeline.name)} was not submitted: {error} (tried again every {_BACKOFF_S:.0f} s)",
            _BACKOFF_S,
        )


def _submit_if_missing(
    settings: Settings, pipeline: Pipeline, echo: Callable[[str], None]
) -> tuple[str, float]:
    """Do as `_check`, and raise what goes wrong."""
    name = job_name(pipeline.name)
    for older in flink_api.live_jobs(settings, name)[1:]:
        echo(f"{name} runs twice: cancelling the older job, {older.id}")
        flink_api.cancel(settings, older)
    job = flink_api.newest_job(settings, name)
    if job and job.live:
        trouble = None if job.state == "RUNNING" else flink_api.find_trouble(settings, job)
        return f"{name} is {job.state.lower()}" + (f": {trouble.reason}" if trouble else ""), _POLL_S
    if job and job.ended_by_hand:
        advice = f"`streamlearn train {pipeline.name}` resumes it"
        return f"{name} was {job.state.lower()} by hand; {advice}", _POLL_S
    submit(settings, pipeline, echo=echo)
    return f"{name} was submitted", _BACKOFF_S
