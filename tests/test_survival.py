"""What the job survives, on the real stack, with records flowing; each ends with `verify` clean."""

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from conftest import Stack
from reading import Topic, send
from test_topics import dropped

from flink_jobs.names import checkpoint_root
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.local import chaos, health, processes
from streamlearn.local.supervisor import Supervisor
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Restore
from streamlearn.waiting import wait_until

DIGITS = load("digits")

# A client of kafka-python whose broker dies leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)


@contextmanager
def flowing(stack: Stack, *others: Pipeline) -> Iterator[int]:
    """Let digits flow, 1,000 a second, for the length of a `with`, which begins when some have been answered.

    Gives the offset at which they begin.
    """
    start = end(stack)
    with chaos.loaded(stack.settings, [DIGITS, *others], rate=1000, seed=4):
        wait_for_flow(stack)
        yield start


def sent(stack: Stack, count: int) -> int:
    """Send so many digits; return the offset at which they begin."""
    start = end(stack)
    stack.streamlearn("replay", "digits", "--rate", "0", "--limit", str(count), "--seed", str(count))
    return start


def end(stack: Stack, topic: str = "handwritten_digit") -> int:
    """The offset after a topic's last committed record."""
    reader = Topic(stack.settings.kafka, topic)
    found = reader.end
    reader.close()
    return found


def wait_for_flow(stack: Stack, more: int = 1000) -> None:
    """Wait until so many more predictions are committed."""
    topic = Topic(stack.settings.kafka, "digit_predict")
    start = topic.end
    wait_until(lambda: topic.end > start + more, 120, "predictions to flow", every_s=0.05)
    topic.close()


def verified(stack: Stack, pipeline: str = "digits", *, since: int | None = None) -> dict[str, Any]:
    """Wait until every record has its answer, then verify as a user would, all or since an offset."""
    found = load(pipeline)
    wait_until(lambda: chaos.answered(stack.settings, found), 240, "every record to be answered", every_s=0.5)
    options = [] if since is None else ["--last", str(end(stack, found.topic) - since + 1000)]
    done = stack.streamlearn("verify", pipeline, "--json", *options, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, report.get("differences")) == (0, []), report
    assert report["snapshots"] > 0
    return report


def restores(stack: Stack) -> list[Restore]:
    store = Store.of(stack.settings)
    try:
        return store.restores("digits")
    finally:
        store.close()


def killed(stack: Stack, *parts: str) -> None:
    for part in parts:
        assert chaos.kill(stack.settings, part), f"{part} was not running"


@pytest.fixture
def client(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.settings.redis) as client:
        yield client


def test_a_stream_is_verified_and_the_report_can_be_read(stack: Stack) -> None:
    with flowing(stack):
        live = stack.streamlearn("verify", "digits", check=False)
        assert live.returncode == 0, live.stdout
    assert "✓ everything is equal" in live.stdout
    report = verified(stack)
    assert report["records"] >= 3000
    some = json.loads(stack.streamlearn("verify", "digits", "--last", "1000", "--json").stdout)
    assert 1000 <= some["records"] < report["records"]


def test_random_kills_under_load_change_nothing(stack: Stack, pm25_csv: str) -> None:
    """Early here: it verifies all that there is, which grows with every test."""
    done = stack.run("scripts/chaos", "--minutes", "1.5", "--seed", "11", check=False, timeout=900)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rolled back" in done.stdout


def test_a_redis_that_comes_back_empty_is_filled_again_from_kafka(stack: Stack, client: redis.Redis) -> None:
    with flowing(stack) as start:
        version = served(stack)["version"]
        client.flushall()
        assert served(stack)["version"] >= version, "an emptied Redis takes no model out of service"
        wait_until(lambda: [r for r in restores(stack) if r.relearned], 120, "the model to be rebuilt")
    rebuilt = restores(stack)[0]
    assert rebuilt.snapshot is None
    assert rebuilt.relearned > 0
    verified(stack, since=start)


def served(stack: Stack) -> dict[str, Any]:
    with urllib.request.urlopen(stack.url + "/v2/models/digits", timeout=5) as response:
        found: dict[str, Any] = json.load(response)["parameters"]
        return found


def test_spoiled_snapshots_are_refused_and_those_before_them_used(stack: Stack, client: redis.Redis) -> None:
    """The broker is frozen while snapshots are spoiled and the worker is killed."""
    with flowing(stack) as start:
        broker = service(stack, "kafka")
        broker.suspend()
        try:
            keys = sorted(
                client.keys("streamlearn:digits:snapshot:*"), key=lambda key: int(key.split(b":")[-1])
            )
            for key, value in zip(keys[-40:], [b"", b"not a snapshot", None] * 20, strict=False):
                client.set(key, (client.get(key) or b"")[:-7] if value is None else value)
            killed(stack, chaos.WORKER)
        finally:
            broker.resume()
        wait_until(lambda: any(r.refused for r in restores(stack)), 120, "a snapshot to be refused")
    refusal = next(r for r in restores(stack) if r.refused)
    assert any("not a snapshot" in why or "truncated" in why for why in refusal.refused.values())
    verified(stack, since=start)


