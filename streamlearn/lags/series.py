"""Series side by side on one grid of steps, time running forward; a step that is missing stays there, as NaN.

Where the rows come from is said in `readers.py`; what is done with them in `analysis.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import BadSeries

Floats = NDArray[np.float64]

_EPOCH = datetime(1970, 1, 1)
_SPARSE = 10
"""A grid with fewer rows than one in so many steps is a mistake in the times, not a series."""

_UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1000))


@dataclass(frozen=True)
class Series:
    """One quantity over time."""

    name: str
    """By what it is asked for: a column or field."""
    values: Floats
    """Shape (n,), in `unit`; NaN where missing."""
    title: str = ""
    """What it is, for people."""
    unit: str = ""

    @property
    def label(self) -> str:
        """What it is called in a sentence."""
        return self.title or self.name


@dataclass(frozen=True)
class Table:
    """Series of equal length on one grid."""

    series: Mapping[str, Series]
    times: NDArray[Any]
    """Shape (n,): datetime64, or the numbers of the steps."""
    step: str = ""
    """How long a step is, such as `1 h`; empty: nobody knows, steps are rows."""
    notes: tuple[str, ...] = ()
    """What a reader should know of how the grid was made."""


def arrange(
    series: Sequence[Series], times: Sequence[datetime] | None, where: Sequence[str], notes: tuple[str, ...]
) -> Table:
    """Put rows in the order of their times, with a gap for each step that is missing.

    Without `times` the rows are the steps. `where[i]` tells people where row i stands.

    Raises
    ------
    BadSeries
        There are no rows, or the times are repeated, mixed or not on a grid.
    """
    if not where:
        raise BadSeries("there is not one row of data")
    if times is None:
        found = {one.name: one for one in series}
        return Table(found, np.arange(len(where)), notes=(*notes, "no times: each row is one step"))
    plain = [_naive(time) for time in times]
    if len({time.tzinfo is None for time in times}) > 1:
        raise BadSeries("some times have a time zone and others have none")
    numbers, step, stamps = _numbered(plain)
    _refuse_repeated(numbers, plain, where)
    length = int(numbers.max()) + 1
    if length > _SPARSE * len(where) + 100:
        raise BadSeries(
            f"{len(where)} rows are too few for the {length} steps of {step} from {min(plain)}"
            f" to {max(plain)}"
        )
    missing = length - len(where)
    if missing:
        notes = (*notes, f"{missing} of {length} steps have no row: they count as missing")
    return Table({one.name: _spread(one, numbers, length) for one in series}, stamps(length), step, notes)


def _spread(one: Series, numbers: NDArray[np.int64], length: int) -> Series:
    values = np.full(length, np.nan)
    values[numbers] = one.values
    return Series(one.name, values, one.title, one.unit)


def _naive(time: datetime) -> datetime:
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def _refuse_repeated(numbers: NDArray[np.int64], times: Sequence[datetime], where: Sequence[str]) -> None:
    order = np.argsort(numbers, kind="stable")
    twice = np.flatnonzero(np.diff(numbers[order]) == 0)
    if twice.size:
        first, second = order[twice[0]], order[twice[0] + 1]
        raise BadSeries(f"{times[first]} comes twice, in {where[first]} and {where[second]}")


def _numbered(times: Sequence[datetime]) -> tuple[NDArray[np.int64], str, Any]:
    """Return the step of each time from 0, a step's length in words, and a function length → stamps."""
    if len(times) > 1 and len({(t.day, t.time()) for t in times}) == 1:
        return _months(times)
    stamps = np.array([(time - _EPOCH) // timedelta(microseconds=1) for time in times], dtype=np.int64)
    between = np.diff(np.unique(stamps))
    if not between.size:
        raise BadSeries(f"every row has the same time, {times[0]}")
    lengths, counts = np.unique(between, return_counts=True)
    step, first = int(lengths[counts.argmax()]), int(stamps.min())
    off = np.flatnonzero((stamps - first) % step)
    if off.size:
        raise BadSeries(
            f"the times are not evenly spaced: most are {_words(step)} apart, but {times[off[0]]}"
            " is off that grid"
        )
    origin = np.datetime64(first, "us")
    return (stamps - first) // step, _words(step), lambda length: origin + np.arange(length) * step


def _months(times: Sequence[datetime]) -> tuple[NDArray[np.int64], str, Any]:
    months = np.array([time.year * 12 + time.month - 1 for time in times], dtype=np.int64)
    step, first = int(np.gcd.reduce(months - months.min())), int(months.min())
    if step == 0:
        raise BadSeries(f"every row has the same time, {times[0]}")
    origin = np.datetime64(first - 1970 * 12, "M")
    label = f"{step} month" if step % 12 else f"{step // 12} year"
    return (months - first) // step, label, lambda length: origin + np.arange(length) * step


def _words(microseconds: int) -> str:
    """Say how long a step is.

    >>> _words(900_000_000), _words(86_400_000_000)
    ('15 min', '1 d')
    """
    for name, size in _UNITS:
        if microseconds % size == 0:
            return f"{microseconds // size} {name}"
    return f"{microseconds} µs"
