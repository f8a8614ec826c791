"""The sections of a forecast's report: figures and tables, with their findings and how to read them."""

from collections.abc import Iterator

import numpy as np

from streamlearn.lags.series import Series
from streamlearn.learning import curves
from streamlearn.learning.curves import Floats
from streamlearn.reports import breakdowns
from streamlearn.reports.breakdowns import Group, skill
from streamlearn.reports.calibration import (
    CoverageGroup,
    coverage,
    group_by_level,
    group_by_quarter,
    intervals,
)
from streamlearn.reports.figures import forecast
from streamlearn.reports.forecasts import Forecasts
from streamlearn.reports.page import Figure, Section, Table
from streamlearn.reports.wording import (
    compare_in_words,
    format_count,
    format_measure,
    format_number,
    format_percent,
    format_percents,
)

_WINDOW_DAYS = 30
"""Days of the rolling error."""
_WORST_DAYS = 6
_MAX_DRIVER_POINTS = 200
"""Points of a driver's line."""
_INTERVAL = 0.8
"""The share of truths that the interval in the figures is made to hold, as on the forecast page."""

_LEGEND = (
    "Blue, solid: the model. Orange, dashed or hollow: persistence, which forecasts the last known value."
)
_ERROR_STEP = (
    "An error belongs to the step that was forecast, not to the step at which the forecast was made."
)


def build_score_table(forecasts: Forecasts) -> Table:
    """Return the errors of every horizon, beside those of persistence."""
    rmse, persistence_rmse = curves.rmse(forecasts.residuals), curves.rmse(forecasts.persistence_residuals)
    mae, persistence_mae = _mae(forecasts.residuals), _mae(forecasts.persistence_residuals)
    skills, counts = skill(rmse, persistence_rmse), (~np.isnan(forecasts.residuals)).sum(axis=0)
    rows = [
        (
            forecasts.format_horizon(horizon),
            format_number(rmse[column], 2),
            format_number(persistence_rmse[column], 2),
            format_percent(float(skills[column])),
            format_number(mae[column], 2),
            format_number(persistence_mae[column], 2),
            format_count(int(counts[column])),
        )
        for column, horizon in enumerate(forecasts.horizons)
    ]
    head = ("", "RMSE", "persistence", "below it by", "MAE", "persistence", "scored")
    unit = f", in {forecasts.unit}" if forecasts.unit else ""
    caption = (
        f"Prequential errors{unit}: each forecast was made by a model that had not learned the true value"
    )
    return Table(caption, head, rows)


def build_sections(forecasts: Forecasts) -> Iterator[Section]:
    """Yield the sections that these forecasts allow, except that on lags."""
    yield _build_error_section(forecasts)
    figures = [
        *_build_time_of_day_figure(forecasts, breakdowns.group_by_time_of_day(forecasts)),
        *_build_group_figure(
            forecasts, breakdowns.group_by_season(forecasts), "season", "quarter of the year"
        ),
    ]
    if figures:
        yield Section("By time of day and season", _ERROR_STEP, figures)
    circumstances = breakdowns.group_by_binary_driver(forecasts)
    if circumstances:
        text = (
            "A circumstance is a driver that is either there or not, such as a wind direction: its errors are"
            f" those of the steps at which it is there. {_ERROR_STEP}"
        )
        figures = _build_group_figure(forecasts, circumstances, "circumstance", "circumstance")
        yield Section("By circumstance", text, figures, [_build_group_table(forecasts, circumstances)])
    yield _build_calibration_section(forecasts)
    figures = list(_build_worst_day_figures(forecasts))
    if figures:
        text = (
            f"The days with the largest RMSE {_name_horizon(forecasts)}, the worst first;"
            " at least half of a day must be scored."
        )
        yield Section("The worst days", text, figures)
    yield _build_series_section(forecasts)


