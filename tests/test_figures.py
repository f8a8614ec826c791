"""Curves and ranges from a stream's answers: they agree with the score that the learner keeps itself."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from helpers import learner, records
from test_forecast import PM25, START, hour, learned, series

from streamlearn.learning import curves
from streamlearn.learning.learner import predict_then_learn

HOW: Any = PM25.learning


def answers(hours: list[dict[str, Any]], forecasts: list[Any]) -> list[dict[str, Any]]:
    """What stands in the prediction topic."""
    return [
        {"ts": h["ts"], "pollution": h["pollution"], "forecast": f}
        for h, f in zip(hours, forecasts, strict=True)
    ]


def of(found: list[dict[str, Any]]) -> curves.Series:
    made = curves.series(found, HOW.horizons, HOW.step, "pollution", HOW.length)
    assert made is not None
    return made


def test_errors_over_time_add_up_to_the_learners_own_score() -> None:
    hours = series(600)
    del hours[100:104], hours[300:320]
    subject, forecasts = learned(hours)
    missed, persistence = curves.errors(of(answers(hours, forecasts)), HOW.horizons)
    for column, horizon in enumerate(HOW.horizons):
        score = subject.score.horizons[str(horizon)]
        assert (~np.isnan(missed[:, column])).sum() == score.samples
        whole = curves.rolling_rmse(missed, len(missed))[-1, column]
        assert whole == pytest.approx(score.rmse, rel=1e-9)
        assert curves.rolling_rmse(persistence, len(missed))[-1, column] == pytest.approx(
            score.baseline_rmse, rel=1e-9
        )


def test_a_rolling_error_is_that_of_the_window_alone() -> None:
    missed = np.random.default_rng(1).normal(size=(50, 2))
    missed[::7] = np.nan
    found = curves.rolling_rmse(missed, 10, at_least=8)
    for row in range(50):
        part = missed[max(0, row - 9) : row + 1]
        known = (~np.isnan(part[:, 0])).sum()
        expected = np.sqrt(np.nanmean(part**2, axis=0)) if known >= 8 else [np.nan, np.nan]
        assert found[row] == pytest.approx(expected, nan_ok=True)


def test_hours_left_out_are_missing_and_a_jump_begins_another_run() -> None:
    said = {str(h): 1.0 for h in HOW.horizons}
    hours = [hour(n, 50.0 + n) for n in (0, 1, 4)]
    found = of(answers(hours, [said] * 3))
    assert found.steps.tolist() == list(range(found.steps[0], found.steps[0] + 5))
    assert np.isnan(found.values).tolist() == [False, False, True, True, False]
    for jump in (26, -3, -1000):
        again = [*hours, hour(4 + jump, 9.0), hour(5 + jump, 8.0)]
        assert of(answers(again, [said] * 5)).values.tolist() == [9.0, 8.0]


def test_no_answers_make_no_series() -> None:
    assert curves.series([], HOW.horizons, HOW.step, "pollution", HOW.length) is None
    nothing = of([{"ts": str(START + timedelta(hours=1)), "pollution": None, "forecast": None}])
    assert np.isnan(nothing.values).all()
    missed, _ = curves.errors(nothing, HOW.horizons)
    assert np.isnan(missed).all()
    assert np.isnan(curves.spread(missed)).all()


def test_eight_of_ten_errors_lie_in_the_spread() -> None:
    missed = np.random.default_rng(2).gamma(2.0, size=(1000, 1))
    low, high = curves.spread(missed)[0]
    truth_minus_forecast = -missed[:, 0]
    assert ((truth_minus_forecast >= low) & (truth_minus_forecast <= high)).mean() == pytest.approx(
        0.8, abs=0.01
    )


def test_accuracy_over_time_ends_at_the_learners_own() -> None:
    subject, found = learner(256), records(1000)
    said = [answer["predict_y"] for answer in predict_then_learn(subject, found[256:], 1000)]
    truths = [record.actual_y for record in found[256:]]
    right, commonest = curves.rolling_accuracy(truths, said, window=10_000)
    assert right[-1] == pytest.approx(subject.score.right / subject.score.samples)
    assert commonest[-1] == max(truths.count(label) for label in range(10)) / len(truths)
    lately, _ = curves.rolling_accuracy(truths, said, window=100)
    assert lately[-1] == np.mean([a == b for a, b in zip(truths[-100:], said[-100:], strict=True)])
