"""Finds the ink of a rendered drawing as a person sees it, whatever the colours of pen and ground."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pixels = NDArray[np.float64]
"""Colours, shape (height, width, 3), each 0–1."""

Mask = NDArray[np.bool_]
"""Which pixels are ink, shape (height, width)."""

Window = tuple[float, float, float, float]
"""A part of the page: left, top, width and height, as shares of the page's width and height."""

PAGE: Window = (0.0, 0.0, 1.0, 1.0)

_SAME = 0.06
"""Colours closer than this are one colour."""

_PALE = 0.25
"""A stroke this far from a flat ground is ink, however much darker another one is."""

_FAINTEST = 0.012
"""Three of 255 steps; what is closer to a flat ground is its own noise."""

_FAINTEST_ON_PAPER = 0.12
"""The same for a ground that is not flat."""

_CARDS = 3
"""How many grounds may lie one on the other: a page, a card's border, the card."""

_BORDERS_PX = (2, 5, 9)
"""How far from a card's edge its own colour is looked for, in pixels of the rendered page."""

_STROKE_PENS = 2.0
"""The most pens that a single stroke is wide, and a dot is long, where a hand has drawn it."""

_LEAN = 0.15
"""How far a stroke `/` leans at least: columns a row."""

_SPECK = 0.02
"""A spot smaller than this share of the largest stroke is dirt."""


@dataclass(frozen=True)
class Ground:
    """The colour that was written on: flat, or changing slowly as light on paper does.

    `coefficients`, shape (6, 3), are those of 1, u, v, u², uv and v² for each colour; u and v go from 0 to 1
    over the page.
    """

    coefficients: NDArray[np.float64]
    flat: bool

    def measure_contrast(self, pixels: Pixels, window: Window) -> NDArray[np.float64]:
        """Return how far each pixel is from the ground, 0–1: the largest difference of the three colours."""
        colours = self.coefficients[0]
        if not self.flat:
            colours = _spread(pixels.shape[:2], window) @ self.coefficients
        return _find_largest(np.abs(pixels - colours))

    def find_ink(self, pixels: Pixels, window: Window) -> Mask:
        """Return which pixels are ink, without specks."""
        contrast = self.measure_contrast(pixels, window)
        most = float(contrast.max())
        if most < (_FAINTEST if self.flat else _FAINTEST_ON_PAPER):
            return np.zeros(contrast.shape, dtype=np.bool_)
        return _drop_specks(contrast > (min(most / 3, _PALE) if self.flat else most / 3))


def choose_paper(rgba: NDArray[np.float64]) -> float:
    """Return what a picture is laid on: white (1) or, where hardly anything is seen on it, black (0)."""
    on_white, on_black = (float(np.ptp(lay_on(rgba, paper).reshape(-1, 3), axis=0).max()) for paper in (1, 0))
    return 1.0 if on_white >= on_black / 3 else 0.0


def lay_on(rgba: NDArray[np.float64], paper: float) -> Pixels:
    """Return the colours of a picture that may be seen through, on white (1) or black (0) paper."""
    opacity = rgba[..., 3:]
    colours: Pixels = rgba[..., :3] * opacity + paper * (1 - opacity)
    return colours


def find_ground(pixels: Pixels) -> tuple[Ground, Window] | None:
    """Return the ground of a whole page, and the part of it that holds the ink; None without ink.

    Most of a page's edge is ground. A large rectangle or disc with other ink inside is a card that was
    written on: then the card is the ground.
    """
    ground = _fit_ground(pixels)
    mask = _drop_corners(ground.find_ink(pixels, PAGE))
    if not mask.any():
        return None
    card = _search_card(pixels, ground, mask, mask.shape, _CARDS)
    if card is not None and not _is_zero(mask, card[1]):
        ground, mask = card
    return ground, crop(PAGE, mask.shape, *find_box(mask))