def _build_error_section(forecasts: Forecasts) -> Section:
    window = _choose_window(forecasts)
    rmse, persistence_rmse = curves.rmse(forecasts.residuals), curves.rmse(forecasts.persistence_residuals)
    figures = []
    for column, horizon in enumerate(forecasts.horizons):
        ahead = forecasts.format_horizon(horizon)
        figures.append(
            Figure(
                title=f"{ahead}: {format_measure(rmse[column], forecasts.unit)},"
                f" {compare_in_words(rmse[column], persistence_rmse[column])}",
                alt=f"Line chart of the rolling RMSE {ahead} of model and persistence over time.",
                caption=f"RMSE of the last {_format_duration(forecasts, window)} at each step; lower is"
                f" better. {_LEGEND}",
                svg=forecast.draw_error_over_time(forecasts, column, window),
            )
        )
    figures.append(_build_horizon_figure(forecasts, rmse, persistence_rmse))
    text = "Where the blue line is below the orange one, the model was better than persistence."
    return Section("The error over time and by horizon", text, figures)


def _build_horizon_figure(forecasts: Forecasts, rmse: Floats, persistence_rmse: Floats) -> Figure:
    first, *others = (forecasts.format_horizon(horizon) for horizon in forecasts.horizons)
    title = f"{first} the error is {compare_in_words(rmse[0], persistence_rmse[0])}"
    if others:
        title += f", {others[-1]} {compare_in_words(rmse[-1], persistence_rmse[-1])}"
    return Figure(
        title=title,
        alt="Line chart of RMSE against the horizon, for model and persistence.",
        caption=f"RMSE over everything that is scored. {_LEGEND} The table at the top has the numbers.",
        svg=forecast.draw_error_by_horizon(forecasts, rmse, persistence_rmse),
    )


def _build_time_of_day_figure(forecasts: Forecasts, groups: list[Group]) -> Iterator[Figure]:
    if not groups:
        return
    column = _choose_column(forecasts)
    worst, best = _find_extremes(groups, column)
    yield Figure(
        title=f"{_name_horizon(forecasts)} the error is largest for {worst.name}"
        f" ({format_measure(worst.rmse[column], forecasts.unit)}) and smallest for {best.name}"
        f" ({format_measure(best.rmse[column], forecasts.unit)})",
        alt="Line charts of RMSE by time of day, one panel a horizon, for model and persistence.",
        caption=f"One panel a horizon, each with a scale of its own. {_LEGEND}",
        svg=forecast.draw_error_by_time_of_day(forecasts, groups),
    )


def _build_group_figure(
    forecasts: Forecasts, groups: list[Group], group_name: str, kind: str
) -> list[Figure]:
    if not groups:
        return []
    column = _choose_column(forecasts)
    worst, _ = _find_extremes(groups, column)
    return [
        Figure(
            title=f"{_name_horizon(forecasts)} the hardest {group_name} is {worst.name}:"
            f" {format_measure(worst.rmse[column], forecasts.unit)},"
            f" {compare_in_words(worst.rmse[column], worst.persistence_rmse[column])}",
            alt=f"Dot charts of RMSE by {kind}, one panel a horizon, for model and persistence.",
            caption=f"RMSE in each {kind}, one panel a horizon. Blue dots: the model. Hollow orange diamonds:"
            " persistence. Where the dot is left of the diamond the model is better, by the line's length.",
            svg=forecast.draw_error_by_group(forecasts, groups),
        )
    ]


def _build_group_table(forecasts: Forecasts, groups: list[Group]) -> Table:
    unit = forecasts.display.step_unit or "steps"
    head = ("", *(f"{horizon}\u00a0{unit}" for horizon in forecasts.horizons), "scored")
    rows = [
        (
            group.name,
            *map(format_percent, skill(group.rmse, group.persistence_rmse)),
            format_count(int(group.counts[0])),
        )
        for group in groups
    ]
    return Table("By how much the RMSE is below that of persistence, by horizon", head, rows)


