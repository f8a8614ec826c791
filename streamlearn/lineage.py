"""What a lineage is: the history of one learner, from its parameters and the offset that it starts from.

It stays open over restarts and resubmissions; a reset ends it, and the next submission opens another.
Where lineages are registered is in `topics/lineages.py`.
"""

from typing import Any

import msgspec


class Lineage(msgspec.Struct, frozen=True):
    """One state of a pipeline's lineage, as it stands in the register."""

    pipeline: str
    reference: str
    """By what the pipeline is loaded where the job runs."""
    id: str
    parameters: dict[str, Any]
    start: int
    """The first input offset of the lineage."""
    epoch: int
    """How often the pipeline's job has been submitted, over all its lineages."""
    settled: dict[str, Any] = {}
    """What else it is fixed to, such as horizons and classes: see `Pipeline.settled`."""
    ended: bool = False
    claim: str = ""
    """Which submission wrote this."""
