"""Recursive least squares: linear regression that is exact after every row, in constant memory.

Features can be taken out and put in while it learns (`reselect`). Taking out is exact too: what is left is
the solution that would have been found without them.

S. Haykin, *Adaptive Filter Theory*, 4th ed., ch. 9. With P the inverse of the (forgotten, ridged) sum of
x xᵀ, each row does

    g = P x,   d = λ + xᵀ g,   w ← w + g (y − wᵀx) / d,   P ← (P − g gᵀ / d) / λ

The update of P is symmetric by construction; rounding may still make it indefinite after very many rows, so
it is started over from the ridge, with the coefficients kept, once it is not positive any more.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamlearn.estimators.row_regressor import RowRegressor


class RecursiveLeastSquares(RowRegressor):
    """Linear regression without an intercept, learned row by row.

    Parameters
    ----------
    ridge
        Weight of the penalty on the coefficients' squares, as of that many rows of ones.
    forgetting
        λ, 0 < λ ≤ 1: how much the past counts after each row; 1 forgets nothing.

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
        """Zero coefficients, and the ridge."""
        self.coef_ = np.zeros(self.n_features_in_)
        self.covariance_ = self._prior()

    def predict_one(self, x: NDArray[np.float64]) -> float:
        """Return wᵀx for one row of shape (n_features,) that is known to be sound: nothing is checked."""
        return float(x @ self.coef_)

    def learn_one(self, x: NDArray[np.float64], target: float) -> None:
        """Learn one sound row after the first; checking it would take ten times as long as learning it."""
        gain = self.covariance_ @ x
        scale = self.forgetting + x @ gain
        if not np.isfinite(scale):
            return
        self.coef_ = self.coef_ + gain * ((target - x @ self.coef_) / scale)
        self.covariance_ = (self.covariance_ - np.outer(gain, gain) / scale) / self.forgetting
        if not self.covariance_.diagonal().min() > 0:
            self.covariance_ = self._prior()

    def reselect(self, kept: Sequence[int | None]) -> None:
        """Go on with other features: number i of them is number `kept[i]` of those until now, or new if None.

        w and P say what the rows told of all coefficients together. For those that stay it is conditioned on
        the others being 0, which is the solution without them:

            w ← w − P_ko P_oo⁻¹ w_o,   P ← P_kk − P_ko P_oo⁻¹ P_ok

        A new one begins at 0 with the ridge's variance; if nothing is forgotten, as if it had been 0 in every
        row. Where rounding has left too little of P, it begins anew from the ridge, as in `learn_one`.
        """
        old = [column for column in kept if column is not None]
        out = [column for column in range(len(self.coef_)) if column not in old]
        places = np.flatnonzero([column is not None for column in kept])
        among = np.linalg.lstsq(self.covariance_[np.ix_(out, out)], self.covariance_[np.ix_(out, old)])[0]
        left = self.covariance_[np.ix_(old, old)] - self.covariance_[np.ix_(old, out)] @ among
        coefficients = np.zeros(len(kept))
        coefficients[places] = self.coef_[old] - self.coef_[out] @ among
        self.coef_, self.n_features_in_ = coefficients, len(kept)
        self.covariance_ = self._prior()
        if (left.diagonal() > 0).all():
            self.covariance_[np.ix_(places, places)] = (left + left.T) / 2

    def _prior(self) -> NDArray[np.float64]:
        return np.eye(self.n_features_in_) / self.ridge
