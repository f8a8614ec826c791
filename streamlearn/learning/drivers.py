"""Exogenous variables: what in a record may drive the value that is forecast."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Driver:
    """A series of its own beside the value that is forecast."""

    name: str
    """Stands in the register of lineages; `Pipeline.display` has the words for people."""
    value_of: Callable[[Any], float | None]
    """A record → the driver's value; None where it is missing."""
