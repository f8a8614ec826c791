"""Least squares for several outputs of the same rows, with one covariance for all of them.

In recursive least squares (`least_squares.py`) neither the gain nor the covariance depends on the label. So
outputs that share their rows share both, and a label may come later than its row: the row is taken when it
comes, its gain is kept, and each output is learned when its label is known. With P the inverse of the ridged,
weighted sum of x xᵀ, a row of weight c does

    g = P x,   d = 1/c + xᵀ g,   k = g / d,   P ← P − g gᵀ / d

and its label y of an output, whenever it comes, w ← w + k (y − wᵀx). If every label comes, in the order of
the rows, that is exact least squares. A label that never comes counts as if it had been what was predicted.

P is symmetric, and only its upper triangle is kept, packed as BLAS packs it (`dspmv`, `dspr`): half the
memory, a quarter of the time, and no asymmetry that could grow. Rounding may still make it indefinite after
very many rows; once that shows, P begins again from the ridge, and the coefficients stay.
"""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import blas
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

Floats = NDArray[np.float64]


class SharedLeastSquares(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Linear regression of several outputs without an intercept, learned row by row.

    Parameters
    ----------
    ridge
        Weight of the penalty on the squares of the coefficients.

    Attributes
    ----------
    coef_ : (n_outputs, n_features)
    packed_ : (n_features (n_features + 1) / 2,)
        The upper triangle of P, column after column.
    is_flat_ : bool
        Whether labels, and predictions, are one number a row rather than an array.

    >>> x = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> model = SharedLeastSquares(ridge=1e-9).partial_fit(x, np.array([[1.0, 0.0], [3.0, 1.0], [5.0, 2.0]]))
    >>> model.predict([[1.0, 10.0]]).round(6).tolist()
    [[21.0, 10.0]]
    """

    n_features_in_: int
    coef_: Floats
    packed_: Floats
    is_flat_: bool

    def __init__(self, ridge: float = 1.0) -> None:
        self.ridge = ridge

    def begin(self, n_features: int, n_outputs: int) -> None:
        """Set the coefficients to zero, and P to the inverse of the ridge."""
        self.n_features_in_, self.is_flat_ = n_features, False
        self.coef_ = np.zeros((n_outputs, n_features))
        self.packed_ = self._prior()

    def take(self, x: Floats, weight: float = 1.0, out: Floats | None = None) -> Floats:
        """Take a row of shape (n_features,) into P; return its gain, to learn its labels with.

        A row that is not finite is left out: its gain is zero. `out`, if given, is where the gain is written.
        """
        gain: Floats = blas.dspmv(self.n_features_in_, 1.0, self.packed_, x)
        spread = float(x.dot(gain))
        scale = 1 / weight + spread
        if not math.isfinite(scale):
            gain, scale = np.zeros(self.n_features_in_), 1.0
        else:
            packed = blas.dspr(self.n_features_in_, -1 / scale, gain, self.packed_, overwrite_ap=1)
            diagonal = packed.take(_diagonal(self.n_features_in_))
            is_positive = spread >= 0 and diagonal.item(diagonal.argmin()) > 0
            self.packed_ = packed if is_positive else self._prior()
        return np.divide(gain, scale, out=out)

    def recall_gain(self, x: Floats, weight: float = 1.0) -> Floats:
        """Return the gain of a row that P holds already, as if it had been the last one to be taken."""
        gain: Floats = weight * blas.dspmv(self.n_features_in_, 1.0, self.packed_, x)
        return gain

    def learn_label(self, output: int, x: Floats, gain: Floats, target: float) -> None:
        """Learn the label of one output of a row that has been taken."""
        coefficients = self.coef_[output]
        coefficients += gain * (target - float(x @ coefficients))

    def predict_one(self, x: Floats) -> Floats:
        """Return every output of a row of shape (n_features,); nothing is checked."""
        predicted: Floats = self.coef_ @ x
        return predicted

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803 (scikit-learn's name)
        """Forget everything and learn the rows, shape (n, n_features), once each, in order."""
        if hasattr(self, "coef_"):
            del self.coef_
        return self.partial_fit(X, y)

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803
        """Learn the rows, shape (n, n_features), in order; `y` has shape (n,) or (n, n_outputs)."""
        first = not hasattr(self, "coef_")
        x, targets = validate_data(
            self, X, y, reset=first, dtype=np.float64, order="C", y_numeric=True, multi_output=True
        )
        labels = np.asarray(targets, dtype=np.float64)
        rows = labels.reshape(len(x), -1)
        if first:
            self.begin(x.shape[1], rows.shape[1])
            self.is_flat_ = labels.ndim == 1
        for row, row_labels in zip(x, rows, strict=True):
            gain = self.take(row)
            for output, label in enumerate(row_labels.tolist()):
                self.learn_label(output, row, gain, label)
        return self

    def predict(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Predict the rows, (n,) or (n, n_outputs), each by itself."""
        check_is_fitted(self, "coef_")
        x = validate_data(self, X, reset=False, dtype=np.float64, order="C")
        predicted = np.array([self.predict_one(row) for row in x]).reshape(len(x), -1)
        return predicted[:, 0] if self.is_flat_ else predicted

    def reselect(self, kept: Sequence[int | None]) -> None:
        """Change the features, as `RecursiveLeastSquares.reselect` does."""
        stay = [column for column in kept if column is not None]
        removed = [column for column in range(self.n_features_in_) if column not in set(stay)]
        places = np.flatnonzero([column is not None for column in kept])
        p = self._unpack()
        weights = np.linalg.lstsq(p[np.ix_(removed, removed)], p[np.ix_(removed, stay)])[0]
        conditioned = p[np.ix_(stay, stay)] - p[np.ix_(stay, removed)] @ weights
        coefficients = np.zeros((len(self.coef_), len(kept)))
        coefficients[:, places] = self.coef_[:, stay] - self.coef_[:, removed] @ weights
        self.coef_, self.n_features_in_ = coefficients, len(kept)
        self.packed_ = self._prior()
        if (conditioned.diagonal() > 0).all():
            covariance = self._unpack()
            covariance[np.ix_(places, places)] = (conditioned + conditioned.T) / 2
            self.packed_ = _pack(covariance)

    def _unpack(self) -> Floats:
        """Return P as a full matrix."""
        columns, rows = np.tril_indices(self.n_features_in_)
        full = np.empty((self.n_features_in_, self.n_features_in_))
        full[rows, columns] = full[columns, rows] = self.packed_
        return full

    def _prior(self) -> Floats:
        """Return the P of a model that has taken no row."""
        packed = np.zeros(self.n_features_in_ * (self.n_features_in_ + 1) // 2)
        packed[_diagonal(self.n_features_in_)] = 1 / self.ridge
        return packed

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # each row is learned once, without an intercept
        return tags


def _pack(full: Floats) -> Floats:
    columns, rows = np.tril_indices(len(full))
    packed: Floats = full[rows, columns]
    return packed


_diagonals: dict[int, NDArray[np.int64]] = {}


def _diagonal(n: int) -> NDArray[np.int64]:
    """Return where the diagonal stands in a packed triangle."""
    if n not in _diagonals:
        column = np.arange(n)
        _diagonals[n] = column + column * (column + 1) // 2
    return _diagonals[n]
