"""digits: which digit is this 8×8 picture? A linear classifier, learned by stochastic gradient descent."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier

from streamlearn.datasets import digits as dataset
from streamlearn.pipeline import Pipeline

INK = 16.0
"""The largest pixel: every one of 4×4 points black."""

Pixel = Annotated[float, Meta(ge=0, le=INK)]


class Digit(msgspec.Struct):
    """One digit: 64 pixels, row by row from the top left, 0 (paper) to 16 (ink), and perhaps its label."""

    x: Annotated[list[Pixel], Meta(min_length=64, max_length=64)]
    actual_y: Annotated[int, Meta(ge=0, le=9)] | None = None
    ts: str | None = None


def features(records: Sequence[Digit]) -> NDArray[np.float64]:
    """Pixels scaled to 0–1, shape (n, 64)."""
    return np.array([record.x for record in records], dtype=np.float64).reshape(-1, 64) / INK


def estimator(**parameters: Any) -> SGDClassifier:
    """Build a multinomial-by-one-vs-rest logistic regression; the average of its steps is what predicts."""
    return SGDClassifier(**parameters)


pipeline = Pipeline(
    name="digits",
    topic="handwritten_digit",
    prediction_topic="digit_predict",
    record=Digit,
    features=features,
    label=lambda record: record.actual_y,
    classes=tuple(range(10)),
    estimator=estimator,
    # Averaging the steps is worth about a point of prequential accuracy over ten passes.
    parameters={
        "loss": "log_loss",
        "alpha": 1e-4,
        "learning_rate": "constant",
        "eta0": 0.3,
        "average": True,
        "random_state": 20260101,
    },
    echo=("ts", "x", "actual_y"),
    source=dataset.records,
    source_size=dataset.SIZE,
)
