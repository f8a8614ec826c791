"""Faults that the job survives, on the real stack, under load; each test ends with a clean `verify`."""

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
from test_topics import drop_records

from flink_jobs.checkpoints import checkpoint_folder
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
def replay_digits(stack: Stack, *others: Pipeline) -> Iterator[int]:
    """Replay digits, 1,000 a second, for the length of a `with`, which begins when some have been answered.

    Gives the offset of the first.
    """
    start = read_end(stack)
    with chaos.replay_in_background(stack.settings, [DIGITS, *others], rate=1000, seed=4):
        wait_for_flow(stack)
        yield start


def send_digits(stack: Stack, count: int) -> int:
    """Send so many digits; return the offset of the first."""
    start = read_end(stack)
    stack.streamlearn("replay", "digits", "--rate", "0", "--limit", str(count), "--seed", str(count))
    return start


def read_end(stack: Stack, topic: str = "handwritten_digit") -> int:
    """Return the offset after a topic's last committed record."""
    reader = Topic(stack.settings.kafka, topic)
    end = reader.end
    reader.close()
    return end


def wait_for_flow(stack: Stack, more: int = 1000) -> None:
    """Wait until so many more predictions are committed."""
    topic = Topic(stack.settings.kafka, "digit_predict")
    start = topic.end
    wait_until(lambda: topic.end > start + more, 120, "predictions to flow", every_s=0.05)
    topic.close()


def verify(stack: Stack, name: str = "digits", *, since: int | None = None) -> dict[str, Any]:
    """Wait until every record has its answer, then verify as a user would, all or since an offset."""
    pipeline = load(name)
    wait_until(
        lambda: chaos.is_caught_up(stack.settings, pipeline), 240, "every record to be answered", every_s=0.5
    )
    options = [] if since is None else ["--last", str(read_end(stack, pipeline.topic) - since + 1000)]
    process = stack.streamlearn("verify", name, "--json", *options, check=False)
    report: dict[str, Any] = json.loads(process.stdout)
    assert (process.returncode, report.get("differences")) == (0, []), report
    assert report["snapshots"] > 0
    return report


def list_restores(stack: Stack) -> list[Restore]:
    store = Store.of(stack.settings)
    try:
        return store.restores("digits")
    finally:
        store.close()


def kill(stack: Stack, *parts: str) -> None:
    for part in parts:
        assert chaos.kill(stack.settings, part), f"{part} was not running"


@pytest.fixture
def client(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.settings.redis) as client:
        yield client


def test_a_stream_is_verified_and_the_report_can_be_read(stack: Stack) -> None:
    with replay_digits(stack):
        live = stack.streamlearn("verify", "digits", check=False)
        assert live.returncode == 0, live.stdout
    assert "✓ everything is equal" in live.stdout
    report = verify(stack)
    assert report["records"] >= 3000
    some = json.loads(stack.streamlearn("verify", "digits", "--last", "1000", "--json").stdout)
    assert 1000 <= some["records"] < report["records"]


def test_random_kills_under_load_change_nothing(stack: Stack, pm25_csv: str) -> None:
    """Early here: it verifies all that there is, which grows with every test."""
    process = stack.run("scripts/chaos", "--minutes", "1.5", "--seed", "11", check=False, timeout=900)
    print(process.stdout)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "rolled back" in process.stdout


def test_a_redis_that_comes_back_empty_is_filled_again_from_kafka(stack: Stack, client: redis.Redis) -> None:
    with replay_digits(stack) as start:
        version = fetch_served(stack)["version"]
        client.flushall()
        assert fetch_served(stack)["version"] >= version, "an emptied Redis takes no model out of service"
        wait_until(lambda: [r for r in list_restores(stack) if r.relearned], 120, "the model to be rebuilt")
    rebuilt = list_restores(stack)[0]
    assert rebuilt.snapshot is None
    assert rebuilt.relearned > 0
    verify(stack, since=start)


def fetch_served(stack: Stack) -> dict[str, Any]:
    with urllib.request.urlopen(stack.url + "/v2/models/digits", timeout=5) as response:
        parameters: dict[str, Any] = json.load(response)["parameters"]
        return parameters


