"""The style of all figures, and SVG that fits into a page. The same data gives the same bytes.

Colours are Okabe and Ito's, which colour-blind people can tell apart. Lines also differ in their markers or
dashes, so a grey print is readable too. Text stays text: it can be searched and read aloud.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import FileError
from streamlearn.extras import require_extra
from streamlearn.learning.curves import Floats

BLUE, ORANGE, GREEN, PINK, AMBER, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
BLACK, GREY = "#000000", "#555555"

LineStyle = dict[str, Any]
"""Keywords of matplotlib's `plot`: `color`, `linestyle` and perhaps `marker`."""

MODEL_STYLE: LineStyle = {"color": BLUE, "linestyle": "-", "marker": "o"}
BASELINE_STYLE: LineStyle = {"color": ORANGE, "linestyle": "--", "marker": "D"}
"""How the model, and the baseline that it is compared with, are drawn in every figure."""

NARROW = (5.4, 3.4)
WIDE = (10.0, 3.6)
"""Width and height in inches. Two narrow figures stand side by side on a desk, one fills a phone."""

_RC_PARAMS = {
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
    # Names come from outside: a dollar sign in one of them begins no formula.
    "text.parse_math": False,
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_DPI = 150
"""Resolution of the images inside a figure."""
SUFFIXES = (".png", ".svg", ".pdf")
"""What the name of a figure's file may end with."""

_LONG_DECIMALS = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def render_svg(draw: Callable[[Any], None], size: tuple[float, float], rows: int = 1, **options: Any) -> str:
    """Let `draw` fill the axes of a new figure, and return the figure as SVG.

    Parameters
    ----------
    draw
        Is called with one axes, or with an array of them where there are several `rows` (or `ncols`).
    size
        Width and height in inches.
    options
        Those of matplotlib's `subplots`.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    target = io.StringIO()
    with _draw_figure(draw, size, rows, options) as figure:
        figure.savefig(target, format="svg", dpi=_DPI, metadata={"Date": None})
    return target.getvalue()


@contextmanager
def _draw_figure(
    draw: Callable[[Any], None], size: tuple[float, float], rows: int, options: dict[str, Any]
) -> Iterator[Any]:
    """Hold matplotlib to the style, and yield a figure whose axes `draw` has filled."""
    with require_extra("report"):
        import matplotlib as mpl
        from matplotlib.figure import Figure
    with mpl.rc_context(_RC_PARAMS), warnings.catch_warnings():
        # The font that measures text lacks some of the letters that a name may have.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure: Any = Figure(figsize=size, layout="constrained")
        draw(figure.subplots(rows, **options))
        yield figure


def inline_svg(svg: str, prefix: str) -> str:
    """Return an SVG made by `render_svg` in the form that fits into a page.

    Its ids begin with `prefix`, because matplotlib gives every figure the same ones. It has no size of its
    own, and coordinates have two decimals, which is all that a screen shows.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(svg)  # noqa: S314 (matplotlib has just written it)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    # The element around it has the text alternative.
    root.set("aria-hidden", "true")
    for element in root.iter():
        _adapt_attributes(element, prefix)
    return ElementTree.tostring(root, encoding="unicode")


def _adapt_attributes(element: Any, prefix: str) -> None:
    for name, value in element.attrib.items():
        if name == "id":
            element.set(name, prefix + value)
        elif name == f"{{{_XLINK}}}href" and value.startswith("#"):
            element.set(name, f"#{prefix}{value[1:]}")
        elif "url(#" in value:
            element.set(name, _REFERENCE.sub(rf"url(#{prefix}\1)", value))
        elif name in {"d", "points", "x", "y", "transform"}:
            element.set(name, _LONG_DECIMALS.sub(_round_decimals, value))


def _round_decimals(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


def choose_line_styles(count: int) -> list[LineStyle]:
    """Return `count` styles of lines, which differ in colour, marker and dashes."""
    colours, markers = cycle((BLUE, ORANGE, GREEN, PINK, AMBER, SKY, BLACK)), cycle("oDs^vPX")
    dashes = cycle(("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))))
    styles = zip(colours, markers, dashes, strict=False)
    return [{"color": c, "marker": m, "linestyle": d} for c, m, d in islice(styles, count)]


def drop_marker(style: LineStyle) -> LineStyle:
    """Return the style without its marker: many markers would hide a line of many points."""
    return {name: value for name, value in style.items() if name != "marker"}


def summarize_blocks(values: Floats, block_length: int) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Cut `values`, shape (n,), into blocks; return the middle row, mean, minimum and maximum of each.

    Missing values are left out; a block of nothing else is NaN. The last block may be shorter.

    >>> rows, mean, low, high = summarize_blocks(np.array([1.0, 3.0, np.nan, np.nan, 5.0]), 2)
    >>> rows.tolist(), mean.tolist(), high.tolist()
    ([1, 3, 4], [2.0, nan, 5.0], [3.0, nan, 5.0])
    """
    starts = np.arange(0, len(values), block_length)
    padded = np.full(len(starts) * block_length, np.nan)
    padded[: len(values)] = values
    blocks = padded.reshape(-1, block_length)
    known = ~np.isnan(blocks)
    any_known = known.any(axis=1)
    mean = np.where(any_known, np.nansum(blocks, axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)
    low = np.where(any_known, np.where(known, blocks, np.inf).min(axis=1), np.nan)
    high = np.where(any_known, np.where(known, blocks, -np.inf).max(axis=1), np.nan)
    return np.minimum(starts + block_length // 2, len(values) - 1), mean, low, high


def format_dates(axes: Any) -> None:
    """Label an x axis of times briefly: what all its ticks have in common is written once."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def place_legend_above(axes: Any, columns: int = 2, **options: Any) -> None:
    """Place the legend above the axes, at the right, where it hides nothing."""
    axes.legend(ncols=columns, loc="lower right", bbox_to_anchor=(1, 0.98), borderaxespad=0.2, **options)


def draw_dumbbells(
    axes: Any,
    names: Sequence[str],
    model: Floats,
    baseline: Floats,
    *,
    labels: tuple[str, str] = ("model", "persistence"),
) -> None:
    """Draw a row for each name, from the top: a dot (`model`) and a hollow diamond (`baseline`), joined.

    Both have shape (len(names),); `labels` are their names in the legend.
    """
    rows = np.arange(len(names))
    axes.hlines(rows, np.fmin(model, baseline), np.fmax(model, baseline), color=GREY, linewidth=1)
    axes.plot(model, rows, **{**MODEL_STYLE, "linestyle": ""}, label=labels[0])
    hollow = {**BASELINE_STYLE, "linestyle": "", "markerfacecolor": "white"}
    axes.plot(baseline, rows, **hollow, label=labels[1])
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def save_figure(
    draw: Callable[[Any], None], size: tuple[float, float], path: Path, rows: int = 1, **options: Any
) -> None:
    """Let `draw` fill the axes of a new figure, and write it as PNG, SVG or PDF, by the suffix of `path`.

    The parameters are those of `render_svg`. The background is white, so that the text is readable anywhere.

    Raises
    ------
    FileError
        The file cannot be written.
    MissingExtra
        matplotlib is not installed.
    """
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with _draw_figure(draw, size, rows, options) as figure:
        try:
            figure.savefig(path, dpi=_DPI, facecolor="white", metadata=undated.get(path.suffix, {}))
        except OSError as error:
            raise FileError(f"{path} cannot be written: {error.strerror}") from error
