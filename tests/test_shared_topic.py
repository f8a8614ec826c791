"""A linear and a recurrent pipeline on the same topic: exactly once for both, over `kill -9`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from kafka import KafkaProducer
from reading import Topic, send
from stacks import ROOT, Stack, Trial, running_trial

from flink_jobs.tables import transactional_id_prefix
from streamlearn.local import chaos, up
from streamlearn.local.services import select_replayed
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.pipelines.user_code import find_user_code
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until

REFERENCES = ("copies:linear", "copies:recurrent")
HOURS = 400

LINEAR, RECURRENT = map(load, REFERENCES)


def test_pipelines_on_one_topic_are_told_apart() -> None:
    assert LINEAR.dead_letter_topic == RECURRENT.dead_letter_topic
    # A job aborts open transactions whose ids have its prefix: `hours` would be one of `hours_gru`.
    assert not transactional_id_prefix(RECURRENT).startswith(transactional_id_prefix(LINEAR))


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


def test_what_a_worker_has_installed_is_not_sent_along() -> None:
    assert find_user_code(LINEAR) == [ROOT / "tests" / "copies.py"]
    assert find_user_code(load("streamlearn.pipelines.pm25_gru:pipeline")) == []
    assert find_user_code(load("pm25")) == []


def test_a_network_and_a_linear_model_share_a_topic_and_survive_kills(stack: Stack, pm25_csv: str) -> None:
    assert pm25_csv
    with running_trial(stack, REFERENCES[0]) as linear, running_trial(stack, REFERENCES[1]) as recurrent:
        trials = (linear, recurrent)
        send(stack.settings.kafka, "hours", [b"no hour"])
        answers = Topic(stack.settings.kafka, RECURRENT.prediction_topic)
        command = (".venv/bin/streamlearn", "replay", "--pipeline", REFERENCES[1])
        command += ("--rate", "100", "--limit", str(HOURS))
        feeding = threading.Thread(target=recurrent.stack.run, args=command)
        feeding.start()
        for count in (HOURS // 4, HOURS // 2):
            wait_until(lambda c=count: len(answers.read().values) >= c, 600, f"{count} forecasts")
            starts = {trial.pipeline.name: trial.count_restores() for trial in trials}
            with open_transaction(stack, LINEAR):
                assert chaos.kill(stack.settings, chaos.WORKER)
                # A record to go on with: all hours may have been answered by now.
                send(stack.settings.kafka, "hours", [b"no hour"])
                wait_until(lambda s=starts: has_resumed(linear, s), 300, f"{LINEAR.name} to go on")
            wait_until(lambda s=starts: has_resumed(recurrent, s), 300, f"{RECURRENT.name} to go on")
        feeding.join()
        for trial in trials:
            trial.settle()
        offsets = [answer["offset"] for answer in answers.read().json()]
        answers.close()
        assert offsets == sorted(set(offsets))
        assert len(offsets) == HOURS

        end = HOURS + 3
        rolled = recurrent.streamlearn("models rollback", str(end))
        assert f"version {end + 1} is version {end} again" in rolled.stdout
        # The rollback was for the recurrent pipeline; to the other it is a record that cannot be read.
        for trial, controls in ((linear, 0), (recurrent, 1)):
            report = trial.verify()
            assert report["records"] == end + 1
            assert (report["controls"], report["dead_letters"]) == (controls, 4 - controls)


def has_resumed(trial: Trial, starts: dict[str, int]) -> bool:
    """Return whether a worker has started since so many starts of each pipeline's were counted."""
    return trial.count_restores() > starts[trial.pipeline.name]


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
