"""The data for a fair rival: a day of every column, and no look at the test hours.

The last fifth of the first year is its validation; the scales are those of the four fifths before. The wind
is four columns of 0 and 1. Like the pipeline, the net knows the time of day and learns the change from the
last reading, so a net that has learned nothing is persistence; and no forecast is below 0. Of the change or
the value, absolute or squared loss, with or without the time of day, this did best on the validation.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from benchmarks.pm25_lstm.examples import Examples, ExampleSets
from benchmarks.pm25_lstm.hours import YEAR, Floats, Hours
from benchmarks.pm25_lstm.rules import fill_gaps, mark_scored
from streamlearn.pipelines.pm25 import WINDS, step

LAGS = 24
"""Hours in a window, the ones before the hour that is forecast."""

_TRAIN_SHARE = 0.8
"""Share of the first year; the rest of it is the validation."""


def prepare(hours: Hours, readings: Floats, year: int = YEAR) -> ExampleSets:
    """Scale the table, and pair each day of it with the change to the next hour."""
    table, known = make_table(hours, readings), mark_scored(readings)
    cut = round(_TRAIN_SHARE * year)
    scaler = StandardScaler().fit(table[:cut])
    scaled = scaler.transform(table).astype(np.float32)
    pollution, width = table[:, 0], float(scaler.scale_[0])

    def make_examples(targets: NDArray[np.int64]) -> Examples:
        change = (pollution[targets] - pollution[targets - 1]) / width
        return Examples(scaled[targets[:, None] + np.arange(-LAGS, 0)], change.astype(np.float32))

    scored = np.flatnonzero(known)
    scored = scored[scored >= LAGS]
    last_readings = pollution[year:-1]
    return ExampleSets(
        train=make_examples(scored[scored < cut]),
        validation=make_examples(scored[(scored >= cut) & (scored <= year)]),
        test=make_examples(np.arange(year + 1, len(table))),
        unscale=lambda outputs: np.maximum(last_readings + width * outputs.astype(np.float64), 0.0),
    )


def make_table(hours: Hours, readings: Floats) -> Floats:
    """Return pollution (missing readings carried forward), weather, wind and time of day, shape (n, 13).

    Weather as in `WEATHER`, a column of 0 and 1 for each direction of the wind, sine and cosine of the time.
    """
    wind = np.array([[float(direction == column) for column in WINDS] for direction in hours.wind])
    angle = 2 * np.pi * np.array([step(hour) for hour in hours.records]) / 24
    return np.column_stack([fill_gaps(readings), hours.weather, wind, np.sin(angle), np.cos(angle)])
