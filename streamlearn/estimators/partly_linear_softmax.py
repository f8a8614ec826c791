"""Softmax regression on the inputs and on random features of them: a linear part, and what it misses.

A linear model needs few rows for what is linear, and one on random Fourier features learns what is not. With
both side by side each row moves either, and what the linear part explains is no error that the other could
learn from: the partly linear model (P. M. Robinson, "Root-n-consistent semiparametric regression",
Econometrica 1988) as a softmax, learned row by row as `random_feature_softmax.py` says.
"""

import math

import numpy as np
from numpy.typing import NDArray

from streamlearn.estimators.random_feature_softmax import RandomFeatureSoftmax, draw_features

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
