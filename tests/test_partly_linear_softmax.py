"""Softmax regression on inputs and random features: scikit-learn's contract, its formulas, what it is for."""

import numpy as np
import pytest
from plain_softmax import PlainSoftmax
from sklearn.datasets import make_circles
from sklearn.utils.estimator_checks import parametrize_with_checks

from streamlearn.estimators import PartlyLinearSoftmax, RandomFeatureSoftmax, Standardized

PARAMETERS = {"units": 40, "width": 1.3, "step": 0.5, "decay": 1e-3, "temperature_step": 0.03, "seed": 5}


@parametrize_with_checks([PartlyLinearSoftmax(units=50)])
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
