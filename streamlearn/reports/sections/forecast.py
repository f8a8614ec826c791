"""The sections on a series: what is drawn, what it says in words, and how to read it."""

from collections.abc import Iterator

import numpy as np

from streamlearn.lags.series import Series
from streamlearn.learning.curves import Floats
from streamlearn.reports import breakdowns
from streamlearn.reports.breakdowns import Group, rms, skill
from streamlearn.reports.calibration import NOMINAL, RECENT, coverage, intervals
from streamlearn.reports.figures import forecast
from streamlearn.reports.forecasts import Forecasts
from streamlearn.reports.page import Grid, Picture, Section
from streamlearn.reports.wording import beside, count, measure, number, percent

_DAYS = 30
_WORST = 6
_POINTS = 200
"""Points of a driver's line."""
_BAND = 0.8
"""The interval that is drawn, as on the forecast page."""

_WHOSE = "Blue, solid: the model. Orange, dashed or hollow: persistence, which says the last known value."
_AT = "An error belongs to the step that was forecast, not to the one at which the forecast was made."


def score(found: Forecasts) -> Grid:
    """The errors of every horizon beside persistence."""
    rmse, theirs = rms(found.missed), rms(found.persistence)
    mae, their_mae = (_mae(missed) for missed in (found.missed, found.persistence))
    below, counts = skill(rmse, theirs), (~np.isnan(found.missed)).sum(axis=0)
    rows = [
        (
            found.ahead(horizon),
            *(number(one[at], 2) for one in (rmse, theirs)),
            percent(float(below[at])),
            *(number(one[at], 2) for one in (mae, their_mae)),
            count(int(counts[at])),
        )
        for at, horizon in enumerate(found.horizons)
    ]
    head = ("", "RMSE", "persistence", "below it by", "MAE", "persistence", "scored")
    unit = f", in {found.unit}" if found.unit else ""
    return Grid(
        f"Prequential errors{unit}: each forecast by a model that did not know the answer", head, rows
    )


def sections(found: Forecasts) -> Iterator[Section]:
    """Yield the sections that the series allows, but for the lags."""
    yield _over_time_and_horizon(found)
    times, seasons = breakdowns.by_time_of_day(found), breakdowns.by_season(found)
    pictures = [*_time_of_day(found, times), *_groups(found, seasons, "season", "quarter of the year")]
    if pictures:
        yield Section("By time of day and season", _AT, pictures)
    switches = breakdowns.by_switch(found)
    if switches:
        text = (
            f"Whatever drives it and is either there or not, such as a wind: the steps at which it is. {_AT}"
        )
        pictures = _groups(found, switches, "circumstance", "circumstance")
        yield Section("By circumstance", text, pictures, [_group_table(found, switches)])
    yield _calibration(found)
    days = list(_worst_days(found))
    if days:
        text = (
            f"The days with the largest RMSE {found.ahead(found.horizons[_middle(found)])}, the worst first;"
            " at least half of a day must be scored."
        )
        yield Section("The worst days", text, days)
    yield _series(found)


def _over_time_and_horizon(found: Forecasts) -> Section:
    window = _window(found)
    rmse, theirs = rms(found.missed), rms(found.persistence)
    pictures = [
        Picture(
            title=f"{found.ahead(h)}: {measure(rmse[at], found.unit)}, {beside(rmse[at], theirs[at])}",
            alt=f"Line chart of the rolling RMSE {found.ahead(h)} of model and persistence over time.",
            caption=f"RMSE of the last {_length(found, window)} at each moment; lower is better. {_WHOSE}",
            svg=forecast.error_over_time(found, at, window),
        )
        for at, h in enumerate(found.horizons)
    ]
    text = "Where the blue line is below the orange one, the model was worth having."
    return Section("The error over time and by horizon", text, [*pictures, _by_horizon(found, rmse, theirs)])


def _by_horizon(found: Forecasts, rmse: Floats, theirs: Floats) -> Picture:
    last = len(found.horizons) - 1
    title = f"{found.ahead(found.horizons[0])} the error is {beside(rmse[0], theirs[0])}"
    if last:
        title += f", {found.ahead(found.horizons[last])} {beside(rmse[last], theirs[last])}"
    return Picture(
        title=title,
        alt="Line chart of RMSE against the horizon, for model and persistence.",
        caption=f"RMSE over everything that is scored. {_WHOSE} The table at the top has the numbers.",
        svg=forecast.error_by_horizon(found, rmse, theirs),
    )


