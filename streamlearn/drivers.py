"""What in a record may drive the value that is forecast: a series of its own beside that value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Driver:
    """Something in a record that may drive the value which is forecast."""

    name: str
    title: str
    """What it is, for people."""
    unit: str
    of: Callable[[Any], float | None]
    """A record → the number; None where it is missing."""
