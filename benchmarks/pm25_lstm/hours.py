"""The PM2.5 data set as arrays, an hour a row, in order of time; nothing is scaled or filled."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlearn.datasets import pm25 as dataset
from streamlearn.pipelines.pm25 import Hour

Floats = NDArray[np.float64]

YEAR = 8760
"""Hours of the first year. It is learned; the forecasts of the hours after hour `YEAR` are scored."""

WEATHER = ("dew", "temp", "press", "wnd_spd", "snow", "rain")
"""The numbers of a record beside the pollution; `datasets/pm25.py` has their units."""


@dataclass(frozen=True)
class Hours:
    """Every hour of the data set, or a run of them."""

    records: Sequence[Hour]

    @property
    def pollution(self) -> Floats:
        """PM2.5 in µg/m³, shape (n,); NaN where there was no reading."""
        return np.array([np.nan if hour.pollution is None else hour.pollution for hour in self.records])

    @property
    def weather(self) -> Floats:
        """The fields of `WEATHER`, shape (n, 6)."""
        return np.array([[getattr(hour, name) for name in WEATHER] for hour in self.records])

    @property
    def wind(self) -> list[str]:
        """The wind's direction: NW, NE, SE or cv."""
        return [hour.wnd_dir for hour in self.records]


def load() -> Hours:
    """Read the data set.

    Raises
    ------
    DataUnavailable
        It can neither be fetched nor found.
    """
    return Hours([msgspec.convert(record, Hour) for record in dataset.records(passes=1)])
