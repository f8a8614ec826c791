"""By how many steps does one series lead another? Every pair, examined in several ways.

A lag is counted in steps and is **positive where x leads y**.

Two series that each resemble their own past are correlated at many lags for no other reason (Yule 1926). So
the raw correlations (`correlations.py`) come with pre-whitened ones (`prewhitening.py`): both series go
through the autoregression that turns x into noise, after differencing where one of them is not stationary
(Box, Jenkins & Reinsel, *Time Series Analysis*, 12.1). The tests are in `hypothesis_tests.py`, the words in
`summary.py`; `reports/figures/lag_pairs.py` draws the figures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from streamlearn.errors import BadSeries
from streamlearn.lags.correlations import Correlations, cross_correlation
from streamlearn.lags.gaps import longest_run
from streamlearn.lags.hypothesis_tests import (
    Granger,
    Stationarity,
    run_granger_tests,
    run_stationarity_tests,
)
from streamlearn.lags.prewhitening import MIN_KNOWN, PreparedSeries, prepare, prewhiten
from streamlearn.lags.series import Floats, Series, Table

_LARGE = 0.2
"""A raw |r| from which a warning is given where pre-whitening leaves little of it."""
_LITTLE = 0.2
"""Less than this share of a raw correlation is little."""


@dataclass(frozen=True)
class SeriesTests:
    """The tests of one series of a pair."""

    level: Stationarity
    """Of its values."""
    differenced: Stationarity | None
    """Of its changes from step to step; None where the pair was not differenced."""
    filled: int
    """Steps in short gaps that were filled for the tests."""


@dataclass(frozen=True)
class Pair:
    """All results about x and y."""

    x: Series
    y: Series
    raw: Correlations
    """Of the values as they are."""
    white: Correlations
    """Of what x's own autoregression leaves of both."""
    order: int
    """Of that autoregression, in steps."""
    differenced: bool
    """Whether both were differenced before it, because one of them is not stationary."""
    tests: tuple[SeriesTests, SeriesTests]
    """Of x and of y."""
    granger: Granger | None
    """None where the common run does not allow the tests."""

    @property
    def vanishes(self) -> bool:
        """Whether a large raw correlation is gone after pre-whitening."""
        return self._large and not self.white.stands_out

    @property
    def shrinks(self) -> bool:
        """Whether pre-whitening leaves little of a large raw correlation."""
        return self._large and self.white.stands_out and abs(self.white.r) < _LITTLE * abs(self.raw.r)

    @property
    def _large(self) -> bool:
        return self.raw.stands_out and abs(self.raw.r) >= _LARGE


def analyse_pairs(table: Table, pairs: Sequence[tuple[str, str]], max_lag: int | None) -> Iterator[Pair]:
    """Analyse each pair (x, y) of names in `table`, up to `max_lag` steps both ways; yield the results.

    Raises
    ------
    BadSeries
        A series is constant, too short or missing, or the lag is too large; see `resolve_max_lag`.
    MissingExtra
        statsmodels is not installed.
    """
    prepared = {name: prepare(table.series[name]) for name in dict.fromkeys(sum(pairs, ()))}
    max_lags = {(x, y): resolve_max_lag(table.series[x], table.series[y], max_lag) for x, y in pairs}
    level: dict[str, Stationarity] = {}
    changes: dict[str, Stationarity] = {}
    for pair in pairs:
        for name in pair:
            level[name] = level.get(name) or run_stationarity_tests(prepared[name].filled)
        differenced = not all(level[name].stationary for name in pair)
        for name in pair if differenced else ():
            changes[name] = changes.get(name) or run_stationarity_tests(_changes(prepared[name]))
        x, y = (prepared[name] for name in pair)
        x_tests, y_tests = (
            SeriesTests(level[name], changes[name] if differenced else None, prepared[name].filled_steps)
            for name in pair
        )
        white, order = prewhiten(x, y, max_lags[pair], differenced)
        yield Pair(
            x=x.series,
            y=y.series,
            raw=cross_correlation(x.series.values, y.series.values, max_lags[pair]),
            white=white,
            order=order,
            differenced=differenced,
            tests=(x_tests, y_tests),
            granger=run_granger_tests(x.values(differenced), y.values(differenced), max_lags[pair]),
        )


def _changes(prepared: PreparedSeries) -> Floats:
    changes = prepared.values(differenced=True)
    if np.ptp(longest_run(changes)) == 0:
        raise BadSeries(f"{prepared.series.label} is a straight line: it changes by the same at every step")
    return changes


def resolve_max_lag(x: Series, y: Series, max_lag: int | None) -> int:
    """Return the largest lag to look at, `max_lag`; where that is None, 40 steps, at most a quarter of all.

    Raises
    ------
    BadSeries
        The pair has too few points, or fewer than half of them would overlap at `max_lag`.
    """
    n, pairs = len(x.values), int(np.sum(~np.isnan(x.values) & ~np.isnan(y.values)))
    if pairs < MIN_KNOWN:
        raise BadSeries(f"{x.label} and {y.label} are both known at {pairs} steps; {MIN_KNOWN} are needed")
    if max_lag is not None and max_lag > n // 2:
        raise BadSeries(
            f"a lag of {max_lag} is too large for {n} steps: at most {n // 2}, so that half overlap"
        )
    return min(40, n // 4) if max_lag is None else max_lag