def test_spoiled_snapshots_are_refused_and_those_before_them_used(stack: Stack, client: redis.Redis) -> None:
    """The broker is frozen while snapshots are spoiled and the worker is killed."""
    with replay_digits(stack) as start:
        broker = find_service(stack, "kafka")
        broker.suspend()
        try:
            keys = sorted(
                client.keys("streamlearn:digits:snapshot:*"), key=lambda key: int(key.split(b":")[-1])
            )
            for key, value in zip(keys[-40:], [b"", b"not a snapshot", None] * 20, strict=False):
                client.set(key, (client.get(key) or b"")[:-7] if value is None else value)
            kill(stack, chaos.WORKER)
        finally:
            broker.resume()
        wait_until(lambda: any(r.refused for r in list_restores(stack)), 120, "a snapshot to be refused")
    refusal = next(r for r in list_restores(stack) if r.refused)
    assert any("not a snapshot" in reason or "truncated" in reason for reason in refusal.refused.values())
    verify(stack, since=start)


def find_service(stack: Stack, name: str) -> psutil.Process:
    services = Supervisor(stack.settings).list_processes()
    return next(psutil.Process(service["pid"]) for service in services if service["name"] == name)


def test_between_a_transactions_precommit_and_its_commit(stack: Stack) -> None:
    """A complete checkpoint, a broker frozen before it commits, and Flink killed."""
    hits = 0
    for _ in range(6):
        with replay_digits(stack) as start:
            hits += kill_before_the_commit(stack)
        if hits:
            break
    assert hits, "no kill fell between a pre-commit and its commit"
    verify(stack, since=start)


def kill_before_the_commit(stack: Stack) -> bool:
    """Kill Flink between a checkpoint and the commit of its transaction; return whether that was hit."""
    lineage = LineageRegister(Broker(stack.settings), DIGITS).current()
    assert lineage is not None
    root = checkpoint_folder(lineage, stack.settings) / str(lineage.epoch)
    before, broker = set(root.glob("*/chk-*/_metadata")), find_service(stack, "kafka")
    starts = len(list_restores(stack))
    wait_until(lambda: set(root.glob("*/chk-*/_metadata")) - before, 30, "a checkpoint", every_s=0.0005)
    broker.suspend()
    kill(stack, "taskmanager", "jobmanager")
    broker.resume()
    answered = LineageRegister(Broker(stack.settings), DIGITS).resume_at(lineage)
    wait_until(lambda: len(list_restores(stack)) > starts, 120, "the job to go on")
    return list_restores(stack)[-1].offset > answered


@pytest.mark.parametrize("part", ["redis", "kafka"])
def test_a_part_that_is_gone_for_a_while_is_waited_for(stack: Stack, part: str) -> None:
    with replay_digits(stack) as start:
        supervisor = Supervisor(stack.settings)
        supervisor.stop_service(part)
        wait_for_age(stack, 10)
        supervisor.start_service(part)
        wait_for_flow(stack)
    verify(stack, since=start)


def wait_for_age(stack: Stack, seconds: float) -> None:
    """Wait until the server says that its model is so many seconds old."""
    wait_until(lambda: fetch_served(stack)["age_s"] > seconds, 60, "the model to grow old")


