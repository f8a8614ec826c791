"""Softmax regression on random features as anyone would write it with numpy, without streamlearn."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class PlainSoftmax:
    """The formulas of `RandomFeatureSoftmax`, a row at a time, for the classes 0, 1, 2, …"""

    def __init__(
        self,
        *,
        inputs: int,
        classes: int,
        units: int,
        width: float,
        step: float,
        decay: float,
        temperature_step: float,
        seed: int,
    ) -> None:
        random = np.random.RandomState(seed)
        self.frequencies = random.standard_normal((inputs, units)) / width
        self.phases = random.uniform(0, 2 * np.pi, units)
        self.weights = np.zeros((classes, units))
        self.beta = 1.0
        self.step, self.decay, self.temperature_step = step, decay, temperature_step

    def features(self, x: Any) -> np.ndarray:
        angles = (np.asarray(x, dtype=float) @ self.frequencies + self.phases).astype(np.float32)
        return np.cos(angles).astype(float) * np.sqrt(2 / len(self.phases))

    def probabilities(self, x: Any) -> np.ndarray:
        return np.array([softmax(self.beta * self.weights @ row) for row in self.features(x)])

    def predict(self, x: Any) -> list[int]:
        return [int(row.argmax()) for row in self.probabilities(x)]

    def learn(self, x: Any, labels: Sequence[int]) -> None:
        for row, label in zip(self.features(x), labels, strict=True):
            scores = self.weights @ row
            gradient = self.beta * (softmax(self.beta * scores) @ scores - scores[label])
            self.beta *= np.exp(-np.clip(self.temperature_step * gradient, -0.1, 0.1))
            error = np.eye(len(scores))[label] - softmax(scores)
            self.weights = (1 - self.step * self.decay) * (self.weights + self.step * np.outer(error, row))


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()
