"""Errors by group of steps: hours of the day, seasons, what a driver says; and the days that went worst.

An error belongs to the step that was forecast, not to the one at which the forecast was made.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamlearn.lags.series import Series
from streamlearn.learning.curves import Floats
from streamlearn.reports.forecasts import DAY_S, Forecasts

SEASONS = ("Dec–Feb", "Mar–May", "Jun–Aug", "Sep–Nov")


@dataclass(frozen=True)
class Group:
    """Some of the steps and the errors there."""

    name: str
    rmse: Floats
    """Shape (h,), in the value's unit; NaN where nothing is scored."""
    persistence: Floats
    counts: NDArray[np.int64]
    """Shape (h,): forecasts scored."""


def group(found: Forecasts, name: str, chosen: NDArray[np.bool_]) -> Group:
    """Take the errors of the steps where `chosen`, shape (n,), is true."""
    missed, persistence = found.missed[chosen], found.persistence[chosen]
    return Group(name, rms(missed), rms(persistence), (~np.isnan(missed)).sum(axis=0))


def rms(missed: Floats) -> Floats:
    """Return the root mean square of each column, shape (h,); NaN where nothing is known.

    >>> rms(np.array([[3.0, np.nan], [4.0, np.nan], [np.nan, np.nan]])).round(3).tolist()
    [3.536, nan]
    """
    known = (~np.isnan(missed)).sum(axis=0)
    squares = np.nansum(missed**2, axis=0)
    return np.where(known > 0, np.sqrt(squares / np.maximum(known, 1)), np.nan)


def skill(ours: Floats, theirs: Floats) -> Floats:
    """Return by which share errors are below others; NaN where there are none to compare with.

    >>> skill(np.array([9.0, 1.0]), np.array([10.0, 0.0])).round(3).tolist()
    [0.1, nan]
    """
    compared: Floats = np.full(theirs.shape, np.nan)
    np.divide(ours, theirs, out=compared, where=theirs > 0)
    return 1 - compared


def by_time_of_day(found: Forecasts) -> list[Group]:
    """One group a step of the day, from midnight on; none where a day has no whole number of steps."""
    if found.steps_a_day is None or found.steps_a_day < 2:
        return []
    of_day = found.steps * found.display.step_s % DAY_S
    return [
        group(found, f"{second // 3600:02d}:{second % 3600 // 60:02d}", of_day == second)
        for second in np.unique(of_day).tolist()
    ]


def by_season(found: Forecasts) -> list[Group]:
    """One group a quarter of the year that occurs, winter first."""
    if not found.dated:
        return []
    months = found.times.astype("datetime64[M]").astype(np.int64) % 12
    quarter = (months + 1) % 12 // 3
    return [
        group(found, name, quarter == number)
        for number, name in enumerate(SEASONS)
        if (quarter == number).any()
    ]


def by_switch(found: Forecasts) -> list[Group]:
    """One group a driver that is only ever 0 or 1: the steps at which it is 1."""
    return [group(found, one.label, one.values == 1) for one in found.drivers if is_switch(one)]


def is_switch(driver: Series) -> bool:
    """Whether a driver is only ever 0 or 1, and both."""
    return set(np.unique(driver.values[~np.isnan(driver.values)]).tolist()) == {0.0, 1.0}


@dataclass(frozen=True)
class Day:
    """A day that went badly."""

    date: str
    rows: slice
    """Its steps in the grid."""
    rmse: float
    """Of one horizon, in the value's unit."""


def worst_days(found: Forecasts, column: int, count: int) -> list[Day]:
    """Return the days with the largest RMSE of one horizon, the worst first; half a day must be scored."""
    if found.steps_a_day is None or found.steps_a_day < 2:
        return []
    number = found.steps * found.display.step_s // DAY_S
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(number)]
    days = []
    for start, end in pairwise(edges):
        missed = found.missed[start:end, column]
        if (~np.isnan(missed)).sum() >= found.steps_a_day / 2:
            date = str(found.times[start].astype("datetime64[D]"))
            days.append(Day(date, slice(start, end), float(np.sqrt(np.nanmean(missed**2)))))
    return sorted(days, key=lambda day: -day.rmse)[:count]
