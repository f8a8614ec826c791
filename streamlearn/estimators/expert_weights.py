"""How much each of several predictors counts, learned from how they fare.

J. Kivinen, M. K. Warmuth, "Exponentiated gradient versus gradient descent for linear predictors", Information
and Computation 132 (1997). The weights are shares: positive, with the sum 1. Each label moves them down the
gradient of the squared error of what they have mixed, so a predictor counts for what it adds to the others,
not for how good it is alone.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class ExpertWeights:
    """Shares of several experts, for each of several outputs; they begin equal.

    Parameters
    ----------
    outputs, experts
        How many there are.
    rate
        How far a label moves the shares, per squared unit of the labels; 0 keeps them equal.

    >>> weights = ExpertWeights(outputs=1, experts=2, rate=0.1)
    >>> for _ in range(100):
    ...     predictions = np.array([[1.0], [3.0]])
    ...     weights.learn(0, predictions[:, 0], weights.mix(predictions)[0], 1.5)
    >>> weights.mix(np.array([[1.0], [3.0]])).round(2).tolist()
    [1.5]
    """

    def __init__(self, outputs: int, experts: int, rate: float) -> None:
        self.rate = rate
        self.slopes: Floats = np.zeros((experts, outputs))
        """The sum of the gradients so far."""

    @property
    def shares(self) -> Floats:
        """The shares, shape (n_experts, n_outputs)."""
        shares: Floats = np.exp(-self.rate * (self.slopes - np.minimum.reduce(self.slopes)))
        shares /= np.add.reduce(shares)
        return shares

    def mix(self, predictions: Floats) -> Floats:
        """Return the mixture of predictions of shape (n_experts, n_outputs), shape (n_outputs,)."""
        mixed: Floats = np.add.reduce(self.shares * predictions)
        return mixed

    def learn(
        self, output: int, predictions: Floats, mixed: float, target: float, weight: float = 1.0
    ) -> None:
        """Learn the label of one output, of which the experts' predictions, (n_experts,), were mixed."""
        self.slopes[:, output] += weight * (mixed - target) * predictions

    def learn_many(
        self, outputs: Sequence[int] | None, predictions: Floats, residuals: Sequence[float]
    ) -> None:
        """Learn labels of several outputs, each of them once, as `learn` does one after the other.

        `predictions` has shape (n_experts, n_labels); a residual is weight × (mixed − target). None: every
        output, in order, which is much quicker than by index.
        """
        gradients = predictions * residuals
        if outputs is None:
            self.slopes += gradients
        else:
            self.slopes[:, outputs] += gradients
