"""Sums over pairs of steps, for covariances of series that come in step by step, in constant memory.

For each distance of k steps and each pair of series x and y, four sums are kept over the pairs of which both
values are known: of x, of y, of their products, and the number of pairs. Values are measured from the first
known one of each series, which changes no covariance and keeps the sums small.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from streamlearn.lags.correlations import MIN_PAIRS
from streamlearn.lags.series import Floats

_STEPS_AT_ONCE = 32


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
        How many pairs of steps there were at each distance, known or not, of the steps in the sums.
    """

    def __init__(self, drivers: int, max_lag: int, max_own_lag: int) -> None:
        self.steps = np.zeros(max_lag + 1)
        self._run_length = 0
        self._waiting: list[Floats] = []
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
        """Add the values of the next step, shape (drivers + 1,); what is not finite counts as missing.

        They enter the sums with those of other steps, or when the sums are asked for.
        """
        self._waiting.append(values)
        if len(self._waiting) == _STEPS_AT_ONCE:
            self._add_waiting()

    def _add_waiting(self) -> None:
        """Add the steps that wait, many at once: one by one, each would take twice the time.

        Every sum is added up in the order of the steps: its bits are those of sums that grow step by step.
        """
        if not self._waiting:
            return
        values = np.array(self._waiting)
        self._waiting.clear()
        known = np.isfinite(values)
        first = np.isnan(self._first_values) & known.any(axis=0)
        self._first_values[first] = values[known.argmax(axis=0)[first], first]
        added = np.zeros((2, *values.shape))
        added[0] = known
        np.subtract(values, self._first_values, out=added[1], where=known)
        length, count = len(self.steps), len(values)
        newest_first = np.concatenate([added[:, ::-1], self._recent[:, :-1]], axis=1)
        self._recent = newest_first[:, :length].copy()
        pairs = count - np.arange(length) + self._run_length
        self.steps += np.clip(pairs, 0, count)
        self._run_length += count
        # At [a, t, z, k] what the series z was k steps before the step t: distances come last, since numpy is
        # quickest along a long last axis.
        by_series = np.ascontiguousarray(newest_first.transpose(0, 2, 1))
        before = sliding_window_view(by_series, length, axis=2)[:, :, count - 1 :: -1].transpose(0, 2, 1, 3)
        newest = added[..., None]
        x, y = np.s_[:, :, :-1], np.s_[:, :, -1:]
        self._leading = _add_products(self._leading, before[x], newest[y])
        self._trailing = _add_products(self._trailing, newest[x], before[y])
        self._own = _add_products(self._own, before[..., : self._own.shape[2]], newest)

    def begin_run(self) -> None:
        """Begin another run of steps: no step of it makes a pair with one before it. The sums stay."""
        self._add_waiting()
        self._recent[:] = 0
        self._run_length = 0

    @property
    def count(self) -> int:
        """How many steps have been added."""
        self._add_waiting()
        return int(self.steps[0])

    @property
    def known(self) -> list[int]:
        """The number of steps at which x and y are both known, for each x."""
        self._add_waiting()
        return [int(n) for n in self._leading[0, 0, 0]]

    def covariances(self) -> Floats:
        """Return the covariances of each x with y, shape (drivers, 2 max_lag + 1), from −max_lag to max_lag.

        x leads at lags above 0. They are those of statsmodels with `adjusted=False`: divided by the number of
        all steps, not by that of the lag. NaN where fewer than ten pairs are known.
        """
        self._add_waiting()
        means = self._means()
        sums = np.concatenate([self._trailing[:, :, :0:-1], self._leading], axis=2)
        steps = np.concatenate([self.steps[:0:-1], self.steps])
        return self._center(sums, steps, means[:-1], means[-1])

    def own_covariances(self) -> Floats:
        """Return the covariances of each series with itself, shape (drivers + 1, max_own_lag + 1), from 0."""
        self._add_waiting()
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
        self._add_waiting()
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
        self._waiting.clear()
        self._run_length = state["run"]
        self.steps = state["steps"]
        self._first_values = state["from"]
        self._recent = state["recent"]
        self._leading = state["leading"]
        self._trailing = state["trailing"]
        self._own = state["own"]


def _add_products(sums: Floats, left: Floats, right: Floats) -> Floats:
    """Return sums, (2, 2, lags, series), to which the products of each step are added, one after the other.

    `left` and `right` have what is known and the values, then steps; what follows broadcasts to the shape
    (series, lags). The two of `left` are taken one by one, so that the processor's cache holds the terms.
    """
    added = np.empty_like(sums)
    terms = np.empty((1 + left.shape[1], 2, *sums.shape[:1:-1]))
    for number, own in enumerate(left):
        terms[0] = sums[number].transpose(0, 2, 1)
        np.multiply(own[:, None], right.transpose(1, 0, 2, 3), out=terms[1:])
        # Along the first of several axes numpy adds row to row; in pairs it would only along the last.
        added[number] = np.add.reduce(terms, axis=0).transpose(0, 2, 1)
    return added
