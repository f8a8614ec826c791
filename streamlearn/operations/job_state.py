"""Why a pipeline's job does not learn, as Flink and Kafka tell it, in a sentence for people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from streamlearn.broker.broker import Broker
from streamlearn.broker.tail import Tail
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import Job, Trouble, job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.journal import read_entry

_LOOK_BACK = 5_000
"""How many offsets of answers are looked through for one that is missing."""


@dataclass(frozen=True)
class JobTrouble:
    """Why a pipeline's job does not learn, in the parts that a sentence is made of."""

    kind: Literal["missing", "ended_by_hand", "not_started", "failed", "restarts", "restarted"]
    """`restarted`: it runs again, and has failed only once in the last minute."""
    state: str = ""
    """Flink's word for the job's state, in small letters."""
    reason: str = ""
    """Of a failure, in one line; of a Python error, the last line of its traceback."""
    page: str = ""
    """The address at which Flink shows all of it."""

    @property
    def lasts(self) -> bool:
        """Whether the job does not learn now; False where it runs again."""
        return self.kind != "restarted"


def find_job_trouble(settings: Settings, job: Job | None) -> JobTrouble | None:
    """Return why a pipeline's newest job does not learn; None if it runs.

    Raises
    ------
    FlinkUnavailable
        Flink does not answer.
    """
    if job is None:
        return JobTrouble("missing")
    state = job.state.lower()
    if job.ended_by_hand:
        return JobTrouble("ended_by_hand", state)
    trouble = flink_api.find_trouble(settings, job)
    if trouble is None:
        return None if job.state == "RUNNING" else JobTrouble("not_started", state)
    page = flink_api.exceptions_page(settings, job)
    if not job.live:
        return JobTrouble("failed", state, trouble.reason, page)
    return JobTrouble("restarts" if trouble.lasts else "restarted", state, trouble.reason, page)


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
    trouble = find_job_trouble(settings, flink_api.newest_job(settings, job_name(pipeline)))
    return None if trouble is None else Trouble(describe_job_trouble(trouble, pipeline), trouble.lasts)


def describe_job_trouble(trouble: JobTrouble, pipeline: str) -> str:
    """Return the trouble of a pipeline's job in a sentence.

    >>> describe_job_trouble(JobTrouble("ended_by_hand", "canceled"), "digits")
    'the job was canceled by hand; `streamlearn train digits` resumes it'
    """
    if trouble.kind == "missing":
        return f"Flink has no job of it; `streamlearn train {pipeline}` submits it"
    if trouble.kind == "ended_by_hand":
        return f"the job was {trouble.state} by hand; `streamlearn train {pipeline}` resumes it"
    if trouble.kind == "not_started":
        return f"the job is {trouble.state}"
    return f"{_FAILURES[trouble.kind]}: {trouble.reason}; all of it: {trouble.page}"


_FAILURES = {
    "failed": "the job has failed",
    "restarts": "the job restarts",
    "restarted": "the job was restarted a moment ago",
}


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
