"""A pipeline whose own code fails on some records whose type is right, and such records."""

import os
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from sklearn.linear_model import SGDClassifier

from streamlearn.learning.tabular import Tabular
from streamlearn.pipelines.base import Pipeline


class Point(msgspec.Struct):
    a: float
    b: float | None = 0.0
    y: int | bool | None = None


def features(points: Any) -> Any:
    """Fails on b = null and on b = −1, is not a number for b = 0, as an author may not have expected."""
    if any(point.b == -1 for point in points):
        raise ZeroDivisionError("b is −1")
    with np.errstate(divide="ignore"):
        return np.array([[point.a, np.log(point.b)] for point in points])


POINTS = Pipeline(
    name="points",
    topic="points",
    prediction_topic="points_predict",
    record=Point,
    learning=Tabular(features=features, label="y", estimator=SGDClassifier, classes=(0, 1)),
    parameters={"loss": "log_loss", "random_state": 1},
    passthrough_fields=("y",),
    reference="poison:POINTS",
)


def fail(points: Any) -> Any:
    raise KeyError("a bug of the author")


BUGGY = replace(
    POINTS,
    name="buggy",
    topic="buggy",
    prediction_topic="buggy_predict",
    learning=replace(POINTS.learning, features=fail),  # type: ignore[type-var]
)


def end(points: Any) -> Any:
    """End the whole process on a = 666, as a fault in a library may."""
    if any(point.a == 666 for point in points):
        os._exit(9)
    return np.array([[point.a] for point in points])


FATAL = replace(
    POINTS,
    name="fatal",
    topic="fatal",
    prediction_topic="fatal_predict",
    learning=replace(POINTS.learning, features=end),  # type: ignore[type-var]
    reference="poison:FATAL",
)

GOOD = {"a": 0.1, "b": 2.0, "y": 1}
POISON: list[dict[str, Any]] = [
    {"a": 0.1, "b": 2.0, "y": 2},
    {"a": 0.1, "b": 0.0, "y": 1},
    {"a": 0.1, "b": -1, "y": 1},
    {"a": 0.1, "b": None, "y": 1},
    {"a": 0.1, "b": -1},
]
