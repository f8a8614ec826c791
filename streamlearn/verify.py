"""The same fold, done again by one quiet process, beside what the stream has said.

Every record of the lineage must have exactly one committed answer, byte for byte the one that a quiet pass
over the topic gives, cut at the same places; and wherever Redis keeps a version, the model, its window and
its scores must be those that the pass has there. It runs beside a live job, up to what is committed, in
constant memory.

What a learner does is taken from the learner; that it predicts a chunk before it learns it is seen to here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec

from streamlearn import checkpoint
from streamlearn.answers import Answering
from streamlearn.control import Rollback
from streamlearn.errors import LineageError, NothingToCompare, SnapshotRefused
from streamlearn.journal import Pair, chunks
from streamlearn.learner import Answer, Learner
from streamlearn.lineage import Lineage
from streamlearn.pipeline import Pipeline
from streamlearn.stream import Entry, Input, Journal, Output, Stream

_SHOWN = 20
_SETTLE_S = 5.0


class Difference(msgspec.Struct):
    """One thing that is not as it should be."""

    offset: int
    """Of the record; of a snapshot, its version."""
    kind: str
    """missing, doubled, version, prediction, dead letter, control, snapshot, learner"""
    detail: str


class Report(msgspec.Struct, kw_only=True):
    """What was compared, and how it came out."""

    pipeline: str
    lineage: str
    start: int
    """The first offset compared."""
    end: int
    """The offset after the last one compared."""
    begun_from: int | None = None
    """The version of the snapshot that was begun from; None: the lineage's start."""
    predictions: int = 0
    dead_letters: int = 0
    controls: int = 0
    chunks: int = 0
    snapshots: int = 0
    """Versions in Redis that were compared with the pass."""
    unanswered: int = 0
    """Offsets after the last committed answer: not answered yet."""
    different: int = 0
    """How many differences there are in all."""
    differences: list[Difference] = []
    """The first of them."""
    notes: list[str] = []

    @property
    def records(self) -> int:
        """How many records were compared."""
        return self.predictions + self.dead_letters + self.controls

    @property
    def nothing(self) -> str | None:
        """What is missing for a comparison; None if all was there."""
        if not self.records and not self.different:
            return "the lineage has no committed answer yet"
        if not self.snapshots and not self.different:
            return "Redis keeps no version of this lineage that could be compared with the pass"
        return None

    @property
    def exit_code(self) -> int:
        """0: everything is equal; 1: something differs; 2: there was nothing to compare."""
        return 1 if self.different else 2 if self.nothing else 0

    def differs(self, offset: int, kind: str, detail: str) -> None:
        """Count a difference, and keep it if it is among the first."""
        self.different += 1
        if len(self.differences) < _SHOWN:
            self.differences.append(Difference(offset, kind, detail))


def verify(
    pipeline: Pipeline,
    lineage: Lineage,
    stream: Stream,
    snapshots: dict[int, bytes],
    *,
    key: str = "",
    last: int | None = None,
    wait_s: float = 30.0,
    show: Callable[[int, int], None] = lambda at, end: None,
) -> Report:
    """Compare a lineage with a quiet pass over its records.

    Parameters
    ----------
    snapshots
        The versions that Redis keeps of the lineage.
    key
        What snapshots and control records are signed with.
    last
        Compare about so many records only, from the newest snapshot before them.
    wait_s
        How long to wait for the answers that Flink has counted as committed, in seconds.
    show
        Called with the offset reached and the one to reach.

    Raises
    ------
    NothingToCompare
        Kafka holds neither the lineage's start nor what a snapshot would be continued with.
    """
    # In this order: what is committed now must be answered below.
    horizon = max(lineage.start, stream.committed() or 0)
    end = stream.end()
    with ExitStack() as opened:
        wanted = lineage.start if last is None else max(lineage.start, max(horizon, end) - last)
        learner, journal, notes = _begin(pipeline, lineage, stream, snapshots, key, wanted, opened)
        report = Report(
            pipeline=pipeline.name,
            lineage=lineage.id,
            start=learner.version,
            end=learner.version,
            begun_from=learner.version if learner.version > lineage.start else None,
            notes=notes,
        )
        quiet = _Pass(pipeline, lineage, stream, snapshots, key, report)
        pairs = _answered(stream.rows(learner.version, end), journal, horizon, wait_s)
        quiet.run(learner, pairs, journal, lambda at: show(at, end))
        report.unanswered = max(0, end - report.end)
    return report


