"""Examples for a net: windows of hours, and the value of the hour after each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.pm25_lstm.hours import Floats

Scaled = NDArray[np.float32]


@dataclass(frozen=True)
class Examples:
    """Some hours to be forecast, in order of time."""

    x: Scaled
    """What is known before each, shape (n, steps, fields); the newest step last."""
    y: Scaled
    """The net's target for each, shape (n,)."""


@dataclass(frozen=True)
class ExampleSets:
    """All the data of a net."""

    train: Examples
    validation: Examples
    """Never learned; its loss is watched."""
    test: Examples
    """Every hour after the first year; `y` of hours that are not scored means nothing."""
    unscale: Callable[[Scaled], Floats]
    """The net's outputs for the test hours, shape (n,) → forecasts of PM2.5 in µg/m³."""
