"""Random Fourier features: what a kernel regression would see, for a linear model.

A. Rahimi, B. Recht, "Random features for large-scale kernel machines", NIPS 2007. With W drawn from a normal
distribution and b from the circle, the features s √(2/n) cos(zᵀW/ℓ + b) of inputs z have the Gaussian kernel
of width ℓ for their product, as n grows. They are bounded, so a wild input moves no prediction far.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class RandomFeatures:
    """Random Fourier features of some inputs, drawn once.

    Parameters
    ----------
    inputs
        How many inputs there are.
    units
        How many features are drawn.
    width
        ℓ: inputs that differ by much less look alike.
    scale
        s: the larger, the less a ridge holds what is learned of them back.
    seed
        Seed of the draw.

    >>> RandomFeatures(inputs=2, units=3, width=1.0, scale=1.0, seed=0).expand(np.zeros(2)).shape
    (3,)
    """

    def __init__(self, inputs: int, units: int, width: float, scale: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.frequencies: Floats = random.normal(size=(inputs, units)) / width
        self.phases: Floats = random.uniform(0, 2 * math.pi, units)
        self.amplitude = scale * math.sqrt(2 / units)

    def expand(self, z: Floats) -> Floats:
        """Return the features of inputs of shape (inputs,), shape (units,)."""
        features: Floats = self.amplitude * np.cos(z @ self.frequencies + self.phases)
        return features
