"""Random Fourier features: what a kernel regression would see, for a linear model.

A. Rahimi, B. Recht, "Random features for large-scale kernel machines", NIPS 2007. With W drawn from a normal
distribution and b from the circle, the features s √(2/n) cos(zᵀW/ℓ + b) of inputs z have the Gaussian kernel
of width ℓ for their product, as n grows. They are bounded, so a wild input moves no prediction far.
"""

import math
from collections.abc import Sequence

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
        How many features are drawn; 0: none, which leaves what they would stand beside.
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
        self.amplitude = scale * math.sqrt(2 / units) if units else 0.0

    def expand(self, z: Floats) -> Floats:
        """Return the features of inputs of shape (inputs,), shape (units,)."""
        features: Floats = self.amplitude * np.cos(z @ self.frequencies + self.phases)
        return features


class JointExpansion:
    """Expands several `RandomFeatures` of one context at once, with the bits of `RandomFeatures.expand`.

    A matrix product rounds by the shape of its matrix, so each has its own; what is done number by number is
    done to all at once.

    Parameters
    ----------
    features
        What is expanded, one after the other.
    inputs
        For each, the first column of the context that its features are of, and the one after the last.
    gates
        For each, the column of the context that its features are multiplied by, or None.
    """

    def __init__(
        self,
        features: Sequence[RandomFeatures],
        inputs: Sequence[tuple[int, int]],
        gates: Sequence[int | None],
    ) -> None:
        counts = [len(drawn.phases) for drawn in features]
        ends = np.cumsum(counts).tolist()
        self.parts = [slice(end - count, end) for count, end in zip(counts, ends, strict=True)]
        """Where the features of each stand."""
        self._phases = np.concatenate([drawn.phases for drawn in features])
        self._amplitudes = np.repeat([drawn.amplitude for drawn in features], counts)
        self._products = [
            (drawn.frequencies, slice(*columns), part)
            for drawn, columns, part in zip(features, inputs, self.parts, strict=True)
        ]
        self._gates = np.repeat([0 if gate is None else gate for gate in gates], counts)
        self._ungated = np.repeat([gate is None for gate in gates], counts)
        self._are_all_gated = not self._ungated.any()

    def expand(self, context: Floats) -> Floats:
        """Return the features of all, one after the other, of a context of shape (n_context,)."""
        expanded = np.empty(len(self._phases))
        for frequencies, columns, part in self._products:
            context[columns].dot(frequencies, out=expanded[part])  # with the bits of `@`, and quicker
        expanded += self._phases
        np.cos(expanded, out=expanded)
        expanded *= self._amplitudes
        factors = context.take(self._gates)
        if not self._are_all_gated:
            factors[self._ungated] = 1.0
        expanded *= factors
        return expanded