def service(stack: Stack, name: str) -> psutil.Process:
    return next(psutil.Process(p["pid"]) for p in Supervisor(stack.settings).processes() if p["name"] == name)


def test_between_a_transactions_precommit_and_its_commit(stack: Stack) -> None:
    """A complete checkpoint, a broker frozen before it commits, and Flink killed."""
    hits = 0
    for _ in range(6):
        with flowing(stack) as start:
            hits += frozen_before_the_commit(stack)
        if hits:
            break
    assert hits, "no kill fell between a pre-commit and its commit"
    verified(stack, since=start)


def frozen_before_the_commit(stack: Stack) -> bool:
    """Kill Flink with a complete checkpoint whose transaction is not committed; whether that was so."""
    lineage = LineageRegister(Broker(stack.settings), DIGITS).current()
    assert lineage is not None
    root = checkpoint_root(lineage, stack.settings) / str(lineage.epoch)
    before, broker = set(root.glob("*/chk-*/_metadata")), service(stack, "kafka")
    starts = len(restores(stack))
    wait_until(lambda: set(root.glob("*/chk-*/_metadata")) - before, 30, "a checkpoint", every_s=0.0005)
    broker.suspend()
    killed(stack, "taskmanager", "jobmanager")
    broker.resume()
    answered = LineageRegister(Broker(stack.settings), DIGITS).resume_at(lineage)
    wait_until(lambda: len(restores(stack)) > starts, 120, "the job to go on")
    return restores(stack)[-1].offset > answered


@pytest.mark.parametrize("part", ["redis", "kafka"])
def test_a_part_that_is_gone_for_a_while_is_waited_for(stack: Stack, part: str) -> None:
    with flowing(stack) as start:
        supervisor = Supervisor(stack.settings)
        supervisor.stop_service(part)
        aged(stack, 10)
        supervisor.start_service(part)
        wait_for_flow(stack)
    verified(stack, since=start)


def aged(stack: Stack, seconds: float) -> None:
    """Wait until the server says that its model is so many seconds old."""
    wait_until(lambda: served(stack)["age_s"] > seconds, 60, "the model to grow old")


