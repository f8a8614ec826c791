"""One attempt at a pipeline's partition: resume, then answer call after call. What a Flink worker runs.

Every record handed over gets one answer: a prediction, or a dead letter. At the end of each call the model
is in the store under the offset after its last record; Flink lets a checkpoint pass only between calls, so
wherever it resumes, there is a snapshot at that very offset.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from streamlearn import checkpoint, messages, recovery
from streamlearn.errors import BadRecord, LineageError
from streamlearn.learner import Answer, Learner
from streamlearn.lineage import Lineage
from streamlearn.pipeline import Pipeline
from streamlearn.store import Store, Writer, patiently


class Input(NamedTuple):
    """A record as it stands in the input topic."""

    partition: int
    offset: int
    value: bytes | None


class Output(NamedTuple):
    """An answer, and the topic that it goes to."""

    value: bytes
    topic: str


@dataclass
class Outside:
    """What a worker asks of the world: how to reach it, and how long to wait for it."""

    store: Store
    wait_s: float
    """How long to wait for an absent Redis before the call fails, in seconds."""
    chunk_rows: int
    """Most records in one predict-then-learn step."""
    may_be_lost: Callable[[int, int], bool]
    """Whether [start, end) of the input may have held a record: if not, it is a hole, and no loss."""
    committed: Callable[[], int | None]
    """The offset below which Flink will never resume, or None while it is unknown."""


class Worker:
    """Answers the records of one partition; see the module's text."""

    def __init__(self, pipeline: Pipeline, lineage: Lineage, outside: Outside) -> None:
        self._pipeline = pipeline
        self._lineage = lineage
        self._outside = outside
        self._writer: Writer | None = None
        self._learner: Learner | None = None
        self._trimmed = lineage.start
        self._chunk_rows = min(outside.chunk_rows, pipeline.chunk_rows or outside.chunk_rows)
        self.rows = 0
        """How many records this worker has answered."""
        self.dead_letters = 0
        """How many of them could not be read."""
        self.write_s = 0.0
        """How long the last snapshot took to write, in seconds."""

    @property
    def learner(self) -> Learner | None:
        """The learner as it stands; None before the first call."""
        return self._learner

    def answer(self, rows: Sequence[Input]) -> list[Output]:
        """Predict and learn `rows`, in order; return one output for each.

        Raises
        ------
        LineageError, SnapshotRefused
            At the first call: the model that should go on here cannot be had.
        Fenced
            Another worker has taken over.
        StoreUnavailable
            Redis stayed away for longer than the settings allow.
        """
        learner = self._learner = self._learner or self._resume(rows[0].offset)
        self._check_nothing_lost(learner.version, rows)
        answers = [
            output for chunk in _chunks(rows, self._chunk_rows) for output in self._step(learner, chunk)
        ]
        self._save(learner)
        self.rows += len(rows)
        return answers

    def admit(self) -> Writer:
        """Become the one writer, once and for all: asking again could shut out whoever came since."""
        if self._writer is None:
            name, lineage = self._pipeline.name, self._lineage
            self._writer = self._patiently(lambda: self._outside.store.admit(name, lineage.id, lineage.epoch))
        return self._writer

    def _resume(self, offset: int) -> Learner:
        writer, may_be_lost = self.admit(), self._outside.may_be_lost
        learner: Learner = self._patiently(
            lambda: recovery.resume(self._pipeline, self._lineage, offset, writer, may_be_lost)
        )
        return learner

    def _check_nothing_lost(self, version: int, rows: Sequence[Input]) -> None:
        """Kafka's source steps over what retention has eaten; nobody else would notice."""
        for expected, row in zip([version, *(row.offset + 1 for row in rows)], rows, strict=False):
            if row.offset > expected and self._outside.may_be_lost(expected, row.offset):
                raise LineageError(
                    f"records of {self._pipeline.topic} between the offsets {expected} and {row.offset} are"
                    " gone from Kafka before they were learned"
                )

    def _step(self, learner: Learner, chunk: Sequence[Input]) -> list[Output]:
        version = learner.version
        decoded = [_decode(self._pipeline, learner, row) for row in chunk]
        valid = [record for record in decoded if not isinstance(record, BadRecord)]
        answers = iter(learner.test_then_train(valid, chunk[-1].offset + 1))
        self.dead_letters += len(chunk) - len(valid)
        return [
            self._dead_letter(row, record)
            if isinstance(record, BadRecord)
            else self._prediction(row, next(answers), version)
            for row, record in zip(chunk, decoded, strict=True)
        ]

    def _prediction(self, row: Input, answer: Answer, version: int) -> Output:
        assert row.value is not None
        stamp = messages.Stamp(row.partition, row.offset, version, self._lineage.id)
        return Output(self._pipeline.codec.encode(row.value, answer, stamp), self._pipeline.prediction_topic)

    def _dead_letter(self, row: Input, error: BadRecord) -> Output:
        value = messages.dead_letter(self._pipeline.topic, row.partition, row.offset, row.value, error)
        return Output(value, self._pipeline.dead_letter_topic)

    def _save(self, learner: Learner) -> None:
        writer = self.admit()
        start = time.monotonic()
        data = checkpoint.dumps(learner, self._pipeline, self._lineage.id)
        self._patiently(
            lambda: writer.save(learner.version, data, checkpoint.digest(data), learner.score.samples)
        )
        self.write_s = time.monotonic() - start
        self._trim(writer)

    def _trim(self, writer: Writer) -> None:
        """Forget the snapshots that no restart can need: those before the newest at or below the commit."""
        committed = self._outside.committed()
        if committed is None or committed <= self._trimmed:
            return
        needed = [version for version in self._patiently(writer.versions) if version <= committed]
        if needed:
            self._patiently(lambda: writer.drop_before(needed[-1]))
        self._trimmed = committed

    def _patiently(self, call: Callable[[], Any]) -> Any:
        return patiently(call, self._outside.wait_s)


def _decode(pipeline: Pipeline, learner: Learner, row: Input) -> Any:
    """Return the record, or why it cannot be taken."""
    try:
        record = pipeline.codec.decode(row.value)
    except BadRecord as error:
        return error
    objection = learner.objection(record)
    return BadRecord(objection) if objection else record


def _chunks(rows: Sequence[Input], size: int) -> Iterator[list[Input]]:
    remaining = iter(rows)
    while part := list(islice(remaining, size)):
        yield part
