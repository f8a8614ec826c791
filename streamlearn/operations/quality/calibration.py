"""Whether probabilities mean what they say: of the answers given with 80 %, are 80 % right?

The figures are those of Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks (ICML 2017,
section 2): bins of equal width by the largest probability, and their mean gap, weighted by their counts.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

BINS = 10


class Bin(msgspec.Struct):
    """The answers whose probability is in one of the bins."""

    low: float
    """The bin reaches from here, 0–1, for a tenth."""
    count: int
    confidence: float
    """The mean of their probabilities, 0–1."""
    right: float
    """The share of them that is right, 0–1."""


class Calibration(msgspec.Struct):
    """The bins that hold any answer, ascending, and the expected calibration error."""

    bins: list[Bin]
    ece: float
    """The mean distance between probability and share of right answers, 0–1, weighted by the bins' counts."""
    count: int


def measure_calibration(
    probabilities: NDArray[np.float64], labels: Sequence[Any] | NDArray[Any], classes: Sequence[Any]
) -> Calibration:
    """Return how calibrated probabilities of shape (n, n_classes) are; n is at least 1.

    `classes` names the columns. A label that is none of them makes every answer to it wrong.

    >>> measure_calibration(np.array([[0.75, 0.25]] * 4), [0, 0, 0, 1], [0, 1])
    Calibration(bins=[Bin(low=0.7, count=4, confidence=0.75, right=0.75)], ece=0.0, count=4)
    """
    confidence = probabilities.max(axis=1)
    predicted = probabilities.argmax(axis=1)
    right = np.array(
        [classes[column] == label for column, label in zip(predicted, labels, strict=True)], dtype=np.float64
    )
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins, gap = [], 0.0
    for number in range(BINS):
        inside = places == number
        if inside.any():
            bins.append(
                Bin(
                    number / BINS,
                    int(inside.sum()),
                    float(confidence[inside].mean()),
                    float(right[inside].mean()),
                )
            )
            gap += abs(float((confidence[inside] - right[inside]).sum()))
    return Calibration(bins, gap / len(right), len(right))
