"""Why a pipeline's job does not learn, as Flink and Kafka tell it, in a sentence for people."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streamlearn.broker.broker import Broker
from streamlearn.broker.tail import Tail
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import Job, Trouble, job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.journal import read_entry

_LOOK_BACK = 5_000
"""How many offsets of answers are looked through for one that is missing."""


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
    if job.ended_by_hand:
        advice = f"`streamlearn train {pipeline}` resumes it"
        return Trouble(f"the job was {state} by hand; {advice}", lasts=True)
    trouble = flink_api.find_trouble(settings, job)
    if trouble is None:
        return None if job.state == "RUNNING" else Trouble(f"the job is {state}", lasts=True)
    page = flink_api.exceptions_page(settings, job)
    return Trouble(f"{_describe_state(job, trouble)}: {trouble.reason}; all of it: {page}", trouble.lasts)


def _describe_state(job: Job, trouble: Trouble) -> str:
    if not job.live:
        return "the job has failed"
    return "the job restarts" if trouble.lasts else "the job was restarted a moment ago"


def find_missing_answer(settings: Settings, pipeline: Pipeline) -> tuple[int, int] | None:
    """Return partition and offset of the first record that has no answer although a later one has.

    None where there is none.

    Only the newest answers are looked through: `streamlearn verify` looks through all.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    """
    answers = (pipeline.prediction_topic, pipeline.dead_letter_topic, pipeline.control_topic)
    with Broker(settings) as broker:
        tail = Tail(broker, dict.fromkeys(answers, _LOOK_BACK))
        try:
            seen = tail.look()
        finally:
            tail.close()
        for partition in sorted(broker.partitions(pipeline.topic)):
            records = {
                topic: [record for record in all_records if record.partition == partition]
                for topic, all_records in seen.records.items()
            }

            def is_hole(offset: int, partition: int = partition) -> bool:
                return broker.is_hole(pipeline.topic, offset, offset + 1, partition)

            if (offset := find_gap(records, is_hole)) is not None:
                return partition, offset
        return None


def find_gap(answers: Mapping[str, Sequence[Any]], is_hole: Callable[[int], bool]) -> int | None:
    """Return the first offset that has no answer although a later one has; None where there is none.

    Parameters
    ----------
    answers
        The newest records (`offset`, `value`) in one partition of each topic of answers, the oldest first.
    is_hole
        Whether no record ever stood at an offset of that partition of the input.
    """
    answered: set[int] = set()
    known_from: list[int] = []
    for topic, records in answers.items():
        entries = (read_entry(record.value or b"", topic) for record in records)
        offsets = [entry.offset for entry in entries if entry]
        answered.update(offsets)
        # A topic that is not looked at from its beginning may hold answers to all records before these.
        if offsets and records[0].offset > 0:
            known_from.append(offsets[0])
    if not answered:
        return None
    first = max(known_from, default=min(answered))
    missing = (offset for offset in range(first, max(answered)) if offset not in answered)
    return next((offset for offset in missing if not is_hole(offset)), None)
