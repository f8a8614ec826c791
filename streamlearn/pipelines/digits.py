"""digits: which digit is this 8×8 picture? A linear classifier, learned by stochastic gradient descent."""

import struct
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier

from streamlearn.datasets import digits as dataset
from streamlearn.datasets.base import DataSet
from streamlearn.learning.tabular import Tabular
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Display

INK = 16.0
"""The largest pixel: every one of 4×4 points black."""

Pixel = Annotated[float, Meta(ge=0, le=INK)]


_PIXELS = struct.Struct("64d")
"""Packing numbers takes less than half of the time in which numpy reads lists of them."""


class Digit(msgspec.Struct, gc=False):
    """One digit: 64 pixels, row by row from the top left, 0 (paper) to 16 (ink), and perhaps its label."""

    x: Annotated[list[Pixel], Meta(min_length=64, max_length=64)]
    actual_y: Annotated[int, Meta(ge=0, le=9)] | None = None
    ts: str | None = None


def features(records: Sequence[Digit]) -> NDArray[np.float64]:
    """The pixels as they are, shape (n, 64)."""
    packed = bytearray().join([_PIXELS.pack(*record.x) for record in records])
    return np.frombuffer(packed, dtype=np.float64).reshape(-1, 64)


pipeline = Pipeline(
    name="digits",
    topic="handwritten_digit",
    prediction_topic="digit_predict",
    record=Digit,
    learning=Tabular(
        features=features,
        label="actual_y",
        estimator=SGDClassifier,
        classes=tuple(range(10)),
    ),
    # The tutorial's model: logistic regression, one class against the rest, with a sparse penalty.
    parameters={"loss": "log_loss", "penalty": "l1", "alpha": 0.01, "shuffle": False},
    passthrough_fields=("ts", "x", "actual_y"),
    dataset=DataSet(dataset.records, dataset.SIZE),
    display=Display(picture=(8, 8)),
    revision="1",
)
