"""The ranges of forecasts, and how often the truth was inside.

A range is prequential, like the score: that of a forecast made at step t uses truths up to t, and no later
ones. It is the one that stands in the answer; where answers have none, one by the same rule
(`streamlearn/learning/ranges.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamlearn.learning.curves import Floats
from streamlearn.reports.forecasts import Forecasts


def intervals(forecasts: Forecasts, nominal: float) -> tuple[Floats, Floats]:
    """Return the lower and upper ends of the ranges made to hold a share `nominal` of truths.

    Both have shape (n, h), in the value's unit, and stand at the step that was forecast. NaN where too few
    truths were known when the forecast was made.
    """
    number, count = forecasts.ranges.shares.index(nominal), len(forecasts.ranges.shares)
    ends = _shift(forecasts, forecasts.ends[:, :, [count - 1 - number, count + number]])
    return ends[:, :, 0], ends[:, :, 1]


def coverage(forecasts: Forecasts, nominal: float) -> Floats:
    """Return the share of scored truths inside their range, shape (h,); NaN where there is none."""
    counted, inside = _find_inside(forecasts, nominal)
    return _share(counted, inside)


@dataclass(frozen=True)
class CoverageGroup:
    """How many truths were inside their ranges at some of the steps, for h horizons."""

    name: str
    shares: Floats
    """Shape (n_shares, h): the share of truths inside each range, the narrowest first; NaN of no truths."""
    counts: NDArray[np.int64]
    """Shape (h,): how many truths had ranges."""


def group_by_quarter(forecasts: Forecasts) -> list[CoverageGroup]:
    """Return one group for each quarter of each year in which truths had ranges.

    None where steps are not dated, or no whole number of them makes a day.
    """
    if forecasts.steps_per_day is None:
        return []
    quarters = forecasts.times.astype("datetime64[M]").astype(np.int64) // 3
    names = {quarter: f"{1970 + quarter // 4} Q{quarter % 4 + 1}" for quarter in np.unique(quarters).tolist()}
    return _group(forecasts, {name: quarters[:, None] == quarter for quarter, name in names.items()})


def group_by_level(forecasts: Forecasts) -> list[CoverageGroup]:
    """Return one group for each level of forecasts; none where all forecasts are of one level."""
    ends = forecasts.ranges.levels
    if not ends:
        return []
    made = _shift(forecasts, forecasts.forecasts)
    levels = np.searchsorted(ends, made, side="right")
    between = [f"{low:g} to {high:g}" for low, high in pairwise(ends)]
    names = [f"below {ends[0]:g}", *between, f"{ends[-1]:g} and more"]
    return _group(
        forecasts,
        {f"{name} {forecasts.unit}".rstrip(): levels == number for number, name in enumerate(names)},
    )


def _group(forecasts: Forecasts, selections: Mapping[str, NDArray[np.bool_]]) -> list[CoverageGroup]:
    """Return a group of the steps in each selection, of shape (n, h) or (n, 1), where any has ranges."""
    parts = [_find_inside(forecasts, nominal) for nominal in forecasts.ranges.shares]
    groups = []
    for name, selected in selections.items():
        shares = np.array([_share(counted & selected, inside & selected) for counted, inside in parts])
        counts = (parts[0][0] & selected).sum(axis=0)
        if counts.any():
            groups.append(CoverageGroup(name, shares, counts))
    return groups


def _find_inside(forecasts: Forecasts, nominal: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which truths have a range for a share, and which of these are inside: shape (n, h) each."""
    low, high = intervals(forecasts, nominal)
    truth = forecasts.values[:, None]
    counted = ~np.isnan(low) & ~np.isnan(forecasts.residuals)
    return counted, counted & (low <= truth) & (truth <= high)


def _share(counted: NDArray[np.bool_], inside: NDArray[np.bool_]) -> Floats:
    counts = counted.sum(axis=0)
    return np.where(counts > 0, inside.sum(axis=0) / np.maximum(counts, 1), np.nan)


def _shift(forecasts: Forecasts, made: Floats) -> Floats:
    """Return what was made at each step, shape (n, h, …), at the step that it was made for; NaN before."""
    shifted = np.full(made.shape, np.nan)
    for column, horizon in enumerate(forecasts.horizons):
        if horizon < len(made):
            shifted[horizon:, column] = made[:-horizon, column]
    return shifted
