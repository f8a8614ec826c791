"""The data as a well-known article prepares it, step by step.

Jason Brownlee, "Multivariate Time Series Forecasting with LSTMs in Keras", Machine Learning Mastery, 2017:
the wind is a number (0 to 3, in alphabetical order), every column is scaled to 0–1 by its extremes over all
five years, and one hour with its eight columns forecasts the pollution of the next. The validation hours are
the test hours; nothing is chosen by their loss.
"""

import numpy as np
from sklearn.preprocessing import LabelEncoder, MinMaxScaler

from benchmarks.pm25_lstm.examples import Examples, ExampleSets, Scaled
from benchmarks.pm25_lstm.hours import WEATHER, YEAR, Floats, Hours
from benchmarks.pm25_lstm.rules import fill_gaps, mark_scored

COLUMNS = ("pollution", "dew", "temp", "press", "wnd_dir", "wnd_spd", "snow", "rain")
"""The article's, in its order."""


def prepare(hours: Hours, readings: Floats, year: int = YEAR) -> ExampleSets:
    """Scale the table, and pair each hour with the pollution of the next."""
    scaler = MinMaxScaler()
    scaled = scaler.fit_transform(make_table(hours, readings))
    known = mark_scored(readings)[1:]
    x, y = scaled[:-1, None, :], scaled[1:, 0]
    low, width = float(scaler.data_min_[0]), float(scaler.data_range_[0])
    return ExampleSets(
        train=Examples(x[:year][known[:year]], y[:year][known[:year]]),
        validation=Examples(x[year:][known[year:]], y[year:][known[year:]]),
        test=Examples(x[year:], y[year:]),
        unscale=lambda outputs: low + width * outputs.astype(np.float64),
    )


def make_table(hours: Hours, readings: Floats) -> Scaled:
    """Return the eight columns as they stand, shape (n, 8); missing readings are carried forward."""
    columns = dict(zip(WEATHER, hours.weather.T, strict=True))
    columns["pollution"] = fill_gaps(readings)
    columns["wnd_dir"] = LabelEncoder().fit_transform(hours.wind)
    return np.column_stack([columns[name] for name in COLUMNS]).astype(np.float32)
