"""stations: PM2.5 at many stations of a city, 1, 3, 6, 12 and 24 hours ahead; one model learns from all.

Each station is a series of its own: it has its window of hours, and its ranges. What is learned of how the
air changes is shared. The stack runs it only where it is named: `streamlearn train stations`.
"""

from datetime import date
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from streamlearn.datasets.stations import StationFiles
from streamlearn.estimators.least_squares import RecursiveLeastSquares
from streamlearn.lags.lag_sets import LagSet
from streamlearn.learning.forecasting import Forecast
from streamlearn.learning.ranges import Ranges
from streamlearn.pipelines import pm25
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Display
from streamlearn.pipelines.pm25 import Celsius

WINDS = (
    *("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE"),
    *("S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW"),
)
NUMBERS = ("PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN", "WSPM")
SERIES = (*NUMBERS, *(f"wd={wind}" for wind in WINDS))
"""What the numbers of a reading are."""

FIRST_LAGS = LagSet.of(
    SERIES,
    {
        "PM2.5": range(pm25.LAGS),
        **dict.fromkeys(NUMBERS[1:], (0, 3)),
        **dict.fromkeys(SERIES[len(NUMBERS) :], (0,)),
    },
    pm25.LAGS,
)
"""Every hour of the PM2.5; the other pollutants and the weather now, and their change over three hours."""

_EPOCH = date(1970, 1, 1).toordinal()

Dust = Annotated[float, Meta(ge=0, le=5000)]
Gas = Annotated[float, Meta(ge=0, le=50_000)]


class Hour(msgspec.Struct, gc=False):
    """One hour at one station. What is missing is null; what air cannot be is refused, not clipped."""

    year: Annotated[int, Meta(ge=1970, le=2200)]
    month: Annotated[int, Meta(ge=1, le=12)]
    day: Annotated[int, Meta(ge=1, le=31)]
    hour: Annotated[int, Meta(ge=0, le=23)]
    pm25: Annotated[float, Meta(ge=0, le=2000)] | None = msgspec.field(name="PM2.5")
    pm10: Dust | None = msgspec.field(name="PM10")
    so2: Gas | None = msgspec.field(name="SO2")
    no2: Gas | None = msgspec.field(name="NO2")
    co: Gas | None = msgspec.field(name="CO")
    o3: Gas | None = msgspec.field(name="O3")
    temp: Celsius | None = msgspec.field(name="TEMP")
    pres: Annotated[float, Meta(ge=850, le=1100)] | None = msgspec.field(name="PRES")
    dewp: Celsius | None = msgspec.field(name="DEWP")
    rain: Annotated[float, Meta(ge=0, le=500)] | None = msgspec.field(name="RAIN")
    wd: (
        Literal[
            "N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE",
            "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW",
        ]
        | None
    )  # fmt: skip
    wspm: Annotated[float, Meta(ge=0, le=120)] | None = msgspec.field(name="WSPM")
    station: Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9 ._-]*$", max_length=40)]

    def __post_init__(self) -> None:
        try:
            date(self.year, self.month, self.day)
        except ValueError as error:
            raise ValueError(f"there is no day {self.year}-{self.month}-{self.day}: {error}") from None

    @property
    def ts(self) -> str:
        """The hour's local time."""
        return f"{self.year}-{self.month:02}-{self.day:02} {self.hour:02}:00:00"


def step(record: Hour) -> int:
    """Hours since 1970."""
    return (date(record.year, record.month, record.day).toordinal() - _EPOCH) * 24 + record.hour


def reading(record: Hour) -> NDArray[np.float64]:
    """The hour as numbers in the order of SERIES; PM2.5 is in µg/m³, the others are scaled to about ±1.

    What is missing is NaN. A direction that is missing is none of them, as calm air.
    """
    numbers = (record.pm25, record.pm10, record.so2, record.no2, record.co, record.o3)
    weather = (record.temp, record.pres, record.dewp, record.rain, record.wspm)
    values = np.array(numbers + weather, dtype=np.float64)
    scaled = (values - _TYPICAL) / _SPREAD
    return np.concatenate([scaled, [float(record.wd == wind) for wind in WINDS]])


_TYPICAL = np.array([0.0, 100.0, 15.0, 50.0, 1200.0, 60.0, 13.0, 1012.0, 2.0, 0.0, 2.0])
_SPREAD = np.array([1.0, 100.0, 20.0, 35.0, 1100.0, 55.0, 11.0, 10.0, 14.0, 2.0, 1.5])

pipeline = Pipeline(
    name="stations",
    topic="stations",
    prediction_topic="stations_forecast",
    record=Hour,
    learning=Forecast(
        horizons=pm25.HORIZONS,
        length=pm25.LAGS,
        fields=len(SERIES),
        step=step,
        reading=reading,
        features=pm25.features,
        estimator=RecursiveLeastSquares,
        lowest=0.0,
        lags=FIRST_LAGS,
        names=pm25.names,
        ranges=Ranges(levels=(35.0, 115.0, 250.0), noise=50.0),
        key="station",
        most_keys=200,
    ),
    parameters={"ridge": 10.0, "forgetting": 1.0},
    passthrough_fields=("year", "month", "day", "hour", "PM2.5", "station"),
    dataset=StationFiles("", Hour, order="ts"),
    display=Display(
        value="PM2.5",
        title="PM2.5",
        unit="µg/m³",
        step_s=3600,
        step_unit="h",
        bands=pm25.BANDS,
        bands_source="China's HJ 633-2012",
    ),
    revision="1",
)
