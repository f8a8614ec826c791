"""Softmax regression on random features: scikit-learn's contract, its formulas, and corrections."""

from copy import deepcopy

import numpy as np
import pytest
from plain_softmax import PlainSoftmax
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import parametrize_with_checks

from streamlearn.estimators import RandomFeatureSoftmax
from streamlearn.learning.classification import classify
from streamlearn.learning.learner import has_finite_numbers

X, Y = load_digits(return_X_y=True)
X = np.ascontiguousarray(X)
CLASSES = np.arange(10)
PARAMETERS = {"units": 100, "width": 28.0, "step": 1.5, "decay": 1e-3, "temperature_step": 0.03, "seed": 5}


@parametrize_with_checks([RandomFeatureSoftmax(units=50)])
@pytest.mark.filterwarnings("ignore")
def test_it_keeps_scikit_learns_contract(estimator, check) -> None:  # type: ignore[no-untyped-def]
    check(estimator)


def learn(rows: int, cut: int = 256, **parameters: float) -> RandomFeatureSoftmax:
    model = RandomFeatureSoftmax(**PARAMETERS | parameters)  # type: ignore[arg-type]
    for start in range(0, rows, cut):
        chunk = slice(start, min(rows, start + cut))
        model.partial_fit(X[chunk], Y[chunk], classes=CLASSES)
    return model


@pytest.mark.parametrize("cut", [1, 60, 600])
def test_it_does_what_its_formulas_say_however_rows_are_cut(cut: int) -> None:
    plain = PlainSoftmax(inputs=64, classes=10, **PARAMETERS)  # type: ignore[arg-type]
    plain.learn(X[:600], Y[:600].tolist())
    model = learn(600, cut)
    np.testing.assert_allclose(model.coef_, plain.weights, rtol=1e-9, atol=1e-12)
    assert model.sharpness_ == pytest.approx(plain.beta, rel=1e-9)
    np.testing.assert_allclose(model.predict_proba(X[600:]), plain.probabilities(X[600:]), rtol=1e-6)
    assert model.predict(X[600:]).tolist() == plain.predict(X[600:])


def test_labels_and_probabilities_from_one_pass_are_those_of_its_own_methods() -> None:
    model = learn(600)
    labels, probabilities = classify(model, X[600:])
    np.testing.assert_array_equal(labels, model.predict(X[600:]))
    np.testing.assert_array_equal(probabilities, model.predict_proba(X[600:]))


@pytest.mark.parametrize("rows", [1, 3, 100, 256])
def test_features_that_are_made_once_predict_and_teach_to_the_last_bit_the_same(rows: int) -> None:
    once, twice = learn(600), learn(600)
    x, y = X[600 : 600 + rows], Y[600 : 600 + rows]
    features = once.expand(x)
    assert features is not None
    assert once.predict_expanded(features).tolist() == twice.predict(x).tolist()
    once.partial_fit_expanded(features, y)
    twice.partial_fit(x, y)
    assert once.coef_.tobytes() == twice.coef_.tobytes()
    assert once.sharpness_ == twice.sharpness_


@pytest.mark.parametrize(
    "x", [X[:257], X[:0], X[:5, :63], X[0], X[:5].astype(np.float32), np.asfortranarray(X[:5])]
)
def test_features_are_made_once_only_where_both_steps_have_the_same(x: np.ndarray) -> None:
    assert learn(600).expand(x) is None


@pytest.mark.parametrize("passes", [1, 10])
def test_three_corrections_turn_an_answer_however_long_has_been_learned(passes: int) -> None:
    model = RandomFeatureSoftmax(**PARAMETERS)  # type: ignore[arg-type]
    for _ in range(passes):
        model.partial_fit(X[:1500], Y[:1500], classes=CLASSES)
    upside_down = X[1500:, ::-1]
    said = model.predict(upside_down)
    for row in range(5):
        corrected, other = deepcopy(model), (said[row] + 5) % 10
        tries = 0
        while corrected.predict(upside_down[row : row + 1]) != other:
            corrected.partial_fit(upside_down[row : row + 1], [other])
            tries += 1
        assert tries <= 3
        assert (corrected.predict(X[1500:]) == model.predict(X[1500:])).mean() > 0.95


def test_the_temperature_makes_probabilities_hold_on_rows_that_are_new() -> None:
    """Of what is said with 80 %, four in five are right; without a temperature the model says too little."""
    gaps = {}
    for temperature_step in (0.0, 0.03):
        probabilities = learn(900, temperature_step=temperature_step).predict_proba(X[900:])
        right = probabilities.argmax(axis=1) == Y[900:]
        gaps[temperature_step] = abs(probabilities.max(axis=1).mean() - right.mean())
    assert gaps[0.03] < 0.05 < gaps[0.0]


def test_a_row_that_is_too_large_is_noticed_by_its_numbers_and_no_error() -> None:
    model = learn(100)
    model.partial_fit(np.full((1, 64), 1e308), [3])
    assert not has_finite_numbers(model)


def test_what_it_cannot_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="the label 12 is none of the classes"):
        learn(100).partial_fit(X[:1], [12])
    with pytest.raises(ValueError, match=r"step × decay is 1\.5"):
        learn(1, decay=1.0)
