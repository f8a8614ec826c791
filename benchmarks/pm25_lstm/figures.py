"""The article's two plots, the seven series and the loss after each epoch, and one of a comparison.

The same bytes each time.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.pm25_lstm.comparison import CLIMATOLOGY, OURS
from benchmarks.pm25_lstm.hours import WEATHER, Floats, Hours
from benchmarks.pm25_lstm.lstm import Net
from streamlearn.errors import FileError
from streamlearn.extras import require_extra
from streamlearn.reports.figures.style import BLUE, GREY, ORANGE, save_figure

_LABELS = {
    "pollution": "PM2.5\n(µg/m³)",
    "dew": "dew point\n(°C)",
    "temp": "temperature\n(°C)",
    "press": "pressure\n(hPa)",
    "wnd_spd": "wind, cum.\n(m/s)",
    "snow": "snow, cum.\n(h)",
    "rain": "rain, cum.\n(h)",
}


def make_folder(folder: Path) -> Path:
    """Make the folder for the figures. Call it before a long computation, so that it fails early.

    Raises
    ------
    FileError
        The folder cannot be made.
    MissingExtra
        matplotlib is not installed.
    """
    with require_extra("lstm"):
        import matplotlib  # noqa: F401
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"the folder {folder} cannot be made ({error.strerror}): name another one") from error
    return folder


def draw(hours: Hours, readings: Floats, nets: Sequence[Net], folder: Path) -> tuple[Path, Path]:
    """Draw both plots into a folder, and return their paths.

    Raises
    ------
    FileError
        A figure cannot be written.
    """
    paths = folder / "series.png", folder / "loss.png"
    draw_series(hours, readings, paths[0])
    draw_loss(nets, paths[1])
    return paths


def draw_series(hours: Hours, readings: Floats, path: Path) -> None:
    """Draw the pollution and the six numbers of the weather over time, a panel each."""
    times = [datetime.fromisoformat(hour.ts) for hour in hours.records]
    series = {"pollution": readings, **dict(zip(WEATHER, hours.weather.T, strict=True))}

    def draw_panels(panels: Any) -> None:
        for axes, (name, label) in zip(panels, _LABELS.items(), strict=True):
            axes.plot(times, series[name], color=BLUE, linewidth=0.3)
            axes.set_ylabel(label, fontsize=8)
        panels[-1].set_xlabel("time (local)")

    save_figure(draw_panels, (9, 11), path, rows=len(_LABELS), sharex=True)


def draw_loss(nets: Sequence[Net], path: Path) -> None:
    """Draw the loss of the first year and of the test hours after each epoch, a line a net."""

    def draw_lines(axes: Any) -> None:
        for number, net in enumerate(nets):
            epochs = range(1, len(net.loss) + 1)
            labels = ("first year (learned)", "the rest (test)") if number == 0 else (None, None)
            axes.plot(epochs, net.loss, color=BLUE, label=labels[0])
            axes.plot(epochs, net.validation_loss, color=ORANGE, linestyle="--", label=labels[1])
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        axes.set_ylabel("mean absolute error (share of the range of PM2.5)")
        axes.legend()

    save_figure(draw_lines, (7, 4.5), path)


def draw_comparison(summary: dict[str, Any], path: Path) -> None:
    """Draw how much larger each model's RMSE is than that of ours, with its interval, a panel a rule.

    `summary` is what `comparison_report.summarize` returns. Climatology is left out: it is too far away.

    Raises
    ------
    FileError
        The figure cannot be written.
    """

    def draw_panels(panels: Any) -> None:
        for axes, rule in zip(panels, summary["rules"], strict=True):
            rows = [r for r in rule["differences"] if r["first"] == OURS and r["second"] != CLIMATOLOGY]
            persistence = [r for r in rows if r["second"] == "persistence"]
            ordered = [*persistence, *(r for r in rows if r["second"] != "persistence")]
            places = range(len(ordered))
            axes.axvline(0, color=GREY, linewidth=1)
            axes.hlines(places, [-r["high"] for r in ordered], [-r["low"] for r in ordered], color=BLUE)
            axes.plot([-r["rmse"] for r in ordered], places, "o", color=BLUE)
            axes.set_yticks(places, [r["second"] for r in ordered])
            axes.set_ylim(len(ordered) - 0.5, -0.5)
            axes.set_title(rule["title"], fontsize=10)
            axes.set_xlabel("RMSE above that of ours, learning on (µg/m³), 95 %")

    save_figure(draw_panels, (10, 3.2), path, ncols=len(summary["rules"]), sharey=True)
