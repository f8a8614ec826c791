"""Ranges around forecasts: the share of truths they hold, at every level, whatever the truths do."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hours import FIRST, PM25, decode, hour, learned, series

from streamlearn.learning import ranges
from streamlearn.learning.learner import predict_then_learn
from streamlearn.learning.ranges import Ranges, RangeTracker
from streamlearn.storage import snapshot

SPEC = Ranges(levels=(10.0,), noise=1.0)


def cover(forecasts: np.ndarray, values: np.ndarray, spec: Ranges = SPEC, begin: int = 0) -> np.ndarray:
    """Return the share of truths inside each range, one step ahead, from a step on."""
    ends = ranges.repeat_ranges(spec, forecasts[:, None], values, (1,), -np.inf)[begin:-1, 0]
    inside = [ranges.find_inside(row, value) for row, value in zip(ends, values[begin + 1 :], strict=True)]
    share: np.ndarray = np.mean(inside, axis=0)
    return share


def test_ranges_hold_their_share_of_truths_whatever_their_distribution() -> None:
    random = np.random.default_rng(1)
    for noise in (random.normal(size=6000), random.gamma(1.0, size=6000), random.standard_t(3, size=6000)):
        np.testing.assert_allclose(cover(np.zeros(6000), noise, begin=500), SPEC.shares, atol=0.01)


def test_they_hold_it_at_each_level_and_after_errors_have_tripled() -> None:
    random = np.random.default_rng(2)
    forecasts = np.where(random.random(20_000) < 0.2, 20.0, 5.0)
    scale = np.where(forecasts > 10, 3.0, 1.0) * np.where(np.arange(20_000) < 10_000, 1.0, 3.0)
    values = np.roll(forecasts, 1) + np.roll(scale, 1) * random.normal(size=20_000)
    # The scale is the same for all: that a level has errors of its own is left to its quantiles.
    spec = Ranges(levels=(10.0,), noise=1e4)
    ends = ranges.repeat_ranges(spec, forecasts[:, None], values, (1,), -np.inf)[:-1, 0]
    truths = values[1:]
    for high in (False, True):
        for part in (slice(6000, 10_000), slice(15_000, None)):
            rows = (forecasts[:-1] > 10) == high
            inside = [
                ranges.find_inside(row, value)
                for row, value in zip(ends[part][rows[part]], truths[part][rows[part]], strict=True)
            ]
            np.testing.assert_allclose(np.mean(inside, axis=0), SPEC.shares, atol=0.04)


def test_a_wider_range_holds_a_narrower_one_and_none_ends_below_the_lowest() -> None:
    random = np.random.default_rng(3)
    tracker = RangeTracker(SPEC, 1)
    for residual in random.normal(0, 5, size=300).tolist():
        [issued] = tracker.issue([2.0], 3.0, 0.0)
        assert issued is not None
        ends = ranges.shown_ends(issued)
        assert ends is None or (ends == sorted(ends) and ends[0] >= 0.0)
        tracker.learn(0, issued, residual, 3.0)
    assert ends is not None
    assert tracker.issue([None], 3.0, 0.0) == [None]


def test_there_is_none_until_enough_truths_have_come() -> None:
    _, forecasts = learned([hour(n, 100.0 + n % 5) for n in range(60)])
    learner, answers = PM25.new_learner(), []
    for number, record in enumerate(decode([hour(n, 100.0 + n % 5) for n in range(60)])):
        answers += predict_then_learn(learner, [record], number + 1)
    assert [answer["forecast"] for answer in answers] == forecasts
    shown = [answer["ranges"]["1"] is not None for answer in answers]
    # The first forecast is made at hour 2, and its truth comes an hour later.
    assert shown.index(True) == 2 + ranges.AT_LEAST + 1
    assert all(shown[shown.index(True) :])
    assert answers[0]["ranges"] == dict.fromkeys(("1", "3", "6", "12", "24"))


def test_the_score_is_twice_the_mean_quantile_loss() -> None:
    ends, truth = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 5.5
    losses = [
        max(q * (truth - end), (q - 1) * (truth - end))
        for q, end in zip(
            (*SPEC.quantiles[:3], 0.5, *SPEC.quantiles[3:]), (1, 2, 3, 3.5, 4, 5, 6), strict=True
        )
    ]
    score = ranges.weighted_interval_score(SPEC, ends, 3.5, truth)
    assert score == pytest.approx(2 * np.mean(losses))


def test_quantiles_move_and_are_scored_as_by_a_plain_loop_to_the_last_bit() -> None:
    """Also where a truth is an end itself."""
    random = np.random.default_rng(4)
    tracker = RangeTracker(SPEC, 1)
    for number, residual in enumerate(random.normal(0, 5, size=400).tolist()):
        forecast = random.uniform(0, 20)
        [issued] = tracker.issue([forecast], 3.0, 0.0)
        assert issued is not None
        level, scale, ends, shown = int(issued[0]), issued[1], issued[3:9], issued[9:]
        if number % 4 == 0 and scale:
            residual = scale * ends[number % 6]
        truth = shown[number % 6] if number % 4 == 1 else forecast + residual
        losses = 0.0
        for quantile, end in zip(SPEC.quantiles, shown, strict=True):
            losses += (truth - end) * (quantile - (truth < end))
        expected = (0.5 * abs(truth - forecast) + losses) / 3.5
        assert ranges.weighted_interval_score(SPEC, shown, forecast, truth) == expected
        before = tracker.ends[0][level]
        tracker.learn(0, issued, residual, 3.0)
        step = SPEC.rate * max(1.0, 30 / tracker.counts[0][level])
        moved = [
            now + (step * (quantile - 1) if residual / scale <= end else step * quantile)
            for now, end, quantile in zip(before, ends, SPEC.quantiles, strict=True)
            if scale
        ]
        assert tracker.ends[0][level] == (sorted(moved) or before)


def test_what_the_learner_says_is_the_rule_repeated_over_its_forecasts() -> None:
    records = series(500)
    learner, answers = PM25.new_learner(), []
    for number, record in enumerate(decode(records)):
        answers += predict_then_learn(learner, [record], number + 1)
    learning: Any = PM25.learning
    forecasts = np.array([list(answer["forecast"].values()) for answer in answers], dtype=float)
    values = np.array([record["pollution"] for record in records], dtype=float)
    ends = ranges.repeat_ranges(learning.ranges, forecasts, values, learning.horizons, 0.0)
    assert answers[-1]["ranges"] == {
        str(horizon): ranges.name_ranges(learning.ranges, row)
        for horizon, row in zip(learning.horizons, ends[-1].tolist(), strict=True)
    }
    errors = learner.score.horizons["1"]
    assert (
        errors.ranged == (~np.isnan(ends[:-1, 0, 0]) & ~np.isnan(values[:-1]) & ~np.isnan(values[1:])).sum()
    )
    assert errors.interval_score > 0
    assert errors.inside == sorted(errors.inside)


def test_ranges_go_on_from_a_snapshot_and_are_answered_for_a_window_of_ones_own() -> None:
    learner, _ = learned(series(100))
    again = snapshot.loads(snapshot.dumps(learner, PM25, "a"), PM25, "a")
    [record] = decode([hour(100)])
    expected = predict_then_learn(learner, [record], 101)
    assert predict_then_learn(again, [record], 101) == expected
    assert snapshot.dumps(again, PM25, "a") == snapshot.dumps(learner, PM25, "a")
    assert learner.answer([]) == expected
    [own] = learner.answer(decode(series(30)))
    assert set(own["ranges"]["24"]) == {"50", "80", "95"}


def test_a_lineage_from_before_keeps_its_answers_form_and_its_state() -> None:
    learner, _ = learned(series(60), FIRST)
    [answer] = predict_then_learn(learner, decode([hour(60)]), 61)
    assert set(answer) == {"forecast"}
    assert "ranges" not in learner.state()
    assert "ranges" not in learner.latest
    assert all(len(seen) == 3 for seen in learner.state()["seen"] if seen)
    assert "interval_scores" not in str(msgspec.to_builtins(learner.score))
