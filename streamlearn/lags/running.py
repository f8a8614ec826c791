"""Cross-correlations of a series with what may drive it, kept up to date step by step in constant memory.

Raw, they are those of `correlations.py`, and statsmodels', of everything that has come in so far.

Lags count steps and are **positive where x, the driver, leads y**, the series that is forecast.

Pre-whitening needs no series either. The changes of both from step to step go through the autoregression of
x's changes, of fixed order, with polynomial φ, so every covariance becomes a sum of those that are kept of
the changes (Box, Jenkins & Reinsel, *Time Series Analysis*, 12.1)::

    c'(k) = Σᵢ Σⱼ φᵢ φⱼ c(k + i − j) = Σₘ g(m) c(k + m),   g(m) = Σᵢ φᵢ φᵢ₋ₘ

Without missing steps it differs from filtering the whole series at the end only in its first and last steps.
The changes, because with levels that wander those few steps outweigh all others. Where much is missing the
covariances need not be those of any series (no positive definite matrix); then nothing can be said.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz, toeplitz

from streamlearn.lags.correlations import Correlations
from streamlearn.lags.lagged_sums import LaggedSums

Floats = NDArray[np.float64]

ORDER = 24
"""Order of the autoregressions that whiten, in steps."""

_LEAST = 1e-6
"""The least share of its variance that must be left of a series, whatever filter it goes through."""


class RunningCorrelations:
    """Sums over everything added so far.

    Parameters
    ----------
    drivers
        How many series x there are.
    longest
        The longest lag to correlate at, in steps.
    """

    def __init__(self, drivers: int, longest: int) -> None:
        self.longest = longest
        self._levels = LaggedSums(drivers, longest, 0)
        self._changes = LaggedSums(drivers, longest + ORDER, ORDER)
        self._step: int | None = None
        self._last = np.full(drivers + 1, np.nan)

    @property
    def steps(self) -> int:
        """How many steps have been added, missing ones between them included."""
        return int(self._levels.steps[0])

    def add(self, step: int, x: Floats, y: float) -> None:
        """Take the values of a step: `x` of shape (drivers,) and `y`, NaN where missing.

        Steps left out are missing. A step that is no later than the newest, or later by more than `longest` +
        `ORDER`, begins another run: no pair reaches over its beginning.
        """
        gap = None if self._step is None else step - self._step
        missing = np.full(len(self._last), np.nan)
        if gap is None or not 0 < gap <= self.longest + ORDER:
            self._levels.begin()
            self._changes.begin()
            self._last = missing
        else:
            for _ in range(gap - 1):
                self._push(missing)
        self._push(np.append(x, y))
        self._step = step

    def _push(self, values: Floats) -> None:
        self._levels.add(values)
        self._changes.add(values - self._last)
        self._last = values

    def raw(self) -> list[Correlations]:
        """Correlate each driver with y at the lags −longest … longest."""
        variances = np.nan_to_num(self._levels.own_covariances()[:, 0])
        found = zip(
            self._levels.covariances(), variances[:-1] * variances[-1], self._levels.known, strict=True
        )
        return [
            Correlations(cross / np.sqrt(scale) if scale > 0 else np.full(len(cross), np.nan), n)
            for cross, scale, n in found
        ]

    def prewhitened(self) -> list[Correlations]:
        """Correlate what each driver's own autoregression leaves of it and y; NaN where that is nothing."""
        cross, own = self._changes.covariances(), self._changes.own_covariances()
        found = zip(cross, own[:-1], self._changes.known, strict=True)
        return [Correlations(self._whitened(one, x, own[-1]), n) for one, x, n in found]

    def _whitened(self, cross: Floats, x: Floats, y: Floats) -> Floats:
        nothing = np.full(2 * self.longest + 1, np.nan)
        if not all(_definite(covariances) for covariances in (x, y)):
            return nothing
        phi = np.concatenate([[1.0], -solve_toeplitz(x[:-1], x[1:])])
        g = np.correlate(phi, phi, "full")
        scales = [g @ np.concatenate([c[:0:-1], c]) for c in (x, y)]
        whitened: Floats = np.correlate(cross, g, "valid") / np.sqrt(scales[0] * scales[1])
        return whitened

    def state(self) -> dict[str, Any]:
        """Everything that decides what comes next."""
        return {
            "step": self._step,
            "last": self._last,
            "levels": self._levels.state(),
            "changes": self._changes.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""
        self._step, self._last = state["step"], state["last"]
        self._levels.restore(state["levels"])
        self._changes.restore(state["changes"])


def _definite(covariances: Floats) -> bool:
    """Whether a series can have these covariances at the lags 0, 1, … and no filter leaves nothing of it."""
    if not np.isfinite(covariances).all():
        return False
    return bool(np.linalg.eigvalsh(toeplitz(covariances))[0] > _LEAST * covariances[0])
