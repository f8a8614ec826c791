"""Figures of one style, as SVG that stands inside a page: the same data gives the same bytes.

Colours are Okabe and Ito's, which colour-blind people can tell apart; what must be told apart also differs
in its marker or line, so that a grey print tells it too. Text stays text: it can be searched and read aloud.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from streamlearn.extras import needing
from streamlearn.learning.curves import Floats

BLUE, ORANGE, GREEN, PINK, AMBER, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
BLACK, GREY = "#000000", "#555555"

OURS: dict[str, Any] = {"color": BLUE, "linestyle": "-", "marker": "o"}
BASELINE: dict[str, Any] = {"color": ORANGE, "linestyle": "--", "marker": "D"}
"""How the model and what it is compared with are drawn everywhere."""

NARROW = (5.4, 3.4)
WIDE = (10.0, 3.6)
"""Width and height in inches. Two narrow figures stand side by side on a desk, one fills a phone."""

_STYLE = {
    "svg.hashsalt": "streamlearn",
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "path.simplify_threshold": 0.5,
    # Names come from outside: a dollar in one of them is no formula.
    "text.parse_math": False,
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_DPI = 150
"""Of the pictures inside a figure."""

_LONG_DECIMALS = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def svg(draw: Callable[[Any], None], size: tuple[float, float], rows: int = 1, **options: Any) -> str:
    """Let `draw` fill the axes of a new figure, and return it as SVG.

    `draw` gets one axes, or an array of them where there are several `rows` (or `ncols`); `options` are those
    of matplotlib's `subplots`.
    """
    with needing("report"):
        import matplotlib as mpl
        from matplotlib.figure import Figure
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A font lacks some of the letters that a name may have; the reader's own fonts have them.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure: Any = Figure(figsize=size, layout="constrained")
        draw(figure.subplots(rows, **options))
        target = io.StringIO()
        figure.savefig(target, format="svg", dpi=_DPI, metadata={"Date": None})
    return target.getvalue()


def inlined(drawn: str, prefix: str) -> str:
    """Return an SVG as it stands inside a page: its ids begin with `prefix`, it takes the width it is given.

    matplotlib gives every figure the same ids, and coordinates of more decimals than any screen shows.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(drawn)  # noqa: S314 (matplotlib wrote it a moment ago)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    # The figure around it has the words.
    root.set("aria-hidden", "true")
    for element in root.iter():
        _rename(element, prefix)
    return ElementTree.tostring(root, encoding="unicode")


def _rename(element: Any, prefix: str) -> None:
    for name, value in element.attrib.items():
        if name == "id":
            element.set(name, prefix + value)
        elif name == f"{{{_XLINK}}}href" and value.startswith("#"):
            element.set(name, f"#{prefix}{value[1:]}")
        elif "url(#" in value:
            element.set(name, _REFERENCE.sub(rf"url(#{prefix}\1)", value))
        elif name in {"d", "points", "x", "y", "transform"}:
            element.set(name, _LONG_DECIMALS.sub(_rounded, value))


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def looks(count: int) -> list[dict[str, Any]]:
    """Return so many ways to draw a line, which differ in colour, marker and dashes."""
    colours, markers = cycle((BLUE, ORANGE, GREEN, PINK, AMBER, SKY, BLACK)), cycle("oDs^vPX")
    dashes = cycle(("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))))
    found = zip(colours, markers, dashes, strict=False)
    return [{"color": c, "marker": m, "linestyle": d} for c, m, d in islice(found, count)]


def line(look: dict[str, Any]) -> dict[str, Any]:
    """Return the same look for a line of so many points that markers would hide it."""
    return {name: value for name, value in look.items() if name != "marker"}


def means(values: Floats, together: int) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Return the middle row, mean, least and largest known value of each run of `together` rows.

    The last run may be shorter. NaN where nothing is known.

    >>> rows, mean, low, high = means(np.array([1.0, 3.0, np.nan, np.nan, 5.0]), 2)
    >>> rows.tolist(), mean.tolist(), high.tolist()
    ([1, 3, 4], [2.0, nan, 5.0], [3.0, nan, 5.0])
    """
    starts = np.arange(0, len(values), together)
    padded = np.full(len(starts) * together, np.nan)
    padded[: len(values)] = values
    parts = padded.reshape(-1, together)
    known = ~np.isnan(parts)
    some = known.any(axis=1)
    mean = np.where(some, np.nansum(parts, axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)
    low = np.where(some, np.where(known, parts, np.inf).min(axis=1), np.nan)
    high = np.where(some, np.where(known, parts, -np.inf).max(axis=1), np.nan)
    return np.minimum(starts + together // 2, len(values) - 1), mean, low, high


def dates(axes: Any) -> None:
    """Write an axis of moments briefly: what all its ticks share stands once."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def legend_above(axes: Any, columns: int = 2, **more: Any) -> None:
    """Put the legend over the axes at the right, where it hides nothing."""
    axes.legend(ncols=columns, loc="lower right", bbox_to_anchor=(1, 0.98), borderaxespad=0.2, **more)


def pairs(axes: Any, names: Sequence[str], ours: Floats, theirs: Floats) -> None:
    """Draw two numbers a row, joined by a line: the model's, and what it is compared with."""
    rows = np.arange(len(names))
    axes.hlines(rows, np.fmin(ours, theirs), np.fmax(ours, theirs), color=GREY, linewidth=1)
    axes.plot(ours, rows, **{**OURS, "linestyle": ""}, label="model")
    axes.plot(theirs, rows, **{**BASELINE, "linestyle": ""}, label="persistence", markerfacecolor="white")
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
