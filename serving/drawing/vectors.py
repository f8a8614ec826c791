"""Copies a stranger's SVG, so that it can be given to the renderer.

It is parsed without entities. Only known elements and attributes are copied: the copy cannot refer to a file,
an address or a script. `costs.py` counts what the renderer would have to do.
"""

import base64
import binascii
import io
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from serving.drawing import rasters, styles
from serving.drawing.costs import MAX_DEPTH, MAX_SHAPES, refuse_costly
from streamlearn.errors import BadDrawing

SVG = "http://www.w3.org/2000/svg"

_XLINK = "http://www.w3.org/1999/xlink"

_MAX_BYTES = 256 << 10
"""The largest drawing; a few hundred points take a few kilobytes."""

_MAX_RULES = 500
_MAX_MATCHES = 100_000
"""Style rules times elements."""

_ELEMENTS = frozenset(
    [
        "svg",
        "g",
        "defs",
        "symbol",
        "switch",
        "a",
        "use",
        "clipPath",
        "mask",
        "linearGradient",
        "radialGradient",
        "stop",
        "path",
        "polyline",
        "polygon",
        "line",
        "rect",
        "circle",
        "ellipse",
        "image",
    ]
)
_GEOMETRY = frozenset(
    ["d", "points", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "width", "height"]
)
_STRUCTURE = frozenset(
    [
        "id",
        "class",
        "viewBox",
        "preserveAspectRatio",
        "offset",
        "fx",
        "fy",
        "fr",
        "gradientUnits",
        "gradientTransform",
        "spreadMethod",
        "clipPathUnits",
        "maskUnits",
        "maskContentUnits",
    ]
)
_OPACITIES = ("fill-opacity", "stroke-opacity")
_IMAGE_TYPES = tuple(f"data:image/{kind}" for kind in ("png", "jpeg", "jpg", "gif", "webp"))


class Drawing(NamedTuple):
    """A copied drawing: its root, what is declared for the root, and whether it had text (not copied)."""

    root: Element
    root_style: styles.Declarations
    has_text: bool


class _Sheet(NamedTuple):
    """The drawing's style sheets: the rules by selector, and the custom properties."""

    rules: list[tuple[str, styles.Declarations]]
    variables: styles.Declarations

    def declare_root(self, names: set[str]) -> styles.Declarations:
        """Return what is declared for the root, by its element, id or class."""
        declared: styles.Declarations = {}
        for selector, declarations in self.rules:
            if selector in names:
                declared |= declarations
        return declared

    def find_clips(self, classes: list[str]) -> styles.Declarations:
        """Return the clips that the classes of an element declare.

        In a rule they could apply to anything, a clip's own shapes too, and could not be counted.
        """
        clips: styles.Declarations = {}
        for selector, declarations in self.rules:
            if selector[:1] == "." and selector[1:] in classes:
                clips |= {name: value for name, value in declarations.items() if name in styles.CLIPS}
        return clips


def copy_drawing(svg: bytes) -> Drawing:
    """Return a copy of an SVG with nothing in it but what the renderer may see.

    Raises
    ------
    BadDrawing
        The bytes are not an SVG, or exceed the limits of size and complexity.
    """
    root = _parse(svg)
    elements = list(root.iter())
    sheet = _read_sheet(root)
    if len(sheet.rules) * len(elements) > _MAX_MATCHES:
        raise BadDrawing(
            f"the drawing has {len(sheet.rules)} style rules for {len(elements)} elements: simplify it"
        )
    clean = _copy_elements(root, sheet)
    refuse_costly(clean)
    names = {"svg", ":root", f"#{root.get('id')}", *(f".{name}" for name in root.get("class", "").split())}
    root_style = sheet.declare_root(names) | styles.read_declarations(root.get("style", ""), sheet.variables)
    return Drawing(clean, root_style, any(_tag(element) == "text" for element in elements))


