"""Who leads whom: signs on planted lags, missing values, and agreement with statsmodels."""

import warnings

import numpy as np
import pytest
from planted import name_series, plant_lag
from statsmodels.tsa.ar_model import AutoReg, ar_select_order
from statsmodels.tsa.stattools import ccf

from streamlearn.errors import BadSeries
from streamlearn.lags.analysis import Pair, analyse_pairs
from streamlearn.lags.correlations import cross_correlation
from streamlearn.lags.gaps import fill_short_gaps, longest_run
from streamlearn.lags.hypothesis_tests import run_granger_tests, run_stationarity_tests
from streamlearn.lags.prewhitening import difference, fit_autoregression, prepare, prewhiten
from streamlearn.lags.series import Floats, Series, Table
from streamlearn.lags.summary import describe_lead, find_warnings
from streamlearn.operations.lag_tables import load_table
from streamlearn.pipelines.registry import load


@pytest.fixture(scope="module")
def pm25(pm25_csv: str) -> Table:
    assert pm25_csv
    return load_table(load("pm25"))


def analyse(x: Floats, y: Floats, max_lag: int | None = 20) -> Pair:
    table = Table(name_series(x, y), np.arange(len(x)))
    return next(analyse_pairs(table, [("x", "y")], max_lag))


def walks(seed: int, n: int = 500) -> tuple[Floats, Floats]:
    """Two random walks that know nothing of each other."""
    random = np.random.default_rng(seed)
    return random.normal(size=n).cumsum(), random.normal(size=n).cumsum()


@pytest.mark.parametrize("lead", [3, -5, 0, 17])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("memory", [0.0, 0.8, 1.0])
def test_the_lag_is_positive_where_x_leads_y(lead: int, sign: float, memory: float) -> None:
    pair = analyse(*plant_lag(lead, sign=sign, memory=memory))
    assert (pair.raw.best_lag, pair.white.best_lag) == (lead, lead)
    assert np.sign([pair.raw.r, pair.white.r]).tolist() == [sign, sign]
    assert pair.raw.stands_out
    assert pair.white.stands_out
    assert not pair.vanishes


def test_the_words_say_who_leads_and_which_way() -> None:
    def words(lead: int, sign: float) -> str:
        pair = analyse(*plant_lag(lead, sign=sign))
        return describe_lead(pair, pair.white, "1 h")

    assert words(3, 1).startswith("x leads y by 3 h, r = 0.8")
    assert words(-5, -1).startswith("y leads x by 5 h, r = −0.8")
    assert words(3, 1).endswith("(same way)")
    assert words(-5, -1).endswith("(opposite way)")
    assert "at the same time" in words(0, 1)
    random = np.random.default_rng(0)
    nothing = analyse(random.normal(size=300), random.normal(size=300))
    assert "no lag stands out" in describe_lead(nothing, nothing.white, "")


@pytest.mark.parametrize("lead", [3, -5])
def test_without_missing_values_it_is_what_statsmodels_computes(lead: int) -> None:
    x, y = plant_lag(lead, memory=0.8)
    ours = cross_correlation(x, y, 30)
    forth = ccf(y, x, adjusted=False, nlags=31, result_object=False)
    back = ccf(x, y, adjusted=False, nlags=31, result_object=False)
    np.testing.assert_allclose(ours.ccf[30:], forth, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.ccf[30::-1], back, rtol=0, atol=1e-9)
    assert ours.lags == list(range(-30, 31))
    assert (ours.n, ours.band) == (600, 2 / 600**0.5)


def test_missing_values_are_left_out_of_their_pairs_and_nothing_moves() -> None:
    x, y = plant_lag(3, n=400)
    x, y = x + 50, y + 50
    y[100:150], x[220:222] = np.nan, np.nan
    correlations = cross_correlation(x, y, 10)
    assert correlations.n == 400 - 52
    for lag in (-4, 0, 3):
        pairs = [
            (x[t] - np.nanmean(x)) * (y[t + lag] - np.nanmean(y))
            for t in range(400)
            if 0 <= t + lag < 400 and not np.isnan(x[t] + y[t + lag])
        ]
        expected = np.mean(pairs) * (400 - abs(lag)) / 400 / np.nanstd(x) / np.nanstd(y)
        assert correlations.ccf[lag + 10] == pytest.approx(expected, abs=1e-12)
    assert correlations.best_lag == 3
    assert correlations.r == pytest.approx(cross_correlation(*plant_lag(3, n=400), 10).r, abs=0.03)
    zeroed = cross_correlation(np.nan_to_num(x), np.nan_to_num(y), 10)
    assert abs(zeroed.r - correlations.r) > 0.3
    squeezed = cross_correlation(x[~np.isnan(x)][:350], y[~np.isnan(y)], 10)
    assert abs(squeezed.r) < 0.5 * correlations.r


