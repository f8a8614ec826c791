"""An estimator whose inputs are standardised by what it has learned so far, so that gradient descent behaves.

Mean and variance of each feature are learned with the model: a chunk's own are merged into those before it
(T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances", 1979), row after row in the order in which they came.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.linear_model import Perceptron, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.metaestimators import available_if

from streamlearn.estimators.either_task import EitherTask
from streamlearn.estimators.least_squares import RecursiveLeastSquares
from streamlearn.estimators.partly_linear import PartlyLinearLeastSquares, PartlyLinearSoftmax
from streamlearn.estimators.random_feature_mixture import RandomFeatureMixture
from streamlearn.estimators.random_feature_softmax import RandomFeatureSoftmax
from streamlearn.estimators.river_model import River
from streamlearn.estimators.shared_least_squares import SharedLeastSquares

Floats = NDArray[np.float64]

INNER: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        GaussianNB,
        PartlyLinearLeastSquares,
        PartlyLinearSoftmax,
        Perceptron,
        RandomFeatureMixture,
        RandomFeatureSoftmax,
        RecursiveLeastSquares,
        River,
        SGDClassifier,
        SGDRegressor,
        SharedLeastSquares,
    )
}
"""The estimators that may stand inside, by name: all learn from a stream and are stored without pickle."""


class Standardized(EitherTask):
    """An estimator of scikit-learn, or of streamlearn, that sees each feature with mean 0 and variance 1.

    The mean and variance are those of the rows learned so far; a prediction changes nothing of them. NaN is a
    missing value: it is left out of mean and variance, and stands at the mean, 0. For a regression the
    targets are standardised in the same way, and predictions are in the targets' own unit.

    Parameters
    ----------
    estimator
        The name of the estimator inside: a key of `INNER`.
    parameters
        What that is made with, by name; None: nothing.
    clip
        The most standard deviations that a feature may be from its mean; one that is farther is put there, so
        that what is rare at first cannot throw the model.

    Attributes
    ----------
    estimator_
        The estimator inside.
    count_, mean_, squares_ : (n_features,)
        How many values of each feature were learned, their mean, and the sum of their squared distances from
        it.
    target_ : (3, 1)
        The same three of the targets, for a regression.

    >>> x = np.array([[1000.0, 0.001], [3000.0, 0.003], [2000.0, np.nan]] * 300)
    >>> model = Standardized("SGDRegressor", {"random_state": 0}).partial_fit(x, x[:, 0])
    >>> bool(abs(model.predict([[1500.0, 0.0015]])[0] - 1500) < 100)
    True
    """

    learned = "estimator_"
    n_features_in_: int
    estimator_: Any
    count_: Floats
    mean_: Floats
    squares_: Floats
    target_: Floats

    def __init__(
        self,
        estimator: str = "SGDRegressor",
        parameters: Mapping[str, Any] | None = None,
        clip: float = 5.0,
    ) -> None:
        self.estimator = estimator
        self.parameters = parameters
        self.clip = clip

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:  # noqa: N803
        """Take the rows, shape (n, n_features), into mean and variance, then learn them; `y` has shape (n,).

        `classes` are all classes of a classification.
        """
        x, targets = self._check_labelled(X, y)
        if not hasattr(self, "estimator_"):
            self.estimator_ = self._make_inner()
            self.count_, self.mean_, self.squares_ = np.zeros((3, x.shape[1]))
            self.target_ = np.zeros((3, 1))
        self.count_, self.mean_, self.squares_ = _merge((self.count_, self.mean_, self.squares_), x)
        if self._is_classifier():
            self.estimator_.partial_fit(self._standardize(x), targets, classes=classes)
            return self
        numbers = targets.astype(np.float64)
        count, mean, squares = self.target_
        self.target_ = np.stack(_merge((count, mean, squares), numbers[:, None]))
        mean, scale = self._scale_target()
        self.estimator_.partial_fit(self._standardize(x), (numbers - mean) / scale)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Predict the rows, shape (n,)."""
        x = self._standardize(self._check_rows(X))
        predicted: NDArray[Any] = self.estimator_.predict(x)
        if self._is_classifier():
            return predicted
        mean, scale = self._scale_target()
        return predicted * scale + mean

    @available_if(lambda self: hasattr(self._make_inner(), "predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return the probabilities of the classes, shape (n, n_classes), in the order of `classes_`."""
        x = self._standardize(self._check_rows(X))
        probabilities: Floats = self.estimator_.predict_proba(x)
        return probabilities

    @available_if(lambda self: hasattr(self._make_inner(), "decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return the confidences of the classes, as the estimator inside does."""
        x = self._standardize(self._check_rows(X))
        confidences: Floats = self.estimator_.decision_function(x)
        return confidences

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes, as the estimator inside orders them."""
        classes: NDArray[Any] = self.estimator_.classes_
        return classes

    def _is_classifier(self) -> bool:
        return bool(is_classifier(self))

    def _standardize(self, x: Floats) -> Floats:
        scale = _scales(self.count_, self.mean_, self.squares_)
        # What is too large for a mean gives no number here; such a record is set aside by the learner.
        with np.errstate(over="ignore", invalid="ignore"):
            standard = np.clip((x - self.mean_) / scale, -self.clip, self.clip)
        return np.where(np.isnan(x), 0.0, standard)

    def _scale_target(self) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the targets, each (1,)."""
        count, mean, squares = self.target_
        return mean, _scales(count, mean, squares)

    def _make_inner(self) -> Any:
        if self.estimator not in INNER:
            raise ValueError(f"{self.estimator!r} is none of the estimators {', '.join(INNER)}")
        return INNER[self.estimator](**(self.parameters or {}))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = self._make_inner().__sklearn_tags__()
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        for own in (tags.classifier_tags, tags.regressor_tags):
            if own is not None:
                own.poor_score = True  # each row is learned once
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        return tags


def _merge(before: tuple[Floats, Floats, Floats], x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return count, mean and sum of squared distances, each (n_features,), with the rows of `x` added."""
    known = ~np.isnan(x)
    count = known.sum(axis=0).astype(np.float64)
    total = before[0] + count
    share = count / np.maximum(total, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.where(known, x, 0.0).sum(axis=0) / np.maximum(count, 1)
        distances = np.where(known, x - mean, 0.0)
        squares = (distances * distances).sum(axis=0)
        delta = mean - before[1]
        return total, before[1] + delta * share, before[2] + squares + delta * delta * before[0] * share


def _scales(count: Floats, mean: Floats, squares: Floats) -> Floats:
    """Return each feature's standard deviation; 1 where it has not varied by more than rounding."""
    variance = squares / np.maximum(count, 1)
    epsilon = np.finfo(np.float64).eps
    with np.errstate(over="ignore"):
        varies = variance > count * epsilon * variance + (count * mean * epsilon) ** 2
    return np.where(varies, np.sqrt(variance), 1.0)
