"""Labels and probabilities from one pass are those of the estimator's own methods, bit for bit."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import Perceptron, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier

from streamlearn.learning.classification import classify

X, Y = load_digits(return_X_y=True)

LABELS = {
    "ten": Y,
    "two": Y % 2,
    "texts": np.array([f"digit {y}" for y in Y]),
    "two texts": np.where(Y > 4, "large", "small"),
    "booleans": Y > 4,
    "large numbers": Y * 10**12,
}


class Contrary(SGDClassifier):
    """Predicts its first class, whatever its scores say."""

    def predict(self, X: Any) -> Any:  # noqa: N803
        return self.classes_[:1].repeat(len(X))


ESTIMATORS = [
    SGDClassifier(loss="log_loss", penalty="l1", alpha=0.01, shuffle=False),
    SGDClassifier(loss="log_loss", average=True, random_state=1),
    SGDClassifier(loss="log_loss", fit_intercept=False, random_state=1),
    SGDClassifier(loss="modified_huber", random_state=1),
    SGDClassifier(loss="hinge", random_state=1),
    Contrary(loss="log_loss", random_state=1),
    Perceptron(random_state=1),
    GaussianNB(),
    MultinomialNB(),
    BernoulliNB(),
    MLPClassifier(hidden_layer_sizes=(8,), random_state=1),
]


def learn(estimator: Any, labels: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.partial_fit(X[:300], labels[:300], classes=np.unique(labels))


def assert_same(model: Any, x: Any) -> None:
    labels, probabilities = classify(model, x)
    expected = np.asarray(model.predict(x))
    assert (labels.dtype, labels.tobytes()) == (expected.dtype, expected.tobytes())
    assert (probabilities is not None) == hasattr(model, "predict_proba")
    if probabilities is not None:
        own = np.asarray(model.predict_proba(x))
        assert (probabilities.shape, probabilities.tobytes()) == (own.shape, own.tobytes())


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_every_estimator_says_what_it_says_itself(estimator: Any, labels: Any) -> None:
    model = learn(type(estimator)(**estimator.get_params()), labels)
    for rows in (1, 2, 16, 256):
        assert_same(model, X[-rows:])


@pytest.mark.parametrize(
    "x",
    [
        np.asfortranarray(X[:7]),
        X[:21:3],
        X[:7, ::-1],
        X[:7].astype(np.float32),
        X[:7].astype(int),
        X[:7].tolist(),
        X[:7] * 1e300,
        X[:7] * -1e300,
        np.zeros((3, 64)),
    ],
    ids=[
        "by columns",
        "every third",
        "backwards",
        "FP32",
        "integers",
        "lists",
        "huge",
        "huge, negative",
        "zero",
    ],
)
@pytest.mark.parametrize("labels", ["ten", "two"])
def test_rows_of_every_kind_are_answered_alike(x: Any, labels: str) -> None:
    assert_same(learn(SGDClassifier(loss="log_loss", random_state=1), LABELS[labels]), x)


def test_scores_that_cannot_be_told_apart_as_probabilities_are() -> None:
    """Beyond 40, every probability is 1 before they are divided; the label still goes by the scores."""
    model = learn(SGDClassifier(loss="log_loss", random_state=1), Y)
    model.coef_ = np.zeros_like(model.coef_)
    for intercept in (np.arange(50.0, 60.0), np.full(10, -1000.0), np.arange(-1000.0, -990.0)):
        model.intercept_ = intercept
        assert_same(model, X[:3])
    labels, probabilities = classify(model, X[:1])
    assert (labels.tolist(), probabilities is not None and probabilities.tolist()) == ([9], [[0.1] * 10])


@pytest.mark.parametrize("x", [X[:2, :63], X[0], np.zeros((0, 64))], ids=["too narrow", "one row", "none"])
def test_what_scikit_learn_refuses_is_refused_in_its_words(x: Any) -> None:
    model = learn(SGDClassifier(loss="log_loss", random_state=1), Y)
    with pytest.raises(ValueError) as own:  # noqa: PT011 (whatever it says)
        model.predict(x)
    with pytest.raises(ValueError) as ours:  # noqa: PT011
        classify(model, x)
    assert str(ours.value) == str(own.value)
