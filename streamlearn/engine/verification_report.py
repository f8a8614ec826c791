"""What a verification has compared, and how it came out."""

from collections.abc import Sequence

import msgspec

_MAX_DIFFERENCES = 20


class Difference(msgspec.Struct):
    """Something that is not as it should be."""

    offset: int
    """Of the record; of a snapshot, its version."""
    kind: str
    """missing, doubled, version, prediction, dead letter, control, snapshot, learner, origin"""
    detail: str


class Report(msgspec.Struct, kw_only=True):
    """What was compared, and how it came out."""

    pipeline: str
    lineage: str
    partition: int | msgspec.UnsetType = msgspec.UNSET
    """Which partition was compared; unset where the lineage has only one."""
    start: int
    """The first offset compared."""
    end: int
    """The offset after the last one compared."""
    begun_from: int | None = None
    """The version of the snapshot that the pass began from; None: the lineage's start."""
    origin: str | msgspec.UnsetType = msgspec.UNSET
    """What was learned again before the lineage's start, in words; unset where it begins from nothing."""
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
    def nothing_compared(self) -> str | None:
        """Why nothing could be compared; None if something was."""
        if not self.records and not self.different:
            if self.begun_from is None:
                return "the lineage has no committed answer yet"
            return f"no answer after version {self.begun_from} is committed yet"
        if not self.snapshots and not self.different:
            return "Redis keeps no version of this lineage that could be compared with the pass"
        return None

    @property
    def exit_code(self) -> int:
        """0: everything is equal; 1: something differs; 2: there was nothing to compare."""
        return 1 if self.different else 2 if self.nothing_compared else 0

    @property
    def is_empty(self) -> bool:
        """Whether there was no record that could have been answered."""
        return not (self.records or self.different or self.unanswered or self.end > self.start)

    def count_answer(self, kind: str) -> None:
        """Count an answer that was compared: a prediction, a dead letter or a control."""
        if kind == "prediction":
            self.predictions += 1
        elif kind == "dead letter":
            self.dead_letters += 1
        else:
            self.controls += 1

    def add_difference(self, offset: int, kind: str, detail: str) -> None:
        """Count a difference, and keep it if it is among the first."""
        self.different += 1
        if len(self.differences) < _MAX_DIFFERENCES:
            self.differences.append(Difference(offset, kind, detail))


def combine_exit_codes(reports: Sequence[Report]) -> int:
    """Return the exit code of a lineage: of its partitions, those without any record do not count."""
    codes = [report.exit_code for report in reports if not report.is_empty] or [2]
    return 1 if 1 in codes else max(codes)
