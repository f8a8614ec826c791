"""pm25 over its real hours. It learns them once, for all tests that look at a part of that."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle
from typing import Any

import msgspec
import numpy as np
import plain_forecast
import plain_mixture
import pytest
from hours import FIRST, PM25, decode

from streamlearn.learning.learner import predict_then_learn
from streamlearn.learning.metrics import add_scores
from streamlearn.pipelines.pm25 import Hour

# The same lines over and over: to count them takes longer than to run them.
pytestmark = [pytest.mark.no_cover, pytest.mark.usefixtures("pm25_csv")]

YEAR, ALL = 8760, 43_800
MARKS = (0, 720, 3000, YEAR, 12_000, ALL)
"""Where a score begins and ends that a test looks at: a whole number of chunks from the first hour."""
CHUNK = 120


@dataclass
class Years:
    """What came of the five years."""

    forecasts: list[dict[str, Any]] = field(default_factory=list)
    scores: list[Any] = field(default_factory=list)
    """The score between each mark and the next."""
    learners: dict[int, Any] = field(default_factory=dict)
    """The learner after a year, and after all."""

    def score(self, start: int, end: int) -> Any:
        """Return the score of the hours from one mark to another."""
        return add_scores(self.scores[MARKS.index(start) : MARKS.index(end)])


@cache
def read_hours() -> tuple[list[dict[str, Any]], list[Hour]]:
    """Return the five years as JSON objects and as records."""
    assert PM25.dataset is not None
    objects = list(PM25.dataset.records(passes=1))
    return objects, decode(objects)


@cache
def learn_years() -> Years:
    years, learner, (_, records) = Years(), PM25.new_learner(), read_hours()
    for end in range(CHUNK, ALL + 1, CHUNK):
        answers = predict_then_learn(learner, records[end - CHUNK : end], end)
        years.forecasts += [answer["forecast"] for answer in answers]
        if end in MARKS:
            years.scores.append(learner.score)
            learner.score = PM25.new_learner().score
        if end in (YEAR, ALL):
            years.learners[end] = deepcopy(learner)
    return years


def forecast_in_chunks(
    records: list[Hour], sizes: Iterable[int], pipeline: Any = PM25
) -> list[dict[str, Any]]:
    """Return the forecasts of a learner that gets the records in chunks of these sizes, over and over."""
    learner, forecasts, start = pipeline.new_learner(), [], 0
    for size in cycle(sizes):
        if start >= len(records):
            return forecasts
        chunk = records[start : start + size]
        start += len(chunk)
        forecasts += [answer["forecast"] for answer in predict_then_learn(learner, chunk, start)]
    raise AssertionError("there are no sizes")


@pytest.mark.parametrize("revision", ["as it is", "first"])
def test_five_years_are_forecast_as_a_plain_numpy_loop_would(revision: str) -> None:
    objects, records = read_hours()
    assert len(objects) == ALL
    if revision == "first":
        forecasts, plain = forecast_in_chunks(records, [256], FIRST), plain_forecast.replay(objects)
    else:
        forecasts, plain = learn_years().forecasts, plain_mixture.replay(objects)
    assert [list(forecast) for forecast in forecasts] == [list(forecast) for forecast in plain]
    ours, expected = (
        np.array([list(forecast.values()) for forecast in loop], dtype=float) for loop in (forecasts, plain)
    )
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    assert (~np.isnan(ours)).sum() > 200_000
    # Near zero, where forecasts end, a last bit is a large share.
    np.testing.assert_allclose(ours, expected, rtol=1e-8, atol=1e-7)


def test_a_year_has_the_same_forecasts_however_it_was_cut() -> None:
    _, records = read_hours()
    whole = msgspec.json.encode(learn_years().forecasts[:YEAR])
    assert msgspec.json.encode(forecast_in_chunks(records[:YEAR], [1, 7, 300, 64])) == whole


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.release)])
def test_years_repeated_stay_finite_and_as_accurate(times: int) -> None:
    hours = YEAR if times == 2 else ALL
    _, records = read_hours()
    learner, scores = deepcopy(learn_years().learners[hours]), [learn_years().score(0, hours)]
    assert learner.is_finite()
    for _ in range(times - 1):
        learner.score = PM25.new_learner().score
        for record in records[:hours]:
            predict_then_learn(learner, [record], learner.version + 1)
        assert learner.is_finite()
        scores.append(learner.score)
    for expert in learner.state()["models"][0].experts_:
        assert np.isfinite(expert.packed_).all()
    rmse = np.array([[errors.rmse for errors in score.horizons.values()] for score in scores])
    assert (rmse[-1] <= rmse[0]).all()


def test_it_reaches_what_the_documentation_says_of_the_first_year() -> None:
    """The goals of the later years are measured by `streamlearn evaluate pm25 --skip 8760`."""
    score = learn_years().score(720, YEAR)
    ratios = [errors.rmse / errors.baseline_rmse for errors in score.horizons.values()]
    np.testing.assert_allclose(ratios, [0.891, 0.831, 0.798, 0.797, 0.839], atol=0.003)


def test_they_hold_their_share_over_the_real_hours() -> None:
    """Ranges do, in the first two years, after some months; docs/pm25.md has all years, by level as well."""
    for errors in learn_years().score(3000, 12_000).horizons.values():
        shares = [errors.coverage(number) for number in range(3)]
        np.testing.assert_allclose(shares, (0.5, 0.8, 0.95), atol=0.015)
