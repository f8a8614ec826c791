"""What a net learns from and is asked: windows of hours, and the value of the hour after each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.pm25_lstm.hours import Floats

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Examples:
    """Some hours to be forecast, in order of time."""

    x: Rows
    """What is known before each, scaled, shape (n, steps, fields); the newest step last."""
    y: Rows
    """What the net is to say of each, scaled, shape (n,)."""


@dataclass(frozen=True)
class Prepared:
    """All that a net is given."""

    train: Examples
    validation: Examples
    """Never learned; its loss is watched."""
    test: Examples
    """Every hour after the first year; `y` of hours that are not scored means nothing."""
    forecasts: Callable[[Rows], Floats]
    """What the net says of the test hours, scaled, shape (n,) → PM2.5 in µg/m³."""
