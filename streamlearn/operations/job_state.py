"""Why a pipeline's job does not learn, as Flink and Kafka tell it, in a sentence for people."""

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.tail import Tail
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import Job, Trouble, job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings

_LOOK_BACK = 5_000
"""How many offsets of answers are looked through for one that is missing."""


class _OffsetOnly(msgspec.Struct):
    """Of any answer, the offset of the record that it answers."""

    offset: int


def describe_trouble(settings: Settings, pipeline: str) -> Trouble | None:
    """Return why a pipeline's job does not learn, and what to do; None if it runs.

    >>> describe_trouble(Settings(flink="http://localhost:1"), "digits")
    Traceback (most recent call last):
        ...
    streamlearn.errors.FlinkUnavailable: Flink at http://localhost:1 does not answer /jobs/overview: ...

    Raises
    ------
    FlinkUnavailable
        Flink does not answer.
    """
    job = flink_api.newest_job(settings, job_name(pipeline))
    if job is None:
        return Trouble(f"Flink has no job of it; `streamlearn train {pipeline}` submits it", lasts=True)
    state = job.state.lower()
    if job.state in ("CANCELED", "FINISHED"):
        advice = f"`streamlearn train {pipeline}` resumes it"
        return Trouble(f"the job was {state} by hand; {advice}", lasts=True)
    trouble = flink_api.find_trouble(settings, job)
    if trouble is None:
        return None if job.state == "RUNNING" else Trouble(f"the job is {state}", lasts=True)
    page = f"{settings.flink}/#/job/{'running' if job.live else 'completed'}/{job.id}/exceptions"
    return Trouble(f"{_describe_state(job, trouble)}: {trouble.reason}; all of it: {page}", trouble.lasts)


def _describe_state(job: Job, trouble: Trouble) -> str:
    if not job.live:
        return "the job has failed"
    return "the job restarts" if trouble.lasts else "the job was restarted a moment ago"


def find_missing_answer(settings: Settings, pipeline: Pipeline) -> int | None:
    """Return the first offset that has no answer although a later one has; None where there is none.

    Only the newest answers are looked through: `streamlearn verify` looks through all.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    """
    answers = (pipeline.prediction_topic, pipeline.dead_letter_topic, pipeline.control_topic)
    decode = msgspec.json.Decoder(_OffsetOnly).decode
    with Broker(settings) as broker:
        tail = Tail(broker, dict.fromkeys(answers, _LOOK_BACK))
        try:
            seen = tail.look()
        finally:
            tail.close()
        by_topic = [[decode(record.value).offset for record in seen.records[topic]] for topic in answers]
        answered = {offset for offsets in by_topic for offset in offsets}
        if not by_topic[0]:
            return None
        first, last = min(by_topic[0]), max(answered)
        missing = (offset for offset in range(first, last) if offset not in answered)
        return next((n for n in missing if not broker.is_hole(pipeline.topic, n, n + 1)), None)