def _time_of_day(found: Forecasts, groups: list[Group]) -> Iterator[Picture]:
    if not groups:
        return
    at = _middle(found)
    worst, best = _extremes(groups, at)
    yield Picture(
        title=f"{found.ahead(found.horizons[at])} the error is largest for {worst.name}"
        f" ({measure(worst.rmse[at], found.unit)}) and smallest for {best.name}"
        f" ({measure(best.rmse[at], found.unit)})",
        alt="Line charts of RMSE by time of day, one panel a horizon, for model and persistence.",
        caption=f"One panel a horizon, each with a scale of its own. {_WHOSE}",
        svg=forecast.error_by_time_of_day(found, groups),
    )


def _groups(found: Forecasts, groups: list[Group], what: str, kind: str) -> list[Picture]:
    if not groups:
        return []
    at = _middle(found)
    worst, _ = _extremes(groups, at)
    return [
        Picture(
            title=f"{found.ahead(found.horizons[at])} the hardest {what} is {worst.name}:"
            f" {measure(worst.rmse[at], found.unit)}, {beside(worst.rmse[at], worst.persistence[at])}",
            alt=f"Dot charts of RMSE by {kind}, one panel a horizon, for model and persistence.",
            caption=f"RMSE in each {kind}, one panel a horizon. Blue dots: the model. Hollow orange diamonds:"
            " persistence. Where the dot is left of the diamond the model is better, by the line's length.",
            svg=forecast.error_by_group(found, groups),
        )
    ]


def _group_table(found: Forecasts, groups: list[Group]) -> Grid:
    """How far the model's RMSE is below that of persistence, by group and horizon."""
    unit = found.display.step_unit or "steps"
    head = ("", *(f"{horizon}\u00a0{unit}" for horizon in found.horizons), "scored")
    rows = [
        (one.name, *map(percent, skill(one.rmse, one.persistence)), count(int(one.counts[0])))
        for one in groups
    ]
    return Grid("By how much the RMSE is below that of persistence, by horizon", head, rows)


def _calibration(found: Forecasts) -> Section:
    shares = np.array([coverage(found, nominal) for nominal in NOMINAL])
    low, high = intervals(found, _BAND)
    width = [_median(high[:, at] - low[:, at]) for at in range(len(found.horizons))]
    at, promised = _middle(found), NOMINAL.index(_BAND)
    shown = _length(found, RECENT)
    pictures = [
        Picture(
            title=f"{found.ahead(found.horizons[at])}, intervals meant to hold {percent(_BAND, 0)}"
            f" of what comes held {percent(shares[promised, at])}",
            alt="Line chart of the share of truths inside the intervals against the share promised.",
            caption="On the grey line an interval holds what it promises; below it intervals are too narrow.",
            svg=forecast.calibration(found, shares),
        ),
        Picture(
            title=f"Half of the {percent(_BAND, 0)} intervals {found.ahead(found.horizons[-1])} are wider"
            f" than {measure(width[-1], found.unit)}, {found.ahead(found.horizons[0])}"
            f" than {measure(width[0], found.unit)}",
            alt=f"Line chart of the mean width of the {percent(_BAND, 0)} intervals over time, by horizon.",
            caption=f"Mean width over {_length(found, _window(found))}. Intervals widen after bad days and"
            " narrow after good ones.",
            svg=forecast.width_over_time(found, low, high, _window(found)),
        ),
    ]
    rows = [
        [found.ahead(h), *(percent(share) for share in shares[:, at]), measure(width[at], found.unit)]
        for at, h in enumerate(found.horizons)
    ]
    head = (
        "",
        *(f"{percent(nominal, 0)} promised" for nominal in NOMINAL),
        f"median width, {percent(_BAND, 0)}",
    )
    text = (
        "An interval is the forecast and the quantiles of how far such forecasts were off in the last"
        f" {shown}, as on the forecast page: made of nothing that was not known when the forecast was made."
    )
    return Section(
        "How far to trust an interval",
        text,
        pictures,
        [Grid("Share that came inside", head, rows, wide=True)],
    )


