"""A bootstrap over weeks: is one model's error smaller than another's, or might that be chance?

Errors of neighbouring hours resemble each other, since smog lasts for days. So whole weeks are drawn, with
replacement, the same weeks for both models. The difference in RMSE is computed for each draw; the interval is
that of the middle 95 % of the draws. H. R. Künsch, "The jackknife and the bootstrap for general stationary
observations", Ann. Statist. 17 (1989), with blocks that do not overlap (E. Carlstein, 1986).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.pm25_lstm.hours import Floats
from benchmarks.pm25_lstm.rules import rmse

WEEK = 168
"""Hours."""

DRAWS = 2000
_MIDDLE_PERCENT = (2.5, 97.5)


@dataclass(frozen=True)
class Difference:
    """A difference in RMSE, in µg/m³; negative where the first model is better."""

    value: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        """Whether there may be no difference at all, at 95 %."""
        return self.low <= 0 <= self.high


def estimate_difference(first: Floats, second: Floats, draws: int = DRAWS, seed: int = 0) -> Difference:
    """Compare the residuals of two models, each of shape (seeds, hours) in µg/m³; NaN: not scored.

    A model of several seeds has the mean of their RMSE in each draw: the interval is about the hours and not
    about the seeds.
    """
    weeks = -(-first.shape[1] // WEEK)
    week_draws = np.random.default_rng(seed).integers(0, weeks, (draws, weeks))
    differences = _compute_rmse_of_draws(first, week_draws) - _compute_rmse_of_draws(second, week_draws)
    low, high = np.percentile(differences, _MIDDLE_PERCENT)
    return Difference(float(rmse(first).mean() - rmse(second).mean()), float(low), float(high))


def _compute_rmse_of_draws(residuals: Floats, week_draws: NDArray[np.int64]) -> Floats:
    """Return the RMSE over each draw of weeks, shape (draws,); the last week may be a shorter one."""
    starts = np.arange(0, residuals.shape[1], WEEK)
    squares = np.add.reduceat(np.nan_to_num(residuals**2), starts, axis=1)
    counts = np.add.reduceat(~np.isnan(residuals[0]) * 1.0, starts)[week_draws].sum(axis=1)
    sums = np.array([by_week[week_draws].sum(axis=1) for by_week in squares])
    return np.asarray(np.sqrt(sums / counts).mean(axis=0))
