"""The PM2.5 forecasts as anyone would write them with numpy: nothing of streamlearn is imported here.

Records are the JSON objects of the topic, hourly and in order. Each horizon has a recursive least squares of
its own, learned when its label arrives; the features of an hour come from it and the 24 before it.
"""

import math
from datetime import datetime
from typing import Any

import numpy as np

HORIZONS = (1, 3, 6, 12, 24)
WINDS = ("NW", "NE", "SE", "cv")


def replay(records: list[dict[str, Any]]) -> list[dict[str, float | None]]:
    """Forecast from every record, learning as they come; return the `forecast` to expect."""
    hours: dict[int, dict[str, Any]] = {}
    seen: dict[int, tuple[np.ndarray, float] | None] = {}
    models: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    answers = []
    for record in records:
        t = int((datetime.fromisoformat(record["ts"]) - datetime(1970, 1, 1)).total_seconds() // 3600)
        hours[t] = record
        seen[t] = now = make_features(hours, t)
        answers.append({str(h): forecast(models.get(h), now) for h in HORIZONS})
        if record["pollution"] is not None:
            for h in HORIZONS:
                if seen.get(t - h) is not None:
                    x, base = seen[t - h]
                    models[h] = learn(models.get(h), x, record["pollution"] - base)
        hours.pop(t - 30, None)
        seen.pop(t - 30, None)
    return answers


def make_features(hours: dict[int, dict[str, Any]], t: int) -> tuple[np.ndarray, float] | None:
    """Return the features of hour t, and the last known reading; None without a reading in 25 hours."""
    filled = fill_lags([hours[s]["pollution"] if s in hours else None for s in range(t - 24, t + 1)])
    if filled is None:
        return None
    now, before = scale_weather(hours[t]), scale_weather(hours[t - 3]) if t - 3 in hours else None
    change = [0.0] * 4 if before is None else [a - b for a, b in zip(now[:4], before[:4], strict=True)]
    angles = compute_angles(t)
    newest_first = [value / 100 for value in reversed(filled)]
    return np.array([1.0, *newest_first, *now, *change, *np.sin(angles), *np.cos(angles)]), filled[-1]


def fill_lags(readings: list[float | None]) -> list[float] | None:
    """Return readings with gaps filled by the last known one, at first by the first; None without any."""
    known = [value for value in readings if value is not None]
    if not known:
        return None
    filled, last = [], known[0]
    for value in readings:
        last = last if value is None else value
        filled.append(last)
    return filled


def compute_angles(t: int) -> np.ndarray:
    """Return hour t as angles of the day, twice the day and the year."""
    day, year = 2 * math.pi * t / 24, 2 * math.pi * t / (24 * 365.25)
    return np.array([day, 2 * day, year])


def scale_weather(record: dict[str, Any]) -> list[float]:
    """Return the hour's weather, scaled to about ±1."""
    numbers = [record["dew"] / 10, record["temp"] / 10, (record["press"] - 1016) / 10]
    numbers += [np.log1p(record["wnd_spd"]) / 3, np.log1p(record["snow"]), np.log1p(record["rain"])]
    return [*numbers, *(float(record["wnd_dir"] == wind) for wind in WINDS)]


def forecast(
    model: tuple[np.ndarray, np.ndarray] | None, now: tuple[np.ndarray, float] | None
) -> float | None:
    """Return the forecast of a model."""
    if model is None or now is None:
        return None
    return max(0.0, now[1] + float(now[0] @ model[0]))


def learn(
    model: tuple[np.ndarray, np.ndarray] | None, x: np.ndarray, y: float
) -> tuple[np.ndarray, np.ndarray]:
    """Take a step of recursive least squares with a ridge of 10."""
    w, p = model if model is not None else (np.zeros(len(x)), np.eye(len(x)) / 10)
    g = p @ x
    d = 1 + x @ g
    return w + g * ((y - x @ w) / d), p - np.outer(g, g) / d
