"""Sums over pairs of steps, for covariances of series that come in step by step, in constant memory.

For each distance of k steps and each pair of series x and y, four sums are kept over the pairs of which both
values are known: of x, of y, of their products, and the number of pairs. Values are measured from the first
known one of each series, which changes no covariance and keeps the sums small.
"""

from typing import Any

import numpy as np

from streamlearn.lags.correlations import MIN_PAIRS
from streamlearn.lags.series import Floats


class LaggedSums:
    """Sums for some series x, the drivers, and one series y. Where arrays hold all of them, y comes last.

    Parameters
    ----------
    drivers
        How many series x there are.
    max_lag
        The longest distance between x and y, in steps, both ways.
    max_own_lag
        The longest distance between two steps of the same series.

    Attributes
    ----------
    steps : (max_lag + 1,)
        How many pairs of steps there were at each distance, known or not.
    """

    def __init__(self, drivers: int, max_lag: int, max_own_lag: int) -> None:
        self.steps = np.zeros(max_lag + 1)
        self._run_length = 0
        self._first_values = np.full(drivers + 1, np.nan)
        # The newest steps, newest first: at [0] whether a value is known (1 or 0), at [1] the value, or 0.
        self._recent = np.zeros((2, max_lag + 1, drivers + 1))
        # At [a, b, k] the sum over t of a(x, t − k) · b(y, t), a and b being 0, "is known", or 1, "value".
        self._leading = np.zeros((2, 2, max_lag + 1, drivers))
        # At [a, b, k] the sum over t of a(x, t) · b(y, t − k).
        self._trailing = np.zeros((2, 2, max_lag + 1, drivers))
        # At [a, b, k] the sum over t of a(z, t − k) · b(z, t), for each series z.
        self._own = np.zeros((2, 2, max_own_lag + 1, drivers + 1))

    def add(self, values: Floats) -> None:
        """Add the values of the next step, shape (drivers + 1,); what is not finite counts as missing."""
        known = np.isfinite(values)
        first = known & np.isnan(self._first_values)
        if first.any():
            self._first_values[first] = values[first]
        recent = self._recent
        recent[:, 1:] = recent[:, :-1]
        newest = recent[:, :1]
        newest[0] = known
        newest[1] = 0.0
        np.subtract(values, self._first_values, out=newest[1, 0], where=known)
        self._run_length += 1
        self.steps[: self._run_length] += 1
        self._leading += recent[:, None, :, :-1] * newest[None, :, :, -1:]
        self._trailing += newest[:, None, :, :-1] * recent[None, :, :, -1:]
        self._own += recent[:, None, : self._own.shape[2]] * newest[None]

    def begin_run(self) -> None:
        """Begin another run of steps: no step of it makes a pair with one before it. The sums stay."""
        self._recent[:] = 0
        self._run_length = 0

    @property
    def known(self) -> list[int]:
        """The number of steps at which x and y are both known, for each x."""
        return [int(n) for n in self._leading[0, 0, 0]]

    def covariances(self) -> Floats:
        """Return the covariances of each x with y, shape (drivers, 2 max_lag + 1), from −max_lag to max_lag.

        x leads at lags above 0. They are those of statsmodels with `adjusted=False`: divided by the number of
        all steps, not by that of the lag. NaN where fewer than ten pairs are known.
        """
        means = self._means()
        sums = np.concatenate([self._trailing[:, :, :0:-1], self._leading], axis=2)
        steps = np.concatenate([self.steps[:0:-1], self.steps])
        return self._center(sums, steps, means[:-1], means[-1])

    def own_covariances(self) -> Floats:
        """Return the covariances of each series with itself, shape (drivers + 1, max_own_lag + 1), from 0."""
        means = self._means()
        return self._center(self._own, self.steps[: self._own.shape[2]], means, means)

    def _center(self, sums: Floats, steps: Floats, first: Floats, second: Floats | float) -> Floats:
        """Turn sums of shape (2, 2, lags, series) into covariances about two means, shape (series, lags)."""
        pairs = sums[0, 0]
        product = sums[1, 1] - second * sums[1, 0] - first * sums[0, 1] + pairs * first * second
        share = (steps / max(1.0, self.steps[0]))[:, None]
        known = pairs >= MIN_PAIRS
        covariances: Floats = np.where(known, product / np.where(known, pairs, 1.0) * share, np.nan).T
        return covariances

    def _means(self) -> Floats:
        means: Floats = self._own[1, 0, 0] / np.maximum(self._own[0, 0, 0], 1.0)
        return means

    def state(self) -> dict[str, Any]:
        """Return everything that decides what comes next; the arrays are its own, not copies."""
        return {
            "run": self._run_length,
            "steps": self.steps,
            "from": self._first_values,
            "recent": self._recent,
            "leading": self._leading,
            "trailing": self._trailing,
            "own": self._own,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""
        self._run_length = state["run"]
        self.steps = state["steps"]
        self._first_values = state["from"]
        self._recent = state["recent"]
        self._leading = state["leading"]
        self._trailing = state["trailing"]
        self._own = state["own"]