def test_a_rollback_is_obeyed_by_the_job_and_understood_by_verify(stack: Stack) -> None:
    start = send_digits(stack, 2000)
    verify(stack, since=start)
    kept = json.loads(stack.streamlearn("models", "digits", "list", "--json").stdout)
    target = kept[len(kept) // 2]
    process = stack.streamlearn("models", "digits", "rollback", str(target["version"]))
    assert f"is version {target['version']} again" in process.stdout
    send_digits(stack, 1000)
    report = verify(stack, since=start)
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
    verify(stack, since=offset)
    letter = dead.read().json()[-1]
    assert (letter["offset"], letter["reason"]) == (
        offset,
        "a control record whose signature is not of this key",
    )
    dead.close()


def test_stopped_with_a_savepoint_it_goes_on_from_there(stack: Stack) -> None:
    with replay_digits(stack) as start:
        job = flink_api.newest_job(stack.settings, job_name("digits"))
        assert job is not None
        flink_api.call(stack.settings, f"/jobs/{job.id}/stop", method="POST", body={"drain": False})
        wait_until(lambda: read_state(stack) == "FINISHED", 60, "the job to stop")
        process = stack.streamlearn("train", "digits")
        assert "going on from savepoint" in process.stdout
    verify(stack, since=start)


def read_state(stack: Stack) -> str | None:
    job = flink_api.newest_job(stack.settings, job_name("digits"))
    return job.state if job else None


def test_cancelled_and_submitted_twice_it_goes_on_once(stack: Stack) -> None:
    with replay_digits(stack) as start:
        cancel(stack)
        runs = [threading.Thread(target=stack.streamlearn, args=("train", "digits")) for _ in range(2)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert len(flink_api.live_jobs(stack.settings, job_name("digits"))) == 1
    verify(stack, since=start)


def cancel(stack: Stack) -> None:
    """Cancel the job as the button in Flink's pages does."""
    job = flink_api.newest_job(stack.settings, job_name("digits"))
    assert job is not None
    flink_api.call(stack.settings, f"/jobs/{job.id}", method="PATCH")
    wait_until(lambda: read_state(stack) == "CANCELED", 60, "the job to be cancelled")


def test_without_any_checkpoint_it_goes_on_behind_its_answers_if_told_to(stack: Stack) -> None:
    with replay_digits(stack) as start:
        cancel(stack)
        lineage = LineageRegister(Broker(stack.settings), DIGITS).current()
        assert lineage is not None
        root = checkpoint_folder(lineage, stack.settings)
        root.rename(root.with_suffix(".lost"))
        refused = stack.streamlearn("train", "digits", check=False)
        assert refused.returncode == 1
        assert "no checkpoint of it is left" in refused.stderr
        assert "--rebuild" in refused.stderr
        process = stack.streamlearn("train", "digits", "--rebuild")
        assert "starting at offset" in process.stdout
    assert verify(stack, since=start)["lineage"] == lineage.id


def test_everything_killed_at_once_goes_on_where_it_was(stack: Stack, pm25_csv: str) -> None:
    lineage = LineageRegister(Broker(stack.settings), DIGITS).current()
    hours = read_end(stack, "pm25")
    with replay_digits(stack, load("pm25")) as start:
        supervisor = int((stack.settings.home / "run" / "supervisord.pid").read_text())
        for pid in [supervisor, *(process.pid for process in processes.find_processes(stack.settings.home))]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process = stack.run("scripts/up", "--detach", "--no-replay", timeout=600)
    assert "it runs" in process.stdout
    assert LineageRegister(Broker(stack.settings), DIGITS).current().id == lineage.id  # type: ignore[union-attr]
    send_digits(stack, 1000)
    verify(stack, since=start)
    verify(stack, "pm25", since=hours)


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
    start = send_digits(stack, 1000)
    verify(stack, since=start)
    cancel(stack)
    stack.streamlearn("replay", "digits", "--rate", "0", "--limit", "500")
    last = read_end(stack)
    drop_records(stack, "handwritten_digit", last - 100)
    stack.streamlearn("train", "digits")

    reason = "are gone from Kafka before they were learned"
    wait_until(
        lambda: reason in str(health.describe_trouble(stack.settings, "digits")),
        120,
        "the reason to be known",
    )
    assert reason in stack.streamlearn("status", check=False).stdout
    stack.streamlearn("reset", "digits", "--force")
    drop_records(stack, "handwritten_digit", last)
    stack.streamlearn("train", "digits")
    start = send_digits(stack, 1000)
    verify(stack, since=start)


def test_a_doubled_answer_is_found_on_the_real_stack(stack: Stack) -> None:
    """The last here: afterwards the lineage is spoiled for good, and another begins."""
    start = send_digits(stack, 1000)
    verify(stack, since=start)
    answers = Topic(stack.settings.kafka, "digit_predict").read()
    send(stack.settings.kafka, "digit_predict", [answers.values[-100]])
    offset = answers.json()[-100]["offset"]
    answers.close()
    process = stack.streamlearn("verify", "digits", "--last", "15000", check=False)
    assert process.returncode == 1
    assert f"the first at offset {offset}" in process.stdout
    assert "doubled" in process.stdout
    stack.streamlearn("reset", "digits", "--force")
    nothing = stack.streamlearn("verify", "digits", check=False)
    assert nothing.returncode == 2
    stack.streamlearn("train", "digits")
    start = send_digits(stack, 1000)
    verify(stack, since=start)
