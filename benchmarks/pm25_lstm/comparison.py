"""Every model over the same hours, and which differences may be chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.pm25_lstm import lstm, online, rivals, rules
from benchmarks.pm25_lstm.bootstrap import Difference, estimate_difference
from benchmarks.pm25_lstm.hours import YEAR, Floats, Hours
from benchmarks.pm25_lstm.lstm import ReportLine
from benchmarks.pm25_lstm.rules import Rule

PERSISTENCE, OURS, FROZEN = "persistence", "ours, learning on", "ours, first year only"
CLIMATOLOGY, ARIMA, BOOSTING = "climatology", "ARIMA with a daily course", "gradient boosting, monthly"
ARTICLE, FAIR = lstm.ARTICLE.name, lstm.FAIR.name
NAMES = (PERSISTENCE, CLIMATOLOGY, ARIMA, ARTICLE, FAIR, BOOSTING, FROZEN, OURS)
PAIRS = (
    *((name, PERSISTENCE) for name in NAMES[1:]),
    *((FROZEN, name) for name in (ARIMA, ARTICLE, FAIR)),
    *((OURS, name) for name in NAMES[1:-1]),
)
"""The models that are compared with each other, where both are there."""


@dataclass(frozen=True)
class Model:
    """A model's residuals over the hours after the first year, a row for each seed."""

    name: str
    residuals: Floats
    """forecast − reading in µg/m³, shape (seeds, hours); NaN where no model is scored."""

    @property
    def rmse(self) -> list[float]:
        """Root mean squared error in µg/m³, one value a seed."""
        return list(map(float, rules.rmse(self.residuals)))

    @property
    def mae(self) -> list[float]:
        """Mean absolute error in µg/m³, one value a seed."""
        return list(map(float, rules.mae(self.residuals)))


@dataclass(frozen=True)
class Comparison:
    """The models under a rule."""

    rule: Rule
    models: dict[str, Model]

    @property
    def hours(self) -> int:
        """The number of hours that each model is scored on."""
        return int((~np.isnan(self.models[PERSISTENCE].residuals[0])).sum())

    def estimate_differences(self, draws: int, seed: int) -> Iterator[tuple[str, str, Difference]]:
        """Compare the models of `PAIRS`, by draws of weeks that are the same for every pair."""
        for first, second in PAIRS:
            if not {first, second} <= self.models.keys():
                continue
            residuals = self.models[first].residuals, self.models[second].residuals
            yield first, second, estimate_difference(*residuals, draws, seed)


def compare_models(
    hours: Hours,
    rule: Rule,
    seeds: Sequence[int],
    report: ReportLine = lambda line: None,
    year: int = YEAR,
    recipes: Sequence[lstm.Recipe] = lstm.RECIPES,
) -> Comparison:
    """Let every model forecast the hours after `year` under a rule; `report` gets lines of progress.

    Without `recipes` there are no nets.
    """
    readings = rule.apply(hours.pollution)
    forecasts = {
        PERSISTENCE: [rules.forecast_by_persistence(readings, year)],
        CLIMATOLOGY: [rivals.forecast_by_climatology(hours, readings, year)],
        ARIMA: [rivals.forecast_by_arima(hours, readings, year)],
    }
    report(f"{ARIMA}: fitted")
    forecasts[BOOSTING] = [
        rivals.forecast_by_boosting(hours, readings, year, partial(_report_model, report, BOOSTING))
    ]
    for recipe in recipes:
        nets = lstm.fit_seeds(recipe, hours, readings, seeds, report, year)
        forecasts[recipe.name] = [net.forecasts for net in nets]
    for name in (FROZEN, OURS):
        report_model = partial(_report_model, report, name)
        forecasts[name] = [online.forecast(hours, readings, year, frozen=name == FROZEN, report=report_model)]
    names = [name for name in NAMES if name in forecasts]
    return Comparison(rule, {name: _score(name, forecasts[name], readings, year) for name in names})


def _score(name: str, forecasts: list[Floats], readings: Floats, year: int) -> Model:
    """Score a model. It must have forecast every scored hour, or the others would be scored on more."""
    residuals = rules.compute_residuals(np.array(forecasts), readings, year)
    scored = rules.mark_scored(readings)[year + 1 :]
    if np.isnan(residuals[:, scored]).any():
        raise ValueError(f"{name} has no forecast for an hour that is scored")
    return Model(name, residuals)


def _report_model(report: ReportLine, name: str, line: str) -> None:
    report(f"{name}: {line}")
