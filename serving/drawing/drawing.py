"""Turns a drawing (SVG, PNG, JPEG, WebP or GIF) into the 8×8 picture that the model knows.

A drawing is looked at as a person would: rendered, its ink told from its ground, cropped to the ink. Shapes
that UCI's writers hardly drew, such as a crossed 0, are made like theirs. Then the strokes are widened to the
pen that UCI's digits were written with, and `picture.py` processes them as UCI's scans were.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.drawing.ink import (
    PAGE,
    Mask,
    Window,
    choose_paper,
    crop,
    find_box,
    find_ground,
    lay_on,
    set_pen,
)
from serving.drawing.pages import Page, open_page
from serving.drawing.picture import choose_size, count_ink
from serving.drawing.unusual import clear_zero, remove_foot, widen_slim
from streamlearn.errors import BadDrawing

_PAGE_PX = 256
"""The larger side of a page that is looked at for ink."""

_INK_PX = 256
"""The larger side of the ink that is looked at for its shape."""

_MARGIN = 0.03
"""What is looked at beside the ink, as a share of the ink's larger side."""

_PEN = 0.17
"""The width of a stroke, as a share of the ink's larger side.

With it, seven in ten drawings have 256–412 points of ink, an amount that NIST would not have changed.
"""


def make_picture(data: bytes) -> NDArray[np.float64]:
    """Return the 8×8 picture of a drawing, shape (64,), row by row; each pixel is 0 (paper) to 16 (ink).

    Raises
    ------
    BadDrawing
        The bytes are not a drawing, hold no ink, or exceed the limits of size and complexity.
    """
    shape = _find_shape(open_page(data))
    wide = set_pen(remove_foot(widen_slim(clear_zero(shape))), _PEN)
    ink = Image.fromarray(wide[find_box(wide)])
    size = choose_size(*ink.size)
    return count_ink(np.asarray(ink.convert("L").resize(size, Image.Resampling.BOX)) / 255)


def _find_shape(page: Page) -> Mask:
    """Return the drawing's ink, cropped to it, its larger side about `_INK_PX` long."""
    rgba = page.render(PAGE, *_fit(page, PAGE, _PAGE_PX))
    paper = choose_paper(rgba)
    ground_and_window = find_ground(lay_on(rgba, paper))
    if ground_and_window is None:
        raise BadDrawing(_explain_emptiness(page))
    ground, window = ground_and_window
    shape = np.zeros((1, 1), dtype=np.bool_)
    # On a large page a small digit is a few pixels: its place is known well only at the second look.
    for _ in range(2):
        window = _widen(window, page)
        mask = ground.find_ink(lay_on(page.render(window, *_fit(page, window, _INK_PX)), paper), window)
        if not mask.any():
            raise BadDrawing(_explain_emptiness(page))
        rows, columns = find_box(mask)
        shape = mask[rows, columns]
        window = crop(window, mask.shape, rows, columns)
        if max(shape.shape) > 0.8 * _INK_PX:
            break
    return shape


def _explain_emptiness(page: Page) -> str:
    if page.has_text:
        return "the drawing is empty: text is not read, so convert it to paths"
    return "the drawing is empty: nothing in it differs from its background"


def _fit(page: Page, window: Window, side: int) -> tuple[int, int]:
    """Return the width and height in pixels at which a part of a page has its larger side so long."""
    width, height = window[2] * page.ratio, window[3]
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _widen(window: Window, page: Page) -> Window:
    """Return a part of the page with a margin, where the page has one."""
    left, top, width, height = window
    margin = _MARGIN * max(width * page.ratio, height)
    x, y = margin / page.ratio + 1 / _PAGE_PX, margin + 1 / _PAGE_PX
    right, bottom = min(1.0, left + width + x), min(1.0, top + height + y)
    left, top = max(0.0, left - x), max(0.0, top - y)
    return left, top, right - left, bottom - top
