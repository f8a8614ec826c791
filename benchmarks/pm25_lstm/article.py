"""The data as a well-known article prepares it, step by step.

Jason Brownlee, "Multivariate Time Series Forecasting with LSTMs in Keras", Machine Learning Mastery, 2017:
the wind is a number (0 to 3, in the alphabet's order), every column is scaled to 0–1 by its extremes over all
five years, and one hour with its eight columns says what the pollution of the next is. The hours that are
tested are also those whose loss is watched; nothing is chosen by it.
"""

import numpy as np
from sklearn.preprocessing import LabelEncoder, MinMaxScaler

from benchmarks.pm25_lstm.examples import Examples, Prepared, Rows
from benchmarks.pm25_lstm.hours import WEATHER, YEAR, Floats, Hours
from benchmarks.pm25_lstm.rules import filled, scored

COLUMNS = ("pollution", "dew", "temp", "press", "wnd_dir", "wnd_spd", "snow", "rain")
"""The article's, in its order."""


def table(hours: Hours, readings: Floats) -> Rows:
    """Return the eight columns as they stand, shape (n, 8); missing readings are carried forward."""
    columns = dict(zip(WEATHER, hours.weather.T, strict=True))
    columns["pollution"] = filled(readings)
    columns["wnd_dir"] = LabelEncoder().fit_transform(hours.wind)
    return np.column_stack([columns[name] for name in COLUMNS]).astype(np.float32)


def prepared(hours: Hours, readings: Floats, year: int = YEAR) -> Prepared:
    """Scale the table, and set each hour before the pollution of the next."""
    scaler = MinMaxScaler()
    scaled = scaler.fit_transform(table(hours, readings))
    known = scored(readings)[1:]
    x, y = scaled[:-1, None, :], scaled[1:, 0]
    low, width = float(scaler.data_min_[0]), float(scaler.data_range_[0])
    return Prepared(
        train=Examples(x[:year][known[:year]], y[:year][known[:year]]),
        validation=Examples(x[year:][known[year:]], y[year:][known[year:]]),
        test=Examples(x[year:], y[year:]),
        forecasts=lambda said: low + width * said.astype(np.float64),
    )
