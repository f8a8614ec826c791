"""Prediction intervals, made as the forecast page makes them, and how often the truth was inside.

An interval is the forecast plus quantiles of the errors that such forecasts had lately. It is prequential,
like the score: the interval of a forecast made at step t uses errors of truths up to t, and no later ones.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from streamlearn.extras import require_extra
from streamlearn.learning.curves import Floats
from streamlearn.reports.forecasts import Forecasts

WINDOW_STEPS = 168
"""Steps whose errors an interval is made from: a week of hours, as on the forecast page."""

MIN_ERRORS = 24
"""Errors that must be known among them, as many as `curves.spread` needs."""

NOMINAL = (0.5, 0.8, 0.9, 0.95)
"""Shares of truths that intervals are made to hold."""


def known_quantiles(residuals: Floats, shares: Sequence[float]) -> Floats:
    """Return quantiles of truth minus forecast over the last `WINDOW_STEPS`, shape (n, h, len(shares)).

    `residuals` is forecast minus truth, shape (n, h). Row t uses its rows up to t, and equals what
    `curves.spread` returns of them; NaN where fewer than `MIN_ERRORS` are known.
    """
    with require_extra("report"):
        import pandas as pd
    quantiles = np.full((*residuals.shape, len(shares)), np.nan)
    for column in range(residuals.shape[1]):
        window: Any = pd.Series(-residuals[:, column]).rolling(WINDOW_STEPS, min_periods=MIN_ERRORS)
        for number, share in enumerate(shares):
            quantiles[:, column, number] = window.quantile(share)
    return quantiles


def intervals(forecasts: Forecasts, nominal: float) -> tuple[Floats, Floats]:
    """Return the lower and upper ends of the intervals made to hold a share `nominal` of truths.

    Both have shape (n, h), in the value's unit, and stand at the step that was forecast. NaN where too few
    errors were known when the forecast was made.
    """
    outside = (1 - nominal) / 2
    quantiles = known_quantiles(forecasts.residuals, (outside, 1 - outside))
    ends = np.maximum(forecasts.forecasts[:, :, None] + quantiles, forecasts.lowest)
    shifted = np.full(ends.shape, np.nan)
    for column, horizon in enumerate(forecasts.horizons):
        if horizon < len(ends):
            shifted[horizon:, column] = ends[:-horizon, column]
    return shifted[:, :, 0], shifted[:, :, 1]


def coverage(forecasts: Forecasts, nominal: float) -> Floats:
    """Return the share of scored truths inside their interval, shape (h,); NaN where there is none."""
    low, high = intervals(forecasts, nominal)
    truth = forecasts.values[:, None]
    counted = ~np.isnan(low) & ~np.isnan(forecasts.residuals)
    inside = counted & (low <= truth) & (truth <= high)
    counts = counted.sum(axis=0)
    return np.where(counts > 0, inside.sum(axis=0) / np.maximum(counts, 1), np.nan)
