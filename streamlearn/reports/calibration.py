"""The ranges of forecasts, and how often the truth was inside.

A range is prequential, like the score: that of a forecast made at step t uses truths up to t, and no later
ones. It is the one that stands in the answer; where answers have none, one by the same rule
(`streamlearn/learning/ranges.py`).
"""

import numpy as np

from streamlearn.learning.curves import Floats
from streamlearn.reports.forecasts import Forecasts


def intervals(forecasts: Forecasts, nominal: float) -> tuple[Floats, Floats]:
    """Return the lower and upper ends of the ranges made to hold a share `nominal` of truths.

    Both have shape (n, h), in the value's unit, and stand at the step that was forecast. NaN where too few
    truths were known when the forecast was made.
    """
    number, count = forecasts.ranges.shares.index(nominal), len(forecasts.ranges.shares)
    ends = forecasts.ends[:, :, [count - 1 - number, count + number]]
    shifted = np.full(ends.shape, np.nan)
    for column, horizon in enumerate(forecasts.horizons):
        if horizon < len(ends):
            shifted[horizon:, column] = ends[:-horizon, column]
    return shifted[:, :, 0], shifted[:, :, 1]


def coverage(forecasts: Forecasts, nominal: float) -> Floats:
    """Return the share of scored truths inside their range, shape (h,); NaN where there is none."""
    low, high = intervals(forecasts, nominal)
    truth = forecasts.values[:, None]
    counted = ~np.isnan(low) & ~np.isnan(forecasts.residuals)
    inside = counted & (low <= truth) & (truth <= high)
    counts = counted.sum(axis=0)
    return np.where(counts > 0, inside.sum(axis=0) / np.maximum(counts, 1), np.nan)
