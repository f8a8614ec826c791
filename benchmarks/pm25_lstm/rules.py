"""Two rules for an hour without a reading: it is a reading of zero, as in the article, or it is left out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.pm25_lstm.hours import YEAR, Floats
from streamlearn.lags.windows import carry_forward
from streamlearn.learning import curves


@dataclass(frozen=True)
class Rule:
    """What an hour without a reading counts as."""

    name: str
    title: str
    missing_is_zero: bool

    def apply(self, pollution: Floats) -> Floats:
        """Return the readings that the models get, in µg/m³; NaN where they get none.

        >>> ZEROS.apply(np.array([5.0, np.nan])).tolist(), KNOWN.apply(np.array([5.0, np.nan])).tolist()
        ([5.0, 0.0], [5.0, nan])
        """
        return np.nan_to_num(pollution, nan=0.0) if self.missing_is_zero else pollution


ZEROS = Rule("zeros", "Missing hours count as readings of zero", True)
KNOWN = Rule("known", "Missing hours are left out", False)
RULES = (ZEROS, KNOWN)


def mark_scored(readings: Floats) -> NDArray[np.bool_]:
    """Return for each hour whether its forecast is learned and scored: it and the hour before are known.

    >>> mark_scored(np.array([1.0, 2.0, np.nan, 4.0, 5.0])).tolist()
    [False, True, False, False, True]
    """
    known: NDArray[np.bool_] = ~np.isnan(readings)
    return np.asarray(known & np.concatenate([[False], known[:-1]]))


def fill_gaps(readings: Floats) -> Floats:
    """Carry the last reading forward over hours without one: a net needs a number every hour."""
    filled = carry_forward(readings)
    if filled is None:
        raise ValueError("not a single hour has a reading")
    return filled


def forecast_by_persistence(readings: Floats, year: int = YEAR) -> Floats:
    """Forecast each hour after `year` by the reading before it, in µg/m³."""
    return readings[year:-1]


def compute_residuals(forecasts: Floats, readings: Floats, year: int = YEAR) -> Floats:
    """Return forecast − reading of the hours after `year`, in µg/m³; NaN where no forecast is scored.

    Parameters
    ----------
    forecasts
        Of the hours after `year`, shape (…, n − year − 1).
    readings
        Of every hour, shape (n,).
    """
    truths: Floats = np.where(mark_scored(readings), readings, np.nan)[year + 1 :]
    return forecasts - truths


def mae(residuals: Floats) -> Floats:
    """Return the mean absolute value over the last axis, NaN left out."""
    return np.asarray(np.nanmean(np.abs(residuals), axis=-1))


def rmse(residuals: Floats) -> Floats:
    """Return the root mean square over the last axis, NaN left out."""
    return curves.rmse(residuals, axis=-1)
