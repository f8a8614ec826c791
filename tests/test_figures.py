"""Curves and ranges from a stream's answers: they agree with the score that the learner keeps itself."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from helpers import learner, records
from hours import PM25, START, hour, learned, series

from streamlearn.learning import curves
from streamlearn.learning.learner import predict_then_learn

LEARNING: Any = PM25.learning


def make_answers(hours: list[dict[str, Any]], forecasts: list[Any]) -> list[dict[str, Any]]:
    """Return what stands in the prediction topic."""
    return [
        {"ts": h["ts"], "pollution": h["pollution"], "forecast": f}
        for h, f in zip(hours, forecasts, strict=True)
    ]


def make_series(answers: list[dict[str, Any]]) -> curves.Series:
    run = curves.collect_series(answers, LEARNING.horizons, LEARNING.step, "pollution", LEARNING.length)
    assert run is not None
    return run


def test_errors_over_time_add_up_to_the_learners_own_score() -> None:
    hours = series(600)
    del hours[100:104], hours[300:320]
    subject, forecasts = learned(hours)
    run = make_series(make_answers(hours, forecasts))
    residuals, persistence = curves.compute_residuals(run, LEARNING.horizons)
    for column, horizon in enumerate(LEARNING.horizons):
        score = subject.score.horizons[str(horizon)]
        assert (~np.isnan(residuals[:, column])).sum() == score.samples
        whole = curves.rolling_rmse(residuals, len(residuals))[-1, column]
        assert whole == pytest.approx(score.rmse, rel=1e-9)
        assert curves.rolling_rmse(persistence, len(residuals))[-1, column] == pytest.approx(
            score.baseline_rmse, rel=1e-9
        )


def test_a_rolling_error_is_that_of_the_window_alone() -> None:
    residuals = np.random.default_rng(1).normal(size=(50, 2))
    residuals[::7] = np.nan
    rolling = curves.rolling_rmse(residuals, 10, at_least=8)
    for row in range(50):
        part = residuals[max(0, row - 9) : row + 1]
        known = (~np.isnan(part[:, 0])).sum()
        expected = np.sqrt(np.nanmean(part**2, axis=0)) if known >= 8 else [np.nan, np.nan]
        assert rolling[row] == pytest.approx(expected, nan_ok=True)


def test_hours_left_out_are_missing_and_a_jump_begins_another_run() -> None:
    forecast = {str(h): 1.0 for h in LEARNING.horizons}
    hours = [hour(n, 50.0 + n) for n in (0, 1, 4)]
    run = make_series(make_answers(hours, [forecast] * 3))
    assert run.steps.tolist() == list(range(run.steps[0], run.steps[0] + 5))
    assert np.isnan(run.values).tolist() == [False, False, True, True, False]
    for jump in (26, -3, -1000):
        again = [*hours, hour(4 + jump, 9.0), hour(5 + jump, 8.0)]
        assert make_series(make_answers(again, [forecast] * 5)).values.tolist() == [9.0, 8.0]


def test_no_answers_make_no_series() -> None:
    assert curves.collect_series([], LEARNING.horizons, LEARNING.step, "pollution", LEARNING.length) is None
    nothing = make_series([{"ts": str(START + timedelta(hours=1)), "pollution": None, "forecast": None}])
    assert np.isnan(nothing.values).all()
    residuals, _ = curves.compute_residuals(nothing, LEARNING.horizons)
    assert np.isnan(residuals).all()


def test_accuracy_over_time_ends_at_the_learners_own() -> None:
    subject, digits = learner(256), records(1000)
    predictions = [answer["predict_y"] for answer in predict_then_learn(subject, digits[256:], 1000)]
    truths = [record.actual_y for record in digits[256:]]
    right, commonest = curves.rolling_accuracy(truths, predictions, window=10_000)
    assert right[-1] == pytest.approx(subject.score.right / subject.score.samples)
    assert commonest[-1] == max(truths.count(label) for label in range(10)) / len(truths)
    recent, _ = curves.rolling_accuracy(truths, predictions, window=100)
    assert recent[-1] == np.mean([a == b for a, b in zip(truths[-100:], predictions[-100:], strict=True)])
