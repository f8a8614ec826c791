"""Records that a pipeline's own code fails on, among good ones, on the real stack."""

import json
import random

import redis
from poison import GOOD, POISON
from reading import Topic, send
from stacks import Stack, running_trial

from streamlearn.local import chaos
from streamlearn.waiting import wait_until


def test_job_rebuild_and_verify_set_the_same_records_aside(stack: Stack) -> None:
    rng = random.Random(2)
    with running_trial(stack, "poison:POINTS") as trial:
        kafka = trial.settings.kafka

        def send_some(count: int) -> int:
            """Send records, a tenth of them poison; return how many of these."""
            bad = [rng.random() < 0.1 for _ in range(count)]
            values = [
                rng.choice(POISON) if is_bad else {**GOOD, "a": rng.random(), "y": rng.randrange(2)}
                for is_bad in bad
            ]
            send(kafka, "points", [json.dumps(value).encode() for value in values])
            return sum(bad)

        send(kafka, "points", [json.dumps({**GOOD, "y": y}).encode() for y in (0, 1)])
        trial.settle()
        poison = send_some(2000)
        chaos.kill(trial.settings, chaos.WORKER)
        poison += send_some(1000)
        assert trial.verify()["dead_letters"] == poison
        with redis.Redis.from_url(trial.settings.redis) as client:
            for key in client.keys("streamlearn:points:*"):
                client.delete(key)
        chaos.kill(trial.settings, chaos.WORKER)
        poison += send_some(500)
        report = trial.verify()
        assert (report["dead_letters"], report["predictions"]) == (poison, 3502 - poison)
        letters = Topic(kafka, "points.dead_letter").read()
        assert {"the label 2 is none of the classes: 0, 1", "ZeroDivisionError: b is −1"} < {
            letter["reason"] for letter in letters.json()
        }
        letters.close()


def test_a_bug_that_fails_on_every_record_stops_the_job_and_is_told(stack: Stack) -> None:
    with running_trial(stack, "poison:BUGGY") as trial:
        send(trial.settings.kafka, "buggy", [json.dumps(GOOD).encode()] * 300)
        reason = "fails on every record, 101 in a row: KeyError: 'a bug of the author'"
        wait_until(
            lambda: reason in trial.stack.streamlearn("status", check=False).stdout,
            120,
            "the reason in the status",
        )
        dead = Topic(trial.settings.kafka, "buggy.dead_letter").read()
        assert len(dead.values) <= 100
        dead.close()
