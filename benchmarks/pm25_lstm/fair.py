"""What a fair rival is given: a day of everything, and no look at what it is tested on.

The last fifth of the first year is its validation, in time order; scales are those of the four fifths before.
The wind is four columns of 0 and 1. Like ours it knows the time of day and learns the change from the last
reading, so that one which knows nothing is persistence; and no forecast is below 0. Of this or the value
itself, absolute or squared loss, with or without the time of day, this did best on the validation.
"""

import numpy as np
from sklearn.preprocessing import StandardScaler

from benchmarks.pm25_lstm.examples import Examples, Prepared
from benchmarks.pm25_lstm.hours import YEAR, Floats, Hours
from benchmarks.pm25_lstm.rules import filled, scored
from streamlearn.pipelines.pm25 import WINDS, step

LAGS = 24
"""Hours before the one that is forecast."""

_LEARNED = 0.8
"""Share of the first year; the rest of it is the validation."""


def table(hours: Hours, readings: Floats) -> Floats:
    """Pollution (missing ones carried forward), the weather, the wind, the time of day, shape (n, 13)."""
    wind = np.array([[float(blows == direction) for direction in WINDS] for blows in hours.wind])
    angle = 2 * np.pi * np.array([step(hour) for hour in hours.records]) / 24
    return np.column_stack([filled(readings), hours.weather, wind, np.sin(angle), np.cos(angle)])


def prepared(hours: Hours, readings: Floats, year: int = YEAR) -> Prepared:
    """Scale the table, and set each day of it before the change to the next hour."""
    known, values = scored(readings), table(hours, readings)
    cut = round(_LEARNED * year)
    scaler = StandardScaler().fit(values[:cut])
    scaled = scaler.transform(values).astype(np.float32)
    pollution, width = values[:, 0], float(scaler.scale_[0])

    def examples(first: int, after: int, only_known: bool) -> Examples:
        """Those of the hours from `first`, before `after`."""
        of = np.arange(max(first, LAGS), after)
        of = of[known[of]] if only_known else of
        change = (pollution[of] - pollution[of - 1]) / width
        return Examples(scaled[of[:, None] + np.arange(-LAGS, 0)], change.astype(np.float32))

    last = pollution[year:-1]
    return Prepared(
        train=examples(0, cut, True),
        validation=examples(cut, year + 1, True),
        test=examples(year + 1, len(values), False),
        forecasts=lambda said: np.maximum(last + width * said.astype(np.float64), 0.0),
    )
