"""A topic of several partitions on the real stack: rescaled, killed, rolled back and grown while it flows."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack

import plain_loop
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from reading import Topic
from stacks import Stack, Trial, running_trial

from streamlearn.local import chaos
from streamlearn.operations import flink_api
from streamlearn.waiting import wait_until

RATE = 120
PARTITIONS = 4
ROLLED_BACK = 2
"""The partition in which the learner goes back."""

PATIENCE_S = 300

# A client of kafka-python whose broker dies leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)


def test_many_learners_share_a_topic_whatever_happens(stack: Stack) -> None:
    settings = {"partitions": PARTITIONS, "parallelism": 1}
    with running_trial(stack, "copies:many", **settings) as trial, ExitStack() as readers:
        topics = [Topic(trial.settings.kafka, "many_answers", number) for number in range(PARTITIONS)]
        for topic in topics:
            readers.callback(topic.close)

        def wait_for_answers(more: int = 40) -> None:
            wanted = [topic.end + more for topic in topics]
            wait_until(
                lambda: all(topic.end >= end for topic, end in zip(topics, wanted, strict=True)),
                PATIENCE_S,
                f"{more} more answers in each partition",
            )

        with chaos.replay_in_background(trial.settings, [trial.pipeline], RATE, seed=5):
            wait_for_answers()
            assert count_workers(trial) == 1
            for workers, killed in ((4, chaos.WORKER), (2, "taskmanager")):
                printed = rescale(trial, workers)
                assert "it is stopped at a savepoint, and goes on" in printed
                assert "going on from savepoint-" in printed
                wait_for_answers()
                assert count_workers(trial) == workers
                if killed:
                    assert chaos.kill(trial.settings, killed)
                    wait_for_answers()
            roll_back(trial, wait_for_answers)
        grow(trial)
        # The settings say 1; what was given by hand holds for a submission without.
        wait_until(lambda: count_workers(trial) == 2, PATIENCE_S, "the workers of before")
        trial.settle()
        check_answers(trial, topics, ROLLED_BACK)
        report = trial.verify()
        assert report["controls"] == 1
        assert report["records"] > 5 * 40 * PARTITIONS


@pytest.mark.release
@pytest.mark.parametrize(("name", "partitions"), [("four", 4), ("eight", 8)])
def test_a_million_records_are_learned_once_while_the_job_is_rescaled_and_killed(
    stack: Stack, name: str, partitions: int
) -> None:
    records = 1_000_000
    with running_trial(stack, f"copies:{name}", partitions=partitions, parallelism=1) as trial:
        topics = [
            Topic(trial.settings.kafka, trial.pipeline.prediction_topic, number)
            for number in range(partitions)
        ]
        command = [sys.executable, "-m", "streamlearn", "replay", f"copies:{name}"]
        command += ["--rate", "3000", "--limit", str(records)]
        with ExitStack() as at_end:
            for topic in topics:
                at_end.callback(topic.close)
            replay = subprocess.Popen(command, env=trial.stack.environment(), stdout=subprocess.DEVNULL)
            at_end.callback(replay.wait)
            at_end.callback(replay.kill)

            def wait_for_answers() -> None:
                assert replay.poll() is None, "the records have ended before the last kill"
                wanted = sum(topic.end for topic in topics) + 5000
                wait_until(lambda: sum(topic.end for topic in topics) >= wanted, PATIENCE_S, "more answers")

            for workers, killed in ((2, chaos.WORKER), (4, "taskmanager"), (2, "jobmanager")):
                wait_for_answers()
                rescale(trial, workers)
                wait_for_answers()
                assert count_workers(trial) == workers
                assert chaos.kill(trial.settings, killed)
            wait_for_answers()
            assert replay.wait(PATIENCE_S) == 0
            trial.settle(600)
            predictions = check_answers(trial, topics)
        assert predictions == records
        report = trial.verify()
        assert report["records"] == records


def rescale(trial: Trial, workers: int) -> str:
    printed = trial.streamlearn("train", "--parallelism", str(workers)).stdout
    assert f" partitions, parallelism {workers}" in printed
    return printed


def count_workers(trial: Trial) -> int:
    return flink_api.count_workers(trial.settings, trial.newest_job())


def roll_back(trial: Trial, wait_for_answers: Callable[[], None]) -> None:
    """One partition's learner goes back to an earlier version; the others go on."""
    kept = json.loads(trial.streamlearn("models list --json").stdout)
    of_partition = [version["version"] for version in kept if version["partition"] == ROLLED_BACK]
    target = of_partition[len(of_partition) // 2]
    options = ("--partition", str(ROLLED_BACK), "--wait", str(PATIENCE_S))
    process = trial.streamlearn("models rollback", str(target), *options)
    assert f"is version {target} again" in process.stdout
    wait_for_answers()


def grow(trial: Trial) -> None:
    """The topic gets another partition, in which there are records before the job knows it."""
    kafka, values = trial.settings.kafka, [b"no digit"] * 3
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_partitions({"many": PARTITIONS + 1})
    admin.close()
    producer = KafkaProducer(bootstrap_servers=kafka)
    for value in values:
        producer.send("many", value=value, partition=PARTITIONS)
    producer.close(timeout=10)
    # What keeps the job running has perhaps seen it first.
    trial.streamlearn("train")
    dead = Topic(kafka, "many.dead_letter", PARTITIONS)
    wait_until(lambda: len(dead.read().values) == 3, PATIENCE_S, "the new partition to be answered")
    assert [letter["offset"] for letter in dead.json()] == [0, 1, 2]
    dead.close()


def check_answers(trial: Trial, topics: list[Topic], rolled_back: int | None = None) -> int:
    """Every record is answered once, in order, and as a loop of scikit-learn would for its partition.

    Returns how many predictions there are.
    """
    total = 0
    for number, answers in enumerate(topics):
        kafka, pipeline = trial.settings.kafka, trial.pipeline
        records = Topic(kafka, pipeline.topic, number).read()
        dead = Topic(kafka, pipeline.dead_letter_topic, number).read()
        control = Topic(kafka, pipeline.control_topic, number).read()
        predictions = answers.read().json()
        offsets = [prediction["offset"] for prediction in predictions]
        assert {prediction["partition"] for prediction in predictions} == {number}
        assert offsets == sorted(set(offsets))
        others = [letter["offset"] for letter in [*dead.json(), *control.json()]]
        assert sorted([*offsets, *others]) == records.offsets
        if number != rolled_back:
            assert [p["predict_y"] for p in predictions] == plain_loop.replay(predictions)
        total += len(predictions)
        for topic in (records, dead, control):
            topic.close()
    return total
