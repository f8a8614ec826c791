"""By how many steps does one series lead another? Every pair, looked at from several sides.

A lag is counted in steps and is **positive where x leads y**.

Two series that each resemble their own past are correlated at many lags for no other reason (Yule 1926). So
beside the raw result (`correlations.py`) stands the pre-whitened one (`prewhitening.py`): both series go
through the autoregression that turns x into noise, after differencing where one of them is not stationary
(Box, Jenkins & Reinsel, *Time Series Analysis*, 12.1). The tests are in `lag_tests.py`, the words in
`lag_report.py`, the pictures in `lag_figure.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from streamlearn.errors import BadSeries
from streamlearn.lags.correlations import Correlations, cross_correlation
from streamlearn.lags.gaps import longest
from streamlearn.lags.hypothesis_tests import Granger, Stationarity, granger, stationarity
from streamlearn.lags.prewhitening import LEAST, Ready, difference, prepared, prewhitened
from streamlearn.lags.series import Floats, Series, Table

_LARGE = 0.2
"""|r| from which a raw correlation is worth a warning where little of it is left."""
_LITTLE = 0.2
"""The share of a raw correlation below which little of it is left."""


@dataclass(frozen=True)
class Verdicts:
    """What the tests say of one series."""

    level: Stationarity
    differenced: Stationarity | None
    """Of its changes from step to step, where the pair was differenced."""
    filled: int
    """Steps in short gaps that were filled for the tests."""


@dataclass(frozen=True)
class Pair:
    """Everything found about x and y."""

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
    tested: tuple[Verdicts, Verdicts]
    """Of x and of y."""
    granger: Granger | None
    """None where the common run does not allow the test."""

    @property
    def vanishes(self) -> bool:
        """Whether a large raw correlation is gone once the series no longer resemble their own past."""
        return self._large and not self.white.stands_out

    @property
    def shrinks(self) -> bool:
        """Whether little is left of a large raw correlation."""
        return self._large and self.white.stands_out and abs(self.white.r) < _LITTLE * abs(self.raw.r)

    @property
    def _large(self) -> bool:
        return self.raw.stands_out and abs(self.raw.r) >= _LARGE


def analysed(table: Table, pairs: Sequence[tuple[str, str]], max_lag: int | None) -> Iterator[Pair]:
    """Yield what is found about each pair (x, y) of names, up to `max_lag` steps both ways.

    Raises
    ------
    BadSeries
        A series is constant, too short or missing, or the lag is too large; see `checked`.
    MissingExtra
        statsmodels is not installed.
    """
    ready = {name: prepared(table.series[name]) for name in dict.fromkeys(sum(pairs, ()))}
    reach = {pair: checked(ready[pair[0]].series, ready[pair[1]].series, max_lag) for pair in pairs}
    level: dict[str, Stationarity] = {}
    changes: dict[str, Stationarity] = {}
    for pair in pairs:
        both = [ready[name] for name in pair]
        for name in pair:
            level[name] = level.get(name) or stationarity(ready[name].whole)
        differenced = not all(level[name].stationary for name in pair)
        for name in pair if differenced else ():
            changes[name] = changes.get(name) or stationarity(_changes(ready[name]))
        yield _pair(both[0], both[1], reach[pair], [(level[n], changes.get(n)) for n in pair], differenced)


def _pair(
    x: Ready,
    y: Ready,
    max_lag: int,
    tests: Sequence[tuple[Stationarity, Stationarity | None]],
    differenced: bool,
) -> Pair:
    white, order = prewhitened(x, y, max_lag, differenced)
    left, right = (difference(x.whole), difference(y.whole)) if differenced else (x.whole, y.whole)
    tested = [
        Verdicts(level, changes if differenced else None, one.filled)
        for one, (level, changes) in zip((x, y), tests, strict=True)
    ]
    return Pair(
        x=x.series,
        y=y.series,
        raw=cross_correlation(x.series.values, y.series.values, max_lag),
        white=white,
        order=order,
        differenced=differenced,
        tested=(tested[0], tested[1]),
        granger=granger(left, right, max_lag),
    )


def _changes(one: Ready) -> Floats:
    changes = difference(one.whole)
    if np.ptp(longest(changes)) == 0:
        raise BadSeries(f"{one.series.label} is a straight line: it changes by the same at every step")
    return changes


def checked(x: Series, y: Series, max_lag: int | None) -> int:
    """Return the largest lag to look at: `max_lag`, or else 40 steps, or a quarter of what there is.

    Raises
    ------
    BadSeries
        The pair has too few points, or fewer than half of them would overlap at `max_lag`.
    """
    n, pairs = len(x.values), int(np.sum(~np.isnan(x.values) & ~np.isnan(y.values)))
    if pairs < LEAST:
        raise BadSeries(f"{x.label} and {y.label} are both known at {pairs} steps; {LEAST} are needed")
    if max_lag is not None and max_lag > n // 2:
        raise BadSeries(
            f"a lag of {max_lag} is too large for {n} steps: at most {n // 2}, so that half overlap"
        )
    return min(40, n // 4) if max_lag is None else max_lag
