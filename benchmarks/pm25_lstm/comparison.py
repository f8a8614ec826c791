"""Persistence, both LSTMs and ours over the same hours, and which differences may be chance."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.pm25_lstm import lstm, online, rules
from benchmarks.pm25_lstm.bootstrap import Difference, difference
from benchmarks.pm25_lstm.hours import YEAR, Floats, Hours
from benchmarks.pm25_lstm.rules import Rule

PERSISTENCE, OURS, FROZEN = "persistence", "ours, learning on", "ours, first year only"
ARTICLE, FAIR = lstm.ARTICLE.name, lstm.FAIR.name
NAMES = (PERSISTENCE, ARTICLE, FAIR, FROZEN, OURS)
PAIRS = (
    *((name, PERSISTENCE) for name in NAMES[1:]),
    *((ours, net) for ours in (FROZEN, OURS) for net in (ARTICLE, FAIR)),
    (OURS, FROZEN),
)
"""Who is compared with whom."""

Told = Callable[[str], None]


@dataclass(frozen=True)
class Model:
    """One model's errors over the hours after the first year, once for each seed."""

    name: str
    errors: Floats
    """forecast − reading in µg/m³, shape (seeds, hours); NaN where no model is scored."""

    @property
    def rmse(self) -> list[float]:
        """Root mean squared error, one a seed."""
        found: list[float] = rules.rmse(self.errors).tolist()
        return found

    @property
    def mae(self) -> list[float]:
        """Mean absolute error, one a seed."""
        found: list[float] = rules.mae(self.errors).tolist()
        return found


@dataclass(frozen=True)
class Compared:
    """The models under one rule."""

    rule: Rule
    models: dict[str, Model]

    @property
    def hours(self) -> int:
        """How many hours each model is scored on."""
        return int((~np.isnan(self.models[PERSISTENCE].errors[0])).sum())

    def differences(self, draws: int, seed: int) -> Iterator[tuple[str, str, Difference]]:
        """Compare those in `PAIRS`, by draws of weeks that are the same for every pair."""
        for first, second in PAIRS:
            one, other = self.models[first].errors, self.models[second].errors
            yield first, second, difference(one, other, draws, seed)


def compared(
    hours: Hours,
    rule: Rule,
    seeds: Sequence[int],
    told: Told = lambda line: None,
    year: int = YEAR,
    recipes: Sequence[lstm.Recipe] = lstm.RECIPES,
) -> Compared:
    """Let every model forecast the hours after `year` under a rule."""
    readings = rule.readings(hours.pollution)
    forecasts = {
        PERSISTENCE: [rules.persistence(readings, year)],
        **{recipe.name: _nets(hours, readings, recipe, seeds, told, year) for recipe in recipes},
    }
    for name in (FROZEN, OURS):
        say = partial(_say, told, name)
        forecasts[name] = [online.forecasts(hours, readings, year, frozen=name == FROZEN, told=say)]
    return Compared(rule, {name: _scored(name, forecasts[name], readings, year) for name in NAMES})


def _nets(
    hours: Hours, readings: Floats, recipe: lstm.Recipe, seeds: Sequence[int], told: Told, year: int
) -> list[Floats]:
    prepared = recipe.prepared(hours, readings, year)
    return [lstm.fitted(recipe, prepared, seed, told).forecasts for seed in seeds]


def _scored(name: str, forecasts: list[Floats], readings: Floats, year: int) -> Model:
    """Score a model; it must have forecast every hour that counts, or others would be scored on more."""
    errors = rules.errors(np.array(forecasts), readings, year)
    counts = rules.scored(readings)[year + 1 :]
    if np.isnan(errors[:, counts]).any():
        raise ValueError(f"{name} has no forecast for an hour that is scored")
    return Model(name, errors)


def _say(told: Told, name: str, line: str) -> None:
    told(f"{name}: {line}")
