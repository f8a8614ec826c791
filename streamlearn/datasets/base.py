"""What a data set is: records to replay, how many, and where they come from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

WireRecord = dict[str, Any]
"""A record as it stands in its topic, before it is written as JSON."""


class RecordsFunction(Protocol):
    """What yields the records of a data set."""

    def __call__(self, *, seed: int = 0, passes: int | None = None) -> Iterator[WireRecord]:
        """Yield `passes` passes over the data; None goes on for ever.

        `seed` decides the order where the data has none: the same seed gives the same records, so that a
        replay that was broken off can be continued.
        """
        ...


@dataclass(frozen=True)
class DataSet:
    """Records to replay.

    Parameters
    ----------
    records
        Yields the records, pass after pass.
    size
        Records in one pass.
    prepare
        Fetches what is needed; raises `DataUnavailable` where that cannot be.
    """

    records: RecordsFunction
    size: int
    prepare: Callable[[], None] = lambda: None