def _build_calibration_section(forecasts: Forecasts) -> Section:
    shares = forecasts.ranges.shares
    coverages = np.array([coverage(forecasts, share) for share in shares])
    low, high = intervals(forecasts, _INTERVAL)
    widths = [format_measure(_median(values), forecasts.unit) for values in (high - low).T]
    horizons = [forecasts.format_horizon(horizon) for horizon in forecasts.horizons]
    window, promised = _choose_window(forecasts), format_percent(_INTERVAL, 0)
    actual = format_percent(coverages[shares.index(_INTERVAL), _choose_column(forecasts)])
    figures = [
        Figure(
            title=f"{_name_horizon(forecasts)}, intervals meant to hold {promised} of the true values"
            f" held {actual}",
            alt="Line chart of the share of true values inside the intervals against the share promised.",
            caption="On the grey line intervals hold what they promise; below it they are too narrow.",
            svg=forecast.draw_calibration(forecasts, coverages),
        ),
        Figure(
            title=f"Half of the {promised} intervals {horizons[-1]} are wider than {widths[-1]},"
            f" {horizons[0]} than {widths[0]}",
            alt=f"Line chart of the mean width of the {promised} intervals over time, by horizon.",
            caption=f"Mean width over {_format_duration(forecasts, window)}. Intervals widen after bad days"
            " and narrow after good ones.",
            svg=forecast.draw_width_over_time(forecasts, low, high, window),
        ),
    ]
    rows = [
        [horizon, *(format_percent(actual_share) for actual_share in actual_shares), width]
        for horizon, actual_shares, width in zip(horizons, coverages.T, widths, strict=True)
    ]
    head = (
        "",
        *(f"{format_percent(nominal, 0)} promised" for nominal in shares),
        f"median width, {promised}",
    )
    text = (
        "An interval is the forecast plus quantiles of the errors that forecasts at the same level had, moved"
        " by each truth, as on the forecast page. It uses only what was known when the forecast was made."
    )
    tables = [
        Table("Share of true values inside the interval", head, rows, wide=True),
        *_build_coverage_table(forecasts, group_by_quarter(forecasts), "quarter of the year"),
        *_build_coverage_table(forecasts, group_by_level(forecasts), "level of the forecast"),
    ]
    return Section("How far to trust an interval", text, figures, tables)


def _build_coverage_table(forecasts: Forecasts, groups: list[CoverageGroup], kind: str) -> Iterator[Table]:
    if not groups:
        return
    promised = (f"{format_percent(nominal, 0)} promised" for nominal in forecasts.ranges.shares)
    rows = [
        (
            group.name,
            *(format_percents(float(np.nanmin(row)), float(np.nanmax(row))) for row in group.shares),
            " to ".join(
                format_count(int(count)) for count in sorted({group.counts.min(), group.counts.max()})
            ),
        )
        for group in groups
    ]
    yield Table(
        f"The same by {kind}: the horizons with the smallest and the largest share",
        ("", *promised, "scored"),
        rows,
        wide=True,
    )


def _build_worst_day_figures(forecasts: Forecasts) -> Iterator[Figure]:
    column, ahead = _choose_column(forecasts), _name_horizon(forecasts)
    days = breakdowns.find_worst_days(forecasts, column, _WORST_DAYS)
    if not days:
        return
    columns = sorted({column, len(forecasts.horizons) - 1})
    low, high = intervals(forecasts, _INTERVAL)
    for day in days:
        yield Figure(
            title=f"{day.date}: RMSE of {format_measure(day.rmse, forecasts.unit)} {ahead}",
            alt=f"Line chart of {forecasts.title} around {day.date}: true values and forecasts.",
            caption="Each forecast is drawn at the step that was forecast. Shaded:"
            f" the {format_percent(_INTERVAL, 0)} interval {ahead}; grey background: the day.",
            svg=forecast.draw_day(forecasts, day, columns, low, high),
        )