def find_box(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and the columns that hold ink; there must be some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def crop(window: Window, shape: tuple[int, ...], rows: slice, columns: slice) -> Window:
    """Return the part of the page that some rows and columns show, of a rendered part of this shape."""
    left, top, width, height = window
    pixel_width, pixel_height = width / shape[1], height / shape[0]
    return (
        left + columns.start * pixel_width,
        top + rows.start * pixel_height,
        (columns.stop - columns.start) * pixel_width,
        (rows.stop - rows.start) * pixel_height,
    )


def measure_pen(mask: Mask) -> float:
    """Return how wide the strokes are, in pixels.

    The mean distance of a stroke's pixels from its edge is a quarter of its width.
    """
    mask = np.pad(mask, 1)
    return 4 * float(ndimage.distance_transform_edt(mask)[mask].mean()) - 2


def is_stroke(mask: Mask, pen: float, *, dots: bool = False) -> bool:
    """Tell whether ink is one straight stroke that leans as `/` does; with `dots`, a dot is one, too."""
    y, x = np.argwhere(mask).T.astype(np.float64)
    if len(y) < 3:
        return dots
    (yy, yx), (_, xx) = np.cov(np.stack([y, x]))
    spread = np.sqrt((yy - xx) ** 2 + 4 * yx**2)
    # A stroke as wide as w has a variance of w² / 12 across.
    width, length = (np.sqrt(max(0.0, 6 * (yy + xx + end))) for end in (-spread, spread))
    if width > _STROKE_PENS * pen:
        return False
    return bool(yx <= -_LEAN * yy or (dots and length <= _STROKE_PENS * pen))


def set_pen(mask: Mask, share: float) -> Mask:
    """Widen the strokes to a share of the ink's larger side, as if drawn with a round pen of that width.

    The result is larger than `mask`.
    """
    pen = measure_pen(mask)
    mask = np.pad(mask, 1)
    radius = (share * max(mask.shape) - pen) / 2
    if radius <= 0:
        return mask
    wide: Mask = ndimage.distance_transform_edt(~np.pad(mask, int(radius) + 1)) <= radius
    return wide


def _search_card(
    pixels: Pixels, ground: Ground, mask: Mask, around: tuple[int, ...], cards: int
) -> tuple[Ground, Mask] | None:
    """Return the ground and the ink on the card that `mask` is; None where it is a digit.

    `ground` is what the card lies on, and `around` its height and width.
    """
    rows, columns = find_box(mask)
    box = ndimage.binary_fill_holes(mask[rows, columns])
    if not cards or not _is_large(box.shape, around) or not _is_card(box):
        return None
    region = np.zeros_like(mask)
    region[rows, columns] = box
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    framed = _leave_out(mask, depth == 1)
    frame_px = mask.sum() - framed.sum()
    if framed.any() and max(framed.sum(), frame_px) < box.sum() / 3:
        return ground, framed
    card = _fit_card(pixels, depth)
    if card is None:
        return None
    ground, surface = card
    ink = ground.find_ink(np.where(surface[..., None], pixels, ground.coefficients[0]), PAGE)
    if not ink.any():
        return None
    return _search_card(pixels, ground, ink, box.shape, cards - 1) or (
        (ground, ink) if _is_written(ink, box) else None
    )


def _is_zero(mask: Mask, inner: Mask) -> bool:
    """Tell whether a shape that seems to be a card, with ink on it, is a ring around a stroke or a dot."""
    ring = mask & ~inner
    box = ndimage.binary_fill_holes(ring[find_box(ring)])
    is_ring = not _is_rectangle(box) and ring.sum() < 2 * box.sum() / 3
    return bool(is_ring and is_stroke(inner, measure_pen(ring), dots=True))


def _fit_card(pixels: Pixels, depth: NDArray[np.float64]) -> tuple[Ground, Mask] | None:
    """Return a card's colour and its pixels, from how deep each is in it; None if it has no one colour."""
    # The outermost pixels mix the card's colour with what it lies on; it may have a border, too.
    for edge in _BORDERS_PX:
        rim = pixels[(depth > edge) & (depth <= edge + 2)]
        if len(rim):
            colour = np.median(rim, axis=0)
            if (_find_largest(np.abs(rim - colour)) <= _SAME).mean() >= 0.9:
                return _make_flat(colour), depth > edge
    return None


def _is_written(ink: Mask, box: Mask) -> bool:
    """Tell whether what is seen on a shape is strokes, and not the middle of a bold 0 or 8."""
    strokes = ink[find_box(ink)]
    if ink.sum() >= box.sum() / 3:
        return False
    return _is_rectangle(box) or strokes.mean() < 0.72 or strokes.shape[1] < box.shape[1] / 4


def _is_large(shape: tuple[int, ...], around: tuple[int, ...]) -> bool:
    """Tell whether something is large for what it lies on; what is slim, as a digit is, must be larger."""
    share = shape[0] * shape[1] / (around[0] * around[1])
    return share >= 0.5 or (share >= 0.3 and shape[1] >= 0.7 * shape[0])


def _is_card(box: Mask) -> bool:
    y, x = (np.linspace(-1, 1, side) for side in box.shape)
    disc = y[:, None] ** 2 + x[None, :] ** 2 <= 1
    return _is_rectangle(box) or bool((box & disc).sum() > 0.95 * (box | disc).sum())


def _is_rectangle(box: Mask) -> bool:
    """Tell whether a shape fills its box but for its corners, which may be round."""
    return bool(box.mean() > 0.9)


def _fit_ground(pixels: Pixels) -> Ground:
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(edge, axis=0)
    if (np.abs(edge - colour).max(axis=1) <= _SAME / 2).mean() >= 0.5:
        return _make_flat(colour)
    # Fit all pixels, then again without those that are far off: they are ink.
    terms = _spread(pixels.shape[:2], PAGE).reshape(-1, 6)
    colours = pixels.reshape(-1, 3)
    kept = np.ones(len(terms), dtype=np.bool_)
    for _ in range(6):
        coefficients = np.linalg.lstsq(terms[kept], colours[kept], rcond=None)[0]
        residuals = np.abs(colours - terms @ coefficients).max(axis=1)
        kept = residuals <= max(_SAME, 1.5 * float(np.median(residuals)))
    return Ground(coefficients, flat=False)


def _find_largest(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest of three values for each pixel; a maximum over so short an axis is slow."""
    return np.maximum(np.maximum(colours[..., 0], colours[..., 1]), colours[..., 2])


def _make_flat(colour: NDArray[np.float64]) -> Ground:
    return Ground(np.concatenate([colour[None], np.zeros((5, 3))]), flat=True)


def _spread(shape: tuple[int, ...], window: Window) -> NDArray[np.float64]:
    """Return 1, u, v, u², uv and v² for each pixel of a part of the page, shape (height, width, 6)."""
    left, top, width, height = window
    v, u = np.meshgrid(
        top + height * (np.arange(shape[0]) + 0.5) / shape[0],
        left + width * (np.arange(shape[1]) + 0.5) / shape[1],
        indexing="ij",
    )
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=2)


def _drop_specks(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept: Mask = (sizes >= _SPECK * sizes.max())[labels] & mask
    return kept


def _drop_corners(mask: Mask) -> Mask:
    """Leave out what lies in the corners of a page with round corners, unless it is all there is."""
    corners = np.zeros_like(mask)
    corners[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    kept = _leave_out(mask, corners)
    return kept if kept.any() else mask


def _leave_out(mask: Mask, touched: Mask) -> Mask:
    """Return the ink without the strokes that are touched."""
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    kept: Mask = mask & ~np.isin(labels, labels[touched & mask])
    return kept
