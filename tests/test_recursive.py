"""Recursive least squares: scikit-learn's own contract, the closed form, and very long streams."""

import itertools
from dataclasses import replace
from itertools import islice

import msgspec
import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from streamlearn.estimators.least_squares import RecursiveLeastSquares
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines.registry import load


@parametrize_with_checks([RecursiveLeastSquares()])
@pytest.mark.filterwarnings("ignore")
def test_it_keeps_scikit_learns_contract(estimator, check) -> None:  # type: ignore[no-untyped-def]
    check(estimator)


def make_data(rows: int = 300, columns: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    x = random.normal(size=(rows, columns))
    return x, x @ np.arange(columns) + random.normal(size=rows)


def test_after_each_row_it_is_the_ridge_solution_of_all_rows() -> None:
    x, y = make_data()
    model = RecursiveLeastSquares(ridge=2.0)
    for start, end in itertools.pairwise((0, 1, 5, 50, 300)):
        model.partial_fit(x[start:end], y[start:end])
        closed = np.linalg.solve(x[:end].T @ x[:end] + 2 * np.eye(6), x[:end].T @ y[:end])
        np.testing.assert_allclose(model.coef_, closed, rtol=1e-9)
        np.testing.assert_array_equal(model.covariance_, model.covariance_.T)


def test_forgetting_weighs_the_past_down() -> None:
    x, y = make_data()
    model = RecursiveLeastSquares(ridge=1e-6, forgetting=0.98).partial_fit(x, y)
    weight = np.diag(0.98 ** np.arange(299, -1, -1.0))
    closed = np.linalg.solve(x.T @ weight @ x + 1e-6 * 0.98**300 * np.eye(6), x.T @ weight @ y)
    np.testing.assert_allclose(model.coef_, closed, rtol=1e-6)


def test_learning_one_by_one_is_learning_them_together() -> None:
    x, y = make_data()
    together = RecursiveLeastSquares().partial_fit(x, y)
    single = RecursiveLeastSquares().partial_fit(x[:1], y[:1])
    for row, target in zip(x[1:], y[1:], strict=True):
        single.learn_one(row, target)
    np.testing.assert_array_equal(together.coef_, single.coef_)
    assert single.predict_one(x[0]) == together.predict(x[:1])[0]


def test_fit_forgets_what_was_learned() -> None:
    x, y = make_data()
    again = RecursiveLeastSquares().fit(x, y + 100).fit(x, y)
    np.testing.assert_array_equal(again.coef_, RecursiveLeastSquares().fit(x, y).coef_)


@pytest.fixture(scope="module")
def year(pm25_csv: str) -> list[tuple[np.ndarray, float]]:
    """The features of each hour of a year, and the change to the hour after it."""
    (pm25,) = load("pm25").earlier
    learner = replace(pm25.learning, horizons=(1,)).new_learner(pm25.parameters, 0)
    seen = []
    for record in islice(pm25.dataset.records(passes=1), 8760):
        predict_then_learn(learner, [pm25.codec.decode(msgspec.json.encode(record))], learner.version + 1)
        if learner._series.newest.seen[-1] is not None:
            seen.append(learner._series.newest.seen[-1][:2])
    return [(x, value - base) for (x, base), (_, value) in itertools.pairwise(seen)]


@pytest.mark.no_cover
@pytest.mark.parametrize("forgetting", [1.0, 0.999])
@pytest.mark.parametrize("times", [5, pytest.param(50, marks=pytest.mark.release)])
def test_a_year_many_times_over_stays_finite(
    year: list[tuple[np.ndarray, float]], times: int, forgetting: float
) -> None:
    model = RecursiveLeastSquares(forgetting=forgetting).partial_fit(year[0][0][None, :], [0.0])
    for _ in range(times):
        for x, change in year:
            model.learn_one(x, change)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.covariance_).all()
    assert (model.covariance_.diagonal() > 0).all()
    asymmetry = np.abs(model.covariance_ - model.covariance_.T).max()
    assert asymmetry <= 1e-9 * np.abs(model.covariance_).max()
    assert np.mean([abs(model.predict_one(x) - change) for x, change in year]) < 30


@pytest.mark.parametrize("forgetting", [1.0, 0.97])
def test_a_row_is_learned_bit_for_bit_by_the_formula(forgetting: float) -> None:
    """Snapshots and answers of years hang on the last bit, whatever is done to be quicker."""
    x, y = make_data()
    model = RecursiveLeastSquares(forgetting=forgetting).partial_fit(x[:1], y[:1])
    for row, target in zip(x[1:], y[1:], strict=True):
        p, w = model.covariance_, model.coef_
        gain = p @ row
        scale = forgetting + row @ gain
        model.learn_one(row, target)
        assert model.coef_.tobytes() == (w + gain * ((target - row @ w) / scale)).tobytes()
        assert model.covariance_.tobytes() == ((p - np.outer(gain, gain) / scale) / forgetting).tobytes()
