"""Recursive least squares: linear regression that is exact after every row, in constant memory.

Features can be removed and added while it learns (`reselect`). Removing is exact too: the coefficients are
then those of a model that never had these features.

S. Haykin, *Adaptive Filter Theory*, 4th ed., ch. 9. With P the inverse of the (forgotten, ridged) sum of
x xᵀ, each row does

    g = P x,   d = λ + xᵀ g,   w ← w + g (y − wᵀx) / d,   P ← (P − g gᵀ / d) / λ

The update of P is symmetric by construction. Rounding may still make it indefinite after very many rows; once
a number on its diagonal is not positive, P begins again from the ridge, and the coefficients stay.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamlearn.estimators.row_regressor import RowRegressor


class RecursiveLeastSquares(RowRegressor):
    """Linear regression without an intercept, learned row by row.

    Parameters
    ----------
    ridge
        Weight of the penalty on the squares of the coefficients.
    forgetting
        λ, 0 < λ ≤ 1: the weight of earlier rows is multiplied by it at each row; 1 forgets nothing.

    Attributes
    ----------
    coef_ : (n_features,)
    covariance_ : (n_features, n_features)
        P, symmetric.

    >>> x = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> model = RecursiveLeastSquares(ridge=1e-9).partial_fit(x, [1.0, 3.0, 5.0])
    >>> model.predict([[1.0, 10.0]]).round(6).tolist()
    [21.0]
    """

    learned = ("coef_", "covariance_")

    def __init__(self, ridge: float = 1.0, forgetting: float = 1.0) -> None:
        self.ridge = ridge
        self.forgetting = forgetting

    def begin(self) -> None:
        """Set the coefficients to zero, and P to the inverse of the ridge."""
        self.coef_ = np.zeros(self.n_features_in_)
        self.covariance_ = self._prior()

    def predict_one(self, x: NDArray[np.float64]) -> float:
        """Return wᵀx for one row of shape (n_features,); nothing is checked."""
        return float(x @ self.coef_)

    def learn_one(self, x: NDArray[np.float64], target: float) -> None:
        """Learn one row of shape (n_features,), after `begin`; a row that is not finite is left out."""
        learned = learn_row(self.coef_, self.covariance_, x, target, self.ridge, self.forgetting)
        if learned is not None:
            self.coef_, self.covariance_ = learned

    def reselect(self, kept: Sequence[int | None]) -> None:
        """Change the features: the new feature i is the present feature `kept[i]`, or one never seen if None.

        The features that stay (k) are conditioned on the coefficients of those that are removed (o) being 0,
        which is the solution without them:

            w ← w_k − P_ko P_oo⁻¹ w_o,   P ← P_kk − P_ko P_oo⁻¹ P_ok

        A feature never seen begins with the coefficient 0 and the ridge's variance; if nothing is forgotten,
        that is as if it had been 0 in every row. Where rounding has left a P that is not positive, it begins
        again from the ridge.
        """
        stay = [column for column in kept if column is not None]
        removed = [column for column in range(len(self.coef_)) if column not in stay]
        places = np.flatnonzero([column is not None for column in kept])
        p = self.covariance_
        weights = np.linalg.lstsq(p[np.ix_(removed, removed)], p[np.ix_(removed, stay)])[0]
        conditioned = p[np.ix_(stay, stay)] - p[np.ix_(stay, removed)] @ weights
        coefficients = np.zeros(len(kept))
        coefficients[places] = self.coef_[stay] - self.coef_[removed] @ weights
        self.coef_, self.n_features_in_ = coefficients, len(kept)
        self.covariance_ = self._prior()
        if (conditioned.diagonal() > 0).all():
            self.covariance_[np.ix_(places, places)] = (conditioned + conditioned.T) / 2

    @classmethod
    def sum(cls, models: Sequence["RecursiveLeastSquares"]) -> "RecursiveLeastSquares":
        """Return the model that had learned what all of these have, each its own rows, without forgetting.

        With A = P⁻¹, the ridged sum of x xᵀ, and b = A w that of x y:  A = Σ Aᵢ − (n − 1) ridge I,  b = Σ bᵢ.
        """
        first = models[0]
        inverses = [np.linalg.inv(model.covariance_) for model in models]
        moments = [inverse @ model.coef_ for inverse, model in zip(inverses, models, strict=True)]
        merged = cls(first.ridge, first.forgetting)
        merged.n_features_in_ = first.n_features_in_
        counted_too_often = (len(models) - 1) * first.ridge * np.eye(first.n_features_in_)
        covariance = np.linalg.inv(np.add.reduce(inverses) - counted_too_often)
        merged.covariance_ = (covariance + covariance.T) / 2
        merged.coef_ = merged.covariance_ @ np.add.reduce(moments)
        return merged

    def _prior(self) -> NDArray[np.float64]:
        """Return the P of a model that has learned no row."""
        return make_prior(self.n_features_in_, self.ridge)


def make_prior(size: int, ridge: float) -> NDArray[np.float64]:
    """Return the P of a model of so many coefficients that has learned no row."""
    return np.eye(size) / ridge


def learn_row(
    coefficients: NDArray[np.float64],
    covariance: NDArray[np.float64],
    x: NDArray[np.float64],
    target: float,
    ridge: float,
    forgetting: float = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return new w, shape (n,), and P, (n, n), after a row x of shape (n,); None where it is not finite."""
    gain = covariance @ x
    scale = forgetting + float(x @ gain)
    if not math.isfinite(scale):
        return None
    # P ← (P − k kᵀ / scale) / λ, in one new array: it is what takes the time.
    outer = gain[:, None] * gain
    outer /= scale
    np.subtract(covariance, outer, out=outer)
    if forgetting != 1:
        outer /= forgetting
    is_positive = np.minimum.reduce(outer.diagonal()) > 0
    learned = coefficients + gain * ((target - float(x @ coefficients)) / scale)
    return learned, outer if is_positive else make_prior(len(x), ridge)
