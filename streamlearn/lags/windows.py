"""The lag window: the last readings of a series, the same for training and for serving.

A window is an array of shape (length, n_fields), the newest reading last; a reading that is missing, or came
from no record at all, is NaN.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Window = NDArray[np.float64]


def empty_window(length: int, fields: int) -> Window:
    """Return a window in which everything is missing."""
    window = np.empty((length, fields))
    window.fill(np.nan)
    return window


def push(window: Window, rows: NDArray[np.float64]) -> Window:
    """Return the window with `rows`, shape (n, n_fields), added at its end; the oldest readings fall out.

    >>> push(np.array([[1.0], [2.0], [3.0]]), np.array([[4.0]])).ravel().tolist()
    [2.0, 3.0, 4.0]
    """
    longer: Window = np.concatenate([window, rows])
    return longer[-len(window) :]


def push_one(window: Window, row: ArrayLike) -> Window:
    """Return the window with one reading, shape (n_fields,), added at its end; the oldest one falls out.

    >>> push_one(np.array([[1.0], [2.0], [3.0]]), [4.0]).ravel().tolist()
    [2.0, 3.0, 4.0]
    """
    moved = np.empty_like(window)
    moved[:-1] = window[1:]
    moved[-1] = row
    return moved


def carry_forward(series: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return a series, shape (n,), in which each missing value is the last known one before it.

    Those before the first known value are that value. None if no value is known.

    >>> carry_forward(np.array([np.nan, 1.0, np.nan, 3.0])).tolist()
    [1.0, 1.0, 1.0, 3.0]
    """
    if math.isfinite(series.dot(series)):  # the quickest way to see that none is missing
        return series.copy()
    missing = np.isnan(series)
    if not np.logical_or.reduce(missing):
        return series.copy()
    first = int(missing.argmin())
    if missing[first]:
        return None
    newest_known = np.maximum.accumulate(np.where(missing, first, np.arange(len(series))))
    filled: NDArray[np.float64] = series[newest_known]
    return filled
