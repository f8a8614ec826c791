"""Counts what it would take to render an SVG, before it is rendered, and refuses what is too much.

What `use`, masks and clip paths repeat is counted each time.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from serving.drawing.styles import CLIPS, REFERENCE
from streamlearn.errors import BadDrawing

MAX_DEPTH = 32
"""The renderer recurses: a hundred thousand nested groups would crash the whole process."""

MAX_SHAPES = 2_000
_MAX_NUMBERS = 20_000
"""Those in all paths, with the commands: the time for crossing strokes grows with their square."""

_MAX_LAYERS = 32
"""Each mask, clip path, image or nested page costs a layer as large as the page."""

_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|[a-z]", re.IGNORECASE)


class _Cost(NamedTuple):
    """What it takes to render an element: how deep it goes; its shapes, numbers and layers."""

    depth: int = 0
    shapes: int = 0
    numbers: int = 0
    layers: int = 0


def refuse_costly(root: Element) -> None:
    """Add up what the renderer will do.

    Raises
    ------
    BadDrawing
        It is more than one of the limits, or something refers to itself.
    """
    by_id = {element.get("id", ""): element for element in root.iter()}
    known: dict[int, _Cost | None] = {}

    def measure(element: Element, level: int) -> _Cost:
        if level > MAX_DEPTH:
            raise BadDrawing(f"the drawing's groups are nested more than {MAX_DEPTH} deep")
        if id(element) not in known:
            known[id(element)] = None
            parts = [*element, *(by_id[name] for name in _find_references(element) if name in by_id)]
            costs = [measure(part, level + 1) for part in parts]
            known[id(element)] = _Cost(
                1 + max((cost.depth for cost in costs), default=0),
                1 + sum(cost.shapes for cost in costs),
                _count_numbers(element) + sum(cost.numbers for cost in costs),
                _count_layers(element) + sum(cost.layers for cost in costs),
            )
        cost = known[id(element)]
        if cost is None:
            raise BadDrawing(f"the drawing's <{element.tag}> refers to itself")
        if level + cost.depth - 1 > MAX_DEPTH:
            raise BadDrawing(f"the drawing's groups are nested more than {MAX_DEPTH} deep")
        return cost

    cost = measure(root, 0)
    if cost.shapes > MAX_SHAPES:
        raise BadDrawing(f"the drawing has more than {MAX_SHAPES} shapes")
    if cost.numbers > _MAX_NUMBERS:
        raise BadDrawing(f"the drawing's lines have more than {_MAX_NUMBERS} coordinates")
    if cost.layers > _MAX_LAYERS:
        raise BadDrawing(
            f"the drawing has more than {_MAX_LAYERS} masks, clip paths, images and pages in pages"
        )


def _find_references(element: Element) -> Iterator[str]:
    """Yield the ids of what is rendered again for this element, or looked up for it."""
    if "href" in element.attrib and element.tag != "image":
        yield element.get("href", "")[1:]
    for name in CLIPS:
        if match := REFERENCE.search(element.get(name, "")):
            yield match[2]


def _count_numbers(element: Element) -> int:
    """Return how many numbers and commands a path or list of points has."""
    return len(_NUMBER.findall(element.get("d", "") + element.get("points", "")))


def _count_layers(element: Element) -> int:
    return sum(name in element.attrib for name in CLIPS) + (element.tag in ("svg", "symbol", "image"))
