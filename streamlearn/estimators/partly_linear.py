"""Models of the inputs and of random features of them: a linear part, and what it misses.

A linear model needs few rows for what is linear, and one on random Fourier features learns what is not. With
both side by side each row moves either, and what the linear part explains is no error that the other could
learn from: the partly linear model (P. M. Robinson, "Root-n-consistent semiparametric regression",
Econometrica 1988), learned row by row; for classes as `random_feature_softmax.py` says, for numbers by
recursive least squares (`least_squares.py`).

The least squares follow what changes. To them the coefficients of the inputs walk at random, so that after
each row the variance in P of each grows a little: the Kalman filter for such a walk (L. Ljung, S. Gunnarsson,
"Adaptation and tracking in system identification", Automatica 1990). It grows up to that of the ridge and no
further, so an input that stays away for long is not learned any more wildly than at first.
"""

import math

import numpy as np
from numpy.typing import NDArray

from streamlearn.estimators.least_squares import learn_row, make_prior
from streamlearn.estimators.random_feature_softmax import RandomFeatureSoftmax, draw_features
from streamlearn.estimators.row_regressor import RowRegressor

Floats = NDArray[np.float64]


class PartlyLinearSoftmax(RandomFeatureSoftmax):
    """A classifier for inputs of about mean 0 and variance 1, such as `Standardized` makes.

    Parameters
    ----------
    units
        How many random features are drawn.
    width
        Rows that differ by much less than this look alike to the random features; in units of the square root
        of the number of inputs, which is how far such rows are from their mean. Of a number `Columns` makes
        two inputs, of which one hardly varies: 0.7 is 1 then.
    input_scale
        What the inputs, and the constant 1 beside them, are multiplied by; the random features of a row have
        a length of about 1. The larger, the quicker the linear part learns.
    step
        η: how far a row moves the scores of rows that look like it.
    decay
        λ: the share of what is known that each row takes away, for a step of 1; less than 1 / `step`.
    temperature_step
        How fast the temperature follows; 0 keeps it at 1.
    seed
        Seed of the draw, 0 to 2³² − 1.

    Attributes
    ----------
    classes_ : (n_classes,)
    coef_ : (n_classes, n_features + 1 + units)
        Of the inputs, of the constant, of the random features.
    sharpness_ : float
        β, the inverse of the temperature.

    >>> x = np.array([[-1.0], [1.0], [-0.9], [1.1]] * 20)
    >>> model = PartlyLinearSoftmax(units=50).partial_fit(x, ["no", "yes"] * 40)
    >>> model.predict([[-1.1], [0.8], [5.0]]).tolist()
    ['no', 'yes', 'yes']
    """

    def __init__(
        self,
        units: int = 128,
        width: float = 0.7,
        input_scale: float = 0.32,
        step: float = 0.25,
        decay: float = 4e-4,
        temperature_step: float = 0.03,
        seed: int = 0,
    ) -> None:
        super().__init__(units, width, step, decay, temperature_step, seed)
        self.input_scale = input_scale

    def _expand(self, x: Floats) -> Floats:
        """Return inputs, constant and random features of rows of shape (n, n_features)."""
        rows, inputs = x.shape
        features = np.empty((rows, inputs + 1 + self.units))
        np.multiply(x, self.input_scale, out=features[:, :inputs])
        features[:, inputs] = self.input_scale
        features[:, inputs + 1 :] = draw_features(x, self.units, self.width * math.sqrt(inputs), self.seed)
        return features


class PartlyLinearLeastSquares(RowRegressor):
    """A regressor for inputs and targets of about mean 0 and variance 1, such as `Standardized` makes.

    Parameters
    ----------
    units
        How many random features are drawn.
    width
        Rows that differ by much less than this look alike to the random features, in the unit that
        `PartlyLinearSoftmax` has for it.
    feature_scale
        The length of a row's random features: the larger, the less the ridge holds back what is curved.
    ridge
        Weight of the penalty on the squares of the coefficients.
    drift
        The variance by which the coefficient of each input, and the constant, is expected to move at a row,
        in units of the variance of what cannot be explained; 0 forgets nothing. Random features stay.
    seed
        Seed of the draw, 0 to 2³² − 1.

    Attributes
    ----------
    coef_ : (n_features + 1 + units,)
        Of the inputs, of the constant, of the random features.
    covariance_ : (n_features + 1 + units, n_features + 1 + units)
        P, symmetric.

    >>> x = np.linspace(-2.0, 2.0, 501)[:, None]
    >>> model = PartlyLinearLeastSquares(units=50).partial_fit(x, 3 * x[:, 0] + np.cos(2 * x[:, 0]))
    >>> bool(abs(model.predict([[0.5]])[0] - (1.5 + np.cos(1.0))) < 0.1)
    True
    """

    learned = ("coef_", "covariance_")

    def __init__(
        self,
        units: int = 100,
        width: float = 0.7,
        feature_scale: float = 3.0,
        ridge: float = 10.0,
        drift: float = 5e-5,
        seed: int = 0,
    ) -> None:
        self.units = units
        self.width = width
        self.feature_scale = feature_scale
        self.ridge = ridge
        self.drift = drift
        self.seed = seed

    def begin(self) -> None:
        """Set the coefficients to zero, and P to the inverse of the ridge."""
        self.covariance_ = make_prior(self.n_features_in_ + 1 + self.units, self.ridge)
        self.coef_ = np.zeros(len(self.covariance_))

    def predict_one(self, x: NDArray[np.float64]) -> float:
        """Predict one row of shape (n_features,); nothing is checked."""
        return float(self._expand(x) @ self.coef_)

    def learn_one(self, x: NDArray[np.float64], target: float) -> None:
        """Learn one row of shape (n_features,), after `begin`; a row that is not finite is left out."""
        learned = learn_row(self.coef_, self.covariance_, self._expand(x), target, self.ridge)
        if learned is None:
            return
        self.coef_, self.covariance_ = learned
        variances = np.einsum("ii->i", self.covariance_)[: len(x) + 1]  # a view: what is written stands in P
        np.maximum(variances, np.minimum(variances + self.drift, 1 / self.ridge), out=variances)

    def _expand(self, x: Floats) -> Floats:
        """Return input, constant and random features of a row of shape (n_features,)."""
        drawn = draw_features(x[None], self.units, self.width * math.sqrt(len(x)), self.seed)
        return np.concatenate((x, (1.0,), self.feature_scale * drawn[0]))
