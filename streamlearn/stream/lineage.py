"""What a lineage is: the history of a pipeline's learners, from their parameters and first offsets on.

Each partition of the input topic has a learner of its own; `Lineage.in_partition` gives the history of one.

It stays open over restarts and resubmissions; a reset ends it, and the next submission opens another.
Where lineages are registered is in `broker/register.py`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from streamlearn.errors import LineageError

WHOLE_NUMBERS = "whole_numbers"
"""The name in a definition under which stands that a field of type int takes 7.0 for 7."""

ORIGIN = "origin"
"""The name in a definition under which stands what a lineage began from, where that is not nothing.

It stands there, and not beside, so that a program which does not know of origins finds a definition that is
not its own, and refuses to go on, instead of learning on from nothing.
"""


class Origin(msgspec.Struct, frozen=True):
    """The bounded part of a topic from whose fold a lineage begins, in place of nothing.

    Partition k of the lineage begins from partition k there: from the learner that has predicted, then
    learned the records from `starts[k]` to below `ends[k]`, in chunks of `chunk_rows` records in their order;
    the last one may be shorter. Records that cannot be taken count in a chunk and are not learned. Control
    records are such, and each is a chunk of its own: what was changed elsewhere is not changed here.
    """

    topic: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    digests: tuple[str, ...]
    """By which the learner of each partition is known again: SHA-256 of its unsigned snapshot, in hex."""
    chunk_rows: int
    libraries: dict[str, str] = {}
    """The versions of the libraries that wrote those snapshots; others may write the same in other bytes."""

    def in_partition(self, partition: int) -> "Origin | None":
        """Return the origin as that of one partition alone; None where that one begins from nothing."""
        if partition >= len(self.starts):
            return None
        return msgspec.structs.replace(
            self,
            starts=self.starts[partition : partition + 1],
            ends=self.ends[partition : partition + 1],
            digests=self.digests[partition : partition + 1],
        )


class Lineage(msgspec.Struct, frozen=True, rename={"definition": "settled"}):
    """One state of a pipeline's lineage, as it stands in the register."""

    pipeline: str
    reference: str
    """By what the pipeline is loaded where the job runs: its name, or `package.module:object`."""
    id: str
    parameters: dict[str, Any]
    start: int
    """The first input offset of the lineage, in partition 0."""
    epoch: int
    """How often the pipeline's job has been submitted, over all its lineages."""
    definition: dict[str, Any] = {}
    """Everything that it is fixed to, `settled` on the wire: see `pipelines/definition.py`."""
    ended: bool = False
    skipped: tuple[int, ...] = ()
    """Offsets of records in partition 0 that are set aside unread."""
    claim: str = ""
    """Which submission wrote this."""
    later_starts: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    """The first input offsets in the partitions 1, 2, …; unset where there is none of them."""
    later_skipped: dict[int, tuple[int, ...]] | msgspec.UnsetType = msgspec.UNSET
    """Offsets of records that are set aside unread in the partitions 1, 2, …, by partition."""
    parallelism: int | msgspec.UnsetType = msgspec.UNSET
    """How many workers a person has let share the partitions; unset: as many as the settings say."""

    @property
    def starts(self) -> tuple[int, ...]:
        """The first input offset in each partition."""
        return (self.start, *(self.later_starts or ()))

    @property
    def partitions(self) -> range:
        """The partitions that the lineage learns from."""
        return range(len(self.starts))

    def in_partition(self, partition: int) -> "Lineage":
        """Return the lineage as that of one partition alone.

        Raises
        ------
        LineageError
            It does not learn from that partition.
        """
        if partition not in self.partitions:
            raise LineageError(
                f"lineage {self.id} of {self.pipeline} does not learn from partition {partition}; if that was"
                f" added to the topic since, `streamlearn train {self.pipeline}` takes it in"
            )
        origin = self.origin
        return msgspec.structs.replace(
            self,
            definition=self.definition if origin is None else self._define(origin.in_partition(partition)),
            start=self.starts[partition],
            skipped=(self.later_skipped or {}).get(partition, ()) if partition else self.skipped,
            later_starts=msgspec.UNSET,
            later_skipped=msgspec.UNSET,
        )

    def add_partitions(self, starts: Sequence[int]) -> "Lineage":
        """Return the lineage with more partitions, which begin at `starts`."""
        if not starts:
            return self
        return msgspec.structs.replace(self, later_starts=(*self.starts[1:], *starts))

    def skip(self, offset: int, partition: int) -> "Lineage":
        """Return the lineage with one more record set aside."""
        skipped = tuple(sorted({*self.in_partition(partition).skipped, offset}))
        if partition == 0:
            return msgspec.structs.replace(self, skipped=skipped)
        later = {**(self.later_skipped or {}), partition: skipped}
        return msgspec.structs.replace(self, later_skipped=later)

    @property
    def origin(self) -> Origin | None:
        """What it begins from; None: from nothing."""
        origin = self.definition.get(ORIGIN)
        return None if origin is None else msgspec.convert(origin, Origin)

    def begin_from(self, origin: Origin | None) -> "Lineage":
        """Return the lineage with another beginning."""
        return msgspec.structs.replace(self, definition=self._define(origin))

    def _define(self, origin: Origin | None) -> dict[str, Any]:
        definition = {name: part for name, part in self.definition.items() if name != ORIGIN}
        return definition if origin is None else {**definition, ORIGIN: msgspec.to_builtins(origin)}

    @property
    def takes_whole_numbers(self) -> bool:
        """Whether a field of type int takes 7.0 for 7; in a lineage from before, it is a dead letter."""
        return bool(self.definition.get(WHOLE_NUMBERS))
