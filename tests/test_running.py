"""Running correlations equal those of statsmodels and of the whole series, in constant memory."""

import copy

import numpy as np
import pytest
from planted import plant_lag
from scipy.linalg import solve_toeplitz
from statsmodels.tsa.stattools import ccf

from streamlearn.lags.correlations import cross_correlation
from streamlearn.lags.lagged_sums import LaggedSums
from streamlearn.lags.running import ORDER, RunningCorrelations

MAX_LAG = 20


def run(x: np.ndarray, y: np.ndarray, steps: np.ndarray | None = None) -> RunningCorrelations:
    """Correlate the columns of `x` with `y`, added row by row."""
    running = RunningCorrelations(x.shape[1], MAX_LAG)
    for step, row, value in zip(np.arange(len(y)) if steps is None else steps, x, y, strict=True):
        running.add(int(step), row, value)
    return running


def count_numbers(running: RunningCorrelations) -> int:
    state = running.state()
    return sum(np.size(part) for sums in ("levels", "changes") for part in state[sums].values())


def walks(n: int = 2000, columns: int = 3, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Series that each resemble their own past, far from zero, as pressure is."""
    noise = np.random.default_rng(seed).normal(size=(n, columns + 1))
    values = np.zeros_like(noise)
    for t in range(1, n):
        values[t] = 0.9 * values[t - 1] + noise[t]
    return 1016 + 10 * values[:, :-1], np.roll(values[:, 0], 3) + values[:, -1]


def add_plainly(sums: LaggedSums, values: np.ndarray) -> None:
    """Add a step to sums by their definitions, one product at a time."""
    known = np.isfinite(values)
    first = known & np.isnan(sums._first_values)
    sums._first_values[first] = values[first]
    sums._recent = np.roll(sums._recent, 1, axis=1)
    sums._recent[:, 0] = known, np.where(known, values - sums._first_values, 0.0)
    sums._run_length += 1
    sums.steps[: sums._run_length] += 1
    newest = sums._recent[:, 0]
    for a, b in np.ndindex(2, 2):
        for k in range(len(sums.steps)):
            sums._leading[a, b, k] += sums._recent[a, k, :-1] * newest[b, -1]
            sums._trailing[a, b, k] += newest[a, :-1] * sums._recent[b, k, -1]
        for k in range(sums._own.shape[2]):
            sums._own[a, b, k] += sums._recent[a, k] * newest[b]


@pytest.mark.parametrize("is_driver_missing", [True, False])
@pytest.mark.parametrize("drivers", [1, 3])
@pytest.mark.parametrize(("lag", "own"), [(9, 4), (0, 0), (40, 0)])
def test_sums_of_many_steps_have_the_bits_of_sums_added_to_step_by_step(
    lag: int, own: int, drivers: int, is_driver_missing: bool
) -> None:
    """Whenever they are asked for, over missing values, a series that begins late, and a second run."""
    random = np.random.default_rng(7)
    values = 1000 + random.normal(size=(400, 1 + drivers)) * 10.0 ** random.integers(-8, 8, size=(400, 1))
    missing = random.random(values.shape) < 0.1
    missing[:50, 1] = missing[60:110] = True
    missing[110:200] = False
    missing[:, :-1] &= is_driver_missing
    values[missing] = np.nan
    sums, plain = LaggedSums(drivers, lag, own), LaggedSums(drivers, lag, own)
    added = 0
    for step, row in enumerate(values, start=1):
        add_plainly(plain, row)
        if random.random() < 0.1 or step in (300, 400):
            sums.add(values[added:step])
            added = step
            state, expected = sums.state(), plain.state()
            assert {name: np.asarray(part).tobytes() for name, part in state.items()} == {
                name: np.asarray(part).tobytes() for name, part in expected.items()
            }
            sums.restore(copy.deepcopy(state))
        if step == 300:
            sums.begin_run()
            plain.begin_run()
    assert sums.count == plain.count == 400


def test_it_equals_statsmodels_on_the_same_data() -> None:
    x, y = walks()
    for column, raw in enumerate(run(x, y).raw()):
        leads = ccf(y, x[:, column], adjusted=False)[: MAX_LAG + 1]
        trails = ccf(x[:, column], y, adjusted=False)[: MAX_LAG + 1]
        np.testing.assert_allclose(raw.ccf[MAX_LAG:], leads, atol=1e-9, rtol=0)
        np.testing.assert_allclose(raw.ccf[MAX_LAG::-1], trails, atol=1e-9, rtol=0)


@pytest.mark.parametrize("until", [5, 40, 700, 2000])
def test_at_every_moment_it_is_the_batch_of_what_came_so_far_with_missing_steps(until: int) -> None:
    x, y = walks()
    random = np.random.default_rng(4)
    x[random.random(x.shape) < 0.1] = np.nan
    y[random.random(len(y)) < 0.2] = np.nan
    x[:3, 1] = np.nan
    x[500:530], y[500:530] = np.nan, np.nan
    came = np.array([step for step in range(until) if not 500 <= step < 530])
    for column, raw in enumerate(run(x[came], y[came], came).raw()):
        expected = cross_correlation(x[:until, column], y[:until], MAX_LAG) if until > MAX_LAG else None
        if expected is None:
            assert np.isnan(raw.ccf).all()
        else:
            np.testing.assert_allclose(raw.ccf, expected.ccf, atol=1e-9, rtol=0)
            assert raw.n == expected.n


@pytest.mark.parametrize("lead", [6, -6, 0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_planted_lags_are_found_both_ways(lead: int, sign: float) -> None:
    x, y = plant_lag(lead, sign=sign, memory=0.9, n=2000)
    running = run(x[:, None], y)
    assert running.raw()[0].best_lag == lead
    [white] = running.prewhitened()
    assert white.best_lag == lead
    assert np.sign(white.r) == sign
    assert white.stands_out


def test_prewhitening_is_that_of_the_filtered_series_but_for_their_ends() -> None:
    x, y = walks(5000)
    running = run(x, y)
    target = np.diff(y)
    for column, white in enumerate(running.prewhitened()):
        values = np.diff(x[:, column])
        centred = values - values.mean()
        own = [centred[: len(centred) - k] @ centred[k:] for k in range(ORDER + 1)]
        kernel = np.append(1.0, -solve_toeplitz(own[:-1], own[1:]))
        left, right = (np.convolve(series, kernel, "valid") for series in (values, target))
        expected = cross_correlation(left, right, MAX_LAG)
        np.testing.assert_allclose(white.ccf, expected.ccf, atol=0.01)


def test_two_series_that_only_resemble_their_own_past_are_not_taken_for_related() -> None:
    noise = np.random.default_rng(9).normal(size=(4000, 2))
    x, y = np.cumsum(noise, axis=0).T
    running = run(x[:, None], y)
    assert abs(running.raw()[0].r) > 0.3
    assert not running.prewhitened()[0].stands_out


@pytest.mark.parametrize("seed", range(12))
def test_missing_steps_lead_to_no_correlation_above_1(seed: int) -> None:
    """Covariances of the pairs that are known need not be those of any series."""
    random = np.random.default_rng(seed)
    wandering = np.cumsum(np.cumsum(random.normal(size=400)))
    flags = (random.random(400) < 0.5).astype(float)
    x = np.column_stack([wandering, flags])
    x[random.random(x.shape) < 0.3] = np.nan
    for correlations in run(x, random.normal(size=400)).prewhitened():
        assert not np.nanmax(np.abs(np.append(correlations.ccf, 0.0))) > 1


def test_no_pair_reaches_over_the_beginning_of_another_run() -> None:
    x, y = walks(300)
    twice = run(np.concatenate([x, x]), np.concatenate([y, y]), np.tile(np.arange(300), 2))
    once = run(x, y)
    for sums in ("levels", "changes"):
        for name in ("leading", "trailing", "own", "steps"):
            np.testing.assert_allclose(twice.state()[sums][name], 2 * once.state()[sums][name], rtol=1e-9)
    far = run(
        np.concatenate([x, x]), np.concatenate([y, y]), np.append(np.arange(300), 10**9 + np.arange(300))
    )
    assert (far.steps, twice.steps, once.steps) == (600, 600, 300)
    np.testing.assert_array_equal(far.raw()[0].ccf, twice.raw()[0].ccf)


def test_what_it_keeps_does_not_grow_and_goes_on_the_same() -> None:
    x, y = walks(900)
    whole, resumed = run(x[:400], y[:400]), RunningCorrelations(3, MAX_LAG)
    resumed.restore(copy.deepcopy(whole.state()))
    size = count_numbers(whole)
    for step in range(400, 900):
        whole.add(step, x[step], y[step])
        resumed.add(step, x[step], y[step])
    assert count_numbers(whole) == size
    for expected, correlations in zip(whole.prewhitened(), resumed.prewhitened(), strict=True):
        np.testing.assert_array_equal(correlations.ccf, expected.ccf)


def test_what_never_changes_or_never_comes_correlates_with_nothing() -> None:
    _, y = walks(200)
    running = run(np.column_stack([np.full(200, 5.0), np.full(200, np.nan)]), y)
    for correlations in (*running.raw(), *running.prewhitened()):
        assert np.isnan(correlations.ccf).all()
    assert [raw.n for raw in running.raw()] == [200, 0]