class _Pass:
    """The quiet pass, and what it finds."""

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
        self._targets = {version for _, version in _returns(stream, lineage)}
        self._kept: dict[int, bytes] = {}
        self._reached: set[int] = set()
        self._answering = Answering(pipeline, lineage.id, key, self._state_at, self._test_then_train)

    def run(
        self, learner: Learner, pairs: Iterator[Pair], journal: Journal, show: Callable[[int], None]
    ) -> None:
        """Answer everything again, comparing as it goes."""
        begun = learner.version
        self._keep(learner)
        for chunk in chunks(pairs, learner.version):
            learner = self._chunk(learner, chunk)
            self._strays(journal, chunk)
            self._keep(learner)
            show(learner.version)
        journal.take(self._report.end, 0)
        self._strays(journal, [])
        between = (version for version in self._snapshots if begun < version < self._report.end)
        for version in sorted(set(between) - self._reached):
            self._report.differs(version, "snapshot", "no step of the journal ended at this version")

    def _chunk(self, learner: Learner, chunk: list[Pair]) -> Learner:
        report, version = self._report, learner.version
        answered = next((entry for _, entry in chunk if entry), None)
        if answered and answered.version != version:
            report.differs(
                chunk[0][0].offset,
                "version",
                f"answered by version {answered.version}; what was learned before it makes version {version}",
            )
            learner.version = answered.version
        learner, outputs = self._answering.again(learner, chunk)
        for (row, entry), output in zip(chunk, outputs, strict=True):
            self._compare(row, entry, output)
        report.chunks += 1
        report.end = learner.version
        return learner

    def _compare(self, row: Input, entry: Entry | None, expected: Output) -> None:
        report = self._report
        if entry is None:
            report.differs(row.offset, "missing", "the record has no answer")
            return
        kinds = {
            self._pipeline.prediction_topic: ("prediction", "predictions"),
            self._pipeline.dead_letter_topic: ("dead letter", "dead_letters"),
            self._pipeline.control_topic: ("control", "controls"),
        }
        kind, counter = kinds[entry.output.topic]
        setattr(report, counter, getattr(report, counter) + 1)
        if entry.output != expected:
            report.differs(row.offset, kind, _difference(entry.output, expected))

    def _strays(self, journal: Journal, chunk: Sequence[Pair]) -> None:
        """Answers that no record asked for: those of a record that has been answered are doubled."""
        ahead = []
        for stray in journal.strays:
            if stray.offset >= self._report.end and chunk:
                ahead.append(stray)
            elif stray.offset < self._report.end:
                where = f"in {stray.output.topic}"
                self._report.differs(
                    stray.offset, "doubled", f"an answer too many {where}, or its record is gone"
                )
        journal.strays[:] = ahead

    def _keep(self, learner: Learner) -> None:
        """Compare with the snapshot of this version, and keep what a control record will go back to."""
        version = learner.version
        kept = self._snapshots.get(version)
        if kept is None and version not in self._targets:
            return
        data = checkpoint.dumps(learner, self._pipeline, self._lineage.id, self._key)
        if version in self._targets:
            self._kept[version] = data
        if kept is not None and version > self._report.start:
            self._reached.add(version)
            self._report.snapshots += 1
            if kept != data:
                self._snapshot(learner, kept)

    def _snapshot(self, learner: Learner, kept: bytes) -> None:
        """Say in what a snapshot differs; other libraries may have written the same in other bytes."""
        try:
            other = checkpoint.loads(kept, self._pipeline, self._lineage.id, self._key)
        except SnapshotRefused as error:
            self._report.differs(learner.version, "snapshot", str(error))
            return
        if self._digest(other) != self._digest(learner):
            parts = checkpoint.differences(other, learner) or ["state"]
            shown = ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")
            self._report.differs(learner.version, "snapshot", f"the snapshot differs in {shown}")

    def _state_at(self, version: int) -> Learner:
        data = self._kept.get(version) or self._snapshots.get(version)
        if data is None:
            raise LineageError("no step of the journal ended there")
        return checkpoint.loads(data, self._pipeline, self._lineage.id, self._key)

    def _test_then_train(self, learner: Learner, records: Sequence[Any], version: int) -> list[Answer]:
        """Predict, and only then learn; see now and then that predicting has changed nothing."""
        answers: list[Answer] = []
        size = 1 if learner.one_by_one else max(1, len(records))
        look = self._report.chunks.bit_count() == 1 or not self._report.chunks
        for start in range(0, len(records), size):
            part = records[start : start + size]
            before = self._digest(learner) if look else ""
            said = learner.predict(part)
            if look and self._digest(learner) != before:
                self._report.differs(version - 1, "learner", "predicting changes the learner")
            learner.learn(part, said)
            answers += said
        learner.version = version
        return answers

    def _digest(self, learner: Learner) -> str:
        return checkpoint.digest(checkpoint.dumps(learner, self._pipeline, self._lineage.id))


