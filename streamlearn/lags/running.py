"""Cross-correlations of a series with its drivers, kept up to date step by step in constant memory.

The raw ones equal those of `correlations.py`, and of statsmodels, over everything that has come in so far.

Lags count steps and are **positive where x, the driver, leads y**, the series that is forecast.

Pre-whitening does not need the whole series either. The changes of both from step to step go through the
autoregression of x's changes, of fixed order, with the polynomial φ; so each pre-whitened covariance c' is a
weighted sum of the changes' covariances c (Box, Jenkins & Reinsel, *Time Series Analysis*, 12.1)::

    c'(k) = Σᵢ Σⱼ φᵢ φⱼ c(k + i − j) = Σₘ g(m) c(k + m),   g(m) = Σᵢ φᵢ φᵢ₋ₘ

Without missing steps, the only difference from filtering the whole series is in its first and last steps.
Changes are taken because these few steps would outweigh all others where levels wander. Where many steps are
missing, the covariances may be those of no series (no positive definite matrix); then the result is NaN.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import solve_toeplitz, toeplitz

from streamlearn.lags.correlations import Correlations
from streamlearn.lags.lagged_sums import LaggedSums
from streamlearn.lags.series import Floats

ORDER = 24
"""Order of the autoregressions that whiten, in steps."""

_STEPS_AT_ONCE = 32

_MIN_VARIANCE_LEFT = 1e-6
"""The share of its variance that any filter must leave of a series."""


class RunningCorrelations:
    """Correlations of some series x, the drivers, with one series y, over all steps added so far.

    Parameters
    ----------
    drivers
        How many series x there are.
    max_lag
        The longest lag to correlate at, in steps, both ways.
    """

    def __init__(self, drivers: int, max_lag: int) -> None:
        self.max_lag = max_lag
        self._levels = LaggedSums(drivers, max_lag, 0)
        self._changes = LaggedSums(drivers, max_lag + ORDER, ORDER)
        self._newest_step: int | None = None
        self._missing = np.full(drivers + 1, np.nan)
        self._newest_values = self._missing
        self._waiting: list[Floats] = []
        """Steps that are not in the sums yet; they enter with others, or when the sums are asked for."""

    @property
    def steps(self) -> int:
        """How many steps have been added, the missing ones between them included."""
        return self._levels.count + len(self._waiting)

    def add(self, step: int, x: Sequence[float | None] | Floats, y: float) -> None:
        """Add the values of a step: one of each driver, and `y`; None or NaN where missing.

        Steps that are left out count as missing. A step that is no later than the newest, or later by more
        than `max_lag` + `ORDER`, begins another run: no step of it makes a pair with one before it.
        """
        values = np.array([*x, y], dtype=np.float64)
        gap = None if self._newest_step is None else step - self._newest_step
        if gap is None or not 0 < gap <= self.max_lag + ORDER:
            self._add_waiting()
            self._levels.begin_run()
            self._changes.begin_run()
            self._newest_values = self._missing
        elif gap > 1:
            self._waiting += [self._missing] * (gap - 1)
        self._waiting.append(values)
        self._newest_step = step
        if len(self._waiting) >= _STEPS_AT_ONCE:
            self._add_waiting()

    def _add_waiting(self) -> None:
        """Add the steps that wait to the sums."""
        if not self._waiting:
            return
        values = np.array([self._newest_values, *self._waiting])
        self._waiting.clear()
        self._levels.add(values[1:])
        self._changes.add(np.subtract(values[1:], values[:-1]))
        self._newest_values = values[-1].copy()

    def raw(self) -> list[Correlations]:
        """Correlate each driver with y at the lags −max_lag … max_lag; NaN where one of them is constant."""
        self._add_waiting()
        variances = np.nan_to_num(self._levels.own_covariances()[:, 0])
        drivers = zip(
            self._levels.covariances(), variances[:-1] * variances[-1], self._levels.known, strict=True
        )
        return [
            Correlations(cross / np.sqrt(scale) if scale > 0 else np.full(len(cross), np.nan), n)
            for cross, scale, n in drivers
        ]

    def prewhitened(self) -> list[Correlations]:
        """Correlate what each driver's own autoregression leaves of it and y; NaN where that is nothing."""
        self._add_waiting()
        cross, own = self._changes.covariances(), self._changes.own_covariances()
        drivers = zip(cross, own[:-1], self._changes.known, strict=True)
        return [Correlations(self._prewhiten(with_y, x, own[-1]), n) for with_y, x, n in drivers]

    def _prewhiten(self, cross: Floats, x: Floats, y: Floats) -> Floats:
        """Turn covariances of x with y, of x and of y into pre-whitened correlations of x with y."""
        if not (_is_definite(x) and _is_definite(y)):
            return np.full(2 * self.max_lag + 1, np.nan)
        phi = np.concatenate([[1.0], -solve_toeplitz(x[:-1], x[1:])])
        g = np.correlate(phi, phi, "full")
        scales = [g @ np.concatenate([c[:0:-1], c]) for c in (x, y)]
        correlations: Floats = np.correlate(cross, g, "valid") / np.sqrt(scales[0] * scales[1])
        return correlations

    def state(self) -> dict[str, Any]:
        """Return everything that decides what comes next; the arrays are its own, not copies."""
        self._add_waiting()
        return {
            "step": self._newest_step,
            "last": self._newest_values,
            "levels": self._levels.state(),
            "changes": self._changes.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""
        self._waiting.clear()
        self._newest_step, self._newest_values = state["step"], state["last"]
        self._levels.restore(state["levels"])
        self._changes.restore(state["changes"])


def _is_definite(covariances: Floats) -> bool:
    """Whether a series can have these covariances at the lags 0, 1, …, and any filter leaves some of it."""
    if not np.isfinite(covariances).all():
        return False
    return bool(np.linalg.eigvalsh(toeplitz(covariances))[0] > _MIN_VARIANCE_LEFT * covariances[0])
