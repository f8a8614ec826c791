"""Answers of a series → arrays on one grid of steps.

Time runs along the first axis, forward; what is missing is NaN. Errors stand at the step that was forecast,
as in `streamlearn/figures.py`, and by the learner's own rules, so that they agree with its score.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import NotSupported
from streamlearn.lags.series import Series, Table
from streamlearn.learning import curves
from streamlearn.learning.curves import Floats
from streamlearn.pipelines.display import Display
from streamlearn.reports.sources import Answered

DAY_S = 86_400


@dataclass(frozen=True)
class Forecasts:
    """The newest run of answers in which time runs forward, on a grid of n steps, for h horizons."""

    horizons: tuple[int, ...]
    display: Display
    lowest: float
    """No forecast is below this."""
    steps: NDArray[np.int64]
    """Shape (n,), each one more than the one before."""
    times: NDArray[Any]
    """Shape (n,): datetime64[s], or the steps themselves where they are only numbers."""
    values: Floats
    """Shape (n,): what came."""
    forecasts: Floats
    """Shape (n, h): what was forecast *at* each step."""
    missed: Floats
    """Shape (n, h): forecast minus truth at the step *of* the truth."""
    persistence: Floats
    """Shape (n, h): the same of the last known value."""
    drivers: tuple[Series, ...]
    """What may drive the value, each of shape (n,)."""
    answered: int
    """How many answers the run has."""

    @property
    def dated(self) -> bool:
        """Whether the steps are moments of a calendar."""
        return self.display.step_s > 0

    @property
    def unit(self) -> str:
        """The value's unit, perhaps empty."""
        return self.display.unit

    @property
    def title(self) -> str:
        """What the value is called."""
        return self.display.title or self.display.value or "value"

    @property
    def steps_a_day(self) -> int | None:
        """How many steps make a day; None where they do not."""
        step_s = self.display.step_s
        return DAY_S // step_s if self.dated and step_s <= DAY_S and DAY_S % step_s == 0 else None

    def ahead(self, horizon: int) -> str:
        """Say how far ahead a horizon is."""
        return f"{horizon} {self.display.step_unit or ('step' if horizon == 1 else 'steps')} ahead"

    def table(self) -> Table:
        """The value and its drivers, as `streamlearn lags` takes them."""
        value = Series(self.display.value or "value", self.values, self.display.title, self.unit)
        named = {one.name: one for one in (value, *self.drivers)}
        return Table(named, self.times, f"1 {self.display.step_unit}" if self.display.step_unit else "")


def arranged(found: Answered, skip: int = 0) -> Forecasts:
    """Put the newest run of answers on a grid; truths of the first `skip` answers are not scored.

    Raises
    ------
    NotSupported
        The pipeline does not forecast.
    """
    pipeline, series = found.pipeline, found.pipeline.learning.series
    if series is None:
        raise NotSupported(f"{pipeline.name} does not forecast")
    steps = [series.step(record) for record in found.records]
    rows = [
        {"step": step, "value": series.value_of(record), "forecast": answer.get("forecast")}
        for step, record, answer in zip(steps, found.records, found.answers, strict=True)
    ]
    run = curves.series(rows, series.horizons, _step, "value", series.window_length)
    assert run is not None, "there is at least one answer"
    # Time runs forward in the newest run, and it ends the answers.
    begin = len(steps) - 1 - steps[::-1].index(int(run.steps[0]))
    missed, persistence = curves.errors(run, series.horizons)
    scored = steps[max(skip, begin)] - steps[begin] if skip < len(steps) else len(run.steps)
    missed[:scored] = persistence[:scored] = np.nan
    return Forecasts(
        horizons=series.horizons,
        display=pipeline.display,
        lowest=series.lowest,
        steps=run.steps,
        times=_times(run.steps, pipeline.display.step_s),
        values=run.values,
        forecasts=run.forecasts,
        missed=missed,
        persistence=persistence,
        drivers=_drivers(found, begin, np.array(steps[begin:]) - steps[begin], len(run.steps)),
        answered=len(steps) - begin,
    )


def _step(answer: SimpleNamespace) -> int:
    step: int = answer.step
    return step


def _times(steps: NDArray[np.int64], step_s: int) -> NDArray[Any]:
    return (steps * step_s).astype("datetime64[s]") if step_s else steps


def _drivers(found: Answered, begin: int, rows: NDArray[np.int64], length: int) -> tuple[Series, ...]:
    made = []
    for driver in found.pipeline.learning.drivers:
        values = np.full(length, np.nan)
        readings = [driver.value_of(record) for record in found.records[begin:]]
        values[rows] = [np.nan if reading is None else reading for reading in readings]
        label = found.pipeline.display.driver(driver.name)
        made.append(Series(driver.name, values, label.title, label.unit))
    return tuple(made)
