"""Errors by group of steps: by hour of the day, season, and binary driver; and the worst days.

An error belongs to the step that was forecast, not to the step at which the forecast was made.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamlearn.lags.series import Series
from streamlearn.learning.curves import Floats, rmse
from streamlearn.reports.forecasts import DAY_S, Forecasts

SEASONS = ("Dec–Feb", "Mar–May", "Jun–Aug", "Sep–Nov")


@dataclass(frozen=True)
class Group:
    """The errors at some of the steps, for h horizons."""

    name: str
    rmse: Floats
    """Shape (h,): that of the model, in the value's unit; NaN where nothing is scored."""
    persistence_rmse: Floats
    """Shape (h,): that of persistence at the same steps."""
    counts: NDArray[np.int64]
    """Shape (h,): how many forecasts are scored."""


def skill(errors: Floats, baseline: Floats) -> Floats:
    """Return 1 − errors / baseline: the share by which errors are below a baseline's; NaN where that is 0.

    >>> skill(np.array([9.0, 1.0]), np.array([10.0, 0.0])).round(3).tolist()
    [0.1, nan]
    """
    ratio: Floats = np.full(baseline.shape, np.nan)
    np.divide(errors, baseline, out=ratio, where=baseline > 0)
    return 1 - ratio


def group_by_time_of_day(forecasts: Forecasts) -> list[Group]:
    """Return one group for each step of the day, from midnight on; none where a day has under two steps."""
    if not _has_parts_of_days(forecasts):
        return []
    seconds = forecasts.steps * forecasts.display.step_s % DAY_S
    return [
        _group(forecasts, f"{second // 3600:02d}:{second % 3600 // 60:02d}", seconds == second)
        for second in np.unique(seconds).tolist()
    ]


def group_by_season(forecasts: Forecasts) -> list[Group]:
    """Return one group for each of `SEASONS` that occurs; none where steps are not dated."""
    if not forecasts.dated:
        return []
    months = forecasts.times.astype("datetime64[M]").astype(np.int64) % 12
    seasons = (months + 1) % 12 // 3
    return [
        _group(forecasts, name, seasons == number)
        for number, name in enumerate(SEASONS)
        if (seasons == number).any()
    ]


def group_by_binary_driver(forecasts: Forecasts) -> list[Group]:
    """Return one group for each binary driver: the steps at which it is 1."""
    return [
        _group(forecasts, driver.label, driver.values == 1)
        for driver in forecasts.drivers
        if is_binary(driver)
    ]


def is_binary(driver: Series) -> bool:
    """Return whether a driver takes the values 0 and 1, both of them, and no other."""
    return set(np.unique(driver.values[~np.isnan(driver.values)]).tolist()) == {0.0, 1.0}


@dataclass(frozen=True)
class Day:
    """A day, and the error of one horizon on it."""

    date: str
    """As ISO 8601 writes it."""
    rows: slice
    """Its steps in the grid."""
    rmse: float
    """In the value's unit."""


def find_worst_days(forecasts: Forecasts, column: int, count: int) -> list[Day]:
    """Return the `count` days with the largest RMSE of one horizon, the largest first.

    Only days of which at least half is scored take part; none where a day has under two steps.
    """
    if not _has_parts_of_days(forecasts):
        return []
    assert forecasts.steps_per_day is not None
    day_numbers = forecasts.steps * forecasts.display.step_s // DAY_S
    edges = [0, *(np.flatnonzero(np.diff(day_numbers)) + 1).tolist(), len(day_numbers)]
    days = []
    for start, end in pairwise(edges):
        residuals = forecasts.residuals[start:end, column]
        if (~np.isnan(residuals)).sum() >= forecasts.steps_per_day / 2:
            date = str(forecasts.times[start].astype("datetime64[D]"))
            days.append(Day(date, slice(start, end), float(np.sqrt(np.nanmean(residuals**2)))))
    return sorted(days, key=lambda day: -day.rmse)[:count]


def _group(forecasts: Forecasts, name: str, selected: NDArray[np.bool_]) -> Group:
    """Return the errors at the steps where `selected`, shape (n,), is true."""
    residuals = forecasts.residuals[selected]
    persistence_rmse = rmse(forecasts.persistence_residuals[selected])
    return Group(name, rmse(residuals), persistence_rmse, (~np.isnan(residuals)).sum(axis=0))


def _has_parts_of_days(forecasts: Forecasts) -> bool:
    return forecasts.steps_per_day is not None and forecasts.steps_per_day >= 2
