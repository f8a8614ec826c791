"""The base class of estimators that classify or regress, as what is inside them does."""

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

Floats = NDArray[np.float64]


class EitherTask(BaseEstimator):  # type: ignore[misc]
    """A classifier or regressor that learns a stream of rows, in which NaN stands for what is missing."""

    learned: ClassVar[str]
    """The name of the attribute that is there once something has been learned."""

    @abstractmethod
    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:  # noqa: N803
        """Learn the rows, shape (n, n_features); `y` has shape (n,), `classes` are all there are."""

    @abstractmethod
    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Predict the rows, shape (n,)."""

    @abstractmethod
    def _is_classifier(self) -> bool:
        """Whether it tells classes apart."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803 (scikit-learn's name)
        """Forget everything and learn the rows, shape (n, n_features), once, in order."""
        if hasattr(self, self.learned):
            delattr(self, self.learned)
        classes = np.unique(np.asarray(y)) if y is not None and self._is_classifier() else None
        return self.partial_fit(X, y, classes)

    def score(self, X: ArrayLike, y: ArrayLike) -> float:  # noqa: N803
        """Return the accuracy of a classification, or the R² of a regression."""
        return float((accuracy_score if self._is_classifier() else r2_score)(y, self.predict(X)))

    def _check_labelled(self, rows: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[Any]]:
        """Return rows and labels as arrays; the first that are learned tell how many features there are."""
        x, targets = validate_data(
            self,
            rows,
            labels,
            reset=not hasattr(self, self.learned),
            dtype=np.float64,
            order="C",
            ensure_all_finite="allow-nan",
            y_numeric=not self._is_classifier(),
        )
        return x, column_or_1d(targets)

    def _check_rows(self, rows: ArrayLike) -> Floats:
        """Return rows that are to be predicted as an array."""
        check_is_fitted(self, self.learned)
        x: Floats = validate_data(
            self, rows, reset=False, dtype=np.float64, order="C", ensure_all_finite="allow-nan"
        )
        return x
