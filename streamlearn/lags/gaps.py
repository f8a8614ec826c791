"""Missing steps of a series: short gaps are filled, and what is complete without filling."""

import numpy as np

from streamlearn.lags.series import Floats

MAX_FILLED = 3
"""Longest gap, in steps, that is filled."""


def fill_short_gaps(values: Floats) -> Floats:
    """Return the values, shape (n,), with gaps of at most `MAX_FILLED` steps filled by straight lines.

    A gap at either end has no known value beside it and stays.

    >>> fill_short_gaps(np.array([np.nan, 1.0, np.nan, 3.0])).tolist()
    [nan, 1.0, 2.0, 3.0]
    """
    filled = values.copy()
    for start, end in _find_runs(np.isnan(values)):
        if end - start <= MAX_FILLED and start > 0 and end < len(values):
            filled[start:end] = np.linspace(values[start - 1], values[end], end - start + 2)[1:-1]
    return filled


def longest_run(values: Floats) -> Floats:
    """Return the longest run without a missing value; the first of several equally long ones.

    >>> longest_run(np.array([1.0, np.nan, 2.0, 3.0])).tolist()
    [2.0, 3.0]
    """
    runs = _find_runs(~np.isnan(values))
    start, end = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
    return values[start:end]


def _find_runs(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    """Return where runs of True begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
