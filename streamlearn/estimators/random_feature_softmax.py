"""Softmax regression on random features: classes and probabilities, learned row by row at a constant step.

The features are random Fourier features (A. Rahimi, B. Recht, "Random features for large-scale kernel
machines", NIPS 2007), so the model is that of a Gaussian kernel: what is learned of a row hardly changes what
is said of rows that look different. With z the features of a row, of a length of about 1, y its class,
s = W z the scores and p their softmax, each row does

    W ← (1 − η λ) (W + η (e_y − p) zᵀ)

The step η does not shrink, so the newest rows count as much as the first ones did; the decay λ bounds the
scores, so that a mistake can be corrected however long it has been learned.

The probabilities are softmax(β s). β is the inverse of a temperature (C. Guo et al., "On calibration of
modern neural networks", ICML 2017). Each row moves log β down the gradient of the row's own loss, as the
model was before it learned the row, so β is learned from rows that are new to the model.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.blas import dger
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

Floats = NDArray[np.float64]

_BLOCK_ROWS = 256
"""Most rows whose features are made at once; their decays, multiplied up, stay far from underflow."""

_MAX_CHANGE = 0.1
"""The most that one row changes log β by, in units of a step of 1."""


class RandomFeatureSoftmax(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that goes on learning, with probabilities that hold.

    Parameters
    ----------
    units
        How many random features are drawn.
    width
        Rows that differ by much less than this, in the unit of the inputs, look alike.
    step
        η: how far a row moves the scores of rows that look like it; where its class had the probability p, it
        moves the score of that class by η (1 − p).
    decay
        λ: the share of what is known that each row takes away, for a step of 1; less than 1 / `step`.
    temperature_step
        How fast the temperature follows; 0 keeps it at 1.
    seed
        Seed of the draw, 0 to 2³² − 1.

    Attributes
    ----------
    classes_ : (n_classes,)
    coef_ : (n_classes, units)
    sharpness_ : float
        β, the inverse of the temperature.

    >>> x = np.array([[0.0], [1.0], [0.1], [0.9]] * 20)
    >>> model = RandomFeatureSoftmax(units=50).partial_fit(x, ["no", "yes"] * 40)
    >>> model.predict([[0.05], [0.95]]).tolist()
    ['no', 'yes']
    """

    n_features_in_: int
    classes_: NDArray[Any]
    coef_: Floats
    sharpness_: float

    def __init__(
        self,
        units: int = 256,
        width: float = 1.0,
        step: float = 1.0,
        decay: float = 1e-4,
        temperature_step: float = 0.03,
        seed: int = 0,
    ) -> None:
        self.units = units
        self.width = width
        self.step = step
        self.decay = decay
        self.temperature_step = temperature_step
        self.seed = seed

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803 (scikit-learn's name)
        """Forget everything and learn the rows, shape (n, n_features), once, in order."""
        if hasattr(self, "coef_"):
            del self.coef_
        return self.partial_fit(X, y)

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:  # noqa: N803
        """Learn the rows, shape (n, n_features), in order; `y` has shape (n,).

        `classes` are all there are; without them, at the first call, those in `y`.

        Raises
        ------
        ValueError
            A label is none of the classes, or the parameters let nothing be kept.
        """
        first = not hasattr(self, "coef_")
        x, labels = validate_data(self, X, y, reset=first, dtype=np.float64, order="C")
        labels = column_or_1d(labels)
        check_classification_targets(labels)
        if first:
            if not 0 <= self.step * self.decay < 1:
                raise ValueError(f"step × decay is {self.step * self.decay}, not at least 0 and less than 1")
            self.classes_ = np.unique(labels if classes is None else np.asarray(classes))
            self.coef_ = np.zeros((len(self.classes_), self._expand(x[:1]).shape[1]))
            self.sharpness_ = 1.0
        places = self._place(labels)
        for start in range(0, len(x), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            self._learn(self._expand(x[block]), places[block].tolist())
        return self

    def _place(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """Return the places of labels among the classes.

        Raises
        ------
        ValueError
            One is none of them.
        """
        places: NDArray[np.intp] = np.searchsorted(self.classes_, labels)
        known = self.classes_.take(places, mode="clip") == labels
        if not known.all():
            raise ValueError(
                f"the label {labels[~known].tolist()[0]!r} is none of the classes {self.classes_}"
            )
        return places

    def expand(self, x: NDArray[Any]) -> Floats | None:
        """Return the features of rows, which `predict` and `partial_fit` both begin with, to make them once.

        None where the two would not have the very same: for rows other than those that have been learned, or
        for more than are learned at once. The rows must be finite.
        """
        is_plain = x.ndim == 2 and x.dtype == np.float64 and x.flags.c_contiguous
        if not is_plain or not 0 < len(x) <= _BLOCK_ROWS or x.shape[1] != self.n_features_in_:
            return None
        return self._expand(x)

    def predict_expanded(self, features: Floats) -> NDArray[Any]:
        """Predict rows by what `expand` has returned for them: what `predict` says."""
        labels: NDArray[Any] = self.classes_.take(self._estimate(features).argmax(axis=1))
        return labels

    def partial_fit_expanded(self, features: Floats, y: NDArray[Any]) -> Self:
        """Learn rows by what `expand` has returned for them, which is used up, as `partial_fit` does."""
        self._learn(features, self._place(y).tolist())
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Predict the rows' classes, shape (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_.take(best)
        return labels

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return the probabilities of the classes, shape (n, n_classes), in the order of `classes_`."""
        check_is_fitted(self, "coef_")
        return self.estimate(validate_data(self, X, reset=False, dtype=np.float64, order="C"))

    def estimate(self, x: Floats) -> Floats:
        """Return the probabilities of rows of shape (n, n_features) and dtype float64; nothing is checked."""
        return self._estimate(self._expand(x))

    def _estimate(self, features: Floats) -> Floats:
        """Return the probabilities of rows of features."""
        scores = features @ self.coef_.T
        scores *= self.sharpness_
        scores -= scores.max(axis=1, keepdims=True)
        probabilities: Floats = np.exp(scores, out=scores)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return probabilities

    def _learn(self, features: Floats, labels: Sequence[int]) -> None:
        """Learn rows of features, shape (n, units), by the places of their classes.

        W is kept divided by the decays so far: then a row changes it by one outer product, in place. Ten
        scores are quicker as plain floats than as an array.
        """
        kept = 1 - self.step * self.decay
        decays = kept ** np.arange(len(features))
        features *= decays[:, None]
        steps = (self.step / (decays * decays)).tolist()
        transposed, sharpness, exp = self.coef_.T, self.sharpness_, math.exp
        for row, label, step in zip(features, labels, steps, strict=True):
            scores = self.coef_.dot(row).tolist()
            highest = max(scores)
            scores = [score - highest for score in scores]
            weights = [exp(sharpness * score) for score in scores]
            mean = sum([w * score for w, score in zip(weights, scores, strict=True)]) / sum(weights)
            gradient = sharpness * (mean - scores[label])
            change = max(-_MAX_CHANGE, min(_MAX_CHANGE, self.temperature_step * gradient))
            sharpness *= exp(-change)
            errors = [exp(score) for score in scores]
            share = -step / sum(errors)
            errors = [error * share for error in errors]
            errors[label] += step
            dger(1.0, row, errors, a=transposed, overwrite_a=1)
        self.coef_ *= kept ** len(features)
        self.sharpness_ = sharpness

    def _expand(self, x: Floats) -> Floats:
        """Return the features of rows of shape (n, n_features), shape (n, units)."""
        return draw_features(x, self.units, self.width, self.seed)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # each row is learned once
        return tags


def draw_features(x: Floats, units: int, width: float, seed: int) -> Floats:
    """Return random Fourier features of rows of shape (n, n_features), shape (n, units)."""
    frequencies, phases = _draw(x.shape[1], units, width, seed)
    # A cosine of single precision takes a fortieth of the time. A row that is too large becomes NaN, and
    # the learner sets its record aside.
    with np.errstate(over="ignore", invalid="ignore"):
        angles = (x @ frequencies + phases).astype(np.float32)
        features: Floats = np.cos(angles, out=angles).astype(np.float64)
    features *= math.sqrt(2 / units)
    return features


@lru_cache(maxsize=16)
def _draw(inputs: int, units: int, width: float, seed: int) -> tuple[Floats, Floats]:
    """Return frequencies, shape (inputs, units), and phases, shape (units,).

    They stand in no snapshot, where they would be most of it. So they come from the generator whose numbers
    numpy promises never to change: `RandomState`.
    """
    random = np.random.RandomState(seed)
    return random.standard_normal((inputs, units)) / width, random.uniform(0, 2 * math.pi, units)
