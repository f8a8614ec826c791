"""Figures of a pair of series and its cross-correlations, in files: `streamlearn lags --figure`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.errors import FileError
from streamlearn.extras import require_extra
from streamlearn.lags.analysis import Pair
from streamlearn.lags.correlations import Correlations
from streamlearn.lags.series import Series, Table
from streamlearn.lags.summary import describe_lead
from streamlearn.reports.figures.style import BLUE, GREY, ORANGE, SUFFIXES, save_figure, summarize_blocks

_SIZE = (9.0, 9.0)
"""Width and height in inches."""
_MAX_POINTS = 1000
"""A longer series is a blur: a line of means is drawn over it."""


def prepare_files(target: Path, pairs: Sequence[tuple[str, str]]) -> list[Path]:
    """Return the file of each pair: `target` itself, or one for each in the folder `target`, which is made.

    Call it before the pairs are analysed: it finds out early what would make `draw_pair` fail.

    Raises
    ------
    FileError
        `target` has a suffix of no figure, is one file for several pairs, or its folder cannot be made.
    MissingExtra
        matplotlib is not installed.
    """
    with require_extra("lags"):
        import matplotlib  # noqa: F401
    is_folder = not target.suffix or target.is_dir()
    if not is_folder and target.suffix not in SUFFIXES:
        raise FileError(f"{target}: a figure is a {', '.join(SUFFIXES)} file, or a folder")
    if not is_folder and len(pairs) > 1:
        raise FileError(f"{target} can hold one pair and there are {len(pairs)}: name a folder")
    folder = target if is_folder else target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder} cannot be made: {error.strerror}") from error
    return [folder / f"{_clean(x)}-{_clean(y)}.png" for x, y in pairs] if is_folder else [target]


def draw_pair(pair: Pair, table: Table, file: Path) -> None:
    """Draw x and y over time and, below them, r at each lag with its band, raw and pre-whitened.

    Raises
    ------
    FileError
        The file cannot be written.
    """

    def draw(panels: Any) -> None:
        x, y, raw, white = panels
        _draw_series(x, pair.x, table, BLUE)
        _draw_series(y, pair.y, table, ORANGE)
        y.set_xlabel("time" if table.step else "step")
        _draw_correlations(raw, pair, pair.raw, "raw", table.step)
        _draw_correlations(white, pair, pair.white, "pre-whitened", table.step)
        unit = f"steps of {table.step}" if table.step else "steps"
        white.set_xlabel(f"lag k in {unit}; k > 0: {pair.x.label} leads {pair.y.label}")
        for upper, lower in ((x, y), (raw, white)):
            upper.sharex(lower)
            upper.tick_params(labelbottom=False)

    save_figure(draw, _SIZE, file, 4)


def _draw_series(axes: Any, series: Series, table: Table, colour: str) -> None:
    block_length = len(series.values) // _MAX_POINTS
    if block_length > 1:
        rows, means, _, _ = summarize_blocks(series.values, block_length)
        axes.plot(table.times, series.values, color=colour, linewidth=0.4, alpha=0.25)
        axes.plot(table.times[rows], means, color=colour, linewidth=0.9)
        axes.set_title(f"line: means of {block_length} steps", loc="right", fontsize=8, color=colour)
    else:
        axes.plot(table.times, series.values, color=colour, linewidth=0.9)
    axes.set_ylabel(f"{series.label}\n({series.unit})" if series.unit else series.label)


def _draw_correlations(axes: Any, pair: Pair, correlations: Correlations, name: str, step: str) -> None:
    band = correlations.band
    axes.axhspan(-band, band, color=BLUE, alpha=0.15, linewidth=0)
    axes.vlines(np.array(correlations.lags), 0, correlations.ccf, color=GREY, linewidth=1.6)
    axes.plot([correlations.best_lag], [correlations.r], color=ORANGE, marker="o", linestyle="")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.axvline(0, color="black", linewidth=0.6, linestyle=":")
    axes.set_ylabel(f"r, {name}")
    axes.set_title(describe_lead(pair, correlations, step), loc="left", fontsize=9)
    axes.set_title(f"band: ±2/√n = ±{band:.3f}", loc="right", fontsize=8, color=BLUE)


def _clean(name: str) -> str:
    """Turn a column's name into part of a file's name.

    >>> _clean("wnd_dir=NW")
    'wnd_dir_NW'
    """
    return re.sub(r"[^\w.-]+", "_", name)
