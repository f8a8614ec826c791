"""One attempt at a pipeline's partition: resume, then answer call after call. What a Flink worker runs.

Every record handed over gets one answer: a prediction, or a dead letter. At the end of each call the model
is in the store under the offset after its last record; Flink lets a checkpoint pass only between calls, so
wherever it resumes, there is a snapshot at that very offset.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from streamlearn import checkpoint, messages, recovery
from streamlearn.errors import BadRecord
from streamlearn.learner import Learner
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
    holds_records: Callable[[int, int], bool]
    """Whether Kafka holds an input record in [start, end)."""
    committed: Callable[[], int | None]
    """The offset below which Flink will never resume, or None while it is unknown."""


@dataclass
class Chunk:
    """One predict-then-learn step: what metrics are made from."""

    rows: list[Input]
    records: list[Any] = field(default_factory=list)
    predictions: list[int | None] = field(default_factory=list)
    bad: int = 0


class Worker:
    """Answers the records of one partition; see the module's text."""

    def __init__(self, pipeline: Pipeline, lineage: Lineage, outside: Outside) -> None:
        self._pipeline = pipeline
        self._lineage = lineage
        self._outside = outside
        self._writer: Writer | None = None
        self._learner: Learner | None = None
        self._trimmed = lineage.start
        self.write_s = 0.0
        """How long the last snapshot took to write, in seconds."""

    @property
    def learner(self) -> Learner | None:
        """The learner as it stands; None before the first call."""
        return self._learner

    def answer(
        self, rows: Sequence[Input], watch: Callable[[Chunk], None] = lambda chunk: None
    ) -> list[Output]:
        """Predict and learn `rows`, in order; return one output for each.

        `watch` is told of every chunk after it has been learned.

        Raises
        ------
        LineageError, SnapshotRefused
            At the first call: the model that should go on here cannot be had.
        Fenced
            Another worker has taken over.
        StoreUnavailable
            Redis stayed away for longer than the settings allow.
        """
        if self._learner is None:
            self._learner = self._patiently(lambda: self._resume(rows[0].offset))
        answers: list[Output] = []
        for part in _chunks(rows, self._outside.chunk_rows):
            chunk = Chunk(part)
            answers += self._step(self._learner, chunk)
            watch(chunk)
        self._save(self._learner)
        return answers

    def _resume(self, offset: int) -> Learner:
        lineage = self._lineage
        self._writer = self._outside.store.admit(self._pipeline.name, lineage.id, lineage.epoch)
        return recovery.resume(self._pipeline, lineage, offset, self._writer, self._outside.holds_records)

    def _step(self, learner: Learner, chunk: Chunk) -> list[Output]:
        pipeline, version = self._pipeline, learner.version
        decoded = [_decode(pipeline, row) for row in chunk.rows]
        chunk.records = [record for record in decoded if not isinstance(record, BadRecord)]
        chunk.bad = len(decoded) - len(chunk.records)
        chunk.predictions = learner.test_then_train(chunk.records, chunk.rows[-1].offset + 1)
        predictions = iter(chunk.predictions)
        return [
            self._dead_letter(row, record)
            if isinstance(record, BadRecord)
            else self._prediction(row, next(predictions), version)
            for row, record in zip(chunk.rows, decoded, strict=True)
        ]

    def _prediction(self, row: Input, predicted: int | None, version: int) -> Output:
        assert row.value is not None
        stamp = messages.Stamp(row.partition, row.offset, version, self._lineage.id)
        value = self._pipeline.codec.encode(row.value, {"predict_y": predicted}, stamp)
        return Output(value, self._pipeline.prediction_topic)

    def _dead_letter(self, row: Input, error: BadRecord) -> Output:
        value = messages.dead_letter(self._pipeline.topic, row.partition, row.offset, row.value, error)
        return Output(value, self._pipeline.dead_letter_topic)

    def _save(self, learner: Learner) -> None:
        writer = self._writer
        assert writer is not None
        start = time.monotonic()
        data = checkpoint.dumps(learner, self._lineage.id)
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


def _decode(pipeline: Pipeline, row: Input) -> Any:
    try:
        return pipeline.codec.decode(row.value)
    except BadRecord as error:
        return error


def _chunks(rows: Sequence[Input], size: int) -> Iterator[list[Input]]:
    remaining = iter(rows)
    while part := list(islice(remaining, size)):
        yield part
