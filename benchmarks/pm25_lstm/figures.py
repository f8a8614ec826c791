"""The article's two plots: the seven series, and the loss after each epoch; the same bytes each time."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pm25_lstm.hours import WEATHER, Floats, Hours
from benchmarks.pm25_lstm.lstm import Net
from streamlearn.errors import DataUnavailable
from streamlearn.extras import needing

_BLUE, _ORANGE = "#0072B2", "#D55E00"  # Okabe and Ito's, which colour-blind people can tell apart
_DPI = 150
_LABELS = {
    "pollution": "PM2.5\n(µg/m³)",
    "dew": "dew point\n(°C)",
    "temp": "temperature\n(°C)",
    "press": "pressure\n(hPa)",
    "wnd_spd": "wind, cum.\n(m/s)",
    "snow": "snow, cum.\n(h)",
    "rain": "rain, cum.\n(h)",
}


def folder(target: Path) -> Path:
    """Make the folder, so that a figure which cannot be drawn is told of before the work.

    Raises
    ------
    DataUnavailable
        It cannot be made.
    MissingExtra
        matplotlib is not installed.
    """
    with needing("lstm"):
        import matplotlib  # noqa: F401 (said before the work, not after it)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataUnavailable(f"{target} cannot be made a folder: {error.strerror}") from error
    return target


def draw_series(hours: Hours, readings: Floats, file: Path) -> None:
    """Draw the pollution and the six numbers of the weather over time, a panel each."""
    figure, panels = _panels(len(_LABELS), (9, 11))
    times = [datetime.fromisoformat(hour.ts) for hour in hours.records]
    series = {"pollution": readings, **dict(zip(WEATHER, hours.weather.T, strict=True))}
    for axes, (name, label) in zip(panels, _LABELS.items(), strict=True):
        axes.plot(times, series[name], color=_BLUE, linewidth=0.3)
        axes.set_ylabel(label, fontsize=8)
    panels[-1].set_xlabel("time (local)")
    _save(figure, file)


def draw_loss(nets: Sequence[Net], file: Path) -> None:
    """Draw the loss of what is learned and of the test set after each epoch, a line a seed."""
    figure, (axes,) = _panels(1, (7, 4.5))
    for number, net in enumerate(nets):
        epochs = np.arange(1, len(net.loss) + 1)
        first = number == 0
        axes.plot(epochs, net.loss, color=_BLUE, label="first year (learned)" if first else None)
        axes.plot(epochs, net.validation_loss, color=_ORANGE, label="the rest (test)" if first else None)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean absolute error (share of the range of PM2.5)")
    axes.legend()
    _save(figure, file)


def _panels(number: int, size: tuple[float, float]) -> tuple[Any, Any]:
    with needing("lstm"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure: Any = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(number, 1, sharex=True, squeeze=False)[:, 0]
    for axes in panels:
        axes.grid(alpha=0.3)
    return figure, panels


def _save(figure: Any, file: Path) -> None:
    try:
        figure.savefig(file, dpi=_DPI)
    except OSError as error:
        raise DataUnavailable(f"{file} cannot be written: {error.strerror}") from error
