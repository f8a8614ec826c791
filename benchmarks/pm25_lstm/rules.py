"""Two rules: an hour without a reading is a reading of zero, as in the article; or it is left out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.pm25_lstm.hours import YEAR, Floats
from streamlearn.lags.windows import carry_forward


@dataclass(frozen=True)
class Rule:
    """What an hour without a reading counts as."""

    name: str
    title: str
    missing_is_zero: bool

    def readings(self, pollution: Floats) -> Floats:
        """Return what the models are told of the pollution, in µg/m³; NaN where they are told nothing.

        >>> ZEROS.readings(np.array([5.0, np.nan])).tolist(), KNOWN.readings(np.array([5.0, np.nan])).tolist()
        ([5.0, 0.0], [5.0, nan])
        """
        return np.nan_to_num(pollution, nan=0.0) if self.missing_is_zero else pollution


ZEROS = Rule("zeros", "Missing hours count as readings of zero", True)
KNOWN = Rule("known", "Missing hours are left out", False)
RULES = (ZEROS, KNOWN)


def scored(readings: Floats) -> NDArray[np.bool_]:
    """Tell of which hours a forecast is learned and scored: that hour and the one before are known.

    >>> scored(np.array([1.0, 2.0, np.nan, 4.0, 5.0])).tolist()
    [False, True, False, False, True]
    """
    known: NDArray[np.bool_] = ~np.isnan(readings)
    both: NDArray[np.bool_] = known & np.concatenate([[False], known[:-1]])
    return both


def filled(readings: Floats) -> Floats:
    """Carry the last reading forward over the hours without one, for nets, which need a number every hour."""
    found = carry_forward(readings)
    if found is None:
        raise ValueError("not one hour has a reading")
    return found


def errors(forecasts: Floats, readings: Floats, year: int = YEAR) -> Floats:
    """Return forecast − reading of the hours after `year`, in µg/m³; NaN where no forecast is scored.

    Parameters
    ----------
    forecasts
        Of the hours after `year`, shape (…, n − year − 1).
    readings
        Of every hour, shape (n,).
    """
    found: Floats = np.where(scored(readings), readings, np.nan)[year + 1 :]
    return forecasts - found


def rmse(errors: Floats) -> Floats:
    """Root mean square over the last axis, NaN left out.

    >>> float(rmse(np.array([3.0, np.nan, 4.0, -5.0]))) ** 2
    16.666666666666668
    """
    return np.asarray(np.sqrt(np.nanmean(errors**2, axis=-1)))


def mae(errors: Floats) -> Floats:
    """Mean absolute value over the last axis, NaN left out."""
    return np.asarray(np.nanmean(np.abs(errors), axis=-1))


def persistence(readings: Floats, year: int = YEAR) -> Floats:
    """Forecast each hour after `year` by the reading before it, in µg/m³."""
    return readings[year:-1]