def _parse(svg: bytes) -> Element:
    if len(svg) > _MAX_BYTES:
        raise BadDrawing(f"the drawing is larger than {_MAX_BYTES >> 10} KiB")
    if b"xlink:" in svg and b"xmlns:xlink" not in svg:
        # A browser's outerHTML does not declare it.
        svg = svg.replace(b"<svg", b'<svg xmlns:xlink="' + _XLINK.encode() + b'"', 1)
    try:
        root: Element = ElementTree.fromstring(svg, forbid_entities=True, forbid_external=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise BadDrawing(f"the drawing is not an SVG that can be parsed: {error}") from error
    if _tag(root) != "svg":
        raise BadDrawing("the drawing is not an SVG")
    return root


def _tag(element: Element) -> str:
    """Return an element's name, or "" for a comment and for what is not SVG."""
    tag = element.tag if isinstance(element.tag, str) else ""
    name = tag.removeprefix(f"{{{SVG}}}")
    return "" if name.startswith("{") else name


def _read_sheet(root: Element) -> _Sheet:
    texts = [
        element.text or ""
        for element in root.iter()
        if _tag(element) == "style" and element.get("media", "all").strip() in ("all", "screen", "")
    ]
    rules = [rule for text in texts for rule in styles.split_sheet(text)]
    if len(rules) > _MAX_RULES:
        raise BadDrawing(f"the drawing has more than {_MAX_RULES} style rules")
    inline = (element.get("style", "") for element in root.iter())
    variables = styles.read_variables([*(body for _, body in rules), *inline])
    return _Sheet(
        [
            (selector, _replace_opacity(styles.read_declarations(body, variables)))
            for selector, body in rules
            if len(selector.replace(">", " ").replace("+", " ").split()) <= styles.MAX_COMPOUNDS
        ],
        variables,
    )


def _replace_opacity(declarations: styles.Declarations) -> styles.Declarations:
    """Replace `opacity` by that of fill and stroke: to render it costs a layer for each element."""
    if "opacity" not in declarations:
        return declarations
    share = styles.read_share(declarations["opacity"])
    replaced = {name: value for name, value in declarations.items() if name != "opacity"}
    if share == 0:
        return {**replaced, "display": "none"}
    return replaced if share == 1 else {**dict.fromkeys(_OPACITIES, f"{share:.4g}"), **replaced}


def _copy_elements(root: Element, sheet: _Sheet) -> Element:
    clean = Element("svg")
    ids: set[str] = set()
    _copy_attributes(root, clean, sheet, ids)
    _add_rules(clean, sheet)
    pending, copied = [(root, clean, 1, 1.0)], 0
    while pending:
        source, target, depth, opacity = pending.pop()
        if depth > MAX_DEPTH:
            raise BadDrawing(f"the drawing's groups are nested more than {MAX_DEPTH} deep")
        opacity *= _fold_opacity(target, opacity)
        for child in source:
            tag = _tag(child)
            if tag in _ELEMENTS:
                copied += 1
                if copied > MAX_SHAPES:
                    raise BadDrawing(f"the drawing has more than {MAX_SHAPES} shapes")
                copy = SubElement(target, tag)
                _copy_attributes(child, copy, sheet, ids)
                pending.append((child, copy, depth + 1, opacity))
    return clean


def _add_rules(clean: Element, sheet: _Sheet) -> None:
    rules = [
        (
            selector,
            styles.format_declarations({n: v for n, v in declarations.items() if n not in styles.CLIPS}),
        )
        for selector, declarations in sheet.rules
    ]
    if rules:
        SubElement(clean, "style").text = "".join(f"{selector}{{{body}}}" for selector, body in rules if body)


def _copy_attributes(source: Element, target: Element, sheet: _Sheet, ids: set[str]) -> None:
    """Copy what is known: attributes, beaten by classes (clips only), beaten by `style`."""
    for name, value in source.attrib.items():
        if name in _GEOMETRY | _STRUCTURE:
            target.set(name, value)
        elif name in styles.PROPERTIES:
            cleaned = styles.clean_value(name, value, sheet.variables)
            if cleaned is not None:
                target.set(name, cleaned)
    declared = styles.read_declarations(source.get("style", ""), sheet.variables)
    for name, value in (sheet.find_clips(source.get("class", "").split()) | declared).items():
        if name in _GEOMETRY or name in styles.CLIPS or name == "opacity":
            target.set(name, value)
    style = styles.format_declarations(
        {n: v for n, v in declared.items() if n not in {*styles.CLIPS, "opacity"}}
    )
    if style:
        target.set("style", style)
    # Which of two elements of one name counts must be the same here and in the renderer.
    if source.get("id") in ids:
        del target.attrib["id"]
    ids.add(source.get("id", ""))
    _copy_reference(source, target)


def _copy_reference(source: Element, target: Element) -> None:
    reference = source.get("href", source.get(f"{{{_XLINK}}}href", "")).strip()
    if target.tag == "image":
        if reference.lower().startswith(_IMAGE_TYPES):
            target.set("href", _rewrite_image(reference))
    elif reference.startswith("#"):
        target.set("href", reference)


def _rewrite_image(reference: str) -> str:
    """Return an embedded picture as a PNG that has been read and is not too large."""
    try:
        data = base64.b64decode("".join(reference.partition(",")[2].split()))
    except binascii.Error as error:
        raise BadDrawing(f"a picture in the drawing is not base64: {error}") from error
    png = io.BytesIO()
    rasters.read_image(data).save(png, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()


def _fold_opacity(element: Element, outer: float) -> float:
    """Replace an element's `opacity` by that of its fill and stroke; return it.

    `outer` is what the elements around it had. Each element gets the product: what it inherits is replaced.
    """
    share = styles.read_share(element.attrib.pop("opacity", None))
    if share == 0:
        element.set("style", f"{element.get('style', '')};display:none")
    declared = styles.read_declarations(element.get("style", ""), {})
    own = {name: declared.get(name, element.get(name)) for name in _OPACITIES}
    if share * outer < 1 and (share < 1 or any(own.values())):
        folded = {name: f"{styles.read_share(own[name]) * share * outer:.4g}" for name in _OPACITIES}
        style = ";".join(f"{name}:{value}" for name, value in folded.items())
        element.set("style", f"{element.get('style', '')};{style}".lstrip(";"))
    return share
