"""Hours for the PM2.5 pipeline, and learners that have learned them."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.pm25 import Hour
from streamlearn.pipelines.registry import load

PM25 = load("pm25")
(FIRST,) = PM25.earlier
"""What lineages from before the second revision go on with."""
START = datetime(2010, 1, 2)


def hour(number: int, pollution: float | None = 100.0, **change: Any) -> dict[str, Any]:
    return {
        "ts": str(START + timedelta(hours=number)),
        "pollution": pollution,
        "dew": -16,
        "temp": -4,
        "press": 1020,
        "wnd_dir": "SE",
        "wnd_spd": 1.79,
        "snow": 0,
        "rain": 0,
        **change,
    }


def series(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return hours like the real ones, a tenth of them without a reading."""
    random = np.random.default_rng(seed)
    values = np.maximum(0, 300 + np.cumsum(random.normal(0, 8, count))).tolist()
    return [
        hour(n, None if random.random() < 0.1 else round(value), wnd_spd=float(random.integers(90)))
        for n, value in enumerate(values)
    ]


def decode(records: list[dict[str, Any]]) -> list[Hour]:
    return [PM25.codec.decode(msgspec.json.encode(record)) for record in records]


def learned(records: list[dict[str, Any]], pipeline: Pipeline = PM25) -> tuple[Any, list[Any]]:
    """Return a learner that has learned the records one by one, and its forecasts."""
    learner, answers = pipeline.new_learner(), []
    for record in decode(records):
        answers += predict_then_learn(learner, [record], learner.version + 1)
    return learner, [answer["forecast"] for answer in answers]
