"""Turns the ink of a drawing into 64 counts, by the steps that made UCI's digits.

Those steps were NIST's (in its public handprint recognition system, NISTIR 5469): the ink's box was scaled to
20 points wide and 32 high, and centred in 32×32; where there was much or little ink, a layer was removed or
added; and rows were shifted sideways until the left edge was upright. Then UCI counted the black points in
blocks of 4×4.

UCI's pictures show the effect: on average 30–32 % of the points are ink in each of the ten classes, in a 1 as
in an 8, and the ink at the top of a 4, 6, 7 or 9 begins in about the same column as at the bottom.
"""

import math

import numpy as np
from numpy.typing import NDArray

GRID = 32
"""The side of the bitmap whose points are counted."""

FINE = 4
"""Pixels along the side of a point."""

_WIDTH = 20
"""The width to which NIST scaled the ink, in points."""

_INK = 285, 338
"""The quartiles of the ink in UCI's pictures, in points of 1,024."""

_LAYERS = 2
"""The most ink that NIST added or removed, in points of thickness."""

_EDGE = 2
"""The rows at the top and the bottom that NIST ignored, as noisy, when it looked for the left edge."""

Black = NDArray[np.bool_]
"""Which pixels or points are black, shape (128, 128) or (32, 32)."""


def choose_size(width: float, height: float) -> tuple[int, int]:
    """Return the width and height in pixels at which a box of ink is rendered for `count_ink`.

    Broad ink is narrowed to NIST's width. Narrow ink is widened halfway to it (by the ratio of the widths).
    Widened all the way, a bare 1 would be a block of 448 points, more than the blackest of UCI's pictures has
    (433); not widened, a slim 8 would be slimmer than UCI's.
    """
    natural = GRID * width / height
    points = min(_WIDTH, math.sqrt(_WIDTH * natural))
    return FINE * max(1, round(points)), FINE * GRID


def count_ink(ink: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count the black points in each of 8×8 blocks.

    Parameters
    ----------
    ink
        The rendered ink, each pixel 0–1, which fills its box; as large as `choose_size` says.

    Returns
    -------
    numpy.ndarray
        The counts, shape (64,), row by row, each 0–16.
    """
    pixels = _adjust_thickness(_center(ink)).reshape(GRID, FINE, GRID, FINE)
    points = _straighten(pixels.mean(axis=(1, 3)) >= 0.5)
    blocks: NDArray[np.float64] = points.reshape(8, 4, 8, 4).sum(axis=(1, 3)).astype(np.float64)
    return blocks.ravel()


def _center(ink: NDArray[np.float64]) -> Black:
    """Centre the ink in a square; pixels at least a third as dark as the darkest are black."""
    side = FINE * GRID
    left = (side - ink.shape[1]) // 2
    black = np.zeros((side, side), dtype=np.bool_)
    black[:, left : left + ink.shape[1]] = ink > ink.max() / 3
    return black


def _adjust_thickness(black: Black) -> Black:
    """Add or remove layers of ink until there is as much as in UCI's pictures.

    NIST's layers were a point thick. These are one pixel thick, so that a small difference between drawings
    does not become a large one.
    """
    least, most = (FINE * FINE * points for points in _INK)
    for _ in range(FINE * _LAYERS):
        ink = black.sum()
        if least <= ink <= most:
            break
        neighbours = _stack_neighbours(black)
        black = neighbours.any(axis=0) if ink < least else neighbours.all(axis=0)
    return black


def _stack_neighbours(black: Black) -> Black:
    """Return each pixel with its four neighbours, shape (5, 128, 128); paper surrounds the square."""
    padded = np.pad(black, 1)
    return np.stack([black, padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])


def _straighten(points: Black) -> Black:
    """Shift rows sideways until the ink's left edge near the bottom is below that near the top."""
    inked = np.flatnonzero(points.any(axis=1))
    if len(inked) == 0 or inked[-1] - inked[0] <= 2 * _EDGE:
        return points
    top, bottom = inked[0] + _EDGE, inked[-1] - _EDGE
    if not (points[top].any() and points[bottom].any()):
        return points
    shear = (int(points[top].argmax()) - int(points[bottom].argmax())) / (bottom - top)
    rows, columns = np.nonzero(points)
    columns = columns + np.rint((rows - GRID // 2) * shear).astype(int)
    inside = (columns >= 0) & (columns < GRID)
    shifted = np.zeros_like(points)
    shifted[rows[inside], columns[inside]] = True
    return shifted
