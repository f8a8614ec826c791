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
        return msgspec.structs.replace(
            self,
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
    def takes_whole_numbers(self) -> bool:
        """Whether a field of type int takes 7.0 for 7; in a lineage from before, it is a dead letter."""
        return bool(self.definition.get(WHOLE_NUMBERS))
