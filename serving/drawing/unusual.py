"""Shapes that UCI's writers hardly drew, made like those that they did: the model knows no others.

Each function returns ink of its shape changed, and any other ink as it is.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull

from serving.drawing.ink import Mask, find_box, is_stroke, measure_pen

_HOLE = 0.004
"""A hole smaller than this share of the ink's box is no part of a shape."""

_SIDEWAYS = 0.35
"""How far the lower hole of a crossed 0 is to the right of the upper one, as a share of how far it is below.

At most 0.17 in UCI's eights and in drawings of them, at least 0.43 in drawings of a crossed 0.
"""

_WAIST = 0.01
"""The most ground between two holes, as a share of their hull, where they are those of a ring."""

_SLIM = 0.45
"""Ink narrower than this share of its height is slim."""

_UNSLIM = 0.6
"""The width, as a share of the height, that a slim ring is given: about that of UCI's."""

_DOUBLED = 0.45
"""The share of rows with strokes beside each other from which slim ink without a hole is no bare stroke."""

_RING = 1 / 3
"""How far from the top and the bottom the holes of a 0 or an 8 are at most, as a share of the height."""

_LEANING = 0.15
"""How far a 0 or an 8 leans at least before it is straightened: columns a row."""

_GAP = 0.06
"""The widest gap in a ring, as a share of the ink's larger side; the standard pen closes wider ones."""

_REACH = 0.5
"""How deep a stroke that touches the ring reaches into its hole at least, as a share of how deep that is."""

_FOOT = 0.1
"""How far a foot stands out on either side of its stem at least, as a share of the height."""

_STEM = (0.4, 0.8)
"""Where the stem of a 1 is looked at, as shares of its height: below its flag, above its foot."""

_TOP = 0.3
"""Above which share of the height the flag is."""

_FLAG = 0.5
"""The farthest that a flag reaches to the left of the stem's line, as a share of the height.

At most 0.43 in drawings of a 1 with a foot; the head of a 2 whose stem is as straight reaches 0.56 and more.
"""

_STEEP = 0.45
"""The most that a stem leans: columns a row."""


def clear_zero(mask: Mask) -> Mask:
    """Remove a stroke `/` that crosses a 0 or stands inside it, and a dot.

    A hand often leaves the ring open by a little, which the standard pen closes: here it is closed to look.
    """
    cleared = _empty_ring(_remove_slash(mask))
    if cleared is not mask:
        return cleared
    closed = _close_gaps(mask)
    cleared = _empty_ring(_remove_slash(closed))
    return cleared if cleared is not closed and _is_ring(closed) else mask


def widen_slim(mask: Mask) -> Mask:
    """Widen slim ink that is no bare stroke, such as a narrow 0, 4, 8 or 9.

    NIST scaled the box of every digit to one width, and its pen went along. A standard pen would fill a
    narrow hole, and the 0 were a 1. A 0 or an 8 that leans is slim if it is so when it stands upright: a lean
    widens its box.
    """
    height = len(mask)
    if not _find_holes(mask) and _measure_doubled(mask) < _DOUBLED:
        return mask
    upright = _straighten(mask)
    if upright.shape[1] < _SLIM * height and (_is_ring(mask) or _is_ring(_close_gaps(mask))):
        mask = upright
    width = mask.shape[1]
    if width >= _SLIM * height:
        return mask
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    size = round(_UNSLIM * height), height
    wide: Mask = np.asarray(picture.resize(size, Image.Resampling.BILINEAR)) > 127
    return wide


def _remove_slash(mask: Mask) -> Mask:
    """Remove the stroke `/` that crosses a 0.

    The 0 has a hole at the upper left and one at the lower right, and no waist, where an 8 has one hole above
    the other. UCI's zeros are not crossed, so to the model two holes are an 8.
    """
    holes = _find_large_holes(mask)
    if len(holes) < 2:
        return mask
    (top, left), (bottom, right) = sorted(tuple(np.argwhere(hole).mean(axis=0)) for hole in holes)
    inside = _fill_hull(holes[0] | holes[1])
    waist = inside & ~ndimage.binary_fill_holes(mask)
    if right - left < _SIDEWAYS * (bottom - top) or waist.sum() > _WAIST * inside.sum():
        return mask
    ring = mask & ~inside
    distance = ndimage.distance_transform_edt(~inside)
    # The ends of the stroke stand out of the ring, which is twice as thick as its median pixel is far in.
    bare: Mask = ring & (distance <= 2.5 * float(np.median(distance[ring])) + 1)
    return bare[find_box(bare)]


def _empty_ring(mask: Mask) -> Mask:
    """Remove a stroke `/` or a dot inside a 0 that does not touch the ring, or only with one end."""
    pen = measure_pen(mask)
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 2:
        ring = _find_largest(labels)
        inner = mask & ~ring
        if is_stroke(inner, pen, dots=True) and not (inner & ~_fill_hull(ring)).any():
            return ring
    holes = _find_large_holes(mask)
    if len(holes) != 1:
        return mask
    # A hole that a stroke reaches into is not convex, as a ring's is.
    inside = _fill_hull(holes[0])
    labels, count = ndimage.label(mask & inside, structure=np.ones((3, 3)))
    if not count:
        return mask
    depth = ndimage.distance_transform_edt(inside)
    largest = _find_largest(labels)
    if depth[largest].max() < _REACH * depth.max() or not is_stroke(largest, pen):
        return mask
    return mask & ~inside


