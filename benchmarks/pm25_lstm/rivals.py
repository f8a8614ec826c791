"""What people would take instead: climatology, a dynamic harmonic regression, and gradient boosting.

None of them looks ahead. *Climatology* is the mean of the month and hour so far.

*Dynamic harmonic regression* is the course of the day as sines and cosines, and what is left of the series
as an ARIMA model (R. J. Hyndman, G. Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., 10.5).
Of up to three autoregressive terms and two moving averages, with and without differences, its orders have the
smallest AIC in the first year. Its parameters are fitted there; its state, which it forecasts from, takes in
every hour. An hour without a reading is missing: its Kalman filter knows what that is.

*Gradient boosting* is fitted anew every month, by all hours before it. scikit-learn's
`HistGradientBoostingRegressor` gets the day before of the pollution, the weather of the last two hours and
its changes, the hour and the season, and learns the change from the last reading, as the fair LSTM does. Its
learning rate, trees and leaves did best on the last fifth of the first year of those tried.
"""

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.pm25_lstm.hours import YEAR, Floats, Hours
from benchmarks.pm25_lstm.lstm import ReportLine
from benchmarks.pm25_lstm.rules import fill_gaps, mark_scored
from streamlearn.extras import require_extra
from streamlearn.pipelines.pm25 import WINDS, step

ORDER = (1, 1, 2)
"""Autoregressive terms, differences and moving averages."""

_PAIRS = 2
"""Sines and cosines of the day: of 24 and of 12 hours."""

LAGS = 24
"""Hours of the pollution that are seen, the ones before the hour that is forecast."""

PARAMETERS: dict[str, Any] = {
    "learning_rate": 0.05,
    "max_iter": 100,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 40,
    "early_stopping": False,
    "random_state": 0,
}

_WEATHER_LAGS = (1, 2)
_CHANGES = (3, 6)
_REPORT_INTERVAL_MONTHS = 12


def forecast_by_climatology(hours: Hours, readings: Floats, year: int = YEAR) -> Floats:
    """Forecast each hour after `year` by the mean of all readings before it of its month and time of day.

    In µg/m³. Where there was none, by the mean of all readings before it.
    """
    times = [hour.ts for hour in hours.records]
    sums: dict[tuple[str, str], tuple[float, int]] = {}
    total, count = 0.0, 0
    forecasts = np.empty(len(readings))
    for number, (time, reading) in enumerate(zip(times, readings.tolist(), strict=True)):
        cell = time[5:7], time[11:13]
        of_cell, in_cell = sums.get(cell, (0.0, 0))
        overall = total / count if count else np.nan
        forecasts[number] = of_cell / in_cell if in_cell else overall
        if reading == reading:
            sums[cell] = of_cell + reading, in_cell + 1
            total, count = total + reading, count + 1
    return forecasts[year + 1 :]


def forecast_by_arima(
    hours: Hours, readings: Floats, year: int = YEAR, order: tuple[int, int, int] = ORDER
) -> Floats:
    """Forecast each hour after `year` by a dynamic harmonic regression, in µg/m³, never below 0.

    Raises
    ------
    MissingExtra
        statsmodels is not installed.
    """
    with require_extra("lags"):
        from statsmodels.tsa.statespace.sarimax import SARIMAX
    day = make_day_harmonics(hours)
    first = slice(0, year + 1)
    model = SARIMAX(readings[first], day[first], order=order)
    with warnings.catch_warnings():
        # It says so where its optimizer stops early; the fit is as good as it gets.
        warnings.simplefilter("ignore")
        fitted = model.fit(disp=False, maxiter=200)
        everything = fitted.apply(readings, day)
    forecasts: Floats = np.maximum(everything.predict()[year + 1 :], 0.0)
    return forecasts


def make_day_harmonics(hours: Hours) -> Floats:
    """Return sine and cosine of the time of day, and of twice that, shape (n, 4)."""
    angle = 2 * np.pi * np.array([step(hour) for hour in hours.records]) / 24
    waves = [wave(pair * angle) for pair in range(1, _PAIRS + 1) for wave in (np.sin, np.cos)]
    return np.column_stack(waves)


def forecast_by_boosting(
    hours: Hours,
    readings: Floats,
    year: int = YEAR,
    report: ReportLine = lambda line: None,
    parameters: dict[str, Any] | None = None,
) -> Floats:
    """Forecast each hour after `year` by a model of the hours before its month, in µg/m³, never below 0."""
    x, filled = make_features(hours, readings), fill_gaps(readings)
    change = np.diff(filled, prepend=filled[0])
    scored = mark_scored(readings)
    scored[:LAGS] = False
    forecasts = np.full(len(readings), np.nan)
    starts = [year + 1, *(n for n in find_months(hours) if n > year + 1), len(readings)]
    for number, (start, end) in enumerate(pairwise(starts)):
        learned = np.flatnonzero(scored[:start])
        model = HistGradientBoostingRegressor(**{**PARAMETERS, **(parameters or {})})
        model.fit(x[learned], change[learned])
        forecasts[start:end] = np.maximum(filled[start - 1 : end - 1] + model.predict(x[start:end]), 0.0)
        if (number + 1) % _REPORT_INTERVAL_MONTHS == 0:
            report(f"{number + 1} of {len(starts) - 1} months")
    return forecasts[year + 1 :]


def make_features(hours: Hours, readings: Floats) -> Floats:
    """Return what is known before each hour, shape (n, n_features): row i ends with what hour i − 1 tells.

    The first `LAGS` rows mean nothing.
    """
    weather = np.log1p(np.abs(hours.weather)) * np.sign(hours.weather)
    wind = np.array([[float(direction == column) for column in WINDS] for direction in hours.wind])
    table = np.column_stack([weather, wind])
    steps = np.array([step(hour) for hour in hours.records])
    angles = 2 * np.pi * steps / 24, 2 * np.pi * steps / (24 * 365.25)
    filled = fill_gaps(readings)
    columns = [
        *(_lag(filled, lag) for lag in range(1, LAGS + 1)),
        *(_lag(filled, 1) - _lag(filled, lag) for lag in (2, 3, 4, 7, 13)),
        *(_lag(table, lag) for lag in _WEATHER_LAGS),
        *(_lag(weather, 1) - _lag(weather, 1 + lag) for lag in _CHANGES),
        *(wave(angle) for angle in angles for wave in (np.sin, np.cos)),
    ]
    return np.column_stack(columns)


def find_months(hours: Hours) -> list[int]:
    """Return the number of each hour that begins a month."""
    months = [hour.ts[:7] for hour in hours.records]
    return [n for n in range(1, len(months)) if months[n] != months[n - 1]]


def _lag(values: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """Return the values of `lag` hours before; the first hours get the last ones, which nobody uses."""
    return np.roll(values, lag, axis=0)
