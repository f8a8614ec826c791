"""pm25: how much fine dust will there be in 1, 3, 6, 12 and 24 hours? Least squares with random features.

Three experts of all horizons, mixed; see `pm25_features.py` for what they see, and docs/pm25.md for why. A
lineage that began with the first revision, recursive least squares on lags alone, goes on with that.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from streamlearn.datasets import pm25 as dataset
from streamlearn.datasets.base import DataSet
from streamlearn.estimators.least_squares import RecursiveLeastSquares
from streamlearn.estimators.random_feature_mixture import RandomFeatureMixture
from streamlearn.lags.lag_sets import LagSet
from streamlearn.lags.windows import Window
from streamlearn.learning.drivers import Driver
from streamlearn.learning.forecasting import Forecast
from streamlearn.learning.ranges import Ranges
from streamlearn.pipelines import pm25_features
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Band, Display, Label

HORIZONS = (1, 3, 6, 12, 24)
"""Hours ahead."""

LAGS = 25
"""Hours in the window: this one and the 24 before it."""

WINDS = ("NW", "NE", "SE", "cv")
SERIES = ("pollution", "dew", "temp", "press", "wnd_spd", "snow", "rain", *(f"wnd_dir={w}" for w in WINDS))
"""What the numbers of a reading are."""

FIRST_LAGS = LagSet.of(
    SERIES,
    {
        "pollution": range(LAGS),
        **dict.fromkeys(("dew", "temp", "press", "wnd_spd"), (0, 3)),
        **dict.fromkeys(SERIES[5:], (0,)),
    },
    LAGS,
)
"""Every hour of the pollution, the weather now, and its change over three hours."""

_WIND_COLUMNS = {wind: tuple(float(wind == other) for other in WINDS) for wind in WINDS}
_EPOCH = datetime(1970, 1, 1)
_HOUR = timedelta(hours=1)

BANDS = (
    Band(0, "good", "#4caf50"),
    Band(35, "moderate", "#c0b000"),
    Band(75, "lightly polluted", "#ef8a17"),
    Band(115, "moderately polluted", "#d9402f"),
    Band(150, "heavily polluted", "#8e3b9e"),
    Band(250, "severely polluted", "#7a1f3d"),
)
"""The air quality classes of HJ 633-2012 by PM2.5 in µg/m³; they are meant for the mean of a day."""

Celsius = Annotated[float, Meta(ge=-60, le=60)]
Hours = Annotated[float, Meta(ge=0, le=1000)]


class Hour(msgspec.Struct, gc=False):
    """One hour. Readings outside of what the weather of a city can be are refused, not clipped."""

    ts: str
    pollution: Annotated[float, Meta(ge=0, le=2000)] | None
    dew: Celsius
    temp: Celsius
    press: Annotated[float, Meta(ge=850, le=1100)]
    wnd_dir: Literal["NW", "NE", "SE", "cv"]
    wnd_spd: Annotated[float, Meta(ge=0, le=2000)]
    snow: Hours
    rain: Hours

    def __post_init__(self) -> None:
        time = datetime.fromisoformat(self.ts)
        if time.tzinfo or (time.minute, time.second, time.microsecond) != (0, 0, 0):
            raise ValueError(f"ts {self.ts!r} is not a full hour of local time, such as 2010-01-02 00:00:00")


def step(record: Hour) -> int:
    """Hours since 1970."""
    return (datetime.fromisoformat(record.ts) - _EPOCH) // _HOUR


def reading(record: Hour) -> NDArray[np.float64]:
    """The hour as numbers of about one, in the order of SERIES; pollution is in µg/m³, NaN where missing."""
    wind, snow, rain = np.log1p([record.wnd_spd, record.snow, record.rain]).tolist()
    return np.array(
        [
            np.nan if record.pollution is None else record.pollution,
            record.dew / 10,
            record.temp / 10,
            (record.press - 1016) / 10,
            wind / 3,
            snow,
            rain,
            *_WIND_COLUMNS[record.wnd_dir],
        ]
    )


def features(window: Window, step: int, lags: LagSet) -> tuple[NDArray[np.float64], float] | None:
    """Lags of the pollution, the weather and its changes, the time of day and of year: see `names`.

    These are the features of the first revision; the oldest lineages know them by their name.

    Missing pollution is carried forward from the last reading, which is also what persistence forecasts
    (the second value, µg/m³). None where the window holds no reading at all.
    """
    taken = lags.take(window)
    if taken is None:
        return None
    day, year = 2 * np.pi * step / 24, 2 * np.pi * step / (24 * 365.25)
    angles = np.array([day, 2 * day, year])
    parts = [[1.0], taken.own / 100, taken.now, taken.changes, np.sin(angles), np.cos(angles)]
    return np.concatenate(parts), taken.last


def names(lags: LagSet) -> tuple[str, ...]:
    """What each of `features` is."""
    angles = ("day", "half day", "year")
    return ("1", *lags.names, *(f"sin({a})" for a in angles), *(f"cos({a})" for a in angles))


def _wind_driver(wind: str) -> Driver:
    return Driver(f"wnd_dir={wind}", lambda hour: float(hour.wnd_dir == wind))


DRIVERS: tuple[Driver, ...] = (
    *(Driver(field, attrgetter(field)) for field in ("dew", "temp", "press", "wnd_spd", "snow", "rain")),
    *map(_wind_driver, WINDS),
)
"""The weather; each direction of the wind is a series of its own, 1 where it blew."""

LABELS = {
    "dew": Label("dew point", "°C"),
    "temp": Label("temperature", "°C"),
    "press": Label("pressure", "hPa"),
    "wnd_spd": Label("wind speed", "m/s, cumulated"),
    "snow": Label("hours of snow", "h"),
    "rain": Label("hours of rain", "h"),
    **{f"wnd_dir={wind}": Label(f"wind from {wind}", "0 or 1") for wind in WINDS[:3]},
    "wnd_dir=cv": Label("calm or changing wind", "0 or 1"),
}
"""What the drivers are called for people."""

EXPERTS = [
    {"units": 100, "inputs": pm25_features.NOW, "gate": 0, "width": 2.5, "scale": 9.0, "seed": 900},
    {"units": 100, "inputs": pm25_features.NOW, "gate": 1, "width": 2.5, "scale": 9.0, "seed": 901},
    {"units": 300, "inputs": pm25_features.ALL, "gate": 0, "width": 5.0, "scale": 6.0, "seed": 902},
]
"""Two see the weather of now, one all there is to see; they differ in how a forecast grows with the level."""

_lags_alone = Forecast(
    horizons=HORIZONS,
    length=LAGS,
    fields=len(SERIES),
    step=step,
    reading=reading,
    features=features,
    estimator=RecursiveLeastSquares,
    lowest=0.0,
    lags=FIRST_LAGS,
    names=names,
    drivers=DRIVERS,
)

first = Pipeline(
    name="pm25",
    topic="pm25",
    prediction_topic="pm25_forecast",
    record=Hour,
    learning=_lags_alone,
    parameters={"ridge": 10.0, "forgetting": 1.0},
    passthrough_fields=("ts", "pollution"),
    dataset=DataSet(dataset.records, dataset.HOURS, dataset.prepare),
    display=Display(
        value="pollution",
        title="PM2.5",
        unit="µg/m³",
        step_s=3600,
        step_unit="h",
        bands=BANDS,
        bands_source="China's HJ 633-2012",
        drivers=LABELS,
    ),
    revision="1",
)
"""What lineages from before the experts go on with."""

pipeline = replace(
    first,
    learning=replace(
        _lags_alone,
        features=pm25_features.features,
        estimator=RandomFeatureMixture,
        names=pm25_features.names,
        joint=True,
        ranges=Ranges(levels=(35.0, 115.0, 250.0), noise=50.0),
    ),
    parameters={
        "experts": EXPERTS,
        "context": pm25_features.CONTEXT,
        "ridge": 33.0,
        "noise": 0.5,
        "level": 1,
        "rate": 7.5e-6,
    },
    revision="2",
    earlier=(first,),
)
