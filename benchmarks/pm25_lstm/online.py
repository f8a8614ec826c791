"""The pipeline `pm25` over the same hours, one hour ahead, learning all the way or only in the first year.

It has one horizon here. Horizons share no label, so the others make no difference.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from msgspec import structs

from benchmarks.pm25_lstm.hours import YEAR, Floats, Hours
from streamlearn.learning.forecasting import Forecast
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines.pm25 import Hour, pipeline

_REPORT_INTERVAL_HOURS = 8760


def forecast(
    hours: Hours,
    readings: Floats,
    year: int = YEAR,
    *,
    frozen: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Floats:
    """Forecast each hour after `year` by what was learned before it, in µg/m³; NaN where that is impossible.

    With `frozen`, nothing is learned after `year`: each later forecast is an answer to the window of records
    before it. Without, every hour is predicted, then learned, as in the stream. `report` gets a line a year.
    """
    learning = pipeline.learning
    assert isinstance(learning, Forecast)
    learner = replace(learning, horizons=(1,)).new_learner(pipeline.parameters, 0)
    records = make_records(hours, readings)
    forecasts = np.full(len(records), np.nan)
    for number in range(len(records) - 1):
        if frozen and number > year:
            answers = learner.answer(records[number + 1 - learning.length : number + 1])
        else:
            answers = predict_then_learn(learner, records[number : number + 1], number + 1)
        value = answers[0]["forecast"]["1"]
        forecasts[number + 1] = np.nan if value is None else value
        if (number + 1) % _REPORT_INTERVAL_HOURS == 0:
            report(f"{number + 1} of {len(records)} hours")
    return forecasts[year + 1 :]


def make_records(hours: Hours, readings: Floats) -> list[Hour]:
    """Return the hours with `readings` for their pollution, None where it is NaN."""
    values = [None if np.isnan(value) else value for value in readings.tolist()]
    return [structs.replace(hour, pollution=value) for hour, value in zip(hours.records, values, strict=True)]
