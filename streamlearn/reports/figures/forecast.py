"""What is drawn of a series and its forecasts. Each function returns an SVG."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from streamlearn.lags.analysis import Pair
from streamlearn.lags.series import Series
from streamlearn.learning.curves import Floats, rolling_rmse, thinned
from streamlearn.reports.breakdowns import Day, Group, is_switch
from streamlearn.reports.calibration import NOMINAL
from streamlearn.reports.figures import style
from streamlearn.reports.figures.style import (
    BASELINE,
    BLACK,
    BLUE,
    GREY,
    NARROW,
    OURS,
    WIDE,
    line,
    means,
    svg,
)
from streamlearn.reports.forecasts import Forecasts

_POINTS = 400
"""Points of a line: more than a narrow figure can show."""


def value_over_time(found: Forecasts, together: int, per: str) -> str:
    """The value: means of so many steps, the range inside each, and the ranges that have a name."""
    rows, mean, low, high = means(found.values, together)

    def draw(axes: Any) -> None:
        axes.fill_between(found.times[rows], low, high, color=BLUE, alpha=0.35, linewidth=0, label="range")
        axes.plot(found.times[rows], mean, color=BLUE, linewidth=0.9, label=f"mean of {per}")
        axes.set_ylim(bottom=max(found.lowest, axes.get_ylim()[0]))
        _bands(axes, found)
        axes.set_ylabel(_unit(found.title, found.unit))
        style.legend_above(axes)
        _over_time(axes, found)

    return svg(draw, (WIDE[0], 4.8))


def _bands(axes: Any, found: Forecasts) -> None:
    """Write the named ranges of the value at the right, each at the line where it begins."""
    known = found.values[~np.isnan(found.values)]
    for band in found.display.bands if known.size else ():
        if known.min() < band.above < known.max():
            axes.axhline(band.above, color=GREY, linewidth=0.6, linestyle=":")
            axes.annotate(
                f"{band.name} > {band.above:g}",
                (1, band.above),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=8,
                color=GREY,
                va="bottom",
                annotation_clip=False,
            )


def driver_over_time(found: Forecasts, driver: Series, together: int) -> str:
    """A driver: means of so many steps and the range inside each; of a switch, how often it was on."""
    rows, mean, low, high = means(driver.values, together)

    def draw(axes: Any) -> None:
        if is_switch(driver):
            axes.plot(found.times[rows], 100 * mean, color=BLUE, linewidth=0.9)
            axes.set_ylabel(f"{driver.label}\n(% of the time)")
            axes.set_ylim(0, 100)
        else:
            axes.fill_between(found.times[rows], low, high, color=BLUE, alpha=0.25, linewidth=0)
            axes.plot(found.times[rows], mean, color=BLUE, linewidth=0.9)
            axes.set_ylabel(_unit(driver.label, driver.unit))
        _over_time(axes, found)

    return svg(draw, (NARROW[0], 2.4))


def error_over_time(found: Forecasts, column: int, window: int) -> str:
    """The rolling RMSE of one horizon beside persistence."""
    chosen = thinned(len(found.steps), _POINTS)
    least = min(window, max(24, window // 10))

    def draw(axes: Any) -> None:
        for missed, look, name in (
            (found.persistence, BASELINE, "persistence"),
            (found.missed, OURS, "model"),
        ):
            rolled = rolling_rmse(missed[:, [column]], window, least).ravel()
            axes.plot(found.times[chosen], rolled[chosen], **line(look), label=name)
        axes.set_ylabel(_unit("RMSE", found.unit))
        axes.set_ylim(bottom=0)
        style.legend_above(axes)
        _over_time(axes, found)

    return svg(draw, NARROW)


def error_by_horizon(found: Forecasts, rmse: Floats, theirs: Floats) -> str:
    """RMSE at each horizon beside persistence."""

    def draw(axes: Any) -> None:
        axes.plot(found.horizons, theirs, **BASELINE, label="persistence", markerfacecolor="white")
        axes.plot(found.horizons, rmse, **OURS, label="model")
        axes.set_xticks(found.horizons)
        axes.set_xlabel(
            "steps ahead" if not found.display.step_unit else f"ahead ({found.display.step_unit})"
        )
        axes.set_ylabel(_unit("RMSE", found.unit))
        axes.set_ylim(bottom=0)
        axes.legend()

    return svg(draw, NARROW)


def error_by_time_of_day(found: Forecasts, groups: Sequence[Group]) -> str:
    """One panel a horizon: RMSE at each step of the day beside persistence."""
    names = [one.name for one in groups]
    rows = np.arange(len(groups))

    def draw(panels: Any) -> None:
        for column, axes in enumerate(np.ravel(panels)):
            ours, theirs = _of(groups, column)
            axes.plot(rows, theirs, **line(BASELINE), label="persistence")
            axes.plot(rows, ours, **line(OURS), label="model")
            axes.set_title(found.ahead(found.horizons[column]), loc="left", fontsize=10)
            axes.set_ylabel(found.unit or "RMSE")
        every = max(1, len(names) // 8)
        axes.set_xticks(rows[::every], [name.removesuffix(":00") for name in names[::every]])
        axes.set_xlabel("hour of the day that was forecast" if len(names) == 24 else "time of day")
        style.legend_above(np.ravel(panels)[0])

    return svg(draw, _stacked(len(found.horizons)), len(found.horizons), sharex=True)


def error_by_group(found: Forecasts, groups: Sequence[Group]) -> str:
    """One panel a horizon: RMSE in each group beside persistence."""

    def draw(panels: Any) -> None:
        for column, axes in enumerate(np.ravel(panels)):
            style.pairs(axes, [one.name for one in groups], *_of(groups, column))
            axes.set_title(found.ahead(found.horizons[column]), loc="left", fontsize=10)
        axes.set_xlabel(_unit("RMSE", found.unit))
        style.legend_above(np.ravel(panels)[0])

    height = 0.7 + len(found.horizons) * max(1.1, 0.36 + 0.24 * len(groups))
    return svg(draw, (NARROW[0], height), len(found.horizons))


def calibration(found: Forecasts, shares: Floats) -> str:
    """Nominal against actual coverage, one line a horizon."""

    def draw(axes: Any) -> None:
        axes.plot([0.4, 1], [0.4, 1], color=GREY, linewidth=1, label="as promised")
        looks = style.looks(len(found.horizons))
        for column, (horizon, look) in enumerate(zip(found.horizons, looks, strict=True)):
            axes.plot(NOMINAL, shares[:, column], **look, label=found.ahead(horizon))
        axes.set_xlabel("promised share inside")
        axes.set_ylabel("share that came inside")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        axes.set_xlim(0.38, 1.02)
        axes.set_ylim(0.38, 1.02)
        axes.legend()

    return svg(draw, (NARROW[0], 4.4))


def width_over_time(found: Forecasts, low: Floats, high: Floats, window: int) -> str:
    """How wide the intervals were, one line a horizon: means over a window."""

    def draw(axes: Any) -> None:
        looks = style.looks(len(found.horizons))
        for column, (horizon, look) in enumerate(zip(found.horizons, looks, strict=True)):
            rows, mean, _, _ = means(high[:, column] - low[:, column], window)
            axes.plot(found.times[rows], mean, **{**look, "markersize": 3}, label=found.ahead(horizon))
        axes.set_ylabel(_unit("width", found.unit))
        axes.set_ylim(bottom=0)
        style.legend_above(axes, 3, fontsize=8)
        _over_time(axes, found)

    return svg(draw, (NARROW[0], 4.4))


def bad_day(found: Forecasts, day: Day, columns: Sequence[int], low: Floats, high: Floats) -> str:
    """A day and half a day at either side: what came, what was forecast, one interval."""
    half = (day.rows.stop - day.rows.start) // 2
    rows = np.arange(max(0, day.rows.start - half), min(len(found.steps), day.rows.stop + half))
    times = found.times[rows]
    looks: tuple[dict[str, Any], ...] = (OURS, BASELINE)

    def draw(axes: Any) -> None:
        first = columns[0]
        axes.axvspan(
            found.times[day.rows.start], found.times[day.rows.stop - 1], color="#eeeeee", linewidth=0
        )
        axes.fill_between(times, low[rows, first], high[rows, first], color=BLUE, alpha=0.2, linewidth=0)
        for column, look in zip(columns, looks, strict=False):
            horizon = found.horizons[column]
            forecast = np.where(
                rows >= horizon, found.forecasts[np.maximum(rows - horizon, 0), column], np.nan
            )
            axes.plot(times, forecast, **{**look, "markersize": 3}, label=f"said {found.ahead(horizon)}")
        axes.plot(times, found.values[rows], color=BLACK, linewidth=1.8, label="what came")
        axes.set_ylabel(_unit(found.title, found.unit))
        axes.set_ylim(bottom=max(found.lowest, axes.get_ylim()[0]))
        style.legend_above(axes, 3, fontsize=8)
        _over_time(axes, found)

    return svg(draw, NARROW)


def correlations(pair: Pair, step: str) -> str:
    """R at each lag with its band, raw and pre-whitened."""

    def draw(panels: Any) -> None:
        for axes, one, name in zip(panels, (pair.raw, pair.white), ("raw", "pre-whitened"), strict=True):
            lags = np.array(one.lags)
            axes.axhspan(-one.band, one.band, color=BLUE, alpha=0.15, linewidth=0)
            axes.vlines(lags, 0, one.ccf, color=GREY, linewidth=1.6)
            axes.plot([one.best_lag], [one.r], color=style.ORANGE, marker="o", linestyle="")
            axes.axhline(0, color="black", linewidth=0.6)
            axes.axvline(0, color="black", linewidth=0.6, linestyle=":")
            axes.set_ylabel(f"r, {name}")
        axes.set_xlabel(f"lag ({step.removeprefix('1 ') or 'steps'}); right of 0 it leads {pair.y.label}")

    return svg(draw, (NARROW[0], 3.6), 2, sharex=True)


def _of(groups: Sequence[Group], column: int) -> tuple[Floats, Floats]:
    return np.array([one.rmse[column] for one in groups]), np.array(
        [one.persistence[column] for one in groups]
    )


def _stacked(panels: int) -> tuple[float, float]:
    return NARROW[0], 0.9 + 1.35 * panels


def _over_time(axes: Any, found: Forecasts) -> None:
    if found.dated:
        style.dates(axes)
    else:
        axes.set_xlabel("step")


def _unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name