def _begin(
    pipeline: Pipeline,
    lineage: Lineage,
    stream: Stream,
    snapshots: dict[int, bytes],
    key: str,
    wanted: int,
    opened: ExitStack,
) -> tuple[Learner, Journal, list[str]]:
    """Return the learner to begin with, at most at `wanted` where that can be, and the journal from there."""
    notes: list[str] = []
    oldest = stream.oldest()
    below = sorted((v for v in snapshots if lineage.start < v <= wanted), reverse=True)
    above = sorted(v for v in snapshots if v > max(wanted, lineage.start))
    returns = _returns(stream, lineage)
    for version in [*below, lineage.start, *above]:
        lost = [to for at, to in returns if at >= version > to and to not in snapshots]
        if lost:
            note = (
                f"a control record goes back to version {lost[0]}, which is not kept: it begins before that"
            )
            notes += [note] if note not in notes else []
            continue
        if version < oldest and stream.may_be_lost(version, oldest):
            notes.append(f"Kafka no longer holds what follows on version {version}")
            continue
        try:
            learner = (
                pipeline.new_learner(lineage.parameters, version)
                if version == lineage.start
                else checkpoint.loads(snapshots[version], pipeline, lineage.id, key)
            )
        except SnapshotRefused as error:
            notes.append(f"version {version} cannot be begun from: {error}")
            continue
        journal = opened.enter_context(stream.journal(lineage.id, version))
        if journal.cut_off:
            notes.append(f"Kafka no longer holds the answers that follow on version {version}")
            continue
        return learner, journal, notes
    raise NothingToCompare("; ".join(notes) or "there is nothing to begin from")


def _returns(stream: Stream, lineage: Lineage) -> list[tuple[int, int]]:
    """Where control records have gone back, and to which version."""
    obeyed = stream.obeyed(lineage.id)
    return [(one.offset, one.control.version) for one in obeyed if isinstance(one.control, Rollback)]


def _answered(rows: Iterator[Input], journal: Journal, horizon: int, wait_s: float) -> Iterator[Pair]:
    """Pair records with their answers, up to the last one that is committed.

    Having waited once for nothing, it waits no more: then answers are missing, not late.
    """
    settle_s = _SETTLE_S
    for row in rows:
        entry = journal.take(row.offset, wait_s if row.offset < horizon else 0)
        if entry is None and not journal.ahead:
            if row.offset >= horizon:
                return
            wait_s = 0
        elif entry is None:
            # The answers of one transaction become visible topic by topic.
            entry = journal.take(row.offset, settle_s)
            settle_s = settle_s if entry else 0
        yield row, entry


def _difference(found: Output, expected: Output) -> str:
    """Say in words in what an answer differs."""
    if found.topic != expected.topic:
        return f"answered in {found.topic}, expected in {expected.topic}"
    try:
        one, other = msgspec.json.decode(found.value), msgspec.json.decode(expected.value)
        names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    except (msgspec.DecodeError, AttributeError):
        names = []
    if not names:
        return "the same in other bytes"
    return "; ".join(f"{name} is {one.get(name)!r}, expected {other.get(name)!r}" for name in names)
