"""The forecasts on the real stack: five years through Kafka and Flink, against a plain numpy loop."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import plain_forecast
import pytest
from conftest import Stack
from reading import Topic, send
from test_forecast import hour
from test_job import read_metrics

from streamlearn.waiting import wait_until

HOURS = 43_800


@pytest.fixture(scope="module")
def topics(stack: Stack, pm25_csv: str) -> Iterator[list[Topic]]:
    topics = [Topic(stack.settings.kafka, name) for name in ("pm25", "pm25_forecast", "pm25.dead_letter")]
    yield topics
    for topic in topics:
        topic.close()


def settle(topics: list[Topic], timeout_s: float = 300) -> None:
    records, forecasts, dead = topics

    def is_settled() -> bool:
        records.read()
        return len(forecasts.read().values) + len(dead.read().values) >= len(records.values)

    wait_until(is_settled, timeout_s, "every hour to be answered", every_s=0.5)


def test_five_years_are_forecast_as_a_plain_loop_would(stack: Stack, topics: list[Topic]) -> None:
    process = stack.streamlearn("replay", "pm25", "--rate", "0")
    assert f"{HOURS} records sent and acknowledged" in process.stdout
    settle(topics)
    records, forecasts, dead = topics
    assert dead.values == []
    answers = forecasts.json()
    assert [answer["offset"] for answer in answers] == records.offsets
    assert all(answer["model_version"] == answer["offset"] for answer in answers)
    assert set(answers[0]) == {
        *("ts", "pollution", "forecast"),
        *("partition", "offset", "model_version", "lineage"),
    }
    plain = plain_forecast.replay(records.json())
    forecast = np.array([list(answer["forecast"].values()) for answer in answers], dtype=float)
    expected = np.array([list(answer.values()) for answer in plain], dtype=float)
    np.testing.assert_array_equal(np.isnan(forecast), np.isnan(expected))
    np.testing.assert_allclose(forecast, expected, rtol=1e-9)


def test_the_errors_are_shown_beside_those_of_persistence(stack: Stack, topics: list[Topic]) -> None:
    settle(topics)
    metrics = read_metrics(stack.settings, "pm25: learn")
    for horizon in plain_forecast.HORIZONS:
        rmse, persistence = metrics[f"h{horizon}_rmse_x1000"], metrics[f"h{horizon}_persistence_rmse_x1000"]
        assert 0 < rmse < persistence
    assert metrics["model_version"] == HOURS


def test_the_server_forecasts_from_the_stream_and_from_a_window_of_ones_own(
    stack: Stack, topics: list[Topic]
) -> None:
    settle(topics)
    records, forecasts, _ = topics
    newest = forecasts.json()[-1]
    wait_until(lambda: fetch_forecast(stack)["ts"] == newest["ts"], 30, "the newest forecast to be served")
    assert fetch_forecast(stack)["forecast"] == newest["forecast"]
    own = fetch_forecast(stack, json.dumps({"records": records.json()[-25:]}).encode())
    assert own["ts"] == newest["ts"]
    assert own["model_version"] == newest["offset"] + 1
    assert all(0 <= value < 1000 for value in own["forecast"].values())


def fetch_forecast(stack: Stack, body: bytes | None = None) -> dict[str, Any]:
    with urllib.request.urlopen(stack.url + "/v2/models/pm25/forecast", data=body, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def test_bad_hours_are_kept_with_the_reason_and_their_neighbours_learned(
    stack: Stack, topics: list[Topic]
) -> None:
    settle(topics)
    _records, forecasts, dead = topics
    before, answered = len(dead.values), len(forecasts.values)
    far = 60 * 24 * 365  # later than anything the data set holds
    bad: list[bytes | None] = [
        *(json.dumps(hour(far, **change)).encode() for change in (
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
        mixed += [value, json.dumps(hour(far + number)).encode()]
    repeated = json.dumps(hour(far)).encode()
    first = send(stack.settings.kafka, "pm25", [*mixed, repeated])
    settle(topics)
    letters = dead.json()[before:]
    assert [letter["offset"] for letter in letters] == [first + 2 * n for n in range(len(bad) + 1)]
    assert [base64.b64decode(letter["value"]) for letter in letters] == [*bad, repeated]
    assert "time runs forward" in letters[-1]["reason"]
    neighbours = forecasts.json()[answered:]
    assert [answer["offset"] for answer in neighbours] == [first + 2 * n + 1 for n in range(len(bad))]
    assert all(0 <= value < 1000 for value in neighbours[-1]["forecast"].values())


def test_other_lags_are_obeyed_by_the_job_and_understood_by_verify(stack: Stack, topics: list[Topic]) -> None:
    settle(topics)
    lags = stack.streamlearn("models", "pm25", "lags").stdout
    assert "pollution=0-24 dew=0,3 temp=0,3 press=0,3 wnd_spd=0,3 snow=0" in lags
    assert "chosen by that: pollution=0-24" in lags
    refused = stack.streamlearn("models", "pm25", "lags", "pollution=0-6 smoke=0", check=False)
    assert (refused.returncode, "no series 'smoke'" in refused.stderr) == (1, True)
    process = stack.streamlearn("models", "pm25", "lags", "pollution=0-6 dew=0,3 wnd_spd=0-3")
    assert "what was learned of those that stay is kept" in process.stdout
    stack.streamlearn("replay", "pm25", "--rate", "0", "--limit", "500")
    records, forecasts, _ = topics
    last = records.read().offsets[-1]
    wait_until(lambda: forecasts.read().json()[-1]["offset"] == last, 120, "the newest hour", every_s=0.5)
    verification = stack.streamlearn("verify", "pm25", "--last", "2000", "--json", check=False)
    report = json.loads(verification.stdout)
    assert (verification.returncode, report["differences"], report["controls"]) == (0, [], 1)
    lags = stack.streamlearn("models", "pm25", "lags").stdout
    assert "in use" in lags
    assert "pollution=0-6 dew=0,3 wnd_spd=0-3\n" in lags
    assert all(value is not None for value in forecasts.json()[-1]["forecast"].values())
