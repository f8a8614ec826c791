"""The answers of a pipeline that forecasts, as arrays on one grid of steps.

Time runs forward along the first axis, and what is missing is NaN. Residuals stand at the step that was
forecast, as in `learning/curves.py`, and follow the learner's own rules, so they agree with its score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import NotSupported
from streamlearn.lags.series import Series, Table
from streamlearn.learning import curves
from streamlearn.learning.curves import Floats
from streamlearn.learning.learner import SeriesSpec
from streamlearn.learning.ranges import Ranges, repeat_ranges
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Display
from streamlearn.reports.sources import AnsweredRecords

DAY_S = 86_400


@dataclass(frozen=True)
class Forecasts:
    """The newest run of answers in which time runs forward, on a grid of n steps, for h horizons.

    Values, forecasts and residuals are in the value's unit.
    """

    horizons: tuple[int, ...]
    display: Display
    lowest: float
    """No forecast is below this."""
    steps: NDArray[np.int64]
    """Shape (n,), each one more than the one before."""
    times: NDArray[Any]
    """Shape (n,): datetime64[s], or the steps themselves where they are not dated."""
    values: Floats
    """Shape (n,): the true values."""
    forecasts: Floats
    """Shape (n, h): the forecasts made *at* each step."""
    residuals: Floats
    """Shape (n, h): forecast minus truth at the step *of* the truth; NaN where it is not scored."""
    persistence_residuals: Floats
    """Shape (n, h): the same for persistence, which forecasts the last known value."""
    ranges: Ranges
    """By what rule the forecasts have ranges."""
    ends: Floats
    """Shape (n, h, len(ranges.quantiles)): the ranges' ends of the forecasts made at each step."""
    drivers: tuple[Series, ...]
    """The exogenous variables, each with values of shape (n,)."""
    answer_count: int
    """How many answers the run has."""

    @property
    def dated(self) -> bool:
        """Whether each step has a date and time."""
        return self.display.step_s > 0

    @property
    def unit(self) -> str:
        """The value's unit, perhaps empty."""
        return self.display.unit

    @property
    def title(self) -> str:
        """The name of the value, for people."""
        return self.display.title or self.display.value or "value"

    @property
    def steps_per_day(self) -> int | None:
        """How many steps make a day; None where steps are not dated or do not divide a day."""
        step_s = self.display.step_s
        return DAY_S // step_s if self.dated and step_s <= DAY_S and DAY_S % step_s == 0 else None

    def format_horizon(self, horizon: int) -> str:
        """Return a horizon in words, such as `6 h ahead`."""
        return f"{horizon} {self.display.step_unit or ('step' if horizon == 1 else 'steps')} ahead"

    def to_table(self) -> Table:
        """Return the value and its drivers as the table that `streamlearn lags` analyses."""
        value = Series(self.display.value or "value", self.values, self.display.title, self.unit)
        by_name = {series.name: series for series in (value, *self.drivers)}
        return Table(by_name, self.times, f"1 {self.display.step_unit}" if self.display.step_unit else "")


def arrange_forecasts(answered_records: AnsweredRecords, skip: int = 0) -> Forecasts:
    """Arrange the newest run of answers on a grid; truths of the first `skip` answers are not scored.

    Raises
    ------
    NotSupported
        The pipeline does not forecast.
    """
    pipeline = answered_records.pipeline
    series = pipeline.learning.series
    if series is None:
        raise NotSupported(f"{pipeline.name} does not forecast")
    records, answers = answered_records.records, answered_records.answers
    steps = [series.step(record) for record in records]
    rows = [
        {"step": step, "value": series.value_of(record), "forecast": answer.get("forecast")}
        for step, record, answer in zip(steps, records, answers, strict=True)
    ]
    run = curves.collect_series(rows, series.horizons, _get_step, "value", series.window_length)
    assert run is not None, "there is at least one answer"
    # The newest run ends the answers, and no step occurs twice in it.
    begin = len(steps) - 1 - steps[::-1].index(int(run.steps[0]))
    residuals, persistence_residuals = curves.compute_residuals(run, series.horizons)
    skipped = steps[max(skip, begin)] - steps[begin] if skip < len(steps) else len(run.steps)
    residuals[:skipped] = persistence_residuals[:skipped] = np.nan
    rows_with_record = np.array(steps[begin:]) - steps[begin]
    return Forecasts(
        horizons=series.horizons,
        display=pipeline.display,
        lowest=series.lowest,
        steps=run.steps,
        times=_date_steps(run.steps, pipeline.display.step_s),
        values=run.values,
        forecasts=run.forecasts,
        residuals=residuals,
        persistence_residuals=persistence_residuals,
        ranges=series.ranges,
        ends=_arrange_ends(answers[begin:], rows_with_record, run, series),
        drivers=_arrange_drivers(pipeline, records[begin:], rows_with_record, len(run.steps)),
        answer_count=len(steps) - begin,
    )


def _arrange_ends(
    answers: Sequence[Mapping[str, Any]], rows: NDArray[np.int64], run: curves.Series, series: SeriesSpec
) -> Floats:
    """Return the ranges' ends that stand in answers; where none has ranges, those by the same rule.

    `rows[i]` is where answer i stands in the run.
    """
    if not any("ranges" in answer for answer in answers):
        return repeat_ranges(series.ranges, run.forecasts, run.values, series.horizons, series.lowest)
    names = series.ranges.names
    ends = np.full((*run.forecasts.shape, len(series.ranges.quantiles)), np.nan)
    for row, answer in zip(rows.tolist(), answers, strict=True):
        for column, horizon in enumerate(series.horizons):
            ranges = (answer.get("ranges") or {}).get(str(horizon))
            if ranges:
                lower = [ranges[name][0] for name in reversed(names)]
                ends[row, column] = [*lower, *(ranges[name][1] for name in names)]
    return ends


def _get_step(answer: SimpleNamespace) -> int:
    step: int = answer.step
    return step


def _date_steps(steps: NDArray[np.int64], step_s: int) -> NDArray[Any]:
    return (steps * step_s).astype("datetime64[s]") if step_s else steps


def _arrange_drivers(
    pipeline: Pipeline, records: Sequence[Any], rows: NDArray[np.int64], length: int
) -> tuple[Series, ...]:
    """Put each driver's readings of the records into these rows of a grid of `length` steps."""
    drivers = []
    for driver in pipeline.learning.drivers:
        values = np.full(length, np.nan)
        readings = [driver.value_of(record) for record in records]
        values[rows] = [np.nan if reading is None else reading for reading in readings]
        label = pipeline.display.driver(driver.name)
        drivers.append(Series(driver.name, values, label.title, label.unit))
    return tuple(drivers)
