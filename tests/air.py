"""Made-up files of the shape of UCI's Beijing Multi-Site Air Quality, the same at each call."""

import csv
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("Aotizhongxin", "Dongsi", "Gucheng", "Wanliu")
COLUMNS = (
    *("No", "year", "month", "day", "hour", "PM2.5", "PM10", "SO2", "NO2", "CO", "O3"),
    *("TEMP", "PRES", "DEWP", "RAIN", "wd", "WSPM", "station"),
)
START = datetime(2013, 3, 1)
WINDS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")


def make_rows(station: str, hours: int) -> list[dict[str, Any]]:
    """Return a station's rows as they stand in its file; of its numbers about one in twelve is missing."""
    random = np.random.default_rng(sum(map(ord, station)))
    dust = np.maximum(3, 90 + np.cumsum(random.normal(0, 9, hours))).tolist()
    warmth = (10 + 8 * np.sin(np.arange(hours) * 2 * np.pi / 24) + random.normal(0, 1, hours)).tolist()
    rows = []
    for number in range(hours):
        time = START + timedelta(hours=number)
        values = {
            "PM2.5": round(dust[number]),
            "PM10": round(1.3 * dust[number] + abs(random.normal(0, 10))),
            "SO2": round(abs(random.normal(15, 5)), 1),
            "NO2": round(abs(random.normal(50, 9)), 1),
            "CO": round(12 * dust[number]),
            "O3": round(abs(random.normal(50, 20)), 1),
            "TEMP": round(warmth[number], 1),
            "PRES": round(1012 + random.normal(0, 4), 1),
            "DEWP": round(warmth[number] - 9, 1),
            "RAIN": round(max(0.0, random.normal(-2, 1)), 1),
            "wd": WINDS[int(random.integers(16))],
            "WSPM": round(abs(random.normal(2, 1)), 1),
        }
        missing = {name: "NA" for name in values if random.random() < 1 / 12}
        date = {"No": number + 1, "year": time.year, "month": time.month, "day": time.day, "hour": time.hour}
        rows.append({**date, **values, **missing, "station": station})
    return rows


def write_files(folder: Path, hours: int, names: tuple[str, ...] = NAMES) -> Path:
    """Write a file for each station; return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        with (folder / f"PRSA_Data_{name}_20130301-20170228.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, quoting=csv.QUOTE_NONNUMERIC)
            writer.writeheader()
            writer.writerows(make_rows(name, hours))
    return folder


def make_records(hours: int, names: tuple[str, ...] = NAMES) -> list[dict[str, Any]]:
    """Return the records that stand in the topic after a replay of the files, made here by hand."""
    rows = [row for at in zip(*(make_rows(name, hours) for name in names), strict=True) for row in at]
    fields = COLUMNS[1:]
    return [{name: None if row[name] == "NA" else row[name] for name in fields} for row in rows]
