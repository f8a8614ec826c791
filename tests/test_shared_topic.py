"""A linear and a recurrent pipeline on the same topic: exactly once for both, over `kill -9`."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from conftest import ROOT, Stack
from kafka import KafkaProducer
from reading import Topic, send

from flink_jobs.submit import find_user_code
from flink_jobs.tables import transactional_id_prefix
from streamlearn.local import chaos, up
from streamlearn.local.services import select_replayed
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.waiting import wait_until

MODULE = '''
"""pm25 and pm25_gru under other names, on a topic of their own."""

from dataclasses import replace

from streamlearn.pipelines import pm25, pm25_gru

linear = replace(pm25.pipeline, name="hours", topic="hours", prediction_topic="hours_forecast")
recurrent = replace(pm25_gru.pipeline, name="hours_gru", topic="hours", prediction_topic="hours_gru_forecast")
'''
REFERENCES = ("hours:linear", "hours:recurrent")
HOURS = 700


@pytest.fixture(scope="module")
def both(pm25_csv: str) -> Iterator[tuple[Pipeline, Pipeline]]:
    path = ROOT / "hours.py"
    path.write_text(MODULE)
    linear, recurrent = map(load, REFERENCES)
    yield linear, recurrent
    path.unlink()


def test_pipelines_on_one_topic_are_told_apart(both: tuple[Pipeline, Pipeline]) -> None:
    linear, recurrent = both
    assert linear.dead_letter_topic == recurrent.dead_letter_topic
    # A job aborts open transactions whose ids have its prefix: `hours` would be one of `hours_gru`.
    assert not transactional_id_prefix(recurrent).startswith(transactional_id_prefix(linear))


def test_a_topic_that_two_learn_from_is_fed_once() -> None:
    pm25, digits = load("pm25"), load("digits")
    recurrent = load("streamlearn.pipelines.pm25_gru:pipeline")
    assert select_replayed([digits, pm25, recurrent]) == [digits, pm25]
    assert select_replayed([recurrent, digits, pm25]) == [recurrent, digits]
    assert select_replayed([replace(pm25, dataset=None), recurrent]) == [recurrent]


def test_up_waits_for_all_that_learn_from_what_is_replayed() -> None:
    settings = Settings(pipelines="streamlearn.pipelines.pm25_gru:pipeline")
    steps = up._list_steps(settings, {"replay-pm25"})
    conditions = [step.condition for step in steps if "predictions" in step.condition]
    assert conditions == ["pm25: predictions are written", "pm25_gru: predictions are written"]


def test_what_a_worker_has_installed_is_not_sent_along(both: tuple[Pipeline, Pipeline]) -> None:
    assert find_user_code(both[0]) == [ROOT / "hours.py"]
    assert find_user_code(load("streamlearn.pipelines.pm25_gru:pipeline")) == []
    assert find_user_code(load("pm25")) == []


def test_a_network_and_a_linear_model_share_a_topic_and_survive_kills(
    stack: Stack, both: tuple[Pipeline, Pipeline]
) -> None:
    linear, recurrent = both
    for reference in REFERENCES:
        stack.streamlearn("train", "--pipeline", reference)
    send(stack.settings.kafka, "hours", [b"no hour"])
    replay = ("replay", "--pipeline", REFERENCES[1], "--rate", "100", "--limit", str(HOURS))
    feeding = threading.Thread(target=stack.streamlearn, args=replay)
    feeding.start()
    answers = Topic(stack.settings.kafka, recurrent.prediction_topic)
    for count in (200, 450):
        wait_until(lambda c=count: len(answers.read().values) >= c, 240, f"{count} forecasts")  # type: ignore[misc]
        starts = count_restores(stack, linear)
        with open_transaction(stack, linear):
            assert chaos.kill(stack.settings, chaos.WORKER)
            # A record to go on with: the linear pipeline may have answered all hours by now.
            send(stack.settings.kafka, "hours", [b"no hour"])
            wait_until(lambda n=starts: count_restores(stack, linear) > n, 120, f"{linear.name} to go on")  # type: ignore[misc]
    feeding.join()
    settle(stack, both)
    offsets = [answer["offset"] for answer in answers.read().json()]
    assert offsets == sorted(set(offsets))
    assert len(offsets) == HOURS
    answers.close()
    assert count_restores(stack, recurrent) >= 3, "the kills have hit nothing"

    end = HOURS + 3
    rolled = stack.streamlearn("models", REFERENCES[1], "rollback", str(end))
    assert f"version {end + 1} is version {end} again" in rolled.stdout
    settle(stack, both)
    # The rollback was for the recurrent pipeline; to the other it is a record that cannot be read.
    for reference, controls in zip(REFERENCES, (0, 1), strict=True):
        report = verify(stack, reference)
        assert report["records"] == end + 1
        assert (report["controls"], report["dead_letters"]) == (controls, 4 - controls)
        stack.streamlearn("reset", "--pipeline", reference, "--force")


@contextmanager
def open_transaction(stack: Stack, pipeline: Pipeline) -> Iterator[None]:
    """Keep a third pipeline's transaction open in the dead-letter topic that it shares, then commit it."""
    other = replace(pipeline, name=f"{pipeline.name}_other")
    # As Flink names it: the subtask and a count after the prefix.
    transactional_id = f"{transactional_id_prefix(other)}-0-1"
    producer = KafkaProducer(bootstrap_servers=stack.settings.kafka, transactional_id=transactional_id)
    try:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(other.dead_letter_topic, value=b"{}", partition=0).get(timeout=30)
        yield
        producer.commit_transaction()
    finally:
        producer.close(timeout=10)


def count_restores(stack: Stack, pipeline: Pipeline) -> int:
    """Return how often a worker has begun to learn, the first time included."""
    store = Store.of(stack.settings)
    try:
        return len(store.restores(pipeline.name))
    finally:
        store.close()


def settle(stack: Stack, pipelines: tuple[Pipeline, ...]) -> None:
    for pipeline in pipelines:
        wait_until(
            lambda p=pipeline: chaos.is_caught_up(stack.settings, p), 240, f"{pipeline.name} to be answered"
        )  # type: ignore[misc]


def verify(stack: Stack, reference: str) -> dict[str, Any]:
    process = stack.streamlearn("verify", "--pipeline", reference, "--json", check=False)
    report: dict[str, Any] = json.loads(process.stdout)
    assert (process.returncode, report.get("differences")) == (0, []), report
    assert report["snapshots"] > 0
    return report