def test_a_rollback_is_obeyed_by_the_job_and_understood_by_verify(stack: Stack) -> None:
    start = sent(stack, 2000)
    verified(stack, since=start)
    kept = json.loads(stack.streamlearn("models", "digits", "list", "--json").stdout)
    target = kept[len(kept) // 2]
    done = stack.streamlearn("models", "digits", "rollback", str(target["version"]))
    assert f"is version {target['version']} again" in done.stdout
    sent(stack, 1000)
    report = verified(stack, since=start)
    assert report["controls"] >= 1, "other tests may have gone back on this stack before"
    kept = json.loads(stack.streamlearn("models", "digits", "list", "--json").stdout)
    assert kept[-1]["served"]
    assert kept[-1]["about"]["samples"] < target["about"]["samples"] + 1001
    refused = stack.streamlearn("models", "digits", "rollback", str(target["version"] + 1), check=False)
    assert refused.returncode == 1
    assert "no step ended there" in refused.stderr


def test_a_forged_control_record_is_a_dead_letter(stack: Stack) -> None:
    dead = Topic(stack.settings.kafka, "handwritten_digit.dead_letter")
    lineage = LineageRegister(Broker(stack.settings), DIGITS).current()
    assert lineage is not None
    order = {"kind": "rollback", "lineage": lineage.id, "version": lineage.start}
    forged = json.dumps({"streamlearn_control": order, "mac": "00" * 32}, separators=(",", ":")).encode()
    offset = send(stack.settings.kafka, "handwritten_digit", [forged])
    verified(stack, since=offset)
    letter = dead.read().json()[-1]
    assert (letter["offset"], letter["reason"]) == (
        offset,
        "a control record whose signature is not of this key",
    )
    dead.close()


def test_stopped_with_a_savepoint_it_goes_on_from_there(stack: Stack) -> None:
    with flowing(stack) as start:
        job = flink_api.newest_job(stack.settings, job_name("digits"))
        assert job is not None
        flink_api.call(stack.settings, f"/jobs/{job.id}/stop", method="POST", body={"drain": False})
        wait_until(lambda: state(stack) == "FINISHED", 60, "the job to stop")
        done = stack.streamlearn("train", "digits")
        assert "going on from savepoint" in done.stdout
    verified(stack, since=start)


def state(stack: Stack) -> str | None:
    job = flink_api.newest_job(stack.settings, job_name("digits"))
    return job.state if job else None


def test_cancelled_and_submitted_twice_it_goes_on_once(stack: Stack) -> None:
    with flowing(stack) as start:
        cancel(stack)
        runs = [threading.Thread(target=stack.streamlearn, args=("train", "digits")) for _ in range(2)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert len(flink_api.live_jobs(stack.settings, job_name("digits"))) == 1
    verified(stack, since=start)


def cancel(stack: Stack) -> None:
    """Cancel the job as the button in Flink's pages does."""
    job = flink_api.newest_job(stack.settings, job_name("digits"))
    assert job is not None
    flink_api.call(stack.settings, f"/jobs/{job.id}", method="PATCH")
    wait_until(lambda: state(stack) == "CANCELED", 60, "the job to be cancelled")


def test_without_any_checkpoint_it_goes_on_behind_its_answers_if_told_to(stack: Stack) -> None:
    with flowing(stack) as start:
        cancel(stack)
        lineage = LineageRegister(Broker(stack.settings), DIGITS).current()
        assert lineage is not None
        root = checkpoint_root(lineage, stack.settings)
        root.rename(root.with_suffix(".lost"))
        refused = stack.streamlearn("train", "digits", check=False)
        assert refused.returncode == 1
        assert "no checkpoint of it is left" in refused.stderr
        assert "--rebuild" in refused.stderr
        done = stack.streamlearn("train", "digits", "--rebuild")
        assert "starting at offset" in done.stdout
    assert verified(stack, since=start)["lineage"] == lineage.id


def test_everything_killed_at_once_goes_on_where_it_was(stack: Stack, pm25_csv: str) -> None:
    lineage = LineageRegister(Broker(stack.settings), DIGITS).current()
    hours = end(stack, "pm25")
    with flowing(stack, load("pm25")) as start:
        supervisor = int((stack.settings.home / "run" / "supervisord.pid").read_text())
        for pid in [supervisor, *(process.pid for process in processes.ours(stack.settings.home))]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    done = stack.run("scripts/up", "--detach", "--no-replay", timeout=600)
    assert "it runs" in done.stdout
    assert LineageRegister(Broker(stack.settings), DIGITS).current().id == lineage.id  # type: ignore[union-attr]
    sent(stack, 1000)
    verified(stack, since=start)
    verified(stack, "pm25", since=hours)


def test_the_log_holds_no_secret(stack: Stack) -> None:
    secrets = [stack.settings.redis_password, stack.settings.checkpoint_key]
    for folder in ("log", "flink/log"):
        for log in Path(stack.settings.home / folder).glob("*"):
            text = log.read_text(errors="replace")
            assert not [secret for secret in secrets if secret in text], log


def test_redis_wants_its_password(stack: Stack) -> None:
    with redis.Redis(port=stack.settings.redis_port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.keys()


def test_input_that_kafka_has_lost_unlearned_stops_the_job_with_its_reason(stack: Stack) -> None:
    """Nothing goes on in silence; afterwards a new lineage begins behind the loss."""
    start = sent(stack, 1000)
    verified(stack, since=start)
    cancel(stack)
    stack.streamlearn("replay", "digits", "--rate", "0", "--limit", "500")
    last = end(stack)
    dropped(stack, "handwritten_digit", last - 100)
    stack.streamlearn("train", "digits")

    reason = "are gone from Kafka before they were learned"
    wait_until(
        lambda: reason in (health.trouble(stack.settings, "digits") or ""), 120, "the reason to be known"
    )
    assert reason in stack.streamlearn("status", check=False).stdout
    stack.streamlearn("reset", "digits", "--force")
    dropped(stack, "handwritten_digit", last)
    stack.streamlearn("train", "digits")
    start = sent(stack, 1000)
    verified(stack, since=start)


def test_a_doubled_answer_is_found_on_the_real_stack(stack: Stack) -> None:
    """The last here: afterwards the lineage is spoiled for good, and another begins."""
    start = sent(stack, 1000)
    verified(stack, since=start)
    answers = Topic(stack.settings.kafka, "digit_predict").read()
    send(stack.settings.kafka, "digit_predict", [answers.values[-100]])
    offset = answers.json()[-100]["offset"]
    answers.close()
    done = stack.streamlearn("verify", "digits", "--last", "15000", check=False)
    assert done.returncode == 1
    assert f"the first at offset {offset}" in done.stdout
    assert "doubled" in done.stdout
    stack.streamlearn("reset", "digits", "--force")
    nothing = stack.streamlearn("verify", "digits", check=False)
    assert nothing.returncode == 2
    stack.streamlearn("train", "digits")
    start = sent(stack, 1000)
    verified(stack, since=start)
