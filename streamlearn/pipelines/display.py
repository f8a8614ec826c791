"""How pages, reports and tables show a pipeline. Nothing of this decides a prediction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Band:
    """A range of values that people have a name for; it reaches up to the next band."""

    above: float
    name: str
    colour: str
    """As CSS names it, such as `#8bc34a`."""


@dataclass(frozen=True)
class Label:
    """What a series is called, and its unit."""

    title: str
    unit: str = ""


@dataclass(frozen=True)
class Display:
    """How a pipeline is shown.

    Parameters
    ----------
    value
        The field of a record that is forecast, by its name in JSON; without it a forecast is shown without
        its past.
    title
        What the value is, for people.
    unit
        The value's unit, such as `µg/m³`.
    step_s
        Seconds a step, where steps count from 1970; 0: steps are numbers.
    step_unit
        What a step is called, such as `h`.
    bands
        Ranges of the value, ascending.
    bands_source
        Where the bands come from.
    picture
        Rows and columns, where a record's features are a picture, row by row from the top left.
    drivers
        The labels of drivers by their names; one that is not here is shown by its name.
    """

    value: str = ""
    title: str = ""
    unit: str = ""
    step_s: int = 0
    step_unit: str = ""
    bands: tuple[Band, ...] = ()
    bands_source: str = ""
    picture: tuple[int, int] | None = None
    drivers: Mapping[str, Label] = field(default_factory=dict)

    def name_step(self, step: int) -> str:
        """Return the time of a step; its number where steps are numbers.

        >>> Display(step_s=3600).name_step(491_152), Display().name_step(7)
        ('2026-01-11 16:00:00', '7')
        """
        try:
            return (
                str(datetime(1970, 1, 1) + timedelta(seconds=self.step_s * step))
                if self.step_s
                else str(step)
            )
        except OverflowError:
            return str(step)

    def driver(self, name: str) -> Label:
        """Return a driver's label."""
        return self.drivers.get(name) or Label(name)
