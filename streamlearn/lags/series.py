"""Series side by side on one grid of steps, time running forward; a missing step stays in its place, as NaN.

`readers.py` reads their rows, `analysis.py` looks for lags in them.
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
_MICROSECOND = timedelta(microseconds=1)
_MAX_STEPS_PER_ROW = 10
"""A grid with more steps than this for each row is a mistake in the times, not a series."""

_UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1000))


@dataclass(frozen=True)
class Series:
    """One quantity over time."""

    name: str
    """The column or field that it was read from."""
    values: Floats
    """Shape (n,), in `unit`; NaN where missing."""
    title: str = ""
    """Its name for people."""
    unit: str = ""

    @property
    def label(self) -> str:
        """Its name in a sentence: the title, if it has one."""
        return self.title or self.name


@dataclass(frozen=True)
class Table:
    """Series of equal length on one grid."""

    series: Mapping[str, Series]
    times: NDArray[Any]
    """Shape (n,): datetime64, or the numbers of the steps."""
    step: str = ""
    """How long a step is, such as `1 h`; empty where no times are known: then each row is a step."""
    notes: tuple[str, ...] = ()
    """What a reader should know about how the grid was made."""


@dataclass(frozen=True)
class _Grid:
    """Where rows stand on a grid of steps."""

    numbers: NDArray[np.int64]
    """Each row's step, from 0."""
    origin: np.datetime64
    """The time of step 0; its unit is that of `step_length`."""
    step_length: int
    step: str
    """The length of a step in words."""

    @property
    def length(self) -> int:
        """How many steps there are."""
        return int(self.numbers.max()) + 1

    def times(self) -> NDArray[Any]:
        """Return the time of each step."""
        times: NDArray[Any] = self.origin + np.arange(self.length) * self.step_length
        return times

    def spread(self, series: Series) -> Series:
        """Return a series of rows as one of steps; a step without a row is missing."""
        values = np.full(self.length, np.nan)
        values[self.numbers] = series.values
        return Series(series.name, values, series.title, series.unit)


def arrange(
    columns: Sequence[Series], times: Sequence[datetime] | None, where: Sequence[str], notes: tuple[str, ...]
) -> Table:
    """Put rows in the order of their times, with a gap for each step that is missing.

    Without `times`, each row is a step. `where[i]` names row i in messages, such as `line 7`.

    Raises
    ------
    BadSeries
        There are no rows, or the times are repeated, mixed or not on a grid.
    """
    if not where:
        raise BadSeries("there is not one row of data")
    if times is None:
        by_name = {series.name: series for series in columns}
        return Table(by_name, np.arange(len(where)), notes=(*notes, "no times: each row is one step"))
    if len({time.tzinfo is None for time in times}) > 1:
        raise BadSeries("some times have a time zone and others have none")
    naive = [_without_zone(time) for time in times]
    grid = _make_grid(naive)
    _refuse_repeated(grid.numbers, naive, where)
    if grid.length > _MAX_STEPS_PER_ROW * len(where) + 100:
        raise BadSeries(
            f"{len(where)} rows are too few for the {grid.length} steps of {grid.step} from {min(naive)}"
            f" to {max(naive)}"
        )
    if missing := grid.length - len(where):
        notes = (*notes, f"{missing} of {grid.length} steps have no row: they count as missing")
    return Table({series.name: grid.spread(series) for series in columns}, grid.times(), grid.step, notes)


def _without_zone(time: datetime) -> datetime:
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def _refuse_repeated(numbers: NDArray[np.int64], times: Sequence[datetime], where: Sequence[str]) -> None:
    order = np.argsort(numbers, kind="stable")
    repeated = np.flatnonzero(np.diff(numbers[order]) == 0)
    if repeated.size:
        first, second = order[repeated[0]], order[repeated[0] + 1]
        raise BadSeries(f"{times[first]} comes twice, in {where[first]} and {where[second]}")


def _make_grid(times: Sequence[datetime]) -> _Grid:
    """Find the grid that times stand on; its step is the commonest distance between them."""
    if len(times) > 1 and len({(t.day, t.time()) for t in times}) == 1:
        return _make_monthly_grid(times)
    stamps = np.array([(time - _EPOCH) // _MICROSECOND for time in times], dtype=np.int64)
    distances = np.diff(np.unique(stamps))
    if not distances.size:
        raise BadSeries(f"every row has the same time, {times[0]}")
    lengths, counts = np.unique(distances, return_counts=True)
    step, first = int(lengths[counts.argmax()]), int(stamps.min())
    off_grid = np.flatnonzero((stamps - first) % step)
    if off_grid.size:
        raise BadSeries(
            f"the times are not evenly spaced: most are {_format_length(step)} apart,"
            f" but {times[off_grid[0]]} is off that grid"
        )
    return _Grid((stamps - first) // step, np.datetime64(first, "us"), step, _format_length(step))


def _make_monthly_grid(times: Sequence[datetime]) -> _Grid:
    months = np.array([time.year * 12 + time.month - 1 for time in times], dtype=np.int64)
    step, first = int(np.gcd.reduce(months - months.min())), int(months.min())
    if step == 0:
        raise BadSeries(f"every row has the same time, {times[0]}")
    words = f"{step} month" if step % 12 else f"{step // 12} year"
    return _Grid((months - first) // step, np.datetime64(first - 1970 * 12, "M"), step, words)


def _format_length(microseconds: int) -> str:
    """Write how long a step is.

    >>> _format_length(900_000_000), _format_length(86_400_000_000)
    ('15 min', '1 d')
    """
    for unit, size in _UNITS:
        if microseconds % size == 0:
            return f"{microseconds // size} {unit}"
    return f"{microseconds} µs"
