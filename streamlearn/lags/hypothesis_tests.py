"""Is a series stationary, and does one help to predict another? statsmodels' tests, kept quiet.

They need complete data: each is given a series' longest run without a missing value.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from streamlearn.errors import BadSeries
from streamlearn.extras import needing
from streamlearn.lags.gaps import longest
from streamlearn.lags.prewhitening import autoregression
from streamlearn.lags.series import Floats

LEVEL = 0.05
"""The p below which a test rejects."""
_GRANGER_MOST = 24


@dataclass(frozen=True)
class Outcome:
    """One test: its statistic, p value and how many lags it used."""

    statistic: float
    p: float
    lags: int

    @property
    def rejects(self) -> bool:
        """Whether the null hypothesis is rejected."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Stationarity:
    """What two tests with opposite null hypotheses say of a series."""

    adf: Outcome
    """Null: a unit root (the series wanders)."""
    kpss: Outcome
    """Null: a constant level. Its p is from a table that ends at 0.01 and 0.1."""
    n: int
    """Length of the run that was tested, in steps."""

    @property
    def stationary(self) -> bool:
        """Whether both tests agree that it is."""
        return self.adf.rejects and not self.kpss.rejects

    @property
    def verdict(self) -> str:
        """The two tests in words."""
        return {
            (True, False): "stationary",
            (True, True): "a moving level",
            (False, True): "a unit root or a trend",
            (False, False): "undecided",
        }[self.adf.rejects, self.kpss.rejects]


@dataclass(frozen=True)
class Granger:
    """Whether the past of each series helps to predict the other; the second opinion."""

    x_to_y: Outcome
    y_to_x: Outcome
    n: int
    """Length of the common run that was tested, in steps."""


def stationarity(values: Floats) -> Stationarity:
    """Test the longest run of a series, by ADF (lags by AIC) and by KPSS, around a constant level.

    Raises
    ------
    BadSeries
        The run does not allow the tests.
    MissingExtra
        statsmodels is not installed.
    """
    with needing("lags"):
        from statsmodels.tsa.stattools import adfuller, kpss
    run = longest(values)
    # An autoregression of order p is p − 1 lags of the differences.
    lags = max(0, autoregression(run).order - 1)
    try:
        with _quietly():
            one = adfuller(run, maxlag=lags, autolag=None, result_object=True)
            other = kpss(run, regression="c", nlags="auto", result_object=True)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise BadSeries(f"a run of {len(run)} steps cannot be tested for stationarity: {error}") from error
    return Stationarity(
        Outcome(float(one.statistic), float(one.pvalue), lags),
        Outcome(float(other.statistic), float(other.pvalue), int(other.lags)),
        len(run),
    )


def granger(x: Floats, y: Floats, max_lag: int) -> Granger | None:
    """Test both directions on the longest common run, with `max_lag` steps of the past (at most 24, n/10).

    None where the run does not allow it: a series is constant there, or follows exactly from the other.
    """
    with needing("lags"):
        from statsmodels.tools.sm_exceptions import InfeasibleTestError
        from statsmodels.tsa.stattools import grangercausalitytests
    both = ~np.isnan(x) & ~np.isnan(y)
    x, y = longest(np.where(both, x, np.nan)), longest(np.where(both, y, np.nan))
    lags = min(max_lag, _GRANGER_MOST, len(x) // 10)
    if lags < 1 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    found = []
    for cause, effect in ((x, y), (y, x)):
        try:
            with _quietly():
                tested = grangercausalitytests(np.column_stack([effect, cause]), maxlag=[lags])
        except (InfeasibleTestError, np.linalg.LinAlgError):
            return None
        statistic, p, *_ = tested[lags][0]["ssr_ftest"]
        found.append(Outcome(float(statistic), float(p), lags))
    return Granger(found[0], found[1], len(x))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Hold back what statsmodels prints, and its warnings, such as that a p value is beyond its table."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
