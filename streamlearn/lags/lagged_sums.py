"""Sums over the pairs of steps at each distance, of series that come in step by step: constant memory.

Of x and y, k steps apart, are kept the sums of both values and of their product over the pairs that are both
known, and how many those are. Values are taken from the first known one of each series, which changes no
covariance and keeps the sums small.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.lags.correlations import LEAST_PAIRS

Floats = NDArray[np.float64]

_ARRAYS = ("steps", "from", "recent", "leading", "trailing", "own")


class LaggedSums:
    """Sums for some series x and one series y, which comes last wherever both stand together.

    Parameters
    ----------
    drivers
        How many series x there are.
    reach
        The longest distance between x and y, in steps, both ways.
    own_reach
        The longest distance of a series from itself.

    Attributes
    ----------
    steps : (reach + 1,)
        How many pairs of steps there were at each distance, known or not.
    """

    def __init__(self, drivers: int, reach: int, own_reach: int) -> None:
        self.steps = np.zeros(reach + 1)
        self._run = 0
        self._from = np.full(drivers + 1, np.nan)
        # Whether it is known, and the value (else 0), of the newest steps, newest first.
        self._recent = np.zeros((2, reach + 1, drivers + 1))
        # At [a, b, k]: Σ a(x at t − k) · b(y at t), where a and b are 0, known, or 1, the value; and so on.
        self._leading = np.zeros((2, 2, reach + 1, drivers))
        self._trailing = np.zeros((2, 2, reach + 1, drivers))
        self._own = np.zeros((2, 2, own_reach + 1, drivers + 1))

    def add(self, values: Floats) -> None:
        """Take the values of the next step, shape (drivers + 1,); what is not finite counts as missing."""
        known = np.isfinite(values)
        first = known & np.isnan(self._from)
        self._from[first] = values[first]
        newest = np.stack([known, np.where(known, values - self._from, 0.0)])[:, None, :]
        recent = self._recent
        recent[:, 1:] = recent[:, :-1]
        recent[:, :1] = newest
        self._run += 1
        self.steps[: self._run] += 1
        self._leading += recent[:, None, :, :-1] * newest[None, :, :, -1:]
        self._trailing += newest[:, None, :, :-1] * recent[None, :, :, -1:]
        self._own += recent[:, None, : self._own.shape[2]] * newest[None]

    def begin(self) -> None:
        """Begin another run: no pair reaches over its beginning."""
        self._recent[:] = 0
        self._run = 0

    @property
    def known(self) -> list[int]:
        """At how many steps each x and y are both known."""
        return [int(n) for n in self._leading[0, 0, 0]]

    def covariances(self) -> Floats:
        """Covariance of each x with y, shape (drivers, 2 reach + 1), from −reach to reach; x leads above 0.

        As statsmodels' with `adjusted=False`: divided by all steps, not by those of the lag. NaN where fewer
        than ten pairs are known.
        """
        means = self._means()
        both = np.concatenate([self._trailing[:, :, :0:-1], self._leading], axis=2)
        slots = np.concatenate([self.steps[:0:-1], self.steps])
        return self._centred(both, slots, means[:-1], means[-1])

    def own_covariances(self) -> Floats:
        """Covariance of each series with itself, shape (drivers + 1, own_reach + 1), from 0 on."""
        means = self._means()
        return self._centred(self._own, self.steps[: self._own.shape[2]], means, means)

    def _centred(self, sums: Floats, slots: Floats, first: Floats, second: Floats | float) -> Floats:
        """Turn sums of shape (2, 2, lags, series) into covariances of shape (series, lags)."""
        pairs = sums[0, 0]
        product = sums[1, 1] - second * sums[1, 0] - first * sums[0, 1] + pairs * first * second
        share = (slots / max(1.0, self.steps[0]))[:, None]
        known = pairs >= LEAST_PAIRS
        covariances: Floats = np.where(known, product / np.where(known, pairs, 1.0) * share, np.nan).T
        return covariances

    def _means(self) -> Floats:
        means: Floats = self._own[1, 0, 0] / np.maximum(self._own[0, 0, 0], 1.0)
        return means

    def state(self) -> dict[str, Any]:
        """Everything that decides what comes next."""
        return {"run": self._run} | {name: getattr(self, _attribute(name)) for name in _ARRAYS}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""
        self._run = state["run"]
        for name in _ARRAYS:
            setattr(self, _attribute(name), state[name])


def _attribute(name: str) -> str:
    return name if name == "steps" else f"_{name}"
