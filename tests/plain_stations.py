"""The stations' forecasts as anyone would write them with numpy: nothing of streamlearn is imported here.

Records are the JSON objects of the topic. Each station has its own hours; each horizon has a recursive least
squares that learns from all stations, one label after the other as they come.
"""

import math
from datetime import datetime
from typing import Any

import numpy as np
from plain_forecast import HORIZONS, compute_angles, fill_lags, forecast, learn

WINDS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")
SCALES = {
    "PM10": (100, 100), "SO2": (15, 20), "NO2": (50, 35), "CO": (1200, 1100), "O3": (60, 55),
    "TEMP": (13, 11), "PRES": (1012, 10), "DEWP": (2, 14), "RAIN": (0, 2), "WSPM": (2, 1.5),
}  # fmt: skip
"""Column → what is typical, and how far it varies."""


def replay(records: list[dict[str, Any]], most_keys: int = 200) -> list[dict[str, float | None]]:
    """Forecast from every record, learning as they come; return the `forecast` to expect."""
    stations: dict[str, tuple[dict[int, Any], dict[int, Any]]] = {}
    models: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    answers = []
    for record in records:
        hours, seen = stations.pop(record["station"], ({}, {}))
        stations[record["station"]] = hours, seen
        while len(stations) > most_keys:
            del stations[next(iter(stations))]
        time = datetime(record["year"], record["month"], record["day"], record["hour"])
        t = int((time - datetime(1970, 1, 1)).total_seconds() // 3600)
        hours[t] = record
        seen[t] = now = make_features(hours, t)
        answers.append({str(h): forecast(models.get(h), now) for h in HORIZONS})
        if record["PM2.5"] is not None:
            for h in HORIZONS:
                if seen.get(t - h) is not None:
                    x, base = seen[t - h]
                    models[h] = learn(models.get(h), x, record["PM2.5"] - base)
    return answers


def make_features(hours: dict[int, dict[str, Any]], t: int) -> tuple[np.ndarray, float] | None:
    """Return the features of a station's hour t, and the last known reading; None without one in 25 hours."""
    filled = fill_lags([hours[s]["PM2.5"] if s in hours else None for s in range(t - 24, t + 1)])
    if filled is None:
        return None
    now = [scale(hours[t], name) for name in SCALES]
    before = [scale(hours[t - 3], name) if t - 3 in hours else math.nan for name in SCALES]
    changes = [a - b for a, b in zip(now, before, strict=True)]
    wind = [float(hours[t]["wd"] == direction) for direction in WINDS]
    numbers = [0.0 if math.isnan(value) else value for value in [*now, *wind, *changes]]
    angles = compute_angles(t)
    newest_first = [value / 100 for value in reversed(filled)]
    return np.array([1.0, *newest_first, *numbers, *np.sin(angles), *np.cos(angles)]), filled[-1]


def scale(record: dict[str, Any], name: str) -> float:
    """Return a column's value, scaled to about ±1; NaN where it is missing."""
    typical, spread = SCALES[name]
    return math.nan if record[name] is None else (record[name] - typical) / spread
