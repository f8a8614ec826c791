"""`DataSet`: records to replay, and how many."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

WireRecord = dict[str, Any]
"""A record as it stands in its topic, before it is written as JSON."""


class RecordsFunction(Protocol):
    """A function that yields the records of a data set."""

    def __call__(self, *, seed: int = 0, passes: int | None = None) -> Iterator[WireRecord]:
        """Yield `passes` passes over the data; None goes on for ever.

        Where the data has no order of its own, `seed` decides it. The same seed gives the same records, so a
        replay that was interrupted can be continued.
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
        Fetches the data if it is not there yet. Raises `DataUnavailable` where it cannot.
    """

    records: RecordsFunction
    size: int
    prepare: Callable[[], None] = lambda: None