def _worst_days(found: Forecasts) -> Iterator[Picture]:
    at = _middle(found)
    days = breakdowns.worst_days(found, at, _WORST)
    columns = sorted({at, len(found.horizons) - 1})
    low, high = intervals(found, _BAND) if days else (found.missed, found.missed)
    for day in days:
        yield Picture(
            title=f"{day.date}: off by {measure(day.rmse, found.unit)} {found.ahead(found.horizons[at])}",
            alt=f"Line chart of {found.title} around {day.date}: what came and what had been forecast.",
            caption=f"Each forecast stands at the step it was of. Shaded: the {percent(_BAND, 0)} interval"
            f" {found.ahead(found.horizons[at])}; grey ground: the day.",
            svg=forecast.bad_day(found, day, columns, low, high),
        )


def _series(found: Forecasts) -> Section:
    together = _together(found)
    known = found.values[~np.isnan(found.values)]
    per = _length(found, together)
    title = f"{found.title}: nothing is known"
    if known.size:
        title = (
            f"{found.title}: {measure(float(known.mean()), found.unit)} in the mean, at most"
            f" {measure(float(known.max()), found.unit)};"
            f" {percent(float(np.isnan(found.values).mean()))} missing"
        )
    source = f" Names of ranges: {found.display.bands_source}." if found.display.bands_source else ""
    pictures = [
        Picture(
            title=title,
            alt=f"Line chart of {found.title} over time.",
            caption=f"Line: means of {per}. Shaded: from the least to the largest value in each.{source}",
            svg=forecast.value_over_time(found, together, per),
            wide=True,
        )
    ]
    pictures += [_driver(found, one) for one in found.drivers if not np.isnan(one.values).all()]
    return Section("The series", "", pictures)


def _driver(found: Forecasts, driver: Series) -> Picture:
    together = max(1, len(driver.values) // _POINTS)
    day = found.steps_a_day
    together = together // day * day if day and together > day else together
    per = _length(found, together)
    if breakdowns.is_switch(driver):
        title = f"{driver.label}: {percent(float(np.nanmean(driver.values)))} of the time"
        caption = f"The share of the time, in stretches of {per}."
    else:
        low, high = float(np.nanmin(driver.values)), float(np.nanmax(driver.values))
        title = f"{driver.label}: from {measure(low, '')} to {measure(high, driver.unit)}"
        caption = f"Line: means of {per}. Shaded: from the least to the largest value in each."
    alt = f"Line chart of {driver.label} over time."
    return Picture(title, alt, caption, forecast.driver_over_time(found, driver, together))


def _extremes(groups: list[Group], at: int) -> tuple[Group, Group]:
    """The groups with the largest and the smallest error of one horizon."""
    scored = [one for one in groups if not np.isnan(one.rmse[at])] or groups
    ordered = sorted(scored, key=lambda one: float(one.rmse[at]))
    return ordered[-1], ordered[0]


def _middle(found: Forecasts) -> int:
    """The column of the horizon that stands for all where only one can be told of."""
    return len(found.horizons) // 2


def _window(found: Forecasts) -> int:
    """Thirty days, or less where there is little: at least ten windows."""
    return max(24, min(_DAYS * (found.steps_a_day or 24), len(found.steps) // 10))


def _together(found: Forecasts) -> int:
    """A day where there are many, else so many steps that a line has a few hundred points."""
    day = found.steps_a_day
    return day if day and len(found.steps) > 60 * day else max(1, len(found.steps) // 400)


def _length(found: Forecasts, steps: int) -> str:
    """Say how long so many steps are."""
    day = found.steps_a_day
    if day and steps % day == 0:
        return "a day" if steps == day else f"{steps // day} days"
    return f"{steps} {found.display.step_unit or 'steps'}"


def _mae(missed: Floats) -> Floats:
    known = (~np.isnan(missed)).sum(axis=0)
    return np.where(known > 0, np.nansum(np.abs(missed), axis=0) / np.maximum(known, 1), np.nan)


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")
