"""One model of many series, or a model for each? Accuracy and time of both. `scripts/bench stations`.

Twelve stations are made of the PM2.5 data's one series, since nothing is downloaded here for twelve: each has
its readings up to three hours later, multiplied by 0.7 to 1.3 and by a noise of its own that lasts for hours;
a twentieth of them is missing. The weather is that of all, as in one city, with a little noise in the
temperature. So they are more alike than real ones.

one          one learner, with a window for each station
partitions   four learners: a station's records go where its key is placed in four partitions
each         a learner for each station
"""

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.measuring import takes_output
from streamlearn.broker.placement import hash_key
from streamlearn.datasets import pm25
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.learning.metrics import add_scores
from streamlearn.learning.process import pin_blas_threads, relieve_collector
from streamlearn.pipelines.stations import pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.records import encode

_NAMES = tuple(f"Station {letter}" for letter in "ABCDEFGHIJKL")
_WINDS = {"NW": "NW", "NE": "NE", "SE": "SE", "cv": None}
_UNTIL_HOURS = (500, 2000, 17_520)
_SHOWN = ("1", "6", "24")
_LONGEST_SHIFT = 3

_SHARES: dict[str, Callable[[str], Any]] = {
    "one": lambda station: 0,
    "partitions": lambda station: hash_key(station) % 4,
    "each": lambda station: station,
}
"""Contender → a station → which of its learners has it."""


def make_records(hours: int, seed: int = 0) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of all stations, hour after hour."""
    random = np.random.default_rng(seed)
    series = list(islice(pm25.records(), hours + _LONGEST_SHIFT))
    shifts = random.integers(0, _LONGEST_SHIFT + 1, len(_NAMES))
    gains, noise = random.uniform(0.7, 1.3, len(_NAMES)), np.zeros(len(_NAMES))
    for hour in range(hours):
        noise = 0.9 * noise + random.normal(0, 0.05, len(_NAMES))
        now = series[hour + _LONGEST_SHIFT]
        ago = [series[hour + _LONGEST_SHIFT - shift]["pollution"] for shift in shifts]
        missing = random.random(len(_NAMES)) < 0.05
        temperatures = now["temp"] + random.normal(0, 0.5, len(_NAMES))
        yield [
            _make_record(
                name,
                now,
                None if missing[k] or ago[k] is None else round(ago[k] * gains[k] * float(np.exp(noise[k]))),
                round(float(temperatures[k]), 1),
            )
            for k, name in enumerate(_NAMES)
        ]


def _make_record(
    station: str, hour: dict[str, Any], value: float | None, temperature: float
) -> dict[str, Any]:
    time_ = datetime.fromisoformat(hour["ts"])
    others = dict.fromkeys(("PM10", "SO2", "NO2", "CO", "O3", "RAIN"))
    weather = {"TEMP": temperature, "PRES": hour["press"], "DEWP": hour["dew"], "wd": _WINDS[hour["wnd_dir"]]}
    when = {"year": time_.year, "month": time_.month, "day": time_.day, "hour": time_.hour}
    wind = min(hour["wnd_spd"], 20.0)
    return {**when, "PM2.5": value, **others, **weather, "WSPM": wind, "station": station}


def simulate(contender: str, hours: int) -> list[dict[str, Any]]:
    """Return how well and how fast a contender was, after each of the limits below or at so many hours."""
    share, learners = _SHARES[contender], dict[Any, Learner]()
    spent_s, records, rows = 0.0, 0, []
    for number, at_once in enumerate(make_records(hours), start=1):
        decoded = [pipeline.codec.decode(encode(record)) for record in at_once]
        started = time.process_time()
        for record in decoded:
            learner = learners.get(share(record.station))
            if learner is None:
                learner = learners[share(record.station)] = pipeline.new_learner()
            predict_then_learn(learner, [record], learner.version + 1)
        spent_s += time.process_time() - started
        records += len(decoded)
        if number in _UNTIL_HOURS or number == hours:
            rows.append(_summarize(contender, number, list(learners.values()), 1e6 * spent_s / records))
    return rows


def _summarize(contender: str, hours: int, learners: list[Learner], cost_us: float) -> dict[str, Any]:
    score = add_scores([learner.score for learner in learners])
    ratios = {h: score.horizons[h].rmse / score.horizons[h].baseline_rmse for h in _SHOWN}
    size = sum(len(snapshot.dumps(learner, pipeline, "study")) for learner in learners)
    started = time.process_time()
    for learner in learners:
        snapshot.dumps(learner, pipeline, "study")
    spent_ms = 1e3 * (time.process_time() - started)
    return {
        "contender": contender,
        "learners": len(learners),
        "hours": hours,
        "ratios": ratios,
        "us_a_record": cost_us,
        "snapshot_kb": size / 1000,
        "snapshot_ms": spent_ms,
    }


@click.command(help=__doc__.replace("\n\none  ", "\n\n\b\none  "))
@click.option("--quick", is_flag=True, help="A first look: the first 500 hours.")
@takes_output("stations", "the results are written as JSON")
def main(output: Path, quick: bool) -> None:
    """Simulate and print: RMSE as a share of persistence's, for each horizon."""
    pin_blas_threads()
    relieve_collector()
    head = "".join(f"{f'{horizon} h':>8}" for horizon in _SHOWN)
    click.echo(f"{'contender':<12}{'learners':>9}{'hours':>8}{head}{'µs':>8}{'kB':>8}{'ms':>7}")
    results = []
    for contender in _SHARES:
        for row in simulate(contender, _UNTIL_HOURS[0] if quick else _UNTIL_HOURS[-1]):
            results.append(row)
            ratios = "".join(f"{ratio:8.3f}" for ratio in row["ratios"].values())
            size = f"{row['us_a_record']:8.0f}{row['snapshot_kb']:8.0f}{row['snapshot_ms']:7.1f}"
            click.echo(f"{contender:<12}{row['learners']:9}{row['hours']:8}{ratios}{size}")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")
    click.echo(f"written to {output}")


if __name__ == "__main__":
    main()
