"""Pre-whitening: what is left of two series once x's own past is taken out of both.

Arrays have shape (n,), one value a step, time running forward; NaN is missing.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from streamlearn.errors import BadSeries
from streamlearn.lags.correlations import Correlations, cross_correlation
from streamlearn.lags.gaps import longest, short_gaps_filled
from streamlearn.lags.series import Floats, Series

LEAST = 30
"""Known values in a row that each series must have somewhere, and known pairs that both must have."""

_EXACT = 1e-8
"""What is this small beside its like is rounding."""


@dataclass(frozen=True)
class Ready:
    """A series made ready: its short gaps filled for what needs every value."""

    series: Series
    whole: Floats
    """Shape (n,): the values with gaps of at most `FILLED` steps filled by straight lines."""

    @property
    def filled(self) -> int:
        """How many steps were filled."""
        return int(np.sum(np.isnan(self.series.values) & ~np.isnan(self.whole)))

    @cached_property
    def stretch(self) -> Floats:
        """The longest run without a missing value."""
        return longest(self.whole)


def prepared(series: Series) -> Ready:
    """Fill a series' short gaps, and refuse one in which no lag can be looked for.

    Raises
    ------
    BadSeries
        Nothing is known, too little in a row, or nothing changes.
    """
    known = series.values[~np.isnan(series.values)]
    if not known.size:
        raise BadSeries(f"{series.label} is missing at every step")
    if np.ptp(known) == 0:
        raise BadSeries(f"{series.label} is {known[0]:g} at every step: a constant has no lag")
    ready = Ready(series, short_gaps_filled(series.values))
    if len(ready.stretch) < LEAST:
        raise BadSeries(
            f"{series.label} has at most {len(ready.stretch)} known values in a row; {LEAST} are needed"
        )
    if np.ptp(ready.stretch) == 0:
        raise BadSeries(
            f"{series.label} never changes in its longest run of known values, {len(ready.stretch)} steps:"
            " nothing can be tested there"
        )
    return ready


@dataclass(frozen=True)
class Autoregression:
    """x[t] ≈ constant + Σ coefficients[i] · x[t − 1 − i]."""

    constant: float
    coefficients: Floats

    @property
    def order(self) -> int:
        """How many steps it looks back."""
        return len(self.coefficients)

    def residuals(self, values: Floats) -> Floats:
        """What it does not explain of any series, shape (n,); NaN where one of its values is missing."""
        left = np.full(len(values), np.nan)
        kernel = np.concatenate([[1.0], -self.coefficients])
        left[self.order :] = np.convolve(values, kernel, "valid") - self.constant
        return left


def autoregression(values: Floats) -> Autoregression:
    """Fit an autoregression by least squares, its order by AIC, over the rows that miss nothing.

    The order is at most 10·log₁₀(n), and a quarter of the longest run. All orders are compared on the same
    rows.
    """
    most = min(int(10 * np.log10(len(values))), len(longest(values)) // 4)
    rows = sliding_window_view(values, most + 1)[:, ::-1]
    rows = rows[~np.isnan(rows).any(axis=1)]
    count = len(rows)
    columns = np.column_stack([np.ones(count), rows[:, 1:], rows[:, :1]])
    # One triangle holds the fits of every order: what is left of the last column after the first p + 1.
    triangle: Floats = np.asarray(np.linalg.qr(columns, mode="r"))
    left = np.cumsum(triangle[::-1, -1] ** 2)[::-1][1:]
    floor = np.finfo(np.float64).tiny
    aic = count * np.log(np.maximum(left, floor) / count) + 2 * np.arange(1, most + 2)
    order = int(np.argmin(aic[: _independent(triangle)]))
    fit = np.linalg.solve(triangle[: order + 1, : order + 1], triangle[: order + 1, -1])
    return Autoregression(float(fit[0]), fit[1:])


def _independent(triangle: Floats) -> int:
    """How many of the first columns are not sums of those before them; the last column is no regressor."""
    sizes = np.abs(np.diag(triangle)[:-1])
    return int(np.argmin(np.append(sizes > _EXACT * sizes.max(), False)))


def prewhitened(x: Ready, y: Ready, max_lag: int, differenced: bool) -> tuple[Correlations, int]:
    """Correlate what x's own autoregression leaves of both series; return also the order of it.

    Filled steps help to make their neighbours' residuals, and have none themselves.

    Raises
    ------
    BadSeries
        x's past tells all of x, or too few steps remain.
    """
    first, second = (difference(x.whole), difference(y.whole)) if differenced else (x.whole, y.whole)
    model = autoregression(first)
    left, right = model.residuals(first), model.residuals(second)
    for one, residuals, before in ((x, left, first), (y, right, second)):
        residuals[np.isnan(one.series.values)] = np.nan
        if not np.nanstd(residuals) > _EXACT * np.nanstd(before):
            raise BadSeries(
                f"{one.series.label} follows exactly from its own past: nothing is left to correlate"
            )
    both = int(np.sum(~np.isnan(left) & ~np.isnan(right)))
    if both < LEAST:
        raise BadSeries(
            f"only {both} steps of {x.series.label} and {y.series.label} are left after pre-whitening"
            f" ({LEAST} are needed): too much is missing"
        )
    return cross_correlation(left, right, max_lag), model.order


def difference(values: Floats) -> Floats:
    """Return the change since the step before, shape (n,); NaN where either is missing."""
    return np.concatenate([[np.nan], np.diff(values)])
