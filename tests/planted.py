"""Pairs of series in which the lag is known, and CSV files of them."""

import csv
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.lags.series import Floats, Series

START = datetime(2026, 1, 1)


def plant_lag(
    lead: int, *, sign: float = 1.0, memory: float = 0.0, n: int = 600, seed: int = 5
) -> tuple[Floats, Floats]:
    """Return x and y; x leads y by `lead` steps (y leads x where it is negative), and y = `sign` · x + noise.

    `memory` is the share of its value that x keeps from step to step.
    """
    random = np.random.default_rng(seed)
    length = n + abs(lead)
    leader = random.normal(size=length)
    for step in range(1, length):
        leader[step] += memory * leader[step - 1]
    early, late = leader[abs(lead) :], leader[: length - abs(lead)]
    follower = sign * late + 0.5 * random.normal(size=n)
    return (early, follower) if lead >= 0 else (follower, early)


def name_series(x: Floats, y: Floats) -> dict[str, Series]:
    return {"x": Series("x", x), "y": Series("y", y)}


def list_times(count: int, step: timedelta = timedelta(hours=1)) -> list[str]:
    return [str(START + number * step) for number in range(count)]


def write_csv(path: Path, header: Sequence[str], rows: Any) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path
