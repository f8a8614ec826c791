"""The ink of a drawing → 64 counts, by the steps that UCI's digits were prepared in.

Those were NIST's (of its public handprint recognition system, NISTIR 5469): the ink's box was scaled to 20
points wide and 32 high, in the middle of 32×32; a layer of ink was taken off or laid on where there was much
or little; the rows were moved sideways until the left edge stood upright. UCI counted the black points in
blocks of 4×4.

UCI's pictures show it: on average 30–32 % of the points are ink in each of the ten classes, in a 1 as in an
8, and the ink at the top of a 4, 6, 7 or 9 begins in about the same column as that at the bottom.
"""

import math

import numpy as np
from numpy.typing import NDArray

GRID = 32
"""The side of the bitmap that is counted, in points."""

FINE = 4
"""How many pixels are rendered along the side of a point."""

_WIDTH = 20
"""How wide NIST made the ink, in points."""

_INK = 285, 338
"""How many points of ink the middle half of UCI's pictures have, of 1,024."""

_LAYERS = 2
"""How many points' width of ink NIST laid on or took off at most."""

_EDGE = 2
"""How many rows NIST left out at the top and the bottom, as noisy, to see where the left edge is."""

Black = NDArray[np.bool_]
"""Which pixels or points are black, shape (128, 128) or (32, 32)."""


def size(width: float, height: float) -> tuple[int, int]:
    """Return how wide and high, in pixels, a box of ink is to be rendered for `counts`.

    Broad ink is narrowed to NIST's width. Narrow ink is brought halfway there (by the ratio of the widths):
    all the way, a bare 1 would be a block of 448 points, and UCI's blackest has 433; not at all, a slim 8
    would be slimmer than UCI's.
    """
    natural = GRID * width / height
    points = min(_WIDTH, math.sqrt(_WIDTH * natural))
    return FINE * max(1, round(points)), FINE * GRID


def counts(ink: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count the black points of ink that fills its box, as large as `size` says, each pixel 0–1."""
    fine = _thick(_middle(ink)).reshape(GRID, FINE, GRID, FINE)
    points = _upright(fine.mean(axis=(1, 3)) >= 0.5)
    blocks: NDArray[np.float64] = points.reshape(8, 4, 8, 4).sum(axis=(1, 3)).astype(np.float64)
    return blocks.ravel()


def _middle(ink: NDArray[np.float64]) -> Black:
    """Put the ink in the middle of a square; a pixel a third as dark as the darkest is black, be it grey."""
    side = FINE * GRID
    left = (side - ink.shape[1]) // 2
    black = np.zeros((side, side), dtype=np.bool_)
    black[:, left : left + ink.shape[1]] = ink > ink.max() / 3
    return black


def _thick(black: Black) -> Black:
    """Lay on ink where there is little, take off where there is much, until there is as much as UCI had.

    NIST's layers were a point thick; these are a pixel, so that no small difference makes a large one.
    """
    least, most = (FINE * FINE * points for points in _INK)
    for _ in range(FINE * _LAYERS):
        ink = black.sum()
        if least <= ink <= most:
            break
        crosses = _crosses(black)
        black = crosses.any(axis=0) if ink < least else crosses.all(axis=0)
    return black


def _crosses(black: Black) -> Black:
    """Return each pixel and its four neighbours, shape (5, 128, 128); around the square is paper."""
    wide = np.pad(black, 1)
    return np.stack([black, wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]])


def _upright(points: Black) -> Black:
    """Move the rows sideways until the ink's left edge near the bottom is below that near the top."""
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
    moved = np.zeros_like(points)
    moved[rows[inside], columns[inside]] = True
    return moved
