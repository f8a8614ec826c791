"""The job on the real stack: exactly once, predict before learn, bad records kept, workers killed."""

import base64
import json
import random
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import plain_loop
import pytest
from conftest import Stack
from reading import Topic, send

from streamlearn.local import chaos
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until

PASSES = 10
ROWS = PASSES * 1797


@dataclass
class Topics:
    """The three topics of the digits."""

    stack: Stack
    records: Topic
    predictions: Topic
    dead: Topic

    def settle(self, timeout_s: float = 180) -> None:
        """Wait until every input record has its answer."""
        wait_until(self._is_settled, timeout_s, "every record to be answered", every_s=0.5)

    def _is_settled(self) -> bool:
        self.records.read()
        answered = len(self.predictions.read().values) + len(self.dead.read().values)
        return answered >= len(self.records.values)

    def send(self, *values: bytes | None) -> int:
        return send(self.stack.settings.kafka, "handwritten_digit", list(values))

    def check(self) -> list[dict[str, object]]:
        """Compare all output of the job with a plain loop's; return the predictions."""
        predictions = self.predictions.json()
        dead = {letter["offset"] for letter in self.dead.json()}
        answered = [prediction["offset"] for prediction in predictions]
        assert answered == sorted(set(answered)), "an offset is answered twice or out of order"
        assert len(self.dead.values) == len(dead), "an offset is dead-lettered twice"
        assert sorted([*answered, *dead]) == self.records.offsets, "an offset has no answer, or two"
        assert all(p["model_version"] <= p["offset"] for p in predictions), "a model has seen its record"
        assert [p["predict_y"] for p in predictions] == plain_loop.replay(predictions)
        return predictions


@pytest.fixture(scope="module")
def topics(stack: Stack) -> Iterator[Topics]:
    names = ("handwritten_digit", "digit_predict", "handwritten_digit.dead_letter")
    topics = [Topic(stack.settings.kafka, name) for name in names]
    yield Topics(stack, *topics)
    for topic in topics:
        topic.close()


def test_ten_passes_are_answered_exactly_once_as_a_plain_loop_would(stack: Stack, topics: Topics) -> None:
    process = stack.streamlearn("replay", "digits", "--rate", "0", "--limit", str(ROWS))
    assert f"{ROWS} records sent and acknowledged" in process.stdout
    topics.settle()
    predictions = topics.check()
    assert len(predictions) == ROWS
    assert predictions[0]["predict_y"] is None, "the first record was predicted by a model that had none"
    stamps = {"partition", "offset", "model_version", "lineage"}
    assert set(predictions[0]) == {"ts", "x", "actual_y", "predict_y"} | stamps
    accuracy = plain_loop.accuracy(predictions)
    print(f"prequential accuracy over {ROWS} records: {accuracy:.4f}")
    assert accuracy > 0.92


def test_every_row_is_one_call_and_the_metrics_move(stack: Stack, topics: Topics) -> None:
    """A planner that called the function twice a row would count twice."""
    topics.settle()
    rows = len(topics.records.read().values)
    wait_until(
        lambda: read_metrics(stack.settings).get("record_count") == rows, 30, f"{rows} calls to be shown"
    )
    metrics = read_metrics(stack.settings)
    scored = sum(p["predict_y"] is not None for p in topics.predictions.json())
    assert metrics["sample_count"] == scored
    assert metrics["model_version"] == rows
    assert metrics["prediction_acc"] == round(100 * plain_loop.accuracy(topics.predictions.json()))
    assert sum(metrics[f"label_{label}_count"] for label in range(10)) == rows
    assert {"total_10_sec", "right_10_sec", "dead_letter_count", "checkpoint_write_ms"} <= set(metrics)


def read_metrics(settings: Settings, job: str = "digits: learn") -> dict[str, float]:
    """Read the metrics of a job's learning from Flink's own Prometheus endpoint."""
    url = f"http://localhost:{settings.taskmanager_metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        text = response.read().decode()
    return {
        name: float(value)
        for name, labels, value in re.findall(r"^\w+_online_ml_(\w+)\{([^}]*)\} (\S+)$", text, re.MULTILINE)
        if f'job_name="{job.replace(" ", "_")}"' in labels
    }


def test_bad_records_are_kept_with_the_reason_and_their_neighbours_learned(
    stack: Stack, topics: Topics
) -> None:
    topics.settle()
    before = len(topics.dead.values)
    good = {"x": [0, 8, 16, 0] * 16, "actual_y": 7}

    def spoil(**change: object) -> bytes:
        return json.dumps({**good, **change}).encode()

    bad: list[bytes | None] = [
        b"not json",
        b"",
        None,
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        spoil(x=[0] * 63),
        spoil(x=[0] * 63 + [17]),
        spoil(x=[0] * 63 + [-1]),
        spoil(x=[0] * 63 + [float("nan")]),
        spoil(x=[0] * 63 + ["1"]),
        spoil(x=None),
        spoil(actual_y=10),
        spoil(actual_y=-1),
        spoil(actual_y="7"),
        spoil(actual_y=True),
        b'{"actual_y": 3}',
        b'"' + b"x" * ((1 << 20) - 2) + b'"',
    ]
    mixed: list[bytes | None] = []
    for value in bad:
        mixed += [value, json.dumps(good).encode()]
    first = topics.send(*mixed)
    topics.settle()
    predictions = topics.check()
    letters = topics.dead.json()[before:]
    assert [letter["offset"] for letter in letters] == [first + 2 * n for n in range(len(bad))]
    assert {(letter["topic"], letter["partition"]) for letter in letters} == {("handwritten_digit", 0)}
    for letter, value in zip(letters, bad, strict=True):
        assert letter["reason"]
        assert value == (None if letter["value"] is None else base64.b64decode(letter["value"]))
    neighbours = [p["offset"] for p in predictions if p["offset"] > first]
    assert neighbours == [first + 2 * n + 1 for n in range(len(bad))]
    counted = read_metrics(stack.settings)["dead_letter_count"]
    wait_until(
        lambda: read_metrics(stack.settings)["dead_letter_count"] >= len(bad), 30, f"more than {counted}"
    )


def test_unlabelled_records_are_predicted_and_not_learned(topics: Topics) -> None:
    topics.settle()
    first = topics.send(
        b'{"x": [%s]}' % b",".join([b"3"] * 64), b'{"x": [%s], "actual_y": null}' % b",".join([b"3"] * 64)
    )
    topics.settle()
    answers = [p for p in topics.check() if p["offset"] >= first]
    assert len(answers) == 2
    assert all(answer["predict_y"] in range(10) for answer in answers)
    assert "actual_y" not in answers[0]
    assert answers[1]["actual_y"] is None


def test_killed_workers_change_nothing(stack: Stack, topics: Topics) -> None:
    """`kill -9` of the Python worker while records flow: the same answers, each once."""
    topics.settle()
    moments = random.Random(5)
    killed: list[int] = []
    with chaos.replay_in_background(stack.settings, [load("digits")], rate=1500, seed=9):
        for _ in range(3):
            start = len(topics.predictions.read().values)
            count = start + moments.randint(1500, 2500)
            wait_until(
                lambda count=count: len(topics.predictions.read().values) > count, 120, "records to flow"
            )
            killed += kill_workers(stack)
    topics.settle()
    assert len(set(killed)) >= 3, killed
    topics.check()


def kill_workers(stack: Stack) -> list[int]:
    """`kill -9` every Python worker of Flink; return their process ids."""
    pids = chaos.kill(stack.settings, chaos.WORKER)
    assert pids, "no Python worker is running"
    return pids
