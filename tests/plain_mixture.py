"""The PM2.5 forecasts as anyone would write them with numpy: nothing of streamlearn is imported here.

Records are the JSON objects of the topic, hourly and in order. Three experts, each a weighted least squares
for all horizons, see an hour's features and random Fourier features; shares of the experts are learned for
each horizon by exponentiated gradient descent. A row enters the inverse of the sum of squares when it comes,
and its labels the coefficients when they come.
"""

import math
from datetime import datetime
from typing import Any

import numpy as np
from scipy.linalg.blas import dger

HORIZONS = (1, 3, 6, 12, 24)
WINDS = ("NW", "NE", "SE", "cv")
RIDGE, NOISE, RATE = 33.0, 0.5, 7.5e-6
# Units, inputs seen, width, scale, seed, and whether the root of the level is the gate.
EXPERTS = ((100, 11, 2.5, 9.0, 900, True), (100, 11, 2.5, 9.0, 901, False), (300, 32, 5.0, 6.0, 902, True))


class Expert:
    def __init__(self, linear: int, units: int, inputs: int, width: float, scale: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.w = random.normal(size=(inputs, units)) / width
        self.b = random.uniform(0, 2 * math.pi, units)
        self.scale, self.inputs = scale * math.sqrt(2 / units), inputs
        self.p = np.eye(linear + units, order="F") / RIDGE
        self.coefficients = np.zeros((len(HORIZONS), linear + units))

    def expand(self, linear: np.ndarray, inputs: np.ndarray, gate: float) -> np.ndarray:
        cosines = np.cos(inputs[: self.inputs] @ self.w + self.b)
        return np.concatenate([linear, self.scale * gate * cosines])

    def take(self, x: np.ndarray, weight: float) -> np.ndarray:
        g = self.p @ x
        k = g / (1 / weight + x @ g)
        # p -= g[:, None] * k, in its place: five years take half as long.
        self.p = dger(-1.0, g, k, a=self.p, overwrite_a=True)
        return k


def replay(records: list[dict[str, Any]]) -> list[dict[str, float | None]]:
    """Forecast from every record, learning as they come; return the `forecast` to expect."""
    hours: dict[int, dict[str, Any]] = {}
    seen: dict[int, tuple[Any, ...] | None] = {}
    experts: list[Expert] = []
    slopes = np.zeros((len(EXPERTS), len(HORIZONS)))
    known = np.zeros(len(HORIZONS), dtype=bool)
    answers = []
    for record in records:
        t = int((datetime.fromisoformat(record["ts"]) - datetime(1970, 1, 1)).total_seconds() // 3600)
        hours[t] = record
        hour = make_features(hours, t)
        if hour is None:
            seen[t] = None
            answers.append(dict.fromkeys(map(str, HORIZONS)))
        else:
            linear, inputs, level, pollution, last = hour
            if not experts:
                experts = [Expert(len(linear), *spec[:5]) for spec in EXPERTS]
            gates = [level if spec[5] else pollution for spec in EXPERTS]
            rows = [e.expand(linear, inputs, gate) for e, gate in zip(experts, gates, strict=True)]
            each = np.array([e.coefficients @ row for e, row in zip(experts, rows, strict=True)])
            shares = np.exp(-RATE * (slopes - slopes.min(axis=0)))
            mixed = (shares / shares.sum(axis=0) * each).sum(axis=0)
            forecast = [max(0.0, last + m) if k else None for m, k in zip(mixed.tolist(), known, strict=True)]
            answers.append(dict(zip(map(str, HORIZONS), forecast, strict=True)))
        if record["pollution"] is not None:
            for number, h in enumerate(HORIZONS):
                before = seen.get(t - h)
                if before is None:
                    continue
                old_rows, gains, old_each, old_mixed, weight, base = before
                change = record["pollution"] - base
                for e, row, gain in zip(experts, old_rows, gains, strict=True):
                    e.coefficients[number] += gain * (change - row @ e.coefficients[number])
                slopes[:, number] += weight * (old_mixed[number] - change) * old_each[:, number]
                known[number] = True
        if hour is not None:
            weight = 1 / (NOISE + pollution)
            gains = [e.take(row, weight) for e, row in zip(experts, rows, strict=True)]
            seen[t] = rows, gains, each, mixed, weight, last
        hours.pop(t - 30, None)
        seen.pop(t - 30, None)
    return answers


def make_features(hours: dict[int, dict[str, Any]], t: int) -> tuple[Any, ...] | None:
    """Return what is linear, the inputs of random features, both gates, and the last known reading."""
    values = [hours[s]["pollution"] if s in hours else None for s in range(t - 24, t + 1)]
    readings = [value for value in values if value is not None]
    if not readings:
        return None
    filled, last = [], readings[0]
    for value in values:
        last = last if value is None else value
        filled.append(last)
    p = [min(value, 1000.0) / 100 for value in reversed(filled)]
    now, past = hours[t], {k: hours.get(t - k, hours[t]) for k in (1, 2, 3, 12)}
    m = p[0] / math.sqrt(1 + p[0])
    day, year = 2 * math.pi * t / 24, 2 * math.pi * t / (24 * 365.25)
    rh, rh1 = humidity(now), humidity(past[1])
    wind, wind1 = math.sqrt(own_wind(now, past[1])), math.sqrt(own_wind(past[1], past[2]))
    blows = {s: [float(r["wnd_dir"] == s) for r in (now, past[1])] for s in WINDS}
    lsp, rain = math.log1p(now["wnd_spd"]) / 3, math.log1p(now["rain"])

    def change(field: str, hours_ago: int) -> float:
        return float(now[field] - past[hours_ago][field])

    weather = scale_weather(now)
    before = scale_weather(hours[t - 3]) if t - 3 in hours else weather
    scaled = [rh - 0.5, wind / 3, lsp, *(blows[s][0] for s in WINDS[:3]), math.sin(day), math.cos(day)]
    scaled += [math.sin(year), math.cos(year), now["dew"] / 20, now["temp"] / 15, weather[2]]
    scaled += [change("press", 3) / 4, rain]
    moves = [rh - rh1, wind - wind1, *(blows[s][1] for s in WINDS[:3])]
    moves += [change("temp", 1) / 5, change("dew", 1) / 5, change("press", 1) / 3]
    linear = [1.0, *p, *weather, *(a - b for a, b in zip(weather[:4], before[:4], strict=True))]
    linear += [m * s for s in scaled] + [p[0] * (p[0] - p[k]) for k in (1, 2, 3, 6, 12)]
    linear += [m * s for s in moves]
    inputs = [4 * rh, wind / 1.2, *(blows[s][0] for s in WINDS[:3]), math.sin(day), math.cos(day)]
    inputs += [math.cos(year), math.sin(year), change("press", 3) / 2, rain]
    log = [math.log1p(3 * value) for value in p]
    inputs += [1.2 * log[0]]
    inputs += [
        f * (log[0] - log[k]) for k, f in zip((1, 2, 3, 6, 12, 23), (4, 3, 2.5, 1.5, 1.2, 1), strict=True)
    ]
    inputs += [change("temp", 1) / 2, change("dew", 1) / 2, 10 * (rh - rh1), wind - wind1, change("press", 1)]
    inputs += [change("temp", 3) / 4, change("dew", 3) / 4, change("press", 12) / 6]
    inputs += [blows[s][1] - blows[s][0] for s in ("NW", "SE")]
    inputs += [now["temp"] / 12, now["dew"] / 14, weather[2], min(2 * lsp, 4.0)]
    return np.array(linear), np.array(inputs), m, p[0], filled[-1]


def humidity(record: dict[str, Any]) -> float:
    """Return the relative humidity, 0 to 1.1."""
    vapour = [math.exp(17.625 * c / (243.04 + c)) for c in (record["dew"], record["temp"])]
    return min(1.1, vapour[0] / vapour[1])


def own_wind(record: dict[str, Any], before: dict[str, Any]) -> float:
    """Return the wind of the hour itself, in m/s."""
    speed = record["wnd_spd"]
    if record["wnd_dir"] == before["wnd_dir"] and speed >= before["wnd_spd"]:
        speed -= before["wnd_spd"]
    return float(min(speed, 50.0))


def scale_weather(record: dict[str, Any]) -> list[float]:
    """Return the hour's weather, scaled to about ±1."""
    numbers = [record["dew"] / 10, record["temp"] / 10, (record["press"] - 1016) / 10]
    numbers += [math.log1p(record["wnd_spd"]) / 3, math.log1p(record["snow"]), math.log1p(record["rain"])]
    return [*numbers, *(float(record["wnd_dir"] == wind) for wind in WINDS)]
