"""Verify a lineage: learn its records again, offline, and compare every answer and every stored version.

Every record of the lineage must have exactly one committed answer, byte for byte the one that an offline pass
over the topic gives, cut at the same places; and wherever Redis keeps a version, the model, its window and
its scores must be those that the pass has there. It runs beside a live job, up to what is committed, in
constant memory.

The learner's own code is trusted for what it predicts and learns. Only that predicting changes nothing in
it is checked, at chunks 0, 1, 2, 4, 8, …
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec

from streamlearn.engine.answering import Answering
from streamlearn.engine.relearning import learn_origin
from streamlearn.engine.verification_report import Report
from streamlearn.errors import LineageError, NothingToCompare, SnapshotRefused
from streamlearn.learning.learner import Answer, Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.control import Rollback
from streamlearn.stream.journal import AnsweredRecord, journaled_chunks
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Entry, Input, Journal, Output, Stream

_SETTLE_S = 5.0


def verify(
    pipeline: Pipeline,
    lineage: Lineage,
    stream: Stream,
    snapshots: dict[int, bytes],
    *,
    key: str = "",
    last: int | None = None,
    wait_s: float = 30.0,
    report_progress: Callable[[int, int], None] = lambda at, end: None,
) -> Report:
    """Compare one partition of a lineage with an offline pass over its records.

    Parameters
    ----------
    lineage
        The lineage as that of this partition alone.
    snapshots
        The versions that Redis keeps of the partition.
    key
        What snapshots and control records are signed with.
    last
        Compare about so many records only, from the newest snapshot before them; more where otherwise no
        version that is kept would be compared.
    wait_s
        How long to wait for the answers that Flink has counted as committed, in seconds.
    report_progress
        Called with the offset reached and the last offset.

    Raises
    ------
    NothingToCompare
        Kafka holds neither the lineage's start nor what a snapshot would be continued with.
    """
    # In this order: what is committed now must be answered below.
    committed = stream.committed() or 0
    end = stream.end()
    with ExitStack() as journals:
        wanted = _choose_beginning(lineage, snapshots, committed if committed > lineage.start else end, last)
        learner, journal, notes, objection = _find_beginning(
            pipeline, lineage, stream, snapshots, key, wanted, journals
        )
        report = Report(
            pipeline=pipeline.name,
            lineage=lineage.id,
            start=learner.version,
            end=learner.version,
            begun_from=learner.version if learner.version > lineage.start else None,
            notes=notes,
        )
        if objection:
            report.add_difference(lineage.start, "origin", objection)
        if lineage.origin and learner.version == lineage.start:
            report.origin = (
                f"{lineage.origin.topic}, offsets {lineage.origin.starts[0]} to {lineage.origin.ends[0]}"
            )
        offline_pass = _Pass(pipeline, lineage, stream, snapshots, key, report)
        answered = _pair_with_answers(stream.rows(learner.version, end), journal, committed, wait_s)
        offline_pass.run(learner, answered, journal, lambda at: report_progress(at, end))
        report.unanswered = max(0, end - report.end)
    return report


class _Pass:
    """The offline pass, and the differences that it finds."""

    def __init__(
        self,
        pipeline: Pipeline,
        lineage: Lineage,
        stream: Stream,
        snapshots: dict[int, bytes],
        key: str,
        report: Report,
    ) -> None:
        self._pipeline = pipeline
        self._lineage = lineage
        self._snapshots = snapshots
        self._key = key
        self._report = report
        self._rollback_targets = {version for _, version in find_rollbacks(stream, lineage)}
        self._kinds = {
            pipeline.prediction_topic: "prediction",
            pipeline.dead_letter_topic: "dead letter",
            pipeline.control_topic: "control",
        }
        self._own_snapshots: dict[int, bytes] = {}
        self._reached: set[int] = set()
        self._answering = Answering.of_lineage(pipeline, lineage, key, self._state_at, self._predict)

    def run(
        self,
        learner: Learner,
        answered: Iterator[AnsweredRecord],
        journal: Journal,
        report_progress: Callable[[int], None],
    ) -> None:
        """Answer everything again, comparing as it goes."""
        first_version = learner.version
        self._compare_snapshot(learner)
        for chunk in journaled_chunks(answered, learner.version):
            learner = self._compare_chunk(learner, chunk)
            self._count_strays(journal)
            self._compare_snapshot(learner)
            report_progress(learner.version)
        journal.take(self._report.end, 0)
        self._count_strays(journal, at_end=True)
        between = (version for version in self._snapshots if first_version < version < self._report.end)
        for version in sorted(set(between) - self._reached):
            self._report.add_difference(version, "snapshot", "no step of the journal ended at this version")

    def _compare_chunk(self, learner: Learner, chunk: list[AnsweredRecord]) -> Learner:
        report, version = self._report, learner.version
        first_entry = next((entry for _, entry in chunk if entry), None)
        if first_entry and first_entry.version != version:
            report.add_difference(
                chunk[0][0].offset,
                "version",
                f"answered by version {first_entry.version};"
                f" what was learned before it makes version {version}",
            )
        learner, outputs = self._answering.answer_again(
            learner, chunk, first_entry.version if first_entry else None
        )
        for (row, entry), output in zip(chunk, outputs, strict=True):
            self._compare_answer(row, entry, output)
        report.chunks += 1
        report.end = learner.version
        return learner

    def _compare_answer(self, row: Input, entry: Entry | None, expected: Output) -> None:
        report = self._report
        if entry is None:
            report.add_difference(row.offset, "missing", "the record has no answer")
            return
        kind = self._kinds[entry.output.topic]
        report.count_answer(kind)
        if entry.output != expected:
            report.add_difference(row.offset, kind, _describe_difference(entry.output, expected))

    def _count_strays(self, journal: Journal, *, at_end: bool = False) -> None:
        """Report answers that belong to no record.

        Those ahead of the pass are kept for later, or dropped if `at_end`.
        """
        ahead = []
        for stray in journal.strays:
            if stray.offset >= self._report.end and not at_end:
                ahead.append(stray)
            elif stray.offset < self._report.end:
                where = f"in {stray.output.topic}"
                self._report.add_difference(
                    stray.offset, "doubled", f"an answer too many {where}, or its record is gone"
                )
        journal.strays[:] = ahead

    def _compare_snapshot(self, learner: Learner) -> None:
        """Compare with the snapshot of this version, and keep what a control record will go back to."""
        version = learner.version
        stored = self._snapshots.get(version)
        if stored is None and version not in self._rollback_targets:
            return
        data = snapshot.dumps(learner, self._pipeline, self._lineage.id, self._key)
        if version in self._rollback_targets:
            self._own_snapshots[version] = data
        # What a pass begins from was read from there, but for the fold of an origin.
        if stored is not None and (version > self._report.start or self._report.origin):
            self._reached.add(version)
            self._report.snapshots += 1
            if stored != data:
                self._compare_state(learner, stored)

    def _compare_state(self, learner: Learner, stored: bytes) -> None:
        """Compare state with state: other libraries may have written the same in other bytes."""
        try:
            other = snapshot.loads(stored, self._pipeline, self._lineage.id, self._key)
        except SnapshotRefused as error:
            self._report.add_difference(learner.version, "snapshot", str(error))
            return
        if self._digest(other) != self._digest(learner):
            parts = snapshot.find_differences(other, learner) or ["state"]
            shown = ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")
            self._report.add_difference(learner.version, "snapshot", f"the snapshot differs in {shown}")

    def _state_at(self, version: int) -> Learner:
        data = self._own_snapshots.get(version) or self._snapshots.get(version)
        if data is None:
            raise LineageError("no step of the journal ended there")
        return snapshot.loads(data, self._pipeline, self._lineage.id, self._key)

    def _predict(self, learner: Learner, records: Sequence[Any]) -> list[Answer]:
        """Predict, and check now and then that predicting has changed nothing."""
        checked = self._report.chunks.bit_count() <= 1  # 0, 1, 2, 4, 8, …
        before = self._digest(learner) if checked else ""
        answers = learner.predict(records)
        if checked and self._digest(learner) != before:
            offset = self._report.end
            self._report.add_difference(offset, "learner", "predicting changes the learner")
        return answers

    def _digest(self, learner: Learner) -> str:
        return snapshot.digest(snapshot.dumps(learner, self._pipeline, self._lineage.id))


def _choose_beginning(lineage: Lineage, versions: Iterable[int], answered: int, last: int | None) -> int:
    """Return the offset to begin at, at the latest, to compare the `last` of the answered records."""
    if last is None:
        return lineage.start
    newest = max((version for version in versions if version <= answered), default=answered)
    return min(answered - last, newest - 1)


def _find_beginning(
    pipeline: Pipeline,
    lineage: Lineage,
    stream: Stream,
    snapshots: dict[int, bytes],
    key: str,
    wanted: int,
    journals: ExitStack,
) -> tuple[Learner, Journal, list[str], str | None]:
    """Return the learner to begin with, at most at `wanted` where that can be, and the journal from there.

    Also notes, and what is wrong with that learner: the lineage's origin may no longer make it.
    """
    notes: list[str] = []
    oldest = stream.oldest()
    below = sorted((v for v in snapshots if lineage.start < v <= wanted), reverse=True)
    above = sorted(v for v in snapshots if v > max(wanted, lineage.start))
    rollbacks = find_rollbacks(stream, lineage)
    for version in [*below, lineage.start, *above]:
        lost = [
            target for offset, target in rollbacks if offset >= version > target and target not in snapshots
        ]
        if lost:
            note = (
                f"a control record goes back to version {lost[0]}, which is not kept: it begins before that"
            )
            notes += [note] if note not in notes else []
            continue
        if version < oldest and not stream.is_hole(version, oldest):
            notes.append(f"Kafka no longer holds what follows on version {version}")
            continue
        objection = None
        try:
            if version == lineage.start:
                learner, objection = learn_origin(pipeline, lineage, stream)
            else:
                learner = snapshot.loads(snapshots[version], pipeline, lineage.id, key)
        except (LineageError, SnapshotRefused) as error:
            notes.append(f"version {version} cannot be begun from: {error}")
            continue
        journal = journals.enter_context(stream.journal(lineage.id, version))
        if journal.cut_off:
            notes.append(f"Kafka no longer holds the answers that follow on version {version}")
            continue
        return learner, journal, notes, objection
    raise NothingToCompare("; ".join(notes) or "there is nothing to begin from")


def find_rollbacks(stream: Stream, lineage: Lineage) -> list[tuple[int, int]]:
    """Return where control records went back, and to which version."""
    return [
        (obeyed.offset, obeyed.control.version)
        for obeyed in stream.obeyed_controls(lineage.id)
        if isinstance(obeyed.control, Rollback)
    ]


def _pair_with_answers(
    rows: Iterator[Input], journal: Journal, committed: int, wait_s: float
) -> Iterator[AnsweredRecord]:
    """Pair records with their answers, up to the last one that is committed.

    After one wait without an answer it stops waiting: later gaps are missing answers, not late ones.
    """
    settle_s = _SETTLE_S
    for row in rows:
        entry = journal.take(row.offset, wait_s if row.offset < committed else 0)
        if entry is None and not journal.ahead:
            if row.offset >= committed:
                return
            wait_s = 0
        elif entry is None:
            # The answers of one transaction become visible topic by topic.
            entry = journal.take(row.offset, settle_s)
            settle_s = settle_s if entry else 0
        yield row, entry


def _describe_difference(actual: Output, expected: Output) -> str:
    """Describe in words in what an answer differs."""
    if actual.topic != expected.topic:
        return f"answered in {actual.topic}, expected in {expected.topic}"
    try:
        answer, wanted = (msgspec.json.decode(o.value, type=dict[str, Any]) for o in (actual, expected))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "other bytes than expected, which cannot be decoded as JSON objects"
    values = {
        name: (answer.get(name, msgspec.UNSET), wanted.get(name, msgspec.UNSET))
        for name in {**answer, **wanted}
    }
    differences = [
        f"{name} is {_describe_value(value)}, expected {_describe_value(other)}"
        for name, (value, other) in values.items()
        if value != other
    ]
    return "; ".join(differences) or "the same values in other bytes"


def _describe_value(value: Any) -> str:
    """Return a field's value in words; `UNSET`: the field is not there.

    >>> _describe_value(None), _describe_value(msgspec.UNSET)
    ('None', 'absent')
    """
    return "absent" if value is msgspec.UNSET else repr(value)
