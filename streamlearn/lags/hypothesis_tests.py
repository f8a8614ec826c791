"""Is a series stationary, and does one help to predict another? statsmodels' tests, without its output.

They need complete data: each test runs on the longest run without a missing value.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from streamlearn.errors import BadSeries
from streamlearn.extras import require_extra
from streamlearn.lags.gaps import longest_run
from streamlearn.lags.prewhitening import fit_autoregression
from streamlearn.lags.series import Floats

LEVEL = 0.05
"""A test rejects its null hypothesis where p is below this."""
_MAX_GRANGER_LAGS = 24


@dataclass(frozen=True)
class Outcome:
    """One test: its statistic, its p value and the number of lags that it used."""

    statistic: float
    p: float
    lags: int

    @property
    def rejects(self) -> bool:
        """Whether the null hypothesis is rejected."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Stationarity:
    """Two tests of a series, with opposite null hypotheses."""

    adf: Outcome
    """Null: a unit root (the series wanders)."""
    kpss: Outcome
    """Null: a constant level. Its p is from a table that ends at 0.01 and 0.1."""
    n: int
    """Length of the run that was tested, in steps."""

    @property
    def stationary(self) -> bool:
        """Whether both tests agree that the series is stationary."""
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


def run_stationarity_tests(values: Floats) -> Stationarity:
    """Test the longest run of a series, shape (n,), by ADF (lags by AIC) and KPSS, around a constant level.

    Raises
    ------
    BadSeries
        The run does not allow the tests.
    MissingExtra
        statsmodels is not installed.
    """
    with require_extra("lags"):
        from statsmodels.tsa.stattools import adfuller, kpss
    run = longest_run(values)
    # An autoregression of order p is p − 1 lags of the differences.
    lags = max(0, fit_autoregression(run).order - 1)
    try:
        with _silence():
            unit_root = adfuller(run, maxlag=lags, autolag=None, result_object=True)
            level = kpss(run, regression="c", nlags="auto", result_object=True)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise BadSeries(f"a run of {len(run)} steps cannot be tested for stationarity: {error}") from error
    return Stationarity(
        Outcome(float(unit_root.statistic), float(unit_root.pvalue), lags),
        Outcome(float(level.statistic), float(level.pvalue), int(level.lags)),
        len(run),
    )


def run_granger_tests(x: Floats, y: Floats, max_lag: int) -> Granger | None:
    """Test both directions on the longest common run of n steps, with `max_lag` lags, at most 24 and n/10.

    None where the run does not allow it: it is too short, a series is constant there, or one follows exactly
    from the other.

    Raises
    ------
    MissingExtra
        statsmodels is not installed.
    """
    with require_extra("lags"):
        from statsmodels.tools.sm_exceptions import InfeasibleTestError
        from statsmodels.tsa.stattools import grangercausalitytests
    both = ~np.isnan(x) & ~np.isnan(y)
    x, y = longest_run(np.where(both, x, np.nan)), longest_run(np.where(both, y, np.nan))
    lags = min(max_lag, _MAX_GRANGER_LAGS, len(x) // 10)
    if lags < 1 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    outcomes = []
    for cause, effect in ((x, y), (y, x)):
        try:
            with _silence():
                results = grangercausalitytests(np.column_stack([effect, cause]), maxlag=[lags])
        except (InfeasibleTestError, np.linalg.LinAlgError):
            return None
        statistic, p, *_ = results[lags][0]["ssr_ftest"]
        outcomes.append(Outcome(float(statistic), float(p), lags))
    return Granger(outcomes[0], outcomes[1], len(x))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Suppress what statsmodels prints, and its warnings, such as that a p value is beyond its table."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