def test_in_the_pm25_data_zeroing_missing_hours_gives_another_answer(pm25: Table) -> None:
    wind, dust = pm25.series["wnd_spd"].values, pm25.series["pollution"].values
    assert np.isnan(dust).sum() == 2043
    ours, zeroed = cross_correlation(wind, dust, 48), cross_correlation(wind, np.nan_to_num(dust), 48)
    assert np.abs(ours.ccf - zeroed.ccf).max() > 0.01
    assert ours.n == 43_800 - 2043


def test_a_lag_with_too_few_pairs_has_no_correlation() -> None:
    x, y = plant_lag(0, n=60)
    y[9:] = np.nan
    assert np.isnan(cross_correlation(x, y, 5).ccf).all()


def test_a_spurious_correlation_vanishes_after_prewhitening_and_it_says_so() -> None:
    pair = analyse(*walks(3))
    assert abs(pair.raw.r) > 0.4
    assert pair.differenced
    assert not pair.white.stands_out
    assert pair.vanishes
    assert "it is spurious" in " ".join(find_warnings(pair, ""))
    real = analyse(*plant_lag(3, memory=1.0))
    assert not list(find_warnings(real, ""))


def test_it_warns_where_the_best_lag_is_the_last_one() -> None:
    pair = analyse(*plant_lag(4), max_lag=4)
    assert "try a larger --max-lag" in " ".join(find_warnings(pair, ""))


def test_both_series_of_a_pair_are_differenced_alike() -> None:
    walk, noise = walks(3)[0], np.random.default_rng(2).normal(size=500)
    assert run_stationarity_tests(noise).stationary
    pair = analyse(walk, noise)
    assert pair.differenced
    assert [tests.level.stationary for tests in pair.tests] == [False, True]
    changes = [tests.differenced for tests in pair.tests]
    assert changes[0]
    assert changes[0].stationary
    assert changes[1]
    assert changes[1].n == 499
    alone = analyse(noise, np.random.default_rng(9).normal(size=500))
    assert not alone.differenced
    assert [tests.differenced for tests in alone.tests] == [None, None]


def test_the_tests_of_stationarity_tell_a_walk_from_noise() -> None:
    walk, _ = walks(1)
    noise = np.random.default_rng(2).normal(size=500)
    assert run_stationarity_tests(walk).verdict == "a unit root or a trend"
    assert run_stationarity_tests(noise).verdict == "stationary"
    assert run_stationarity_tests(noise + np.linspace(0, 5, 500)).verdict == "a unit root or a trend"
    assert run_stationarity_tests(noise + np.linspace(0, 1, 500)).verdict == "a moving level"
    assert run_stationarity_tests(walk[:40]).verdict == "undecided"
    gap = noise.copy()
    gap[200] = np.nan
    assert run_stationarity_tests(gap).n == 299


def test_grangers_tests_agree_on_the_direction() -> None:
    x, y = plant_lag(3)
    tests = run_granger_tests(x, y, 10)
    assert tests
    assert tests.x_to_y.rejects
    assert not tests.y_to_x.rejects
    assert run_granger_tests(x, np.ones(600), 10) is None
    assert run_granger_tests(x, np.roll(x, 2), 10) is None, "a perfect fit has no F"