def remove_foot(mask: Mask) -> Mask:
    """Remove the foot of a 1: a line across the end of its stem.

    A 2 has such a line, too, but begins it at its left end, or has a wider head than a flag is.
    """
    height, width = mask.shape
    pen = measure_pen(mask)
    stem = _fit_stem(mask, pen)
    if stem is None or _find_holes(mask):
        return mask
    y, x = np.mgrid[:height, :width]
    beside = x - stem[0] - stem[1] * y
    foot = y >= height - round(pen + 0.06 * height)
    ends = beside[foot & mask]
    if min(-ends.min(), ends.max()) < _FOOT * height + pen / 2:
        return mask
    if beside[mask & (y < _TOP * height)].min() < -_FLAG * height:
        return mask
    bare: Mask = mask & (~foot | (np.abs(beside) <= stem[2] / 2 + 1))
    return bare[find_box(bare)]


def _fit_stem(mask: Mask, pen: float) -> tuple[float, float, float] | None:
    """Return the line of a 1's stem: its column at row 0, columns a row, and width; None without one."""
    height, width = mask.shape
    first, last = (round(share * height) for share in _STEM)
    rows, part = np.arange(first, last), mask[first:last]
    widths = part.sum(axis=1)
    edges = np.abs(np.diff(part.astype(np.int8), axis=1, prepend=0, append=0)).sum(axis=1)
    # One run of ink in each row, as wide as a pen.
    if last - first < 3 or (edges != 2).any() or widths.max() > 2 * pen + 2:
        return None
    centres = (part * np.arange(width)).sum(axis=1) / widths
    lean, start = np.polyfit(rows, centres, 1)
    bend = np.abs(centres - (start + lean * rows)).max()
    if abs(lean) > _STEEP or bend > 0.03 * height:
        return None
    return float(start), float(lean), float(np.median(widths))


def _close_gaps(mask: Mask) -> Mask:
    """Fill what a disc cannot enter that is `_GAP` of the larger side wide."""
    radius = _GAP / 2 * max(mask.shape)
    margin = int(radius) + 2
    padded = np.pad(mask, margin)
    wide = ndimage.distance_transform_edt(~padded) <= radius
    closed: Mask = padded | (ndimage.distance_transform_edt(wide) > radius)
    return closed[margin:-margin, margin:-margin]


def _measure_doubled(mask: Mask) -> float:
    """Return the share of rows in which strokes stand beside each other."""
    begins = np.diff(np.pad(mask, ((0, 0), (1, 0))).astype(np.int8), axis=1) == 1
    return float((begins.sum(axis=1) > 1).mean())


def _is_ring(mask: Mask) -> bool:
    """Tell whether there are holes from near the top to near the bottom, as in a 0 or an 8."""
    holes = _find_holes(mask)
    if not holes:
        return False
    rows, _ = find_box(np.logical_or.reduce(holes))
    return bool(max(rows.start, len(mask) - rows.stop) <= _RING * len(mask))


def _straighten(mask: Mask) -> Mask:
    """Shift rows sideways until the ink does not lean; a hand's own unevenness is no lean."""
    height = len(mask)
    y, x = np.argwhere(mask).T
    lean = float(np.polyfit(y, x, 1)[0])
    if abs(lean) < _LEANING:
        return mask
    beside = round(abs(lean) * height / 2) + 1
    picture = Image.fromarray(np.pad(mask, ((0, 0), (beside, beside))).astype(np.uint8) * 255)
    shift = (1, lean, -lean * height / 2, 0, 1, 0)
    sheared = picture.transform(picture.size, Image.Transform.AFFINE, shift, Image.Resampling.BILINEAR)
    upright: Mask = np.asarray(sheared) > 127
    return upright[find_box(upright)]


def _find_holes(mask: Mask) -> list[Mask]:
    """Return the parts of the ground that ink surrounds, without the smallest."""
    labels, count = ndimage.label(~np.pad(mask, 1))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    inner = labels[1:-1, 1:-1]
    return [
        inner == number
        for number in range(1, count + 1)
        if number != labels[0, 0] and sizes[number] >= _HOLE * mask.size
    ]


def _find_large_holes(mask: Mask) -> list[Mask]:
    """Return the largest hole and, where it is at least a quarter of that, the next one."""
    holes = sorted(_find_holes(mask), key=lambda hole: -int(hole.sum()))[:2]
    return [hole for hole in holes if 4 * hole.sum() >= holes[0].sum()]


def _find_largest(labels: NDArray[np.int32]) -> Mask:
    """Return the part that has the most pixels; 0 labels none."""
    part: Mask = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return part


def _fill_hull(mask: Mask) -> Mask:
    """Return the convex hull of some pixels."""
    points = np.argwhere(mask)
    corners = points[ConvexHull(points).vertices]
    picture = Image.new("1", mask.shape[::-1])
    ImageDraw.Draw(picture).polygon([(int(x), int(y)) for y, x in corners], fill=1)
    hull: Mask = np.asarray(picture, dtype=np.bool_)
    return hull
