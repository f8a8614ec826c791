"""What a forecast is to be like: the steps of a series, how far ahead, and how large its numbers are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from streamlearn.datasets.values import to_boolean, to_number, to_time
from streamlearn.errors import BadSeries, FileError
from streamlearn.lags.grid import make_grid, to_utc
from streamlearn.lags.readers.raw_table import RawTable
from streamlearn.lags.readers.time_numbers import read_number, read_since_1970
from streamlearn.pipelines.drafts.columns import Column

_DAY_S = 86_400
_LONGEST_WINDOW = 97
"""Steps: a day of quarters of an hour. Least squares take the square of it."""
_MAX_REPEATED = 0.1
"""The share of rows that may repeat a time: more are several series."""
_UNITS = {"d": _DAY_S, "h": 3600, "min": 60, "s": 1}


@dataclass(frozen=True)
class Series:
    """How a series is to be forecast."""

    step_s: int
    """Seconds in a step."""
    horizons: tuple[int, ...]
    """Steps ahead, ascending."""
    length: int
    """Steps in the window."""
    scales: Mapping[str, tuple[float, float]]
    """By attribute: about the mean and the standard deviation of each number."""

    @property
    def step_words(self) -> tuple[int, str]:
        """A step as a number of a unit, such as 15 and `min`."""
        unit = next(unit for unit, size in _UNITS.items() if self.step_s % size == 0)
        return self.step_s // _UNITS[unit], unit


def infer_series(
    table: RawTable, time: Column, numbers: Sequence[Column], decimal: str, key: str | None = None
) -> Series:
    """Tell the steps of a series from its times; `numbers` are its columns, that which is forecast first.

    Where `key` names the column that tells several series apart, from the times of the longest of them.

    Raises
    ------
    FileError
        The rows are of several series, or their times are not on steps of one length.
    """
    values = list(table.values(time.name))
    if key is not None:
        keys = list(table.values(key))
        ((longest, _),) = Counter(keys).most_common(1)
        values = [value for value, own in zip(values, keys, strict=True) if own == longest]
    times = [stamp for value in values if (stamp := _read_time(value, time)) is not None]
    repeated = len(times) - len(set(times))
    if repeated > _MAX_REPEATED * len(times):
        raise FileError(
            f"{table.source}: {repeated} of {len(times)} rows repeat a time of {time.name}; if it holds"
            " several series, name the column that tells them apart with --key"
        )
    try:
        grid = make_grid(times)
    except BadSeries as error:
        raise FileError(
            f"{table.source}: {error}; a forecast goes by steps of one length: take the mean of each hour,"
            " say, first"
        ) from None
    step = (
        (grid.times[1] - grid.times[0]) / np.timedelta64(1, "us") if grid.times.dtype.str == "<M8[us]" else 0
    )
    if not step or step % 1e6:
        raise FileError(
            f"{table.source}: the steps of {time.name} are {grid.step}: a forecast is drafted for steps"
            " of one length, in whole seconds"
        )
    step_s = int(step) // 1_000_000
    horizons, length = _choose_horizons(step_s)
    scales = {column.attribute: _find_scale(table, column, decimal) for column in numbers}
    return Series(step_s, horizons, length, scales)


def _choose_horizons(step_s: int) -> tuple[tuple[int, ...], int]:
    """Return how many steps ahead to forecast, and the steps of a window: a day's, where those are few.

    >>> _choose_horizons(3600), _choose_horizons(86_400)
    (((1, 3, 6, 12, 24), 25), ((1, 2, 3, 7), 15))
    """
    if step_s >= _DAY_S:
        return (1, 2, 3, 7), 15
    day = _DAY_S // step_s + 1
    length = day if 25 <= day <= _LONGEST_WINDOW else 25
    return (1, 3, 6, 12, 24), length


def _read_time(value: Any, column: Column) -> datetime | None:
    """Return a time in UTC, None where it is missing or none."""
    if column.kind == "epoch":
        number = read_number(value)
        return None if number is None or column.form is None else read_since_1970(number, column.form)
    try:
        text = to_time(value, column.form)
    except ValueError:
        return None
    return None if text is None else to_utc(datetime.fromisoformat(text))


def _find_scale(table: RawTable, column: Column, decimal: str) -> tuple[float, float]:
    """Return about the mean and the standard deviation of a column: two digits are enough."""
    numbers = []
    for value in table.values(column.name):
        try:
            number = to_boolean(value) if column.kind == "boolean" else to_number(value, decimal)
        except ValueError:
            continue
        if number is not None:
            numbers.append(float(number))
    mean, deviation = float(np.mean(numbers)), float(np.std(numbers))
    return _round(mean), _round(deviation) or 1.0


def _round(number: float) -> float:
    return float(f"{number:.2g}")
