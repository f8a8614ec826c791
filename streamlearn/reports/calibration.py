"""Intervals beside forecasts, made as the forecast page makes them, and how often the truth came inside.

An interval is the forecast plus quantiles of how far such forecasts were off lately. It is prequential, like
the score: that of a forecast made at step t uses errors of truths up to t, and none that came later.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from streamlearn.extras import needing
from streamlearn.learning.curves import Floats
from streamlearn.reports.forecasts import Forecasts

RECENT = 168
"""Steps over which errors are taken: a week of hours, as on the forecast page."""

LEAST = 24
"""Errors that must be known; `figures.spread` asks for as many."""

NOMINAL = (0.5, 0.8, 0.9, 0.95)
"""Shares of truths that intervals are made for."""


def known_quantiles(missed: Floats, shares: Sequence[float]) -> Floats:
    """Return quantiles of truth minus forecast over the last `RECENT` steps, shape (n, h, len(shares)).

    Row t sees rows up to t of `missed`, shape (n, h), and is what `figures.spread` says of them; NaN where
    fewer than `LEAST` errors are known.
    """
    with needing("report"):
        import pandas as pd
    found = np.full((*missed.shape, len(shares)), np.nan)
    for column in range(missed.shape[1]):
        lately: Any = pd.Series(-missed[:, column]).rolling(RECENT, min_periods=LEAST)
        for number, share in enumerate(shares):
            found[:, column, number] = lately.quantile(share)
    return found


def intervals(found: Forecasts, nominal: float) -> tuple[Floats, Floats]:
    """Return the lower and upper ends that hold `nominal` of truths, shape (n, h), at the step forecast."""
    outside = (1 - nominal) / 2
    quantiles = known_quantiles(found.missed, (outside, 1 - outside))
    ends = np.maximum(found.forecasts[:, :, None] + quantiles, found.lowest)
    moved = np.full(ends.shape, np.nan)
    for column, horizon in enumerate(found.horizons):
        if horizon < len(ends):
            moved[horizon:, column] = ends[:-horizon, column]
    return moved[:, :, 0], moved[:, :, 1]


def coverage(found: Forecasts, nominal: float) -> Floats:
    """Return the share of scored truths inside their interval, shape (h,); NaN where there is none."""
    low, high = intervals(found, nominal)
    truth = found.values[:, None]
    judged = ~np.isnan(low) & ~np.isnan(found.missed)
    inside = judged & (low <= truth) & (truth <= high)
    counts = judged.sum(axis=0)
    return np.where(counts > 0, inside.sum(axis=0) / np.maximum(counts, 1), np.nan)
