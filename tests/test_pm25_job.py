"""The forecasts on the real stack: hours through Kafka and Flink, against a plain numpy loop."""

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import plain_mixture
import pytest
from hours import START, hour
from stacks import Stack, Topics, open_topics, read_metrics, running_trial

from streamlearn.engine.offline import run_offline
from streamlearn.learning import curves
from streamlearn.learning.learner import predict_then_learn
from streamlearn.reports import sources
from streamlearn.reports.forecasts import arrange_forecasts
from streamlearn.waiting import wait_until

COUNT = 1500
FIVE_YEARS = 43_800


@pytest.fixture(scope="module")
def topics(stack: Stack, pm25_csv: str) -> Iterator[Topics]:
    """The topics of a job that has answered the first hours."""
    assert pm25_csv
    with running_trial(stack, "copies:series") as trial, open_topics(trial) as topics:
        trial.replay(COUNT)
        topics.settle()
        yield topics


def check_forecasts(topics: Topics, count: int) -> None:
    """Compare the first forecasts with a plain loop's."""
    records, answers = topics.records.json()[:count], topics.predictions.json()[:count]
    assert [answer["offset"] for answer in answers] == topics.records.offsets[:count]
    assert all(answer["model_version"] == answer["offset"] for answer in answers)
    stamps = {"partition", "offset", "model_version", "lineage"}
    assert set(answers[0]) == {"ts", "pollution", "forecast", "ranges"} | stamps
    forecast = np.array([list(answer["forecast"].values()) for answer in answers], dtype=float)
    plain = [list(answer.values()) for answer in plain_mixture.replay(records)]
    expected = np.array(plain, dtype=float)
    np.testing.assert_array_equal(np.isnan(forecast), np.isnan(expected))
    np.testing.assert_allclose(forecast, expected, rtol=1e-8, atol=1e-7)


def test_hours_are_forecast_as_a_plain_loop_would(topics: Topics) -> None:
    check_forecasts(topics, COUNT)


@pytest.mark.release
def test_five_years_have_the_answers_and_the_table_of_an_offline_pass(stack: Stack, pm25_csv: str) -> None:
    """That an offline pass is a plain loop is shown in test_pm25_years."""
    assert pm25_csv
    with running_trial(stack, "copies:years") as trial, open_topics(trial) as topics:
        trial.replay(FIVE_YEARS)
        topics.settle()
        assert topics.dead.values == []
        answers = topics.predictions.json()
        wait_until(
            lambda: read_metrics(trial.settings, "years: learn").get("model_version") == FIVE_YEARS,
            60,
            "the metrics of the newest version",
        )
        metrics = read_metrics(trial.settings, "years: learn")
        answered = sources.read_live(
            trial.settings, trial.pipeline, last=None, show_progress=lambda at, end: None
        )
        trial.verify()
    expected: list[dict[str, Any]] = []
    for chunk in run_offline(trial.pipeline):
        expected += [json.loads(output.value) for output in chunk.outputs]
    assert len(answers) == len(expected) == FIVE_YEARS
    for answer, offline in zip(answers, expected, strict=True):
        assert answer | {"lineage": ""} == offline | {"lineage": ""}
    gauges = {name: round(value) for name, value in chunk.learner.score.gauges().items()}
    assert {f"h{horizon}_rmse_x1000" for horizon in plain_mixture.HORIZONS} <= set(gauges)
    assert {name: metrics[name] for name in gauges} == gauges
    # The table of README.md: the years after the first.
    forecasts = arrange_forecasts(answered, skip=8760)
    rmse, persistence_rmse = curves.rmse(forecasts.residuals), curves.rmse(forecasts.persistence_residuals)
    np.testing.assert_allclose(rmse, [21.36, 38.65, 52.69, 67.87, 80.53], atol=0.006)
    np.testing.assert_allclose(persistence_rmse, [23.45, 45.17, 64.53, 85.08, 100.70], atol=0.006)


def test_the_errors_are_shown_beside_those_of_persistence(topics: Topics) -> None:
    """They are those of a learner that has learned the same records here."""
    first = topics.send(make_hour(find_next(topics)))
    topics.settle()
    pipeline, learner = topics.trial.pipeline, topics.trial.pipeline.new_learner()
    dead = {letter["offset"] for letter in topics.dead.json()}
    for offset, value in zip(topics.records.offsets, topics.records.values, strict=True):
        if offset not in dead:
            predict_then_learn(learner, [pipeline.codec.decode(value or b"")], offset + 1)
    expected = {name: round(value) for name, value in learner.score.gauges().items()}
    wait_until(
        lambda: read_metrics(topics.trial.settings, "series: learn").get("model_version") == first + 1,
        60,
        "the metrics of the newest version",
    )
    metrics = read_metrics(topics.trial.settings, "series: learn")
    assert {f"h{horizon}_rmse_x1000" for horizon in plain_mixture.HORIZONS} <= set(expected)
    assert {name: metrics[name] for name in expected} == expected


