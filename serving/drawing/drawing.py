"""Turns a drawing (SVG) into the 8×8 picture that the model knows.

A drawing is cropped to its ink and rendered again, with a pen as thick as the one that UCI's digits were
written with. Then `picture.py` processes it as UCI's scans were.

The SVG comes from a stranger. It is parsed without entities, only plain shapes and their plain attributes
are copied out of it, and only the copy is rendered: it cannot refer to a file, an address or a script.
"""

import io
import math
import re
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
import resvg_py
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from numpy.typing import NDArray
from PIL import Image

from serving.drawing.picture import choose_size, count_ink
from streamlearn.errors import BadDrawing

_MAX_SIDE = 10_000.0
_MIN_SIDE = 0.01
_MAX_SHAPES = 2_000
_MAX_POINTS_CHARS = 30_000
"""The total length of all paths and point lists: the time for crossing strokes grows with its square."""

_INVISIBLE = frozenset({"0", "0.0", ".0", "0%"})

_MAX_BYTES = 256 << 10
"""The largest drawing; a few hundred points take a few kilobytes."""

_MAX_DEPTH = 20
"""The renderer recurses: a hundred thousand nested groups would crash the whole process."""

_VIEW_PX = 256

_PEN = 0.16
"""The width of a stroke, as a share of the ink's larger side.

With it, seven in ten drawings have 256–412 points of ink, an amount that NIST would not have changed.
"""

_SVG = "http://www.w3.org/2000/svg"
_SHAPES = frozenset({"g", "path", "polyline", "polygon", "line", "rect", "circle", "ellipse"})
_GEOMETRY = {"d", "points", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "width", "height"}
_PAINT = {"fill", "fill-opacity", "fill-rule", "stroke", "stroke-opacity"}
_STROKE = {"stroke-linecap", "stroke-linejoin", "stroke-width", "transform"}
_ATTRIBUTES = _GEOMETRY | _PAINT | _STROKE
_NUMBER = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?:\s*px)?")
_NUMBER_CHARS = 40

Box = tuple[float, float, float, float]
"""Left, top, width and height, in the drawing's own units."""

Size = tuple[float, float]
"""Width and height in pixels."""


def make_picture(svg: bytes) -> NDArray[np.float64]:
    """Return the 8×8 picture of a drawing, shape (64,), row by row; each pixel is 0 (paper) to 16 (ink).

    Raises
    ------
    BadDrawing
        The bytes are not an SVG, hold no ink, or exceed the limits of size and complexity.
    """
    root = _copy_shapes(_parse(svg))
    page = _read_view_box(root)
    darkness = _render_darkness(root, page, _fit(page))
    paper = _measure_paper(darkness)
    box = _find_ink_box(np.abs(darkness - paper), page)
    pen = _PEN * max(box[2], box[3])
    _set_pen(root, pen)
    # The new pen may be thicker than the old one, and reach over the old box and the page's edge.
    wide_box = _pad(box, pen)
    box = _find_ink_box(_render_ink(root, wide_box, _fit(wide_box), paper), wide_box)
    return count_ink(_render_ink(root, box, choose_size(box[2], box[3]), paper))


