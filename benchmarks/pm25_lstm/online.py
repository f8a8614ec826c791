"""Ours: the pipeline pm25 over the same hours, one hour ahead, learning all the way or only at first.

The pipeline is as it stands, but for its other horizons, each of which has a model of its own.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from msgspec import structs

from benchmarks.pm25_lstm.hours import YEAR, Floats, Hours
from streamlearn.learning.forecasting import Forecast
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines.pm25 import Hour, pipeline

_TELL_EVERY = 8760


def forecasts(
    hours: Hours,
    readings: Floats,
    year: int = YEAR,
    *,
    frozen: bool = False,
    told: Callable[[str], None] = lambda line: None,
) -> Floats:
    """Forecast each hour after `year` by what was learned before it, in µg/m³; NaN where nothing can be said.

    With `frozen`, nothing is learned after `year`: each later forecast is an answer to the window of records
    before it. Without, every hour is predicted, then learned, as in the stream.
    """
    how = pipeline.learning
    assert isinstance(how, Forecast)
    learner, given = replace(how, horizons=(1,)).new_learner(pipeline.parameters, 0), records(hours, readings)
    found = np.full(len(given), np.nan)
    for number in range(len(given) - 1):
        if frozen and number > year:
            answers = learner.answer(given[number + 1 - how.length : number + 1])
        else:
            answers = predict_then_learn(learner, given[number : number + 1], number + 1)
        value = answers[0]["forecast"]["1"]
        found[number + 1] = np.nan if value is None else value
        if (number + 1) % _TELL_EVERY == 0:
            told(f"{number + 1} of {len(given)} hours")
    return found[year + 1 :]


def records(hours: Hours, readings: Floats) -> list[Hour]:
    """Return the hours with `readings` for their pollution, None where it is NaN."""
    values = [None if np.isnan(value) else value for value in readings.tolist()]
    return [structs.replace(hour, pollution=value) for hour, value in zip(hours.records, values, strict=True)]
