"""Missing steps of a series: which are filled, and what is whole without filling."""

import numpy as np

from streamlearn.lags.series import Floats

FILLED = 3
"""Longest gap, in steps, that is filled."""


def short_gaps_filled(values: Floats) -> Floats:
    """Fill gaps of at most `FILLED` steps between known values by straight lines.

    >>> short_gaps_filled(np.array([np.nan, 1.0, np.nan, 3.0])).tolist()
    [nan, 1.0, 2.0, 3.0]
    """
    filled = values.copy()
    for start, end in _runs(np.isnan(values)):
        if end - start <= FILLED and start > 0 and end < len(values):
            filled[start:end] = np.linspace(values[start - 1], values[end], end - start + 2)[1:-1]
    return filled


def longest(values: Floats) -> Floats:
    """Return the longest run without a missing value; the first of equals.

    >>> longest(np.array([1.0, np.nan, 2.0, 3.0])).tolist()
    [2.0, 3.0]
    """
    runs = _runs(~np.isnan(values))
    start, end = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
    return values[start:end]


def _runs(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    """Return where runs of True begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
