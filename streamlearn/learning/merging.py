"""One model out of those that several learners have made of the parts of a stream.

sums       least squares without forgetting: exactly the model that one learner had made of all of it
average    linear models: the mean of the parameters, weighted by how many records each has been scored on
           (R. McDonald et al., "Distributed training strategies for the structured perceptron", 2010)
committee  all others: the mean of what they say, or what most of them say
key        no merging: a record is answered by the learner of the partition of its key (`by_key.py`)

What each costs in accuracy is in `docs/scaling.md`.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlearn.estimators.least_squares import RecursiveLeastSquares

Merging = Literal["auto", "average", "committee", "best", "key"]

_PARAMETERS = ("coef_", "intercept_")


class Committee:
    """Predicts what its members say in the mean; of labels, what most say, of several the first in order.

    Parameters
    ----------
    members
        Trained models with the same classes, if any.
    weights
        How much the word of each counts in a mean.
    """

    def __init__(self, members: Sequence[Any], weights: ArrayLike) -> None:
        self.members = list(members)
        self.weights = np.asarray(weights, dtype=np.float64)
        if hasattr(members[0], "classes_"):
            self.classes_ = members[0].classes_

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803 (scikit-learn's name)
        """Predict the rows, shape (n_rows,)."""
        predictions = np.stack([np.asarray(member.predict(X)) for member in self.members])
        if not hasattr(self, "classes_"):
            return np.asarray(np.average(predictions, axis=0, weights=self.weights))
        votes = [(predictions == label).sum(axis=0) for label in self.classes_]
        winners: NDArray[Any] = self.classes_[np.argmax(votes, axis=0)]
        return winners


class LikelyCommittee(Committee):
    """A committee whose members have probabilities: it predicts the class that is most likely in the mean."""

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Return the mean of the members' probabilities, shape (n_rows, n_classes)."""
        probabilities = [member.predict_proba(X) for member in self.members]
        return np.asarray(np.average(probabilities, axis=0, weights=self.weights))

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Predict the rows, shape (n_rows,)."""
        winners: NDArray[Any] = self.classes_[np.argmax(self.predict_proba(X), axis=1)]
        return winners


def merge_models(models: Sequence[Any], weights: Sequence[float], merging: Merging = "auto") -> Any:
    """Return one model out of trained ones, none of which is changed.

    Parameters
    ----------
    weights
        How many records each has been scored on; all count alike where there are none.
    merging
        `auto`: exact sums or an average where these can be had, else a committee; `best`: the one that has
        been scored on most. `average` of what is not linear is a committee, too.

    >>> x = np.arange(12.0).reshape(6, 2) ** 2
    >>> parts = [RecursiveLeastSquares().partial_fit(x[rows], x[rows, 0]) for rows in ([0, 2, 5], [1, 3, 4])]
    >>> whole = RecursiveLeastSquares().partial_fit(x, x[:, 0])
    >>> np.allclose(merge_models(parts, [3, 3]).coef_, whole.coef_)
    True
    """
    if len(models) == 1:
        return models[0]
    counts = np.asarray(weights, dtype=np.float64)
    if merging == "best":
        return models[int(counts.argmax())]
    if not counts.any():
        counts = np.ones(len(models))
    if merging == "auto" and all(_is_exact(model) for model in models):
        return RecursiveLeastSquares.sum(models)
    if merging != "committee" and _are_linear(models):
        return _average(models, counts)
    with_probabilities = all(hasattr(model, "predict_proba") for model in models)
    return (LikelyCommittee if with_probabilities else Committee)(models, counts)


def _is_exact(model: Any) -> bool:
    return type(model) is RecursiveLeastSquares and model.forgetting == 1


def _are_linear(models: Sequence[Any]) -> bool:
    """Return whether all are their coefficients, of the same shape and for the same classes."""
    first = models[0]
    return all(
        type(model) is type(first)
        and all(isinstance(getattr(model, name, None), np.ndarray) for name in _PARAMETERS)
        and all(getattr(model, name).shape == getattr(first, name).shape for name in _PARAMETERS)
        and np.array_equal(getattr(model, "classes_", ()), getattr(first, "classes_", ()))
        for model in models
    )


def _average(models: Sequence[Any], weights: NDArray[np.float64]) -> Any:
    merged = copy(models[0])
    for name in _PARAMETERS:
        stacked = np.stack([getattr(model, name) for model in models])
        setattr(merged, name, np.average(stacked, axis=0, weights=weights))
    return merged
