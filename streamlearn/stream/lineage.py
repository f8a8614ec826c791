"""What a lineage is: the history of one learner, from its parameters and the offset that it starts from.

It stays open over restarts and resubmissions; a reset ends it, and the next submission opens another.
Where lineages are registered is in `broker/register.py`.
"""

from typing import Any

import msgspec

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
    """The first input offset of the lineage."""
    epoch: int
    """How often the pipeline's job has been submitted, over all its lineages."""
    definition: dict[str, Any] = {}
    """Everything that it is fixed to, `settled` on the wire: see `pipelines/definition.py`."""
    ended: bool = False
    skipped: tuple[int, ...] = ()
    """Offsets of records that are set aside unread."""
    claim: str = ""
    """Which submission wrote this."""

    @property
    def takes_whole_numbers(self) -> bool:
        """Whether a field of type int takes 7.0 for 7; in a lineage from before, it is a dead letter."""
        return bool(self.definition.get(WHOLE_NUMBERS))
