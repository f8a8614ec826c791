"""Times on a grid of even steps: a length of time, months and years, weekdays, or numbers."""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import BadSeries

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1) // _MICROSECOND
_MAX_STEPS_PER_ROW = 10
"""A grid with more steps than this for each row is a mistake in the times, not a series."""
_MIN_SHARE = 0.75
"""Numbers that leave more of their steps out are no steps: they count something else."""
_MAX_DECIMALS = 9

_UNITS = (("d", _DAY), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1000))


@dataclass(frozen=True)
class Grid:
    """Where rows stand on a grid of steps."""

    numbers: NDArray[np.int64]
    """Each row's step, from 0."""
    times: NDArray[Any]
    """The time of each step."""
    step: str
    """The length of a step in words; empty where it is not known."""
    note: str = ""
    """What a reader should know about the steps."""


def make_grid(times: Sequence[datetime]) -> Grid:
    """Find the grid that times stand on; its step is the commonest distance between them.

    Raises
    ------
    BadSeries
        Only some times have a zone, all are the same, or they are not evenly spaced.
    """
    if len({time.tzinfo is None for time in times}) > 1:
        raise BadSeries("some times have a time zone and others have none")
    times = _drop_zones(times)
    if len(set(times)) == 1:
        raise BadSeries(f"every row has the same time, {times[0]}")
    if _are_months(times):
        return _make_monthly_grid(times)
    stamps = np.array([(time - _EPOCH) // _MICROSECOND for time in times], dtype=np.int64)
    step, first = _commonest_distance(stamps), int(stamps.min())
    off_grid = np.flatnonzero((stamps - first) % step)
    if off_grid.size:
        raise BadSeries(
            f"the times are not evenly spaced: most are {_format_length(step)} apart,"
            f" but {times[off_grid[0]]} is off that grid"
        )
    if step == _DAY and _are_weekdays(times):
        return _make_weekday_grid(times)
    numbers = (stamps - first) // step
    _refuse_sparse(numbers, f"{_format_length(step)} from {min(times)} to {max(times)}")
    steps = np.datetime64(first, "us") + np.arange(int(numbers.max()) + 1) * step
    return Grid(numbers, steps, _format_length(step))


def make_number_grid(numbers: Sequence[Decimal]) -> Grid:
    """Find the grid of numbers that count steps, or time in an unknown unit.

    Raises
    ------
    BadSeries
        They are not evenly spaced, or leave out so many steps that they are none.
    """
    decimals = max(-int(number.as_tuple().exponent) for number in numbers)
    if decimals > _MAX_DECIMALS or max(map(abs, numbers)) >= 10**9:
        raise BadSeries(
            f"{numbers[0]} is neither a time nor the number of a step; name its format with --time-format"
        )
    scale = 10 ** max(decimals, 0)
    stamps = np.array([int(number * scale) for number in numbers], dtype=np.int64)
    if len(set(numbers)) == 1:
        raise BadSeries(f"every row has the same time, {numbers[0]}")
    step, first = _commonest_distance(stamps), int(stamps.min())
    rows, length = len(set(numbers)), (int(stamps.max()) - first) // step + 1
    if np.any((stamps - first) % step) or rows < _MIN_SHARE * length:
        raise BadSeries(
            f"the numbers that should tell the time are not evenly spaced: most are {step / scale:g} apart;"
            " name their format with --time-format"
        )
    return Grid(
        (stamps - first) // step,
        (first + np.arange(length) * step) / scale,
        "",
        f"the times are numbers: one step is {step / scale:g}",
    )


def to_utc(time: datetime) -> datetime:
    """Return a time without its zone, in UTC; one that has no zone as it is."""
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def _drop_zones(times: Sequence[datetime]) -> list[datetime]:
    """Return the times in UTC; local times if all share one time of day (daily or monthly data)."""
    local = [time.replace(tzinfo=None) for time in times]
    return local if len({time.time() for time in local}) == 1 else [to_utc(time) for time in times]


def _commonest_distance(stamps: NDArray[np.int64]) -> int:
    lengths, counts = np.unique(np.diff(np.unique(stamps)), return_counts=True)
    return int(lengths[counts.argmax()])


def _refuse_sparse(numbers: NDArray[np.int64], words: str) -> None:
    length = int(numbers.max()) + 1
    if length > _MAX_STEPS_PER_ROW * len(numbers) + 100:
        raise BadSeries(f"{len(numbers)} rows are too few for the {length} steps of {words}")


def _are_months(times: Sequence[datetime]) -> bool:
    """Tell whether all are on the same day of a month, or at its end, or on its first or last weekday."""
    if len({time.time() for time in times}) > 1:
        return False
    latest = max(time.day for time in times)
    if all(time.day == min(latest, _month_end(time)) for time in times):
        return True
    return all(time.day == _first_weekday(time) for time in times) or all(
        time.day == _last_weekday(time) for time in times
    )


def _month_end(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def _first_weekday(day: date) -> int:
    """Return the day of the month that is the first from Monday to Friday."""
    return 1 + {5: 2, 6: 1}.get(day.replace(day=1).weekday(), 0)


def _last_weekday(day: date) -> int:
    """Return the day of the month that is the last from Monday to Friday."""
    end = _month_end(day)
    return end - {5: 1, 6: 2}.get(day.replace(day=end).weekday(), 0)


def _make_monthly_grid(times: Sequence[datetime]) -> Grid:
    months = np.array([time.year * 12 + time.month - 1 for time in times], dtype=np.int64)
    first = int(months.min())
    step = int(np.gcd.reduce(months - first))
    numbers = (months - first) // step
    words = f"{step} month" if step % 12 else f"{step // 12} year"
    _refuse_sparse(numbers, f"{words} from {min(times)} to {max(times)}")
    steps = np.datetime64(first - 1970 * 12, "M") + np.arange(int(numbers.max()) + 1) * step
    return Grid(numbers, steps, words)


def _are_weekdays(times: Sequence[datetime]) -> bool:
    """Tell whether daily times span a weekend but never fall on it."""
    days = {time.weekday() for time in times}
    return days <= set(range(5)) and (max(times) - min(times)).days >= 7 and {0, 4} <= days


def _make_weekday_grid(times: Sequence[datetime]) -> Grid:
    days = np.array([time.date() for time in times], dtype="datetime64[D]")
    numbers = np.busday_count(days.min(), days).astype(np.int64)
    _refuse_sparse(numbers, f"1 weekday from {min(times)} to {max(times)}")
    steps = np.busday_offset(days.min(), np.arange(int(numbers.max()) + 1))
    return Grid(numbers, steps, "1 weekday", "no row is on a weekend: the steps are weekdays")


def _format_length(microseconds: int) -> str:
    """Write how long a step is.

    >>> _format_length(900_000_000), _format_length(86_400_000_000)
    ('15 min', '1 d')
    """
    for unit, size in _UNITS:
        if microseconds % size == 0:
            return f"{microseconds // size} {unit}"
    return f"{microseconds} µs"