def test_the_autoregression_is_that_of_statsmodels() -> None:
    x, _ = plant_lag(0, memory=0.7, n=500)
    x += np.sin(np.arange(500) / 3)
    max_order = int(10 * np.log10(500))
    model, selection = fit_autoregression(x), ar_select_order(x, max_order, ic="aic")
    assert model.order == len(selection.ar_lags)
    fit = AutoReg(x, model.order, hold_back=max_order).fit().params
    np.testing.assert_allclose([model.constant, *model.coefficients], fit, rtol=0, atol=1e-9)
    residuals = model.residuals(x)
    assert np.isnan(residuals[: model.order]).all()
    longhand = [
        x[t] - model.constant - model.coefficients @ x[t - 1 : t - 1 - model.order : -1] for t in (100, 499)
    ]
    np.testing.assert_allclose(residuals[[100, 499]], longhand, atol=1e-9)


def test_short_gaps_are_filled_for_the_filter_and_correlate_with_nothing() -> None:
    x, y = plant_lag(3, memory=0.8)
    y[50:53], y[100:104], y[200] = np.nan, np.nan, np.nan
    prepared = prepare(Series("y", y))
    assert prepared.filled_steps == 4
    assert np.isnan(prepared.filled).sum() == 4
    assert len(prepared.longest_run) == 600 - 104
    white, order = prewhiten(prepare(Series("x", x)), prepared, 10, differenced=False)
    # The long gap takes its own steps and those that look back on it; a filled step takes only itself.
    assert white.n == 600 - order - 4 - (4 + order)
    assert white.best_lag == 3


def test_gaps_at_the_ends_and_long_ones_stay() -> None:
    values = np.array([np.nan, 1.0, np.nan, np.nan, np.nan, 5.0, *[np.nan] * 4, 2.0, np.nan])
    filled = fill_short_gaps(values)
    np.testing.assert_array_equal(filled[:6], [np.nan, 1, 2, 3, 4, 5])
    assert np.isnan(filled[6:10]).all()
    assert np.isnan(filled[-1])
    assert longest_run(filled).tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(difference(np.array([1.0, 3.0, np.nan, 4.0])), [np.nan, 2, np.nan, np.nan])


LINE = np.arange(100.0)
NOISE = np.random.default_rng(4).normal(size=100)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.full(100, 3.0), "x is 3 at every step: a constant has no lag"),
        (np.full(100, np.nan), "x is missing at every step"),
        (NOISE[:20], "x has at most 20 known values in a row; 30 are needed"),
        (np.where(LINE % 20 < 5, np.nan, NOISE), "x has at most 15 known values in a row"),
        (np.where(LINE < 60, np.nan, NOISE), r"x and y are both known at 10 steps; 30 are needed"),
        (2 * LINE, "x is a straight line"),
        (np.sin(LINE), "x follows exactly from its own past"),
        (
            np.where((LINE > 9) & (LINE < 20), np.nan, np.where(LINE < 20, NOISE, 1.0)),
            "x never changes in its longest run",
        ),
    ],
)
def test_a_series_in_which_nothing_can_be_found_is_refused(x: Floats, reason: str) -> None:
    y = np.random.default_rng(6).normal(size=len(x))
    if "both known" in reason:
        y[70:] = np.nan
    with pytest.raises(BadSeries, match=reason):
        analyse(x, y, None)


def test_a_lag_that_leaves_less_than_half_is_refused() -> None:
    x, y = plant_lag(3, n=100)
    with pytest.raises(BadSeries, match="a lag of 51 is too large for 100 steps: at most 50"):
        analyse(x, y, 51)
    assert analyse(x, y, 50).raw.lags[-1] == 50
    assert analyse(x, y, None).raw.lags[-1] == 25
    assert analyse(*plant_lag(3, n=1000), None).raw.lags[-1] == 40


def test_the_weather_is_found_to_drive_pm25(pm25: Table) -> None:
    names = [("wnd_dir=NW", "pollution"), ("temp", "pollution")]
    wind, temperature = analyse_pairs(pm25, names, 48)
    assert (wind.raw.best_lag, wind.white.best_lag) == (6, 4)
    assert wind.white.r == pytest.approx(-0.102, abs=0.002)
    assert temperature.white.best_lag == 2
    assert temperature.raw.best_lag == 46, "a day's cycle, not a cause"
    assert wind.tests[1].filled == 176
    assert wind.tests[1].level.n == 3548


def test_nothing_is_printed_or_warned_of(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        analyse(*walks(3))
        analyse(*plant_lag(3))
    assert not caught
    assert capfd.readouterr() == ("", "")
