"""Renders any part of a drawing, at any size: of a copied SVG, or of a picture made of pixels."""

import io
import math
import re
from typing import Any, Protocol
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image, ImageColor

from serving.drawing import rasters, vectors
from serving.drawing.ink import PAGE, Window
from streamlearn.errors import BadDrawing

_UNITS_PX = {
    "": 1.0, "px": 1.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4, "q": 96 / 101.6,
    "pt": 96 / 72, "pc": 16.0, "em": 16.0, "rem": 16.0, "ex": 8.0, "ch": 8.0,
}  # fmt: skip
"""CSS pixels in a unit; a font is taken to be 16 pixels high."""

_LENGTH = re.compile(r"\+?((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)", re.IGNORECASE)
_LENGTH_CHARS = 40
_COLOUR = re.compile(r"#\w+|(?:rgb|hsl)a\([^()]*\)|[a-z]+", re.IGNORECASE)
_MIN_SIDE = 0.01
_MAX_SIDE = 1_000_000.0
_MAX_RATIO = 100.0

_UNKNOWN_SIDE = 4_800.0
"""The first guess for a drawing that does not say how large it is."""

_GUESS_PX = 384

Rgba = NDArray[np.float64]
"""Colours and opacity, shape (height, width, 4), each 0–1."""


class Page(Protocol):
    """A drawing's page."""

    ratio: float
    """Its width divided by its height."""

    has_text: bool
    """Whether it has text, which is not rendered: the fonts are missing."""

    def render(self, window: Window, width: int, height: int) -> Rgba:
        """Render a part of the page, so many pixels wide and high."""


def open_page(data: bytes) -> Page:
    """Return the page of a drawing; SVG is known by its first character.

    Raises
    ------
    BadDrawing
        The bytes are not a drawing, or exceed the limits of size and complexity.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    # After the byte order mark of UTF-16 each letter has a zero beside it.
    if text.startswith((b"<", b"\xff\xfe<", b"\xfe\xff\0<")):
        return _VectorPage(vectors.copy_drawing(text))
    return _RasterPage(rasters.read_image(data))


class _RasterPage:
    has_text = False

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self.ratio = image.width / image.height
        _check_ratio(self.ratio)

    def render(self, window: Window, width: int, height: int) -> Rgba:
        left, top, shown_width, shown_height = window
        box = (
            max(0.0, left * self._image.width),
            max(0.0, top * self._image.height),
            min(self._image.width, (left + shown_width) * self._image.width),
            min(self._image.height, (top + shown_height) * self._image.height),
        )
        return _to_array(self._image.resize((width, height), Image.Resampling.BILINEAR, box=box))


class _VectorPage:
    """The copy of an SVG inside an SVG of our own, whose viewBox chooses the part that is rendered.

    Lengths in per cent remain shares of the drawing's own page.
    """

    def __init__(self, drawing: vectors.Drawing) -> None:
        self.has_text = drawing.has_text
        self._root = drawing.root
        self._paper = _find_paper(drawing)
        size = _measure_page(drawing)
        for name in ("x", "y"):
            self._root.attrib.pop(name, None)
        # A page clips what is beyond its edges by a costly layer; the SVG around it does so anyway.
        self._root.set("overflow", "visible")
        self._width, self._height = size or self._guess_page()
        self.ratio = self._width / self._height
        _check_ratio(self.ratio)

    def render(self, window: Window, width: int, height: int) -> Rgba:
        left, top, shown_width, shown_height = window
        box = left * self._width, top * self._height, shown_width * self._width, shown_height * self._height
        page = {"width": str(self._width), "height": str(self._height)}
        outer = Element(
            "svg",
            {
                "xmlns": vectors.SVG,
                "viewBox": " ".join(map(str, box)),
                "preserveAspectRatio": "none",
                "width": str(width),
                "height": str(height),
            },
        )
        if self._paper:
            SubElement(outer, "rect", {**page, "fill": self._paper})
        self._root.attrib.update(page)
        outer.append(self._root)
        return _render(tostring(outer, encoding="unicode"))

    def _guess_page(self) -> tuple[float, float]:
        """Return the size of a page that ends where the drawing does."""
        self._width = self._height = _UNKNOWN_SIDE
        for _ in range(2):
            opacity = self.render(PAGE, _GUESS_PX, _GUESS_PX)[..., 3]
            for name, axis in (("_width", 0), ("_height", 1)):
                painted = np.flatnonzero(opacity.any(axis=axis))
                if len(painted):
                    setattr(self, name, getattr(self, name) * (int(painted[-1]) + 1) / _GUESS_PX)
        return self._width, self._height


def _render(svg: str) -> Rgba:
    try:
        png: Any = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)
    except BaseException as error:
        # The renderer's panics derive from BaseException, and their class cannot be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BadDrawing(f"the drawing cannot be rendered: {error}") from error
    return _to_array(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))


def _to_array(image: Image.Image) -> Rgba:
    return np.asarray(image, dtype=np.float64) / 255


def _measure_page(drawing: vectors.Drawing) -> tuple[float, float] | None:
    """Return the page's width and height, or None where the drawing does not say.

    With a viewBox only their ratio matters: the larger is 1,000 then.
    """
    width, height = (
        _parse_length(drawing.root_style.get(name, drawing.root.get(name, "")))
        for name in ("width", "height")
    )
    view_box = _parse_view_box(drawing.root.get("viewBox", ""))
    if view_box is None:
        drawing.root.attrib.pop("viewBox", None)
        return (width, height) if width and height else None
    if width is None or height is None:
        width, height = view_box
    scale = 1_000 / max(width, height)
    return width * scale, height * scale


def _parse_view_box(text: str) -> tuple[float, float] | None:
    """Return a viewBox's width and height, or None where a browser would ignore it."""
    parts = text.replace(",", " ").split()
    if len(parts) != 4:
        return None
    width, height = (_parse_length(part) for part in parts[2:])
    return (width, height) if width and height else None


def _parse_length(text: str) -> float | None:
    """Return a length in CSS pixels; None for `auto`, per cent, and what a browser would ignore."""
    text = text.strip()
    match = _LENGTH.fullmatch(text) if 0 < len(text) <= _LENGTH_CHARS else None
    unit = _UNITS_PX.get(match[2].lower()) if match else None
    if match is None or unit is None:
        return None
    length = float(match[1]) * unit
    if not math.isfinite(length) or not _MIN_SIDE <= length <= _MAX_SIDE:
        raise BadDrawing(f"the drawing's sides must be at least {_MIN_SIDE} and at most {_MAX_SIDE:.0f}")
    return length


def _check_ratio(ratio: float) -> None:
    if not 1 / _MAX_RATIO <= ratio <= _MAX_RATIO:
        raise BadDrawing(f"the drawing's sides differ more than {_MAX_RATIO:.0f} times: crop it to the digit")


def _find_paper(drawing: vectors.Drawing) -> str | None:
    """Return the CSS background of the drawing itself, if it is one colour."""
    style = drawing.root_style
    match = _COLOUR.match(style.get("background-color", style.get("background", "")))
    if match is None or "(" in match[0]:
        return match and match[0]
    try:
        ImageColor.getrgb(match[0])
    except ValueError:
        return None
    return match[0]
