"""The figures of a series and its forecasts. Each function returns an SVG as text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from streamlearn.lags.analysis import Pair
from streamlearn.lags.series import Series
from streamlearn.learning.curves import Floats, rolling_rmse, thin_indices
from streamlearn.reports.breakdowns import Day, Group, is_binary
from streamlearn.reports.figures import style
from streamlearn.reports.figures.style import (
    BASELINE_STYLE,
    BLACK,
    BLUE,
    GREY,
    MODEL_STYLE,
    NARROW,
    WIDE,
    drop_marker,
    render_svg,
    summarize_blocks,
)
from streamlearn.reports.forecasts import Forecasts

_MAX_POINTS = 400
"""Points of a line: a narrow figure cannot show more."""


def draw_value_over_time(forecasts: Forecasts, block_steps: int, block_name: str) -> str:
    """Draw mean and range of the value in each block of steps, and the bands that have a name."""
    rows, mean, low, high = summarize_blocks(forecasts.values, block_steps)

    def draw(axes: Any) -> None:
        axes.fill_between(
            forecasts.times[rows], low, high, color=BLUE, alpha=0.35, linewidth=0, label="range"
        )
        axes.plot(forecasts.times[rows], mean, color=BLUE, linewidth=0.9, label=f"mean of {block_name}")
        axes.set_ylim(bottom=max(forecasts.lowest, axes.get_ylim()[0]))
        _mark_bands(axes, forecasts)
        axes.set_ylabel(_add_unit(forecasts.title, forecasts.unit))
        style.place_legend_above(axes)
        _label_steps(axes, forecasts)

    return render_svg(draw, (WIDE[0], 4.8))


def _mark_bands(axes: Any, forecasts: Forecasts) -> None:
    """Draw a line where each band of the value begins, with its name at the right."""
    known = forecasts.values[~np.isnan(forecasts.values)]
    for band in forecasts.display.bands if known.size else ():
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


def draw_driver_over_time(forecasts: Forecasts, driver: Series, block_steps: int) -> str:
    """Draw mean and range of a driver in each block of steps; for a binary one, how often it was 1."""
    rows, mean, low, high = summarize_blocks(driver.values, block_steps)

    def draw(axes: Any) -> None:
        if is_binary(driver):
            axes.plot(forecasts.times[rows], 100 * mean, color=BLUE, linewidth=0.9)
            axes.set_ylabel(f"{driver.label}\n(% of the time)")
            axes.set_ylim(0, 100)
        else:
            axes.fill_between(forecasts.times[rows], low, high, color=BLUE, alpha=0.25, linewidth=0)
            axes.plot(forecasts.times[rows], mean, color=BLUE, linewidth=0.9)
            axes.set_ylabel(_add_unit(driver.label, driver.unit))
        _label_steps(axes, forecasts)

    return render_svg(draw, (NARROW[0], 2.4))


def draw_error_over_time(forecasts: Forecasts, column: int, window: int) -> str:
    """Draw the RMSE of one horizon over the last `window` steps beside that of persistence."""
    rows = thin_indices(len(forecasts.steps), _MAX_POINTS)
    min_errors = min(window, max(24, window // 10))

    def draw(axes: Any) -> None:
        for residuals, line_style, name in (
            (forecasts.persistence_residuals, BASELINE_STYLE, "persistence"),
            (forecasts.residuals, MODEL_STYLE, "model"),
        ):
            rmse = rolling_rmse(residuals[:, [column]], window, min_errors).ravel()
            axes.plot(forecasts.times[rows], rmse[rows], **drop_marker(line_style), label=name)
        axes.set_ylabel(_add_unit("RMSE", forecasts.unit))
        axes.set_ylim(bottom=0)
        style.place_legend_above(axes)
        _label_steps(axes, forecasts)

    return render_svg(draw, NARROW)


def draw_error_by_horizon(forecasts: Forecasts, rmse: Floats, persistence_rmse: Floats) -> str:
    """Draw the RMSE at each horizon, shape (h,), beside that of persistence."""
    hollow = {**BASELINE_STYLE, "markerfacecolor": "white"}

    def draw(axes: Any) -> None:
        axes.plot(forecasts.horizons, persistence_rmse, **hollow, label="persistence")
        axes.plot(forecasts.horizons, rmse, **MODEL_STYLE, label="model")
        axes.set_xticks(forecasts.horizons)
        axes.set_xlabel(
            "steps ahead" if not forecasts.display.step_unit else f"ahead ({forecasts.display.step_unit})"
        )
        axes.set_ylabel(_add_unit("RMSE", forecasts.unit))
        axes.set_ylim(bottom=0)
        axes.legend()

    return render_svg(draw, NARROW)


def draw_error_by_time_of_day(forecasts: Forecasts, groups: Sequence[Group]) -> str:
    """Draw the RMSE at each step of the day beside that of persistence, one panel a horizon."""
    names = [group.name for group in groups]
    rows = np.arange(len(groups))

    def draw(panels: Any) -> None:
        for column, axes in enumerate(np.ravel(panels)):
            rmse, persistence_rmse = _collect_errors(groups, column)
            axes.plot(rows, persistence_rmse, **drop_marker(BASELINE_STYLE), label="persistence")
            axes.plot(rows, rmse, **drop_marker(MODEL_STYLE), label="model")
            axes.set_title(forecasts.format_horizon(forecasts.horizons[column]), loc="left", fontsize=10)
            axes.set_ylabel(forecasts.unit or "RMSE")
        spacing = max(1, len(names) // 8)
        axes.set_xticks(rows[::spacing], [name.removesuffix(":00") for name in names[::spacing]])
        axes.set_xlabel("hour of the day that was forecast" if len(names) == 24 else "time of day")
        style.place_legend_above(np.ravel(panels)[0])

    panels = len(forecasts.horizons)
    return render_svg(draw, (NARROW[0], 0.9 + 1.35 * panels), panels, sharex=True)


def draw_error_by_group(forecasts: Forecasts, groups: Sequence[Group]) -> str:
    """Draw the RMSE in each group beside that of persistence, one panel a horizon."""

    def draw(panels: Any) -> None:
        for column, axes in enumerate(np.ravel(panels)):
            style.draw_dumbbells(axes, [group.name for group in groups], *_collect_errors(groups, column))
            axes.set_title(forecasts.format_horizon(forecasts.horizons[column]), loc="left", fontsize=10)
        axes.set_xlabel(_add_unit("RMSE", forecasts.unit))
        style.place_legend_above(np.ravel(panels)[0])

    height = 0.7 + len(forecasts.horizons) * max(1.1, 0.36 + 0.24 * len(groups))
    return render_svg(draw, (NARROW[0], height), len(forecasts.horizons))


def draw_calibration(forecasts: Forecasts, coverages: Floats) -> str:
    """Draw nominal against actual coverage, shape (n_shares, h), one line a horizon."""

    def draw(axes: Any) -> None:
        axes.plot([0.4, 1], [0.4, 1], color=GREY, linewidth=1, label="as promised")
        line_styles = style.choose_line_styles(len(forecasts.horizons))
        for column, (horizon, line_style) in enumerate(zip(forecasts.horizons, line_styles, strict=True)):
            label = forecasts.format_horizon(horizon)
            axes.plot(forecasts.ranges.shares, coverages[:, column], **line_style, label=label)
        axes.set_xlabel("promised share inside")
        axes.set_ylabel("actual share inside")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        axes.set_xlim(0.38, 1.02)
        axes.set_ylim(0.38, 1.02)
        axes.legend()

    return render_svg(draw, (NARROW[0], 4.4))


def draw_width_over_time(forecasts: Forecasts, low: Floats, high: Floats, block_steps: int) -> str:
    """Draw the mean width of the intervals in each block of steps, one line a horizon.

    `low` and `high` are the intervals' ends, shape (n, h).
    """

    def draw(axes: Any) -> None:
        line_styles = style.choose_line_styles(len(forecasts.horizons))
        for column, (horizon, line_style) in enumerate(zip(forecasts.horizons, line_styles, strict=True)):
            rows, mean, _, _ = summarize_blocks(high[:, column] - low[:, column], block_steps)
            label = forecasts.format_horizon(horizon)
            axes.plot(forecasts.times[rows], mean, **{**line_style, "markersize": 3}, label=label)
        axes.set_ylabel(_add_unit("width", forecasts.unit))
        axes.set_ylim(bottom=0)
        style.place_legend_above(axes, 3, fontsize=8)
        _label_steps(axes, forecasts)

    return render_svg(draw, (NARROW[0], 4.4))


def draw_day(forecasts: Forecasts, day: Day, columns: Sequence[int], low: Floats, high: Floats) -> str:
    """Draw a day, and half a day on either side: the values, and the forecasts of at most two horizons.

    `low` and `high`, shape (n, h), are the ends of intervals; that of the first horizon is drawn.
    """
    half = (day.rows.stop - day.rows.start) // 2
    rows = np.arange(max(0, day.rows.start - half), min(len(forecasts.steps), day.rows.stop + half))
    times = forecasts.times[rows]
    line_styles = (MODEL_STYLE, BASELINE_STYLE)

    def draw(axes: Any) -> None:
        first = columns[0]
        axes.axvspan(
            forecasts.times[day.rows.start], forecasts.times[day.rows.stop - 1], color="#eeeeee", linewidth=0
        )
        axes.fill_between(times, low[rows, first], high[rows, first], color=BLUE, alpha=0.2, linewidth=0)
        for column, line_style in zip(columns, line_styles, strict=False):
            horizon = forecasts.horizons[column]
            origins = np.maximum(rows - horizon, 0)
            forecast = np.where(rows >= horizon, forecasts.forecasts[origins, column], np.nan)
            label = f"forecast {forecasts.format_horizon(horizon)}"
            axes.plot(times, forecast, **{**line_style, "markersize": 3}, label=label)
        axes.plot(times, forecasts.values[rows], color=BLACK, linewidth=1.8, label="true value")
        axes.set_ylabel(_add_unit(forecasts.title, forecasts.unit))
        axes.set_ylim(bottom=max(forecasts.lowest, axes.get_ylim()[0]))
        style.place_legend_above(axes, 3, fontsize=8)
        _label_steps(axes, forecasts)

    return render_svg(draw, NARROW)


def draw_correlations(pair: Pair, step: str) -> str:
    """Draw the correlation at each lag with its band, raw and pre-whitened."""

    def draw(panels: Any) -> None:
        both = {"raw": pair.raw, "pre-whitened": pair.white}
        for axes, (name, correlations) in zip(panels, both.items(), strict=True):
            band = correlations.band
            axes.axhspan(-band, band, color=BLUE, alpha=0.15, linewidth=0)
            axes.vlines(np.array(correlations.lags), 0, correlations.ccf, color=GREY, linewidth=1.6)
            axes.plot([correlations.best_lag], [correlations.r], color=style.ORANGE, marker="o", linestyle="")
            axes.axhline(0, color="black", linewidth=0.6)
            axes.axvline(0, color="black", linewidth=0.6, linestyle=":")
            axes.set_ylabel(f"r, {name}")
        axes.set_xlabel(f"lag ({step.removeprefix('1 ') or 'steps'}); right of 0 it leads {pair.y.label}")

    return render_svg(draw, (NARROW[0], 3.6), 2, sharex=True)


def _collect_errors(groups: Sequence[Group], column: int) -> tuple[Floats, Floats]:
    """Return the RMSE of one horizon in each group, the model's and that of persistence."""
    rmse = np.array([group.rmse[column] for group in groups])
    return rmse, np.array([group.persistence_rmse[column] for group in groups])


def _label_steps(axes: Any, forecasts: Forecasts) -> None:
    if forecasts.dated:
        style.format_dates(axes)
    else:
        axes.set_xlabel("step")


def _add_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name
