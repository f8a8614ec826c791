"""Sees to it that a pipeline's job runs: the one program that submits without being asked.

A session cluster forgets its jobs when the JobManager dies; then the job is submitted again, from its newest
checkpoint. A job that a person has cancelled or stopped is left alone until the person submits it again.
"""

import time
from collections.abc import Callable

from flink_jobs.submit import submit
from streamlearn import flink_api
from streamlearn.errors import BrokerUnavailable, FlinkAway, StreamlearnError
from streamlearn.flink_api import job_name
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings

_LOOK_S = 2.0
_BACKOFF_S = 10.0


def keep_running(settings: Settings, pipeline: Pipeline, say: Callable[[str], None]) -> None:
    """Watch the job for ever, submitting it whenever it is not there."""
    told = ""
    while True:
        try:
            news, pause_s = _look(settings, pipeline, say)
        except (FlinkAway, BrokerUnavailable) as error:
            news, pause_s = str(error), _LOOK_S
        except StreamlearnError as error:
            news, pause_s = str(error), _BACKOFF_S
        if news != told:
            say(news)
            told = news
        time.sleep(pause_s)


def _look(settings: Settings, pipeline: Pipeline, say: Callable[[str], None]) -> tuple[str, float]:
    for older in flink_api.live_jobs(settings, job_name(pipeline.name))[1:]:
        say(f"{older.name} runs twice: cancelling the older, {older.id}")
        flink_api.cancel(settings, older)
    job = flink_api.newest_job(settings, job_name(pipeline.name))
    if job and job.live:
        why = None if job.state == "RUNNING" else flink_api.trouble(settings, job)
        return f"{job.name} is {job.state.lower()}" + (f": {why}" if why else ""), _LOOK_S
    if job and job.state != "FAILED":
        return (
            f"{job.name} was {job.state.lower()} by hand; `streamlearn train {pipeline.name}` resumes it",
            _LOOK_S,
        )
    submit(settings, pipeline, say=say)
    return f"{job_name(pipeline.name)} was submitted", _BACKOFF_S
