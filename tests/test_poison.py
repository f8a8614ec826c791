"""Records that a pipeline's own code fails on, among good ones, on the real stack."""

import json
import random
import re
from pathlib import Path

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


def test_a_bug_that_fails_on_every_record_stops_the_job_and_is_told(stack: Stack, tmp_path: Path) -> None:
    with running_trial(stack, "poison:BUGGY") as trial, trial.running_server(tmp_path) as server:
        send(trial.settings.kafka, "buggy", [json.dumps(GOOD).encode()] * 300)
        reason = "fails on every record, 101 in a row: KeyError: 'a bug of the author'"

        def is_told() -> bool:
            status = trial.stack.streamlearn("status", check=False)
            told = "the job restarts: streamlearn.errors.PipelineFails: at offset" in status.stdout
            return status.returncode == 1 and told and reason in status.stdout

        wait_until(is_told, 120, "the reason in the status")
        for path, field in (("/v2/health/ready", "troubles"), ("/live/buggy?once=1", "trouble")):
            wait_until(lambda p=path, f=field: reason in str(server.ask(p)[f]), 60, f"the reason at {path}")

        def is_on_the_overview() -> bool:
            lines = trial.stack.run("curl", "-s", f"{server.url}/pipelines?rows=1").stdout
            return (
                re.search(r"stopped[^<]*101 in a row: KeyError: &#39;a bug of the author", lines) is not None
            )

        wait_until(is_on_the_overview, 60, "the reason on the overview")
        trial.cancel()
        submitted = trial.streamlearn("train", check=False)
        assert submitted.returncode == 1
        assert "is tried again and again: streamlearn.errors.PipelineFails" in submitted.stderr
        assert reason in submitted.stderr
        dead = Topic(trial.settings.kafka, "buggy.dead_letter").read()
        assert len(dead.values) <= 100
        dead.close()


def test_a_record_that_ends_the_process_is_skipped_and_the_model_kept(stack: Stack) -> None:
    with running_trial(stack, "poison:FATAL") as trial:
        good, bad = (json.dumps({**GOOD, "a": a}).encode() for a in (1, 666))
        send(trial.settings.kafka, "fatal", [good] * 50)
        trial.settle()
        offset = send(trial.settings.kafka, "fatal", [bad, *[good] * 50])
        status = lambda: trial.stack.streamlearn("status", check=False).stdout  # noqa: E731
        wait_until(lambda: f"answered up to offset {offset - 1}" in status(), 120, "the trouble to be told")
        refused = trial.streamlearn("skip", "--offset", "3", check=False)
        assert (refused.returncode, "is answered already" in refused.stderr) == (1, True)
        done = trial.streamlearn("skip", "--offset", str(offset))
        assert f"skips the record at offset {offset}" in done.stdout
        assert "fatal: learn runs" in done.stdout
        report = trial.verify()
        assert (report["start"], report["predictions"], report["dead_letters"]) == (0, 100, 1)
