"""The scores of variants of a pipeline over the same records, in a file: `streamlearn backtest --figure`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.engine.backtest import Outcome
from streamlearn.errors import FileError
from streamlearn.extras import require_extra
from streamlearn.pipelines.base import Pipeline
from streamlearn.reports.figures.style import (
    SUFFIXES,
    choose_line_styles,
    drop_marker,
    save_figure,
)

_WIDTH, _PANEL_HEIGHT = 9.0, 2.8
"""Inches."""
_MAX_PANELS = 3


def check_file(file: Path) -> None:
    """Find out early what would make `draw_variants` fail.

    Raises
    ------
    FileError
        The file has a suffix of no figure.
    MissingExtra
        matplotlib is not installed.
    """
    with require_extra("report"):
        import matplotlib  # noqa: F401
    if file.suffix not in SUFFIXES:
        raise FileError(f"{file}: a figure is a {', '.join(SUFFIXES)} file")


def draw_variants(outcomes: Sequence[Outcome], pipeline: Pipeline, file: Path) -> None:
    """Draw each figure of the score over the records, a line a variant; of a forecast, of three horizons.

    Raises
    ------
    FileError
        The file cannot be written.
    """
    names = choose_panels(list(outcomes[0].curve[-1].figures)) if outcomes[0].curve else []
    styles = [drop_marker(style) for style in choose_line_styles(len(outcomes))]

    def draw(panels: Any) -> None:
        for axes, name in zip(np.ravel(panels), names, strict=True):
            for outcome, style in zip(outcomes, styles, strict=True):
                values = [point.figures.get(name) for point in outcome.curve]
                known = [np.nan if value is None else value for value in values]
                axes.plot([point.records for point in outcome.curve], known, **style, label=outcome.name)
            unit = f" ({pipeline.display.unit})" if pipeline.display.unit and name != "accuracy" else ""
            axes.set_ylabel(f"{name.replace('_', ', ')}{unit}")
        np.ravel(panels)[-1].set_xlabel("records")
        np.ravel(panels)[0].legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1))

    count = max(1, len(names))
    save_figure(draw, (_WIDTH, 1 + _PANEL_HEIGHT * count), file, count, sharex=True)


def choose_panels(names: Sequence[str]) -> list[str]:
    """Return the first, the middle and the last of the names, or all where there are no more than three.

    >>> choose_panels(["h1_rmse", "h3_rmse", "h6_rmse", "h12_rmse", "h24_rmse"])
    ['h1_rmse', 'h6_rmse', 'h24_rmse']
    """
    if len(names) <= _MAX_PANELS:
        return list(names)
    return [names[0], names[len(names) // 2], names[-1]]
