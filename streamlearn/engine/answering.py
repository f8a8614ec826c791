"""What each record is answered: a prediction, a dead letter, or that a control record was obeyed.

The job answers records as they come (`worker.py`); recovery and `verify` answer them again, cut as the
journal says. All three do it here, so the same records, cut at the same places, have the same answers.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, Self

from streamlearn.engine.isolation import Isolation, describe
from streamlearn.errors import BadRecord, ChangeRefused, LineageError, PipelineFails
from streamlearn.learning.labels_later import LateLabel
from streamlearn.learning.learner import Learner, Predict, RecentIds, predict_then_learn
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream import control, records
from streamlearn.stream.journal import AnsweredRecord
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input, Output

StateAt = Callable[[int], Learner]
"""Version → the learner as it was then, a copy; raises `LineageError` where there is none."""


_SHOWN_CHARS = 100
"""How much of an id is shown."""


class Answering:
    """Answers the records of one lineage, chunk by chunk.

    Parameters
    ----------
    lineage
        The lineage's id.
    key
        What control records are signed with.
    state_at
        Finds the version that a roll-back goes back to.
    predict
        What calls `learner.predict`; for those who look at what that call does.
    max_in_a_row
        Most records in a row on which the pipeline's code may fail; see `isolation.py`.
    skipped
        Offsets of records that are set aside unread.
    whole_numbers
        Whether a field of type int takes 7.0 for 7: fixed with the lineage, see `stream/lineage.py`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lineage: str,
        key: str,
        state_at: StateAt,
        predict: Predict | None = None,
        max_in_a_row: int | None = None,
        *,
        skipped: Collection[int] = (),
        whole_numbers: bool = True,
    ) -> None:
        self._pipeline = pipeline
        self._lineage = lineage
        self._whole_numbers = whole_numbers
        self._key = key
        self._state_at = state_at
        self._predict = predict
        self._skipped = frozenset(skipped)
        self.isolation = Isolation(pipeline, max_in_a_row)

    @classmethod
    def of_lineage(
        cls,
        pipeline: Pipeline,
        lineage: Lineage,
        key: str,
        state_at: StateAt,
        predict: Predict | None = None,
        max_in_a_row: int | None = None,
    ) -> Self:
        """Return what answers a lineage's records, with all that is fixed with it."""
        return cls(
            pipeline,
            lineage.id,
            key,
            state_at,
            predict,
            max_in_a_row,
            skipped=lineage.skipped,
            whole_numbers=lineage.takes_whole_numbers,
        )

    def answer(
        self, learner: Learner, chunk: Sequence[Input], version: int | None = None
    ) -> tuple[Learner, list[Output]]:
        """Predict, then learn a chunk that `cut_into_chunks` has cut.

        Return the learner that goes on, and each record's answer, which names the learner's version, or
        another `version` if one is given.
        """
        version = learner.version if version is None else version
        if control.is_control(chunk[0].value) and chunk[0].offset not in self._skipped:
            self.isolation.forget()
            return self._answer_control(learner, chunk[0], version)
        decoded = [(row, self._decode(learner, row)) for row in chunk]
        valid = [(row, record) for row, record in decoded if not isinstance(record, BadRecord)]
        end = chunk[-1].offset + 1

        encode_prediction, topic = self._pipeline.codec.encode, self._pipeline.prediction_topic

        def attempt(learner: Learner, rows: Sequence[tuple[Input, Any]]) -> list[Output]:
            repeats = _take_ids(learner.recent_ids, rows)
            taken = [record for row, record in rows if row.offset not in repeats]
            answers = iter(predict_then_learn(learner, taken, end, self._predict))
            return [
                self._dead_letter(row, version, repeats[row.offset])
                if row.offset in repeats
                else Output(
                    encode_prediction(row.value or b"", next(answers), self._stamp(row, version)), topic
                )
                for row, _ in rows
            ]

        try:
            learner, results = self.isolation.run(learner, valid, attempt)
        except PipelineFails as error:
            raise PipelineFails(f"at offset {chunk[0].offset} to {chunk[-1].offset}, {error}") from error
        in_order = iter(results)
        outcomes = [record if isinstance(record, BadRecord) else next(in_order) for _, record in decoded]
        return learner, [
            self._dead_letter(row, version, outcome) if isinstance(outcome, BadRecord) else outcome
            for row, outcome in zip(chunk, outcomes, strict=True)
        ]

    def answer_again(
        self, learner: Learner, chunk: Sequence[AnsweredRecord], version: int | None = None
    ) -> tuple[Learner, list[Output]]:
        """Answer a chunk of the journal again. Whether a control record was obeyed, the journal tells."""
        row, entry = chunk[0]
        if control.is_control(row.value) and entry and entry.output.topic == self._pipeline.dead_letter_topic:
            learner.version = row.offset + 1
            return learner, [entry.output]
        return self.answer(learner, [row for row, _ in chunk], version)

    def _answer_control(self, learner: Learner, row: Input, version: int) -> tuple[Learner, list[Output]]:
        assert row.value is not None
        try:
            order = control.verify_and_read(row.value, self._key)
            changed = self._obey(learner, order)
        except BadRecord as error:
            learner.version = row.offset + 1
            return learner, [self._dead_letter(row, version, error)]
        changed.version = row.offset + 1
        obeyed = control.Obeyed(order, row.partition, row.offset, version, self._lineage)
        return changed, [Output(records.encode(obeyed), self._pipeline.control_topic)]

    def _obey(self, learner: Learner, order: control.Control) -> Learner:
        if order.lineage != self._lineage:
            raise BadRecord(f"a control record for lineage {order.lineage}, not for {self._lineage}")
        if isinstance(order, control.Rollback):
            return self._roll_back(learner, order)
        try:
            learner.change_setting(order.setting, order.value)
        except ChangeRefused as error:
            raise BadRecord(str(error)) from error
        return learner

    def _roll_back(self, learner: Learner, order: control.Rollback) -> Learner:
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
        if row.offset in self._skipped:
            return BadRecord("skipped on request")
        try:
            record = self._pipeline.codec.decode(row.value, whole_numbers=self._whole_numbers)
            reason = learner.rejection_reason(record)
        except BadRecord as error:
            return error
        except Exception as error:  # the code that reads a record may be the pipeline's own
            return BadRecord(describe(error))
        return BadRecord(reason) if reason else record

    def _dead_letter(self, row: Input, version: int, error: BadRecord) -> Output:
        stamp = self._stamp(row, version)
        value = records.encode_dead_letter(self._pipeline.topic, row.value, stamp, error)
        return Output(value, self._pipeline.dead_letter_topic)

    def _stamp(self, row: Input, version: int) -> records.Stamp:
        return records.Stamp(row.partition, row.offset, version, self._lineage)


def _take_ids(ids: RecentIds | None, rows: Sequence[tuple[Input, Any]]) -> dict[int, BadRecord]:
    """Keep the ids of records; return those that were sent again, by their offsets, and why not to take them.

    A label that comes later has the id of its record.
    """
    if ids is None:
        return {}
    repeats = {}
    for row, record in rows:
        key = None if isinstance(record, LateLabel) else ids.hash_of(record)
        if key is not None and not ids.add(key):
            shown = records.encode(getattr(record, ids.field)).decode()[:_SHOWN_CHARS]
            repeats[row.offset] = BadRecord(
                f"sent again: one of the last {ids.most} records with an id had the {ids.field} {shown}"
            )
    return repeats


def cut_into_chunks(rows: Iterable[Input], max_rows: int) -> Iterator[list[Input]]:
    """Cut records into chunks of at most `max_rows`; a control record is a chunk of its own."""
    for controls, run in groupby(rows, key=lambda row: control.is_control(row.value)):
        while chunk := list(islice(run, 1 if controls else max_rows)):
            yield chunk
