"""Is one model's error smaller than another's, or might that be these weeks' chance? A bootstrap over weeks.

Errors of neighbouring hours resemble each other: a smog lasts for days. So whole weeks are drawn, with
replacement, the same ones for both models, and the difference in RMSE is computed anew for each draw; the
interval is that of the draws' middle 95 %. H. R. Künsch, "The jackknife and the bootstrap for general
stationary observations", Ann. Statist. 17 (1989), with blocks that do not overlap (E. Carlstein, 1986).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.pm25_lstm.hours import Floats
from benchmarks.pm25_lstm.rules import rmse

WEEK = 168
"""Hours."""

DRAWS = 2000
_MIDDLE = (2.5, 97.5)


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


def difference(first: Floats, second: Floats, draws: int = DRAWS, seed: int = 0) -> Difference:
    """Compare the errors of two models, each of shape (its runs, hours); NaN: not scored.

    A model of several runs (seeds) has the mean of their RMSE in each draw: the interval is about the hours
    and not about the seeds.
    """
    weeks = -(-first.shape[1] // WEEK)
    drawn = np.random.default_rng(seed).integers(0, weeks, (draws, weeks))
    found = _rmse_of_draws(first, drawn) - _rmse_of_draws(second, drawn)
    low, high = np.percentile(found, _MIDDLE)
    return Difference(float(rmse(first).mean() - rmse(second).mean()), float(low), float(high))


def _rmse_of_draws(errors: Floats, drawn: NDArray[np.int64]) -> Floats:
    """Return the RMSE over each draw of weeks, shape (draws,); the last week may be a shorter one."""
    starts = np.arange(0, errors.shape[1], WEEK)
    squares = np.add.reduceat(np.nan_to_num(errors**2), starts, axis=1)
    counts = np.add.reduceat(~np.isnan(errors[0]) * 1.0, starts)[drawn].sum(axis=1)
    sums = np.array([run[drawn].sum(axis=1) for run in squares])
    found: Floats = np.sqrt(sums / counts).mean(axis=0)
    return found
