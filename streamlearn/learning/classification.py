"""Labels and probabilities of a classifier from one pass over the rows, bit for bit what its own methods say.

scikit-learn's `predict` and `predict_proba` each check their input and compute the same scores anew: 300 µs
for one row, of which the scores are 2. For the logistic `SGDClassifier` both are computed from the scores
here, by the same operations in the same order; `RandomFeatureSoftmax` does it itself. A derived class may
predict otherwise, so its own methods are called.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import SGDClassifier

from streamlearn.estimators.random_feature_softmax import RandomFeatureSoftmax

Array = NDArray[Any]


def classify(model: Any, x: Array) -> tuple[Array, Array | None]:
    """Return the labels that a classifier predicts, and the probabilities of `model.classes_` if it has them.

    Parameters
    ----------
    model
        A trained classifier.
    x
        The rows, shape (n_rows, n_features); finite, unless the classifier takes missing values.
    """
    if _is_logistic(model) and _is_plain(x, model.n_features_in_):
        scores = x @ model.coef_.T + model.intercept_
        return _choose_labels(model, scores), _normalize_scores(scores)
    if type(model) is RandomFeatureSoftmax and _is_plain(x, model.n_features_in_):
        probabilities = model.estimate(x)
        return model.classes_.take(probabilities.argmax(axis=1)), probabilities
    labels = np.asarray(model.predict(x))
    has_probabilities = hasattr(model, "predict_proba")
    return labels, np.asarray(model.predict_proba(x)) if has_probabilities else None


def _is_logistic(model: Any) -> bool:
    return type(model) is SGDClassifier and model.loss == "log_loss" and isinstance(model.coef_, np.ndarray)


def _is_plain(x: Array, columns: int) -> bool:
    """Return whether scikit-learn would take rows as they are."""
    return (
        type(x) is np.ndarray
        and x.dtype == np.float64
        and x.ndim == 2
        and x.shape[1] == columns
        and len(x) > 0
    )


def _choose_labels(model: Any, scores: Array) -> Array:
    """`LinearClassifierMixin.predict`: of two classes, the second where its score is positive."""
    is_binary = scores.shape[1] == 1
    indices = (scores.ravel() > 0).astype(int) if is_binary else scores.argmax(axis=1)
    labels: Array = model.classes_.take(indices, axis=0)
    return labels


def _normalize_scores(scores: Array) -> Array:
    """`LinearClassifierMixin._predict_proba_lr`: each class against the rest, then divided by their sum."""
    probabilities: Array = expit(scores)
    if scores.shape[1] == 1:
        return np.stack([1 - probabilities.ravel(), probabilities.ravel()], axis=1)
    sums = probabilities.sum(axis=1)
    if not sums.all():
        probabilities[sums == 0, :] = 1
        sums[sums == 0] = scores.shape[1]
    probabilities /= sums.reshape(-1, 1)
    return probabilities
