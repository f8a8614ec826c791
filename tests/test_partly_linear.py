"""Models of inputs and random features of them: scikit-learn's contract, their formulas, their use."""

import numpy as np
import pytest
from plain_softmax import PlainSoftmax
from sklearn.datasets import make_circles
from sklearn.utils.estimator_checks import parametrize_with_checks

from streamlearn.estimators import (
    PartlyLinearLeastSquares,
    PartlyLinearSoftmax,
    RandomFeatureSoftmax,
    Standardized,
)
from streamlearn.estimators.random_feature_softmax import draw_features

PARAMETERS = {"units": 40, "width": 1.3, "step": 0.5, "decay": 1e-3, "temperature_step": 0.03, "seed": 5}


@parametrize_with_checks([PartlyLinearSoftmax(units=50), PartlyLinearLeastSquares(units=50)])
@pytest.mark.filterwarnings("ignore")
def test_it_keeps_scikit_learns_contract(estimator, check) -> None:  # type: ignore[no-untyped-def]
    check(estimator)


class PlainPartlyLinear(PlainSoftmax):
    """The formulas, a row at a time: the inputs and a constant stand before the random features."""

    def features(self, x: np.ndarray) -> np.ndarray:
        parts = [0.3 * x, np.full((len(x), 1), 0.3), super().features(x)]
        return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("cut", [1, 60, 300])
def test_it_does_what_its_formulas_say_however_rows_are_cut(cut: int) -> None:
    random = np.random.default_rng(1)
    x, y = random.normal(size=(400, 4)), random.integers(3, size=400)
    plain = PlainPartlyLinear(inputs=4, classes=3, **{**PARAMETERS, "width": 2 * 1.3})  # type: ignore[arg-type]
    plain.weights = np.zeros((3, 4 + 1 + 40))
    plain.learn(x[:300], y[:300].tolist())
    model = PartlyLinearSoftmax(**PARAMETERS, input_scale=0.3)  # type: ignore[arg-type]
    for start in range(0, 300, cut):
        model.partial_fit(
            x[start : min(300, start + cut)], y[start : min(300, start + cut)], classes=range(3)
        )
    np.testing.assert_allclose(model.coef_, plain.weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.predict_proba(x[300:]), plain.probabilities(x[300:]), rtol=1e-6)


SGD = {"loss": "log_loss", "learning_rate": "constant", "eta0": 0.05, "random_state": 0}


def count_right(name: str, parameters: dict[str, object], x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of rows that are predicted right, each before it is learned."""
    model, right = Standardized(name, parameters), []
    for start in range(0, len(x), 20):
        rows = slice(start, start + 20)
        if start:
            right.append(model.predict(x[rows]) == y[rows])
        model.partial_fit(x[rows], y[rows], classes=np.unique(y))
    return float(np.mean(right))


def test_it_learns_what_is_linear_and_what_is_not() -> None:
    random = np.random.RandomState(3)
    x = random.normal(size=(1500, 60))
    linear = x, (x @ random.normal(size=60) > 0).astype(int)
    curved = make_circles(600, noise=0.1, factor=0.5, random_state=1)
    ours = ("PartlyLinearSoftmax", {})
    assert count_right(*ours, *linear) > count_right("SGDClassifier", SGD, *linear) - 0.02
    assert count_right(*ours, *linear) > count_right("RandomFeatureSoftmax", {"width": 7.7}, *linear) + 0.05
    assert count_right(*ours, *curved) > 0.9 > 0.6 > count_right("SGDClassifier", SGD, *curved)


def test_digits_model_is_what_it_was() -> None:
    """The features of the base class are those it had before it was shared: as many as `units`."""
    assert RandomFeatureSoftmax(units=7).partial_fit([[0.0], [1.0]], [0, 1]).coef_.shape == (2, 7)
    assert PartlyLinearSoftmax(units=7).partial_fit([[0.0], [1.0]], [0, 1]).coef_.shape == (2, 9)


def make_wave(rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(4)
    x = random.normal(size=(rows, 3))
    return x, x[:, 0] + np.sin(2 * x[:, 1]) + 0.1 * random.normal(size=rows)


@pytest.mark.parametrize("cut", [1, 70, 400])
def test_without_drift_the_least_squares_are_the_ridge_solution_however_rows_are_cut(cut: int) -> None:
    x, y = make_wave()
    model = PartlyLinearLeastSquares(units=30, width=1.2, feature_scale=2.0, ridge=5.0, drift=0.0, seed=3)
    for start in range(0, len(x), cut):
        model.partial_fit(x[start : start + cut], y[start : start + cut])
    drawn = draw_features(x, 30, 1.2 * 3**0.5, 3)
    features = np.concatenate([x, np.ones((len(x), 1)), 2.0 * drawn], axis=1)
    closed = np.linalg.solve(features.T @ features + 5.0 * np.eye(34), features.T @ y)
    np.testing.assert_allclose(model.coef_, closed, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.predict(x[:5]), features[:5] @ closed, rtol=1e-6)


def test_what_drifts_is_followed_as_a_kalman_filter_would() -> None:
    x, y = make_wave(200)
    model = PartlyLinearLeastSquares(units=10, ridge=4.0, drift=0.01)
    weights, p = np.zeros(14), np.eye(14) / 4.0
    walk = np.diag([0.01] * 4 + [0.0] * 10)
    for number, (row, target) in enumerate(zip(x, y, strict=True)):
        model.partial_fit(row[None], [target])
        z = np.concatenate([row, [1.0], 3.0 * draw_features(row[None], 10, 0.7 * 3**0.5, 0)[0]])
        gain = p @ z / (1 + z @ p @ z)
        weights, p = weights + gain * (target - z @ weights), p - np.outer(gain, z @ p) + walk
        # The first rows leave some variances near that of the ridge, which is the most that there may be.
        p[range(14), range(14)] = np.minimum(p.diagonal(), 1 / 4.0)
        np.testing.assert_allclose(model.coef_, weights, rtol=1e-6, atol=1e-9, err_msg=str(number))


def test_an_input_that_stays_away_is_not_learned_wildly() -> None:
    """Its variance grows up to that of the first row, and no further."""
    random = np.random.RandomState(5)
    x = np.where([True, False], random.normal(size=(3000, 2)), 0.0)
    model = PartlyLinearLeastSquares(units=5, drift=0.01).partial_fit(x, x[:, 0])
    assert model.covariance_.diagonal().max() == 1 / 10.0
    assert np.linalg.eigvalsh(model.covariance_).min() > 0


def measure_error(model: Standardized, x: np.ndarray, y: np.ndarray) -> float:
    """Return the RMSE, each twenty rows predicted before they are learned, by the deviation of `y`."""
    errors = []
    for start in range(0, len(x), 20):
        rows = slice(start, start + 20)
        if start:
            errors.append(model.predict(x[rows]) - y[rows])
        model.partial_fit(x[rows], y[rows])
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)) / np.std(y))


def test_the_least_squares_learn_what_is_curved_and_follow_what_turns() -> None:
    x, y = make_wave(1000)
    random = np.random.RandomState(6)
    angle = np.linspace(0, 2 * np.pi, 1000)
    turning = x[:, 0] * np.cos(angle) + x[:, 1] * np.sin(angle) + 0.1 * random.normal(size=1000)
    for targets in (y, turning):
        ours = measure_error(Standardized("PartlyLinearLeastSquares"), x, targets)
        exact = measure_error(Standardized("RecursiveLeastSquares"), x, targets)
        assert ours < 0.7 * exact
