"""digits: which digit is this 8×8 picture? Softmax regression on random features, which goes on learning.

docs/digits.md says why. A lineage that began with the first revision, the tutorial's linear classifier, goes
on with that; `digits_sgd` is the same for new lineages.
"""

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier

from streamlearn.datasets import digits as dataset
from streamlearn.datasets.base import DataSet
from streamlearn.estimators.random_feature_softmax import RandomFeatureSoftmax
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


_linear = Tabular(
    features=features,
    label="actual_y",
    estimator=SGDClassifier,
    classes=tuple(range(10)),
)

first = Pipeline(
    name="digits",
    topic="handwritten_digit",
    prediction_topic="digit_predict",
    record=Digit,
    learning=_linear,
    # The tutorial's model: logistic regression, one class against the rest, with a sparse penalty.
    parameters={"loss": "log_loss", "penalty": "l1", "alpha": 0.01, "shuffle": False},
    passthrough_fields=("ts", "x", "actual_y"),
    dataset=DataSet(dataset.records, dataset.SIZE),
    display=Display(picture=(8, 8)),
    revision="1",
)
"""What lineages from before the random features go on with."""

pipeline = replace(
    first,
    learning=replace(_linear, estimator=RandomFeatureSoftmax),
    # A constant step, so that the hundredth correction counts as much as the first.
    parameters={
        "units": 256,
        "width": 28.0,
        "step": 1.5,
        "decay": 5e-5,
        "temperature_step": 0.03,
        "seed": 0,
    },
    revision="2",
    earlier=(first,),
)
