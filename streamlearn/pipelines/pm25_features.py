"""What pm25's experts see of the last 25 hours.

First what is linear: the lags in use, and products of the pollution with the weather, the hour and the
season, since wind carries off, and mixing thins, a share of what is there. Then the context, which random
features alone are made of: two gates, which are the pollution itself, growing ever more slowly or not, and 32
inputs. docs/pm25.md tells what each part was worth in the first year.

Pollution counts in 100 µg/m³, and no reading for more than 1,000 µg/m³: products of what nobody has measured
would forecast what nobody has measured. Weather of hours that are missing counts as that of now.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlearn.lags.lag_sets import LagSet
from streamlearn.lags.windows import Window

MOST_UGM3 = 1000.0
_MOST_WIND_MS = 50.0
_PAST_HOURS = (1, 2, 3, 12)
_POLLUTION_LAGS = (0, 1, 2, 3, 6, 12, 23)
_ONE = np.ones(1)
_STEEPNESS = (4.0, 3.0, 2.5, 1.5, 1.2, 1.0)
"""What growth over each of these lags is multiplied by, to be of about one."""

_PRODUCTS = (
    *("humidity", "√wind", "cumulated wind", "NW", "NE", "SE", "sin(day)", "cos(day)", "sin(year)"),
    *("cos(year)", "dew", "temp", "press", "press 3 h", "rain"),
)
_CHANGES = ("humidity", "√wind", "NW before", "NE before", "SE before", "temp", "dew", "press")
GATES = ("level", "pollution")
_INPUTS = (
    *("humidity", "√wind", "NW", "NE", "SE", "sin(day)", "cos(day)", "cos(year)", "sin(year)", "press 3 h"),
    "rain",
    *("level", *(f"growth {lag} h" for lag in _POLLUTION_LAGS[1:])),
    *("temp 1 h", "dew 1 h", "humidity 1 h", "√wind 1 h", "press 1 h", "temp 3 h", "dew 3 h", "press 12 h"),
    *("from NW", "from SE", "temp", "dew", "press", "cumulated wind"),
)
CONTEXT = len(GATES) + len(_INPUTS)
"""How many of the features only random features see: the last ones."""

NOW, ALL = [len(GATES), len(GATES) + 11], [len(GATES), CONTEXT]
"""Columns of the context: the wind, humidity, rain, hour and season of now; and everything."""


class _Weather(NamedTuple):
    """One hour's weather."""

    dew: float
    """°C"""
    temp: float
    """°C"""
    press: float
    """hPa, from 1,016"""
    cumulated: float
    """The wind as its logarithm stands in a reading."""
    rain: float
    northwest: float
    northeast: float
    southeast: float
    calm: float

    @property
    def humidity(self) -> float:
        """Relative humidity, by Magnus' formula (O. A. Alduchov, R. E. Eskridge, 1996); 0 to 1.1."""
        return min(1.1, math.exp(_magnus(self.dew) - _magnus(self.temp)))

    @property
    def speed(self) -> float:
        """The wind in m/s, cumulated over the hours of its direction."""
        return math.expm1(3 * self.cumulated)


def _magnus(celsius: float) -> float:
    return 17.625 * celsius / (243.04 + celsius)


def _read(row: Sequence[float], now: _Weather | None = None) -> _Weather:
    """Read a reading's weather; an hour that is missing has that of now."""
    if now is not None and row[1] != row[1]:
        return now
    return _Weather(10 * row[1], 10 * row[2], 10 * row[3], row[4], row[6], *row[7:11])


def _root_wind(now: _Weather, before: _Weather) -> float:
    """Return the root of the hour's own wind in m/s: the dataset adds it up while its direction holds."""
    goes_on = now[5:] == before[5:] and now.speed >= before.speed
    return math.sqrt(min(now.speed - before.speed if goes_on else now.speed, _MOST_WIND_MS))


def features(window: Window, step: int, lags: LagSet) -> tuple[NDArray[np.float64], float] | None:
    """Return what `names` lists, shape (n_features,), and the last known pollution in µg/m³.

    Missing pollution is carried forward from the last reading, which is also what persistence forecasts.
    None where the window holds no reading at all.
    """
    taken = lags.take(window)
    if taken is None:
        return None
    known = taken.known.tolist()
    pollution = [min(known[-1 - lag], MOST_UGM3) / 100 for lag in _POLLUTION_LAGS]
    now = _read(window[-1].tolist())
    one, two, three, twelve = (_read(window[-1 - lag].tolist(), now) for lag in _PAST_HOURS)
    level = pollution[0] / math.sqrt(1 + pollution[0])
    logs = [math.log1p(3 * value) for value in pollution]
    wind, wind_before = _root_wind(now, one), _root_wind(one, two)
    damp, damp_before = now.humidity, one.humidity
    day, year = 2 * math.pi * step / 24, 2 * math.pi * step / (24 * 365.25)
    angles = math.sin(day), math.cos(day), math.sin(year), math.cos(year)
    press_3h = now.press - three.press
    winds = now.northwest, now.northeast, now.southeast
    # In the order of `_PRODUCTS`, `_CHANGES` and `_INPUTS`.
    products = [
        *(damp - 0.5, wind / 3, now.cumulated, *winds, *angles),
        *(now.dew / 20, now.temp / 15, now.press / 10, press_3h / 4, now.rain),
    ]
    changes = [
        *(damp - damp_before, wind - wind_before, one.northwest, one.northeast, one.southeast),
        *((now.temp - one.temp) / 5, (now.dew - one.dew) / 5, (now.press - one.press) / 3),
    ]
    inputs = [
        *(4 * damp, wind / 1.2, *winds, angles[0], angles[1], angles[3], angles[2], press_3h / 2, now.rain),
        1.2 * logs[0],
        *(by * (logs[0] - log) for by, log in zip(_STEEPNESS, logs[1:], strict=True)),
        *((now.temp - one.temp) / 2, (now.dew - one.dew) / 2, 10 * (damp - damp_before), wind - wind_before),
        *(now.press - one.press, (now.temp - three.temp) / 4, (now.dew - three.dew) / 4),
        *((now.press - twelve.press) / 6, one.northwest - now.northwest, one.southeast - now.southeast),
        *(now.temp / 12, now.dew / 14, now.press / 10, min(2 * now.cumulated, 4.0)),
    ]
    fixed = [
        *(level * value for value in products),
        *(pollution[0] * (pollution[0] - before) for before in pollution[1:6]),
        *(level * value for value in changes),
        *(level, pollution[0], *inputs),
    ]
    own = np.minimum(taken.own, MOST_UGM3) / 100
    return np.concatenate([_ONE, own, taken.now, taken.changes, fixed]), taken.last


def names(lags: LagSet) -> tuple[str, ...]:
    """What each feature is; the last `CONTEXT` of them are seen by random features alone."""
    growth = (f"pollution × growth {lag} h" for lag in _POLLUTION_LAGS[1:6])
    return (
        *("1", *lags.names),
        *(f"level × {name}" for name in _PRODUCTS),
        *growth,
        *(f"level × {name} 1 h" for name in _CHANGES),
        *(f"gate: {name}" for name in GATES),
        *(f"input: {name}" for name in _INPUTS),
    )
