"""A pair of series and its cross-correlations as a picture: PNG, SVG or PDF, the same bytes each time.

Colours are Okabe and Ito's, which colour-blind people can tell apart; raw and pre-whitened also stand in
panels of their own.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.errors import DataUnavailable
from streamlearn.extras import needing
from streamlearn.lags.analysis import Pair
from streamlearn.lags.correlations import Correlations
from streamlearn.lags.series import Floats, Series, Table
from streamlearn.lags.summary import said

_SUFFIXES = (".png", ".svg", ".pdf")
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#555555"
_UNDATED = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
_DPI = 150
_POINTS = 1000
"""Steps beyond which a line of means is drawn over the values, which are a blur then."""


def files(target: Path, pairs: Sequence[tuple[str, str]]) -> list[Path]:
    """Return the file of each pair: `target` itself, or one a pair in the folder `target`, which is made.

    Raises
    ------
    DataUnavailable
        The suffix cannot be drawn, the folder cannot be made, or one file is to hold several pairs.
    MissingExtra
        matplotlib is not installed.
    """
    with needing("lags"):
        import matplotlib  # noqa: F401 (said before the work, not after it)
    folder = not target.suffix or target.is_dir()
    if not folder and target.suffix not in _SUFFIXES:
        raise DataUnavailable(f"{target}: a figure is a {', '.join(_SUFFIXES)} file, or a folder")
    if not folder and len(pairs) > 1:
        raise DataUnavailable(f"{target} can hold one pair and there are {len(pairs)}: name a folder")
    try:
        (target if folder else target.parent).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataUnavailable(f"{target} cannot be made: {error.strerror}") from error
    return [target / f"{_plain(x)}-{_plain(y)}.png" for x, y in pairs] if folder else [target]


def draw(pair: Pair, table: Table, file: Path) -> None:
    """Draw x and y over time, and below them r at each lag with its band, raw and pre-whitened.

    Raises
    ------
    DataUnavailable
        The file cannot be written.
    """
    with needing("lags"):
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    with mpl.rc_context({"svg.hashsalt": "streamlearn", "path.simplify_threshold": 0.5}):
        figure: Any = Figure(figsize=(9, 9), layout="constrained")
        FigureCanvasAgg(figure)
        upper, lower = figure.subfigures(2, 1)
        first, second = upper.subplots(2, 1, sharex=True)
        _series(first, pair.x, table, _BLUE)
        _series(second, pair.y, table, _ORANGE)
        second.set_xlabel("time" if table.step else "step")
        raw, white = lower.subplots(2, 1, sharex=True)
        _bars(raw, pair, pair.raw, "raw", table.step, _GREY)
        _bars(white, pair, pair.white, "pre-whitened", table.step, _GREEN)
        unit = f"steps of {table.step}" if table.step else "steps"
        white.set_xlabel(f"lag k in {unit}; k > 0: {pair.x.label} leads {pair.y.label}")
        try:
            # A font lacks some of the letters that a column's name may have; boxes stand for them.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                figure.savefig(file, dpi=_DPI, metadata=_UNDATED[file.suffix])
        except OSError as error:
            raise DataUnavailable(f"{file} cannot be written: {error.strerror}") from error


def _series(axes: Any, one: Series, table: Table, colour: str) -> None:
    together = len(one.values) // _POINTS
    unit = [one.unit] if one.unit else []
    if together > 1:
        axes.plot(table.times, one.values, color=colour, linewidth=0.4, alpha=0.25)
        unit.append(f"line: means of {together}")
        axes.plot(*_means(table.times, one.values, together), color=colour, linewidth=0.9)
    else:
        axes.plot(table.times, one.values, color=colour, linewidth=0.9)
    axes.set_ylabel(f"{one.label}\n({'; '.join(unit)})" if unit else one.label)
    axes.grid(alpha=0.3)


def _means(times: Any, values: Floats, together: int) -> tuple[Any, Floats]:
    """Return the mean of the known values in each run of so many steps, at the middle of it."""
    whole = len(values) // together * together
    parts = values[:whole].reshape(-1, together)
    known = np.maximum((~np.isnan(parts)).sum(axis=1), 1)
    means = np.where(np.isnan(parts).all(axis=1), np.nan, np.nansum(parts, axis=1) / known)
    return times[together // 2 : whole : together], means


def _bars(axes: Any, pair: Pair, found: Correlations, name: str, step: str, colour: str) -> None:
    lags = np.array(found.lags)
    axes.bar(lags, found.ccf, color=np.where(lags == found.best_lag, _ORANGE, colour), width=0.8)
    axes.axhspan(-found.band, found.band, color=_BLUE, alpha=0.15)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.axvline(0, color="black", linewidth=0.6, linestyle=":")
    axes.set_ylabel("r, " + name)
    axes.set_title(said(pair, found, step), loc="left", fontsize=9)
    axes.set_title(f"band: ±2/√n = ±{found.band:.3f}", loc="right", fontsize=8, color=_BLUE)


def _plain(name: str) -> str:
    """Turn a column's name into part of a file's name.

    >>> _plain("wnd_dir=NW")
    'wnd_dir_NW'
    """
    return re.sub(r"[^\w.-]+", "_", name)
