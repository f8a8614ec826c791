"""Sees to it that pipelines' jobs run: the one program that submits without being asked.

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

_LOOK_S = 2.0
_BACKOFF_S = 10.0


def keep_running(settings: Settings, pipelines: Sequence[Pipeline], say: Callable[[str], None]) -> None:
    """Watch the pipelines' jobs for ever, submitting each whenever it is not there."""
    told = dict.fromkeys((pipeline.name for pipeline in pipelines), "")
    due_s = dict.fromkeys(told, 0.0)
    while True:
        for pipeline in pipelines:
            if time.monotonic() < due_s[pipeline.name]:
                continue
            news, pause_s = _looked(settings, pipeline, say)
            if news != told[pipeline.name]:
                say(news)
            told[pipeline.name] = news
            due_s[pipeline.name] = time.monotonic() + pause_s
        time.sleep(max(0.0, min(due_s.values()) - time.monotonic()))


def _looked(settings: Settings, pipeline: Pipeline, say: Callable[[str], None]) -> tuple[str, float]:
    """Look, and return what there is to tell and after how many seconds to look again."""
    try:
        return _look(settings, pipeline, say)
    except (FlinkUnavailable, BrokerUnavailable) as error:
        return str(error), _LOOK_S
    except StreamlearnError as error:
        return str(error), _BACKOFF_S


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