def _parse(svg: bytes) -> Element:
    if len(svg) > _MAX_BYTES:
        raise BadDrawing(f"the drawing is larger than {_MAX_BYTES >> 10} KiB")
    try:
        root: Element = ElementTree.fromstring(svg, forbid_entities=True, forbid_external=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise BadDrawing(f"the drawing is not an SVG that can be parsed: {error}") from error
    if root.tag not in ("svg", f"{{{_SVG}}}svg"):
        raise BadDrawing("the drawing is not an SVG")
    return root


def _copy_shapes(root: Element) -> Element:
    """Return a new drawing with the plain shapes of `root`, and nothing else."""
    clean = Element("svg", {"xmlns": _SVG})
    left, top, width, height = _parse_page(root)
    clean.set("viewBox", f"{left} {top} {width} {height}")
    if sum(len(shape.get(name, "")) for shape in root.iter() for name in ("d", "points")) > _MAX_POINTS_CHARS:
        raise BadDrawing(f"the drawing's lines are longer than {_MAX_POINTS_CHARS} characters")
    pending = [(root, clean, 0)]
    shapes = 0
    while pending:
        source, target, depth = pending.pop()
        if depth > _MAX_DEPTH:
            raise BadDrawing(f"the drawing's groups are nested more than {_MAX_DEPTH} deep")
        for child in source:
            tag = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
            # Opacity is costly to render, and pale ink is ink: only invisible shapes are left out.
            if tag not in _SHAPES or child.get("opacity", "1").strip() in _INVISIBLE:
                continue
            shapes += 1
            if shapes > _MAX_SHAPES:
                raise BadDrawing(f"the drawing has more than {_MAX_SHAPES} shapes")
            pending.append((child, SubElement(target, tag, _copy_attributes(child)), depth + 1))
    return clean


def _copy_attributes(shape: Element) -> dict[str, str]:
    style = dict(part.split(":", 1) for part in shape.get("style", "").split(";") if ":" in part)
    attributes = {**{name.strip(): value.strip() for name, value in style.items()}, **shape.attrib}
    return {name: value for name, value in attributes.items() if name in _ATTRIBUTES and "url(" not in value}


def _parse_page(root: Element) -> Box:
    """Return the page's box: the SVG's viewBox or, without one, its width and height."""
    view_box = re.split(r"[\s,]+", root.get("viewBox", "").strip())
    texts = (
        view_box if len(view_box) == 4 else ["0", "0", root.get("width", "300"), root.get("height", "300")]
    )
    left, top, width, height = (_parse_number(text) for text in texts)
    sides = [width, height, *(_parse_number(root.get(side, "1")) for side in ("width", "height"))]
    if not all(_MIN_SIDE <= side <= _MAX_SIDE for side in sides):
        raise BadDrawing(f"the drawing's sides must be at least {_MIN_SIDE} and at most {_MAX_SIDE:.0f}")
    return left, top, width, height


def _parse_number(text: str) -> float:
    text = text.strip()
    match = _NUMBER.fullmatch(text) if len(text) <= _NUMBER_CHARS else None
    if text.endswith("%"):
        return 1.0  # relative to a page that does not exist: the viewBox decides
    if not match or not math.isfinite(float(match[1])):
        raise BadDrawing(f"{text[:40]!r} is not a size in pixels")
    return float(match[1])


def _read_view_box(root: Element) -> Box:
    left, top, width, height = (float(text) for text in root.get("viewBox", "").split())
    return left, top, width, height


def _render_darkness(root: Element, box: Box, size: Size) -> NDArray[np.float64]:
    """Render a part of the drawing on white, (width, height) pixels large; return how dark each is, 0–1."""
    root.set("viewBox", " ".join(map(str, box)))
    root.set("preserveAspectRatio", "none")
    root.set("width", str(max(1, round(size[0]))))
    root.set("height", str(max(1, round(size[1]))))
    try:
        png: Any = resvg_py.svg_to_bytes(
            svg_string=tostring(root, encoding="unicode"), skip_system_fonts=True
        )
    except BaseException as error:
        # The renderer's panics derive from BaseException, and their class cannot be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BadDrawing(f"the drawing cannot be rendered: {error}") from error
    rgba = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"), dtype=np.float64) / 255
    darkness: NDArray[np.float64] = rgba[..., 3] * (1 - rgba[..., :3].mean(axis=2))
    return darkness


def _measure_paper(darkness: NDArray[np.float64]) -> float:
    """Return how dark the paper is: most of the edge is paper. A drawing may be white on black, too."""
    edge = np.concatenate([darkness[0], darkness[-1], darkness[:, 0], darkness[:, -1]])
    return float(np.median(edge))


def _render_ink(root: Element, box: Box, size: Size, paper: float) -> NDArray[np.float64]:
    """Render a part of the drawing; return how far from the paper each pixel is, 0–1."""
    ink: NDArray[np.float64] = np.abs(_render_darkness(root, box, size) - paper)
    return ink


def _fit(box: Box) -> Size:
    """Return the size in pixels at which a part of the drawing is rendered to be measured, in proportion."""
    scale = _VIEW_PX / max(box[2], box[3])
    return box[2] * scale, box[3] * scale


def _pad(box: Box, margin: float) -> Box:
    left, top, width, height = box
    return left - margin, top - margin, width + 2 * margin, height + 2 * margin


def _find_ink_box(ink: NDArray[np.float64], view: Box) -> Box:
    """Return the ink's bounding box in the drawing's own units; `ink` is the rendering of `view`."""
    black = ink > 0.2
    if not black.any():
        raise BadDrawing("the drawing is empty")
    rows, columns = np.flatnonzero(black.any(axis=1)), np.flatnonzero(black.any(axis=0))
    left, top, width, height = view
    pixel_width, pixel_height = width / ink.shape[1], height / ink.shape[0]
    return (
        left + columns[0] * pixel_width,
        top + rows[0] * pixel_height,
        (columns[-1] - columns[0] + 1) * pixel_width,
        (rows[-1] - rows[0] + 1) * pixel_height,
    )


def _set_pen(root: Element, width: float) -> None:
    """Give every stroke this width, except where a transformation would scale it."""
    for shape in root.iter():
        if shape.get("stroke", "none") != "none" and "transform" not in shape.attrib:
            shape.set("stroke-width", str(width))