def find_next(topics: Topics) -> int:
    """Return the number of the hour after the last one that was answered."""
    last = datetime.fromisoformat(topics.predictions.read().json()[-1]["ts"])
    return (last - START) // timedelta(hours=1) + 1


def make_hour(number: int, **change: Any) -> bytes:
    return json.dumps(hour(number, **change)).encode()


def test_the_server_forecasts_from_the_stream_and_from_a_window_of_ones_own(
    topics: Topics, tmp_path: Path
) -> None:
    topics.settle()
    answers, records = topics.predictions.json(), topics.records
    newest, answered = answers[-1], {answer["offset"] for answer in answers}
    valid = [
        json.loads(v) for offset, v in zip(records.offsets, records.values, strict=True) if offset in answered
    ]
    path = "/v2/models/series/forecast"
    with topics.trial.running_server(tmp_path) as server:
        wait_until(
            lambda: server.ask(path, None).get("model_version") == records.end, 30, "the newest version"
        )
        assert server.ask(path, None)["forecast"] == newest["forecast"]
        own = server.ask(path, {"records": valid[-25:]})
    assert own["ts"] == newest["ts"]
    assert own["model_version"] == records.end
    assert all(0 <= value < 1000 for value in own["forecast"].values())


def test_bad_hours_are_kept_with_the_reason_and_their_neighbours_learned(topics: Topics) -> None:
    topics.settle()
    before, answered = len(topics.dead.values), len(topics.predictions.values)
    next_hour = find_next(topics)
    bad: list[bytes | None] = [
        *(make_hour(next_hour, **change) for change in (
            {"ts": "no date"},
            {"ts": "2030-02-30 00:00:00"},
            {"pollution": -1},
            {"pollution": 5000},
            {"pollution": float("nan")},
            {"wnd_dir": "S"},
            {"temp": "warm"},
        )),
        json.dumps({"ts": "2030-01-01 00:00:00", "pollution": 5}).encode(),
    ]  # fmt: skip
    mixed: list[bytes | None] = []
    for number, value in enumerate(bad):
        mixed += [value, make_hour(next_hour + number)]
    repeated = make_hour(next_hour)
    first = topics.send(*mixed, repeated)
    topics.settle()
    letters = topics.dead.json()[before:]
    assert [letter["offset"] for letter in letters] == [first + 2 * n for n in range(len(bad) + 1)]
    assert [base64.b64decode(letter["value"]) for letter in letters] == [*bad, repeated]
    assert "time runs forward" in letters[-1]["reason"]
    neighbours = topics.predictions.json()[answered:]
    assert [answer["offset"] for answer in neighbours] == [first + 2 * n + 1 for n in range(len(bad))]
    assert all(0 <= value < 1000 for value in neighbours[-1]["forecast"].values())


def test_other_lags_are_obeyed_by_the_job_and_understood_by_verify(stack: Stack, pm25_csv: str) -> None:
    assert pm25_csv
    with running_trial(stack, "copies:lagged") as trial, open_topics(trial) as topics:
        trial.replay(600)
        trial.settle()
        lags = trial.streamlearn("models lags").stdout
        assert "pollution=0-24 dew=0,3 temp=0,3 press=0,3 wnd_spd=0,3 snow=0" in lags
        assert "chosen by that: pollution=0-24" in lags
        refused = trial.streamlearn("models lags", "pollution=0-6 smoke=0", check=False)
        assert (refused.returncode, "no series 'smoke'" in refused.stderr) == (1, True)
        process = trial.streamlearn("models lags", "pollution=0-6 dew=0,3 wnd_spd=0-3")
        assert "what was learned of those that stay is kept" in process.stdout
        next_hour = find_next(topics)
        topics.send(*(make_hour(next_hour + n) for n in range(100)))
        assert trial.verify()["controls"] == 1
        lags = trial.streamlearn("models lags").stdout
        assert "in use" in lags
        assert "pollution=0-6 dew=0,3 wnd_spd=0-3\n" in lags
        assert all(value is not None for value in topics.predictions.read().json()[-1]["forecast"].values())
