"""Cross-correlations of two series of which some steps may be missing.

Arrays have shape (n,), one value a step, time running forward; NaN is missing and stays in its place. A lag
is counted in steps and is **positive where x leads y**: at lag k, x[t] is set beside y[t + k].
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from streamlearn.lags.series import Floats

MIN_PAIRS = 10
"""Fewest known pairs that a correlation is computed from."""


@dataclass(frozen=True)
class Correlations:
    """Cross-correlations of a pair at the lags −L … L."""

    ccf: Floats
    """Shape (2L + 1,); NaN where fewer than 10 pairs are known."""
    n: int
    """Steps at which both are known."""

    @property
    def lags(self) -> list[int]:
        """The lags, in steps; positive where x leads y."""
        half = len(self.ccf) // 2
        return list(range(-half, half + 1))

    @property
    def best_lag(self) -> int:
        """The lag whose correlation is largest, whatever its sign; positive where x leads y.

        Raises
        ------
        ValueError
            Every correlation is NaN.
        """
        return self.lags[int(np.nanargmax(np.abs(self.ccf)))]

    @property
    def r(self) -> float:
        """The correlation at the best lag."""
        return self.at(self.best_lag)

    def at(self, lag: int) -> float:
        """Return the correlation at a lag."""
        return float(self.ccf[lag + len(self.ccf) // 2])

    @property
    def band(self) -> float:
        """2/√n: the correlation of two independent noises is within ± this at 95 of 100 lags."""
        return 2 / math.sqrt(self.n)

    @property
    def threshold(self) -> float:
        """|r| that two independent noises exceed at *any* of the lags in 5 cases of 100 (Bonferroni)."""
        return NormalDist().inv_cdf(1 - 0.025 / len(self.ccf)) / math.sqrt(self.n)

    @property
    def stands_out(self) -> bool:
        """Whether the correlation at the best lag is more than chance, given how many lags there are."""
        return abs(self.r) > self.threshold


def cross_correlation(x: Floats, y: Floats, max_lag: int) -> Correlations:
    """Correlate x[t] with y[t + k], both of shape (n,), for each lag k from −max_lag to max_lag.

    A step that is missing in one series is left out of the pairs that it would be in, and nothing else
    moves. Without a missing value this is the usual estimate, that of statsmodels' `ccf` with
    `adjusted=False`: the sum over the pairs, divided by n and by both standard deviations. With missing
    values the sum is the mean over the known pairs times (n − |k|).

    >>> x = np.sin(np.arange(200.0) ** 2)
    >>> cross_correlation(x, np.roll(x, 3), 10).best_lag
    3
    """
    n, (a, known_a), (b, known_b) = len(x), _center(x), _center(y)
    scale = np.sqrt((a @ a / known_a.sum()) * (b @ b / known_b.sum()))
    ccf = np.full(2 * max_lag + 1, np.nan)
    for lag in range(-max_lag, max_lag + 1):
        ahead, behind = slice(max(0, -lag), n - max(0, lag)), slice(max(0, lag), n - max(0, -lag))
        pairs = known_a[ahead] @ known_b[behind]
        if pairs >= MIN_PAIRS:
            ccf[lag + max_lag] = a[ahead] @ b[behind] / pairs * (n - abs(lag)) / n / scale
    return Correlations(ccf, int(known_a @ known_b))


def _center(values: Floats) -> tuple[Floats, Floats]:
    """Return the values less their mean, 0 where missing, and 1 where they are known."""
    known = ~np.isnan(values)
    return np.where(known, values - values[known].mean(), 0.0), known.astype(np.float64)
