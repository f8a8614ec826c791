"""Pre-whitening: what is left of two series once x's own past is taken out of both.

Arrays have shape (n,), one value a step, time running forward; NaN is missing.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from streamlearn.errors import BadSeries
from streamlearn.lags.correlations import Correlations, cross_correlation
from streamlearn.lags.gaps import fill_short_gaps, longest_run
from streamlearn.lags.series import Floats, Series

MIN_KNOWN = 30
"""Known values in a row that each series must have somewhere, and known pairs that both must have."""

_ROUNDING = 1e-8
"""A share this small is rounding."""


@dataclass(frozen=True)
class PreparedSeries:
    """A series with its short gaps filled, for the tests and the autoregression, which need complete data."""

    series: Series
    """The series as it was read."""
    filled: Floats
    """Shape (n,): its values, with short gaps filled by straight lines; see `fill_short_gaps`."""

    @property
    def filled_steps(self) -> int:
        """How many steps were filled."""
        return int(np.sum(np.isnan(self.series.values) & ~np.isnan(self.filled)))

    def values(self, differenced: bool) -> Floats:
        """Return the filled values, shape (n,), or their changes from step to step."""
        return difference(self.filled) if differenced else self.filled

    @cached_property
    def longest_run(self) -> Floats:
        """The longest run without a missing value."""
        return longest_run(self.filled)


def prepare(series: Series) -> PreparedSeries:
    """Fill a series' short gaps, and refuse one in which no lag can be looked for.

    Raises
    ------
    BadSeries
        Nothing is known, too little is known in a row, or nothing changes.
    """
    known = series.values[~np.isnan(series.values)]
    if not known.size:
        raise BadSeries(f"{series.label} is missing at every step")
    if np.ptp(known) == 0:
        raise BadSeries(f"{series.label} is {known[0]:g} at every step: a constant has no lag")
    prepared = PreparedSeries(series, fill_short_gaps(series.values))
    run = prepared.longest_run
    if len(run) < MIN_KNOWN:
        raise BadSeries(
            f"{series.label} has at most {len(run)} known values in a row; {MIN_KNOWN} are needed"
        )
    if np.ptp(run) == 0:
        raise BadSeries(
            f"{series.label} never changes in its longest run of known values, {len(run)} steps:"
            " nothing can be tested there"
        )
    return prepared


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
        """Return what it does not explain of a series, shape (n,), the one it was fitted to or another.

        NaN where one of the values is missing, and at the first `order` steps.
        """
        residuals = np.full(len(values), np.nan)
        kernel = np.concatenate([[1.0], -self.coefficients])
        residuals[self.order :] = np.convolve(values, kernel, "valid") - self.constant
        return residuals


def fit_autoregression(values: Floats) -> Autoregression:
    """Fit an autoregression by least squares, its order by AIC, over the rows in which no value is missing.

    A row is a value and those before it. The order is at most 10·log₁₀(n), and a quarter of the longest run.
    All orders are compared on the same rows.
    """
    max_order = min(int(10 * np.log10(len(values))), len(longest_run(values)) // 4)
    rows = sliding_window_view(values, max_order + 1)[:, ::-1]
    rows = rows[~np.isnan(rows).any(axis=1)]
    count = len(rows)
    columns = np.column_stack([np.ones(count), rows[:, 1:], rows[:, :1]])
    # One triangle holds the fits of every order p: the last column's squares from row p + 1 on add up to its
    # sum of squared residuals.
    triangle: Floats = np.asarray(np.linalg.qr(columns, mode="r"))
    squares = np.cumsum(triangle[::-1, -1] ** 2)[::-1][1:]
    floor = np.finfo(np.float64).tiny
    aic = count * np.log(np.maximum(squares, floor) / count) + 2 * np.arange(1, max_order + 2)
    order = int(np.argmin(aic[: _count_independent(triangle)]))
    fit = np.linalg.solve(triangle[: order + 1, : order + 1], triangle[: order + 1, -1])
    return Autoregression(float(fit[0]), fit[1:])


def _count_independent(triangle: Floats) -> int:
    """Count the first columns that are no linear combination of those before; the last is no regressor."""
    sizes = np.abs(np.diag(triangle)[:-1])
    return int(np.argmin(np.append(sizes > _ROUNDING * sizes.max(), False)))


def prewhiten(
    x: PreparedSeries, y: PreparedSeries, max_lag: int, differenced: bool
) -> tuple[Correlations, int]:
    """Correlate what x's own autoregression leaves of both series, up to `max_lag` steps both ways.

    Where `differenced`, the changes of both series from step to step take their place. Returned are the
    correlations and the autoregression's order. A filled step is used for its neighbours' residuals and has
    none of its own.

    Raises
    ------
    BadSeries
        A series follows exactly from its past, or too few steps remain.
    """
    x_values, y_values = x.values(differenced), y.values(differenced)
    model = fit_autoregression(x_values)
    x_residuals, y_residuals = model.residuals(x_values), model.residuals(y_values)
    for series, residuals, values in (
        (x.series, x_residuals, x_values),
        (y.series, y_residuals, y_values),
    ):
        residuals[np.isnan(series.values)] = np.nan
        if not np.nanstd(residuals) > _ROUNDING * np.nanstd(values):
            raise BadSeries(f"{series.label} follows exactly from its own past: nothing is left to correlate")
    both_known = int(np.sum(~np.isnan(x_residuals) & ~np.isnan(y_residuals)))
    if both_known < MIN_KNOWN:
        raise BadSeries(
            f"only {both_known} steps of {x.series.label} and {y.series.label} are left after pre-whitening"
            f" ({MIN_KNOWN} are needed): too much is missing"
        )
    return cross_correlation(x_residuals, y_residuals, max_lag), model.order


def difference(values: Floats) -> Floats:
    """Return the change since the step before, shape (n,); NaN where either is missing."""
    return np.concatenate([[np.nan], np.diff(values)])
