"""Series side by side on one grid of steps, time running forward; a missing step stays in its place, as NaN.

`readers/` reads their rows, `grid.py` finds the steps, `analysis.py` looks for lags in them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import BadSeries
from streamlearn.lags.grid import Grid, make_grid, make_number_grid

Floats = NDArray[np.float64]


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
    """Shape (n,): datetime64, or numbers where the length of a step is not known."""
    step: str = ""
    """How long a step is, such as `1 h`; empty where it is not known."""
    notes: tuple[str, ...] = ()
    """What a reader should know about how the grid was made."""


def arrange(
    columns: Sequence[Series],
    times: Sequence[datetime | Decimal] | None,
    where: Sequence[str],
    notes: tuple[str, ...],
) -> Table:
    """Put rows in the order of their times, with a gap for each step that is missing.

    Without `times`, each row is a step, the first the oldest; numbers count steps of unknown length.
    `where[i]` names row i in messages, such as `line 7`. A row that repeats a time and its values is left
    out.

    Raises
    ------
    BadSeries
        There are no rows, or the times are repeated with other values, mixed or not on a grid.
    """
    if not where:
        raise BadSeries("there are no rows of data")
    if times is None:
        by_name = {series.name: series for series in columns}
        note = "no times: each row is one step, the first row the oldest"
        return Table(by_name, np.arange(len(where)), notes=(*notes, note))
    numbers = [time for time in times if isinstance(time, Decimal)]
    grid = make_number_grid(numbers) if numbers else make_grid(cast(Sequence[datetime], times))
    rows = _keep_first(columns, grid, times, where)
    if repeated := len(where) - len(rows):
        notes = (*notes, f"rows that repeat another's time and values, left out: {repeated}")
    if grid.note:
        notes = (*notes, grid.note)
    if missing := len(grid.times) - len(rows):
        notes = (*notes, f"{missing} of {len(grid.times)} steps have no row: they count as missing")
    spread = {series.name: _spread(series, grid, rows) for series in columns}
    return Table(spread, grid.times, grid.step, notes)


def _spread(series: Series, grid: Grid, rows: NDArray[np.int64]) -> Series:
    """Return a series of rows as one of steps; a step without a row is missing."""
    values = np.full(len(grid.times), np.nan)
    values[grid.numbers[rows]] = series.values[rows]
    return Series(series.name, values, series.title, series.unit)


def _keep_first(
    columns: Sequence[Series], grid: Grid, times: Sequence[Any], where: Sequence[str]
) -> NDArray[np.int64]:
    """Return the rows without those that repeat an earlier one; raise where the values are others."""
    _, first, inverse = np.unique(grid.numbers, return_index=True, return_inverse=True)
    original = first[inverse]
    for series in columns:
        same = np.isclose(series.values, series.values[original], rtol=0, atol=0, equal_nan=True)
        if not same.all():
            row = int(np.flatnonzero(~same)[0])
            raise BadSeries(
                f"{times[row]} comes twice, in {where[original[row]]} and {where[row]}, with other values"
                f" of {series.name}{_explain_repeat(times[row])}"
            )
    return np.sort(first)


def _explain_repeat(time: datetime | Decimal) -> str:
    """Return a hint where a time without a zone comes twice at an hour at which summer time ends."""
    if (
        isinstance(time, datetime)
        and time.tzinfo is None
        and 0 < time.hour < 4
        and time.month in (3, 4, 9, 10, 11)
    ):
        return " (if summer time ends there, write the times in UTC or with their offset)"
    return ""
