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

import numpy as np
from numpy.typing import NDArray

from streamlearn.lags.lag_sets import LagSet
from streamlearn.lags.windows import Window

MOST_UGM3 = 1000.0
_MOST_WIND_MS = 50.0
_HOURS_READ = np.array([-13, -4, -3, -2, -1])
"""Where the weather of 12, 3, 2, 1 and 0 hours ago stands in a window."""
_DEW, _TEMP, _PRESS, _WIND, _NORTHWEST, _WINDS = 1, 2, 3, 4, 7, slice(7, 11)
"""Where in a reading they stand: `SERIES` of `pm25.py`."""
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


def _magnus(celsius: float) -> float:
    return 17.625 * celsius / (243.04 + celsius)


def _find_humidity(row: Sequence[float]) -> float:
    """Return relative humidity, by Magnus' formula (O. A. Alduchov, R. E. Eskridge, 1996); 0 to 1.1."""
    return min(1.1, math.exp(_magnus(10 * row[_DEW]) - _magnus(10 * row[_TEMP])))


def _find_speed(row: Sequence[float]) -> float:
    """Return the wind in m/s, cumulated over the hours of its direction; a reading has its logarithm."""
    return math.expm1(3 * row[_WIND])


def _root_wind(goes_on: bool, speed: float, speed_before: float) -> float:
    """Return the root of the hour's own wind in m/s: the dataset adds it up while its direction goes on."""
    own = speed - speed_before if goes_on and speed >= speed_before else speed
    return math.sqrt(min(own, _MOST_WIND_MS))


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
    *rows, now = window.take(_HOURS_READ, axis=0).tolist()
    twelve, three, two, one = [now if row[_DEW] != row[_DEW] else row for row in rows]
    newest_pollution = pollution[0]
    level = newest_pollution / math.sqrt(1 + newest_pollution)
    log, *logs = [math.log1p(3 * value) for value in pollution]
    speed, speed_before = _find_speed(now), _find_speed(one)
    wind = _root_wind(now[_WINDS] == one[_WINDS], speed, speed_before)
    wind_change = wind - _root_wind(one[_WINDS] == two[_WINDS], speed_before, _find_speed(two))
    damp = _find_humidity(now)
    damp_change = damp - _find_humidity(one)
    _, dew, temp, press, cumulated, _, rain, northwest, northeast, southeast, _ = now
    dew, temp, press = 10 * dew, 10 * temp, 10 * press
    day, year = 2 * math.pi * step / 24, 2 * math.pi * step / (24 * 365.25)
    sin_day, cos_day, sin_year, cos_year = math.sin(day), math.cos(day), math.sin(year), math.cos(year)
    press_3h, press_1h = press - 10 * three[_PRESS], press - 10 * one[_PRESS]
    temp_1h, dew_1h = temp - 10 * one[_TEMP], dew - 10 * one[_DEW]
    northwest_before, northeast_before, southeast_before = one[_NORTHWEST : _NORTHWEST + 3]
    # In the order of `_PRODUCTS`, `_CHANGES` and `_INPUTS`.
    products = (
        *(damp - 0.5, wind / 3, cumulated, northwest, northeast, southeast),
        *(sin_day, cos_day, sin_year, cos_year, dew / 20, temp / 15, press / 10, press_3h / 4, rain),
    )
    changes = (
        *(damp_change, wind_change, northwest_before, northeast_before, southeast_before),
        *(temp_1h / 5, dew_1h / 5, press_1h / 3),
    )
    inputs = (
        *(4 * damp, wind / 1.2, northwest, northeast, southeast),
        *(sin_day, cos_day, cos_year, sin_year, press_3h / 2, rain, 1.2 * log),
        *[by * (log - earlier) for by, earlier in zip(_STEEPNESS, logs, strict=True)],
        *(temp_1h / 2, dew_1h / 2, 10 * damp_change, wind_change, press_1h),
        *((temp - 10 * three[_TEMP]) / 4, (dew - 10 * three[_DEW]) / 4, (press - 10 * twelve[_PRESS]) / 6),
        *(northwest_before - northwest, southeast_before - southeast),
        *(temp / 12, dew / 14, press / 10, min(2 * cumulated, 4.0)),
    )
    fixed = [
        *[level * value for value in products],
        *[newest_pollution * (newest_pollution - earlier) for earlier in pollution[1:6]],
        *[level * value for value in changes],
        *(level, newest_pollution, *inputs),
    ]
    own = np.minimum(taken.own, MOST_UGM3)
    own /= 100
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
