"""What is said of each record: a prediction, a dead letter, or that a control record was obeyed.

The job answers records as they come (`worker.py`); recovery and `verify` answer them again, cut as the
journal says. All three do it here, so the same records, cut at the same places, have the same answers.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any

import msgspec

from streamlearn import control, messages
from streamlearn.errors import BadLags, BadRecord, LineageError
from streamlearn.learner import Answer, Learner
from streamlearn.pipeline import Pipeline
from streamlearn.stream import Entry, Input, Output

StateAt = Callable[[int], Learner]
"""Version → the learner as it was then, a copy; raises `LineageError` where there is none."""

Train = Callable[[Learner, Sequence[Any], int], list[Answer]]


class Answering:
    """Answers the records of one lineage, step by step."""

    def __init__(
        self,
        pipeline: Pipeline,
        lineage: str,
        key: str,
        state_at: StateAt,
        # Not the learner's own: what predicts before it learns is not for a subclass to change.
        test_then_train: Train = Learner.test_then_train,
    ) -> None:
        self._test_then_train = test_then_train
        self._pipeline = pipeline
        self._lineage = lineage
        self._key = key
        self._state_at = state_at

    def step(self, learner: Learner, chunk: Sequence[Input]) -> tuple[Learner, list[Output]]:
        """Predict, then learn a chunk that `chunks` has cut; return who goes on, and each row's answer."""
        if control.is_control(chunk[0].value):
            return self._obey(learner, chunk[0])
        version = learner.version
        decoded = [self._decode(learner, row) for row in chunk]
        valid = [record for record in decoded if not isinstance(record, BadRecord)]
        answers = iter(self._test_then_train(learner, valid, chunk[-1].offset + 1))
        return learner, [
            self._dead_letter(row, version, record)
            if isinstance(record, BadRecord)
            else self._prediction(row, next(answers), version)
            for row, record in zip(chunk, decoded, strict=True)
        ]

    def again(
        self, learner: Learner, chunk: Sequence[tuple[Input, Entry | None]]
    ) -> tuple[Learner, list[Output]]:
        """Answer a chunk of the journal again. Whether a control record was obeyed, the journal says."""
        row, entry = chunk[0]
        if control.is_control(row.value) and entry and entry.output.topic == self._pipeline.dead_letter_topic:
            learner.version = row.offset + 1
            return learner, [entry.output]
        return self.step(learner, [row for row, _ in chunk])

    def _obey(self, learner: Learner, row: Input) -> tuple[Learner, list[Output]]:
        assert row.value is not None
        version = learner.version
        try:
            order = control.read(row.value, self._key)
            then = self._changed(learner, order)
        except BadRecord as error:
            learner.version = row.offset + 1
            return learner, [self._dead_letter(row, version, error)]
        then.version = row.offset + 1
        obeyed = control.Obeyed(order, row.partition, row.offset, version, self._lineage)
        return then, [Output(messages.encode(obeyed), self._pipeline.control_topic)]

    def _changed(self, learner: Learner, order: control.Control) -> Learner:
        if order.lineage != self._lineage:
            raise BadRecord(f"a control record for lineage {order.lineage}, not for {self._lineage}")
        if isinstance(order, control.Rollback):
            return self._as_it_was(learner, order)
        try:
            learner.use_lags(order.lags)
        except BadLags as error:
            raise BadRecord(str(error)) from error
        return learner

    def _as_it_was(self, learner: Learner, order: control.Rollback) -> Learner:
        if order.version > learner.version:
            raise BadRecord(f"version {order.version} is not there yet; the newest is {learner.version}")
        if order.version == learner.version:
            return learner
        try:
            return self._state_at(order.version)
        except LineageError as error:
            raise BadRecord(f"version {order.version} cannot be had: {error}") from error

    def _decode(self, learner: Learner, row: Input) -> Any:
        """Return the record, or why it cannot be taken."""
        try:
            record = self._pipeline.codec.decode(row.value)
        except BadRecord as error:
            return error
        objection = learner.objection(record)
        return BadRecord(objection) if objection else record

    def _prediction(self, row: Input, answer: Answer, version: int) -> Output:
        assert row.value is not None
        value = self._pipeline.codec.encode(row.value, answer, self._stamp(row, version))
        return Output(value, self._pipeline.prediction_topic)

    def _dead_letter(self, row: Input, version: int, error: BadRecord) -> Output:
        stamp = self._stamp(row, version)
        value = messages.dead_letter(self._pipeline.topic, row.value, stamp, error)
        return Output(value, self._pipeline.dead_letter_topic)

    def _stamp(self, row: Input, version: int) -> messages.Stamp:
        return messages.Stamp(row.partition, row.offset, version, self._lineage)


def chunks(rows: Sequence[Input], size: int) -> Iterator[list[Input]]:
    """Cut rows into steps of at most `size`; a control record is a step of its own."""
    for controls, run in groupby(rows, key=lambda row: control.is_control(row.value)):
        while part := list(islice(run, 1 if controls else size)):
            yield part


class _Stamped(msgspec.Struct, rename={"version": "model_version"}):
    offset: int
    version: int
    lineage: str


_stamped = msgspec.json.Decoder(_Stamped)


def entry(value: bytes, topic: str) -> Entry | None:
    """Read an answer's place in the journal; None if these bytes are no answer of a learner's."""
    try:
        found = _stamped.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Entry(found.offset, found.version, found.lineage, Output(value, topic))
