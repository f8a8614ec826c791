"""Many series in a topic of several partitions, on the real stack: a window for each station, over a kill."""

from pathlib import Path

import air
import numpy as np
import plain_stations
from reading import Topic
from stacks import Stack, Trial, running_trial

from streamlearn.broker.placement import hash_key
from streamlearn.local import chaos
from streamlearn.waiting import wait_until

PARTITIONS = 4
HOURS = 150


def test_stations_are_forecast_as_a_plain_loop_for_each_partition(stack: Stack, tmp_path: Path) -> None:
    folder = air.write_files(tmp_path / "PRSA_Data", HOURS)
    with running_trial(stack, "copies:air", partitions=PARTITIONS, parallelism=2) as trial:
        sent = trial.streamlearn("replay", "--file", str(folder), "--rate", "0", "--limit", "300")
        assert "300 records sent" in sent.stdout
        answers = [Topic(trial.settings.kafka, "air_answers", number) for number in range(PARTITIONS)]
        try:
            wait_until(lambda: sum(topic.end for topic in answers) > 100, 120, "answers before the kill")
            assert chaos.kill(trial.settings, chaos.WORKER)
            trial.streamlearn("replay", "--file", str(folder), "--rate", "0", "--skip", "300")
            trial.settle()
            check_answers(trial, answers)
        finally:
            for topic in answers:
                topic.close()
        report = trial.verify()
        assert report["records"] == HOURS * len(air.NAMES)


def check_answers(trial: Trial, answers: list[Topic]) -> None:
    """Every station's records are in the partition of its name, answered once, as a plain loop would."""
    for number, topic in enumerate(answers):
        records = Topic(trial.settings.kafka, "air", number)
        sent, predictions = records.read().json(), topic.read().json()
        records.close()
        names = {record["station"] for record in sent}
        assert names == {name for name in air.NAMES if hash_key(name) % PARTITIONS == number}
        assert [prediction["offset"] for prediction in predictions] == list(range(len(sent)))
        forecasts = [list(prediction["forecast"].values()) for prediction in predictions]
        expected = [list(forecast.values()) for forecast in plain_stations.replay(sent)]
        np.testing.assert_array_equal(np.isnan(as_array(forecasts)), np.isnan(as_array(expected)))
        np.testing.assert_allclose(as_array(forecasts), as_array(expected), rtol=1e-8, atol=1e-7)


def as_array(forecasts: list[list[float | None]]) -> np.ndarray:
    return np.array(forecasts, dtype=float)
