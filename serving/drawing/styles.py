"""Reads the CSS of a stranger's SVG, and keeps of it what is plain paint.

A property that is not known here, and a value that the renderer would not understand, are left out as a
browser leaves them out: the declaration before it, or the attribute, then counts. No address remains.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

PROPERTIES = frozenset(
    [
        "fill",
        "fill-opacity",
        "fill-rule",
        "stroke",
        "stroke-opacity",
        "stroke-linecap",
        "stroke-linejoin",
        "stroke-miterlimit",
        "stroke-width",
        "paint-order",
        "opacity",
        "display",
        "visibility",
        "color",
        "font-size",
        "transform",
        "transform-origin",
        "clip-path",
        "clip-rule",
        "mask",
        "mask-type",
        "overflow",
        "stop-color",
        "stop-opacity",
    ]
)
"""What decides where ink is. Dashes are not among them: a dashed pen draws the same digit."""

REFERENCE = re.compile(r"""url\(\s*(["']?)#([^"')]+)\1\s*\)""")
"""A reference to a part of the same drawing; its second group is the id."""

CLIPS = ("clip-path", "mask")
"""The properties that refer to what hides parts of an element."""

MAX_COMPOUNDS = 3
"""The longest selector: the renderer tries every combination of ancestors that it could stand for."""

_MAX_VALUE_CHARS = 500
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|<!--|-->", re.DOTALL)
_FUNCTION = re.compile(r"([\w-]+)\(")
_FUNCTIONS = frozenset(
    [
        "url",
        "rgba",
        "hsla",
        "matrix",
        "translate",
        "translatex",
        "translatey",
        "scale",
        "scalex",
        "scaley",
        "rotate",
        "skewx",
        "skewy",
    ]
)
_COLOUR = re.compile(r"\b(rgb|hsl)a?\(([^()]*)\)", re.IGNORECASE)
_VARIABLE = re.compile(r"var\(\s*(--[\w-]+)\s*(?:,([^()]*(?:\([^()]*\))?[^()]*))?\)")
_LIGHT_DARK = re.compile(r"light-dark\(\s*([^(),]*(?:\([^()]*\))?)\s*,[^()]*(?:\([^()]*\))?[^()]*\)")
_TRANSFORM_UNIT = re.compile(r"(?<=[\d.])(?:px|deg)\b")

Declarations = dict[str, str]
"""Values by property; of several the last valid one."""


def split_sheet(text: str) -> Iterator[tuple[str, str]]:
    """Yield the rules of a style sheet as (selector, body); rules that begin with `@` are left out."""
    depth, selector, last = 0, "", ""
    for part in re.split(r"([{}])", _COMMENT.sub("", text)):
        if part == "{":
            depth += 1
            if depth == 1:
                selector = last.rpartition(";")[2].strip()
        elif part == "}":
            if depth == 1 and not selector.startswith("@"):
                for alternative in selector.split(","):
                    yield alternative.strip(), last
            depth = max(depth - 1, 0)
        else:
            last = part


def read_variables(bodies: Iterable[str]) -> Declarations:
    """Return the custom properties (`--name`) that any of the bodies declares."""
    return {
        name: value for body in bodies for name, value in _split_declarations(body) if name.startswith("--")
    }


def read_declarations(body: str, variables: Mapping[str, str]) -> Declarations:
    """Return what the body of a rule or a `style` attribute declares, of any property, cleaned."""
    declarations: Declarations = {}
    for name, text in _split_declarations(body):
        value = clean_value(name, text, variables)
        if value is not None:
            declarations[name.lower()] = value
    return declarations


def clean_value(name: str, text: str, variables: Mapping[str, str]) -> str | None:
    """Return a value as the renderer understands it, or None where it cannot, or must not."""
    if len(text) > _MAX_VALUE_CHARS:
        return None
    value = _VARIABLE.sub(lambda match: variables.get(match[1], match[2] or ""), text)
    if len(value) > _MAX_VALUE_CHARS:
        return None
    value = _COLOUR.sub(_write_colour, _LIGHT_DARK.sub(r"\1", value)).strip()
    if name == "transform":
        value = _TRANSFORM_UNIT.sub("", value)
    functions = {function.lower() for function in _FUNCTION.findall(value)}
    if "url" in REFERENCE.sub("", value).lower():
        # A browser paints nothing where it cannot follow an address.
        return "none" if name in ("fill", "stroke") else None
    if not value or functions - _FUNCTIONS:
        return None
    return value


def format_declarations(declarations: Mapping[str, str]) -> str:
    """Return the declarations of known properties as CSS; those in which nothing is known are empty."""
    return ";".join(f"{name}:{value}" for name, value in declarations.items() if name in PROPERTIES)


def read_share(text: str | None) -> float:
    """Return an opacity, 0 to 1, from a number or a percentage; what is neither is 1, as in a browser."""
    text = (text or "").replace("!important", "").strip()
    number, scale = (text[:-1], 100) if text.endswith("%") else (text, 1)
    try:
        share = float(number) / scale
    except ValueError:
        return 1.0
    return min(max(share, 0.0), 1.0) if share == share else 1.0


def _split_declarations(body: str) -> Iterator[tuple[str, str]]:
    for declaration in _COMMENT.sub("", body).split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            yield name.strip(), value.strip()


def _write_colour(match: re.Match[str]) -> str:
    """Write a colour with commas and a plain alpha: the renderer does not know `rgb(0 0 0 / 50%)`."""
    parts = [part.removesuffix("deg") for part in re.split(r"[\s,/]+", match[2].strip())]
    if len(parts) == 4:
        parts[3] = f"{read_share(parts[3]):.4g}"
    return f"{match[1].lower()}a({','.join([*parts, '1'][:4])})"
