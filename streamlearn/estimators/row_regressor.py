"""The base class of regressors that learn row by row: scikit-learn's methods, and quick ones for one row."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class RowRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor that learns row by row.

    A subclass says how to begin, how to learn one row and how to predict one. It gets scikit-learn's methods,
    which check their arguments; its own methods for one row check nothing, which is many times faster.
    """

    n_features_in_: int
    learned: tuple[str, ...]
    """The names of the attributes that hold all it has learned; `begin` sets them."""

    @abstractmethod
    def begin(self) -> None:
        """Set the attributes in `learned` as they are before the first row of `n_features_in_` numbers."""

    @abstractmethod
    def learn_one(self, x: NDArray[np.float64], target: float) -> None:
        """Learn one row of shape (n_features,), after `begin`; nothing is checked."""

    @abstractmethod
    def predict_one(self, x: NDArray[np.float64]) -> float:
        """Predict one row of shape (n_features,); nothing is checked."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803 (scikit-learn's name)
        """Forget everything and learn the rows, shape (n, n_features), once each, in order."""
        for name in self.learned:
            if hasattr(self, name):
                delattr(self, name)
        return self.partial_fit(X, y)

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803
        """Learn the rows, shape (n, n_features), in order; `y` has shape (n,)."""
        first = not hasattr(self, self.learned[0])
        x, targets = validate_data(self, X, y, reset=first, dtype=np.float64, y_numeric=True)
        if first:
            self.begin()
        for row, target in zip(x, np.asarray(targets, dtype=np.float64), strict=True):
            self.learn_one(row, target)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Predict the rows, (n,), each by itself, so that its neighbours do not change its last bits."""
        check_is_fitted(self, self.learned)
        x = validate_data(self, X, reset=False, dtype=np.float64)
        return np.array([self.predict_one(row) for row in x])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # each row is learned once, and not every one has an intercept
        return tags