def _build_series_section(forecasts: Forecasts) -> Section:
    block_steps = _choose_value_block(forecasts)
    block = _format_duration(forecasts, block_steps)
    known = forecasts.values[~np.isnan(forecasts.values)]
    title = f"{forecasts.title}: no value is known"
    if known.size:
        title = (
            f"{forecasts.title}: {format_measure(float(known.mean()), forecasts.unit)} on average, at most"
            f" {format_measure(float(known.max()), forecasts.unit)};"
            f" {format_percent(float(np.isnan(forecasts.values).mean()))} missing"
        )
    source = forecasts.display.bands_source
    figures = [
        Figure(
            title=title,
            alt=f"Line chart of {forecasts.title} over time.",
            caption=_describe_blocks(block) + (f" Named ranges: {source}." if source else ""),
            svg=forecast.draw_value_over_time(forecasts, block_steps, block),
            wide=True,
        )
    ]
    figures += [
        _build_driver_figure(forecasts, driver)
        for driver in forecasts.drivers
        if not np.isnan(driver.values).all()
    ]
    return Section("The series", "", figures)


def _build_driver_figure(forecasts: Forecasts, driver: Series) -> Figure:
    block_steps = _choose_driver_block(forecasts)
    block = _format_duration(forecasts, block_steps)
    if breakdowns.is_binary(driver):
        title = f"{driver.label}: {format_percent(float(np.nanmean(driver.values)))} of the time"
        caption = f"The share of the time, over {block} each."
    else:
        low, high = float(np.nanmin(driver.values)), float(np.nanmax(driver.values))
        title = f"{driver.label}: from {format_measure(low, '')} to {format_measure(high, driver.unit)}"
        caption = _describe_blocks(block)
    return Figure(
        title=title,
        alt=f"Line chart of {driver.label} over time.",
        caption=caption,
        svg=forecast.draw_driver_over_time(forecasts, driver, block_steps),
    )


def _describe_blocks(block: str) -> str:
    return f"Line: means over {block} each. Shaded: from the smallest to the largest value there."


def _find_extremes(groups: list[Group], column: int) -> tuple[Group, Group]:
    """Return the groups with the largest and the smallest error of one horizon."""
    scored = [group for group in groups if not np.isnan(group.rmse[column])] or groups
    ascending = sorted(scored, key=lambda group: float(group.rmse[column]))
    return ascending[-1], ascending[0]


def _choose_column(forecasts: Forecasts) -> int:
    """Return the column of the middle horizon, which is shown where there is no room for all."""
    return len(forecasts.horizons) // 2


def _name_horizon(forecasts: Forecasts) -> str:
    return forecasts.format_horizon(forecasts.horizons[_choose_column(forecasts)])


def _choose_window(forecasts: Forecasts) -> int:
    """Return thirty days in steps, or a tenth of the steps where that is less, but at least 24."""
    return max(24, min(_WINDOW_DAYS * (forecasts.steps_per_day or 24), len(forecasts.steps) // 10))


def _choose_value_block(forecasts: Forecasts) -> int:
    """Return how many steps to average: a day where there are more than 60, else for about 400 points."""
    day = forecasts.steps_per_day
    return day if day and len(forecasts.steps) > 60 * day else max(1, len(forecasts.steps) // 400)


def _choose_driver_block(forecasts: Forecasts) -> int:
    """Return how many steps to average, for about `_MAX_DRIVER_POINTS` points; whole days beyond a day."""
    block_steps, day = max(1, len(forecasts.steps) // _MAX_DRIVER_POINTS), forecasts.steps_per_day
    return block_steps // day * day if day and block_steps > day else block_steps


def _format_duration(forecasts: Forecasts, steps: int) -> str:
    """Return how long a number of steps is, such as `30 days` or `6 h`."""
    day = forecasts.steps_per_day
    if day and steps % day == 0:
        return "a day" if steps == day else f"{steps // day} days"
    return f"{steps} {forecasts.display.step_unit or 'steps'}"


def _mae(residuals: Floats) -> Floats:
    counts = (~np.isnan(residuals)).sum(axis=0)
    return np.where(counts > 0, np.nansum(np.abs(residuals), axis=0) / np.maximum(counts, 1), np.nan)


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")
