"""Faults that a job survives, on the real stack under load: one stream, fault after fault, one `verify`.

A replay runs all the while. Each fault leaves its mark, the offset at which it was caused, and is over when
answers flow again. In the end every record is verified, and a difference is laid to the fault whose mark is
the last before it. The order of the faults is drawn anew in each run, and printed.
"""

import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import redis
from reading import Topic, drop_records, send
from stacks import ROOT, Server, Stack, Trial, keeping, running_trial

from flink_jobs.checkpoints import checkpoint_folder
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.local import chaos, health, processes
from streamlearn.local.supervisor import Supervisor
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.settings import Settings
from streamlearn.stream.lineage import Lineage
from streamlearn.waiting import wait_until

# A client of kafka-python whose broker dies leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

RATE = 200
"""Digits a second."""

PATIENCE_S = 300
"""Seconds after which a condition is taken never to be met; a slow machine must not fail a test."""


@dataclass
class Flow:
    """A stream that flows, the job that answers it, and the marks that faults have left."""

    trial: Trial
    server: Server
    marks: list[tuple[int, str]] = field(default_factory=list)
    answered: int = 0
    replays: ExitStack = field(default_factory=ExitStack)
    """Holds the replays that have been started."""

    def start_replay(self) -> None:
        """Replay records until `replays` is closed."""
        pipelines = [self.trial.pipeline]
        self.replays.enter_context(chaos.replay_in_background(self.settings, pipelines, RATE, seed=4))

    @property
    def settings(self) -> Settings:
        return self.trial.settings

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.settings)

    def kill(self, *parts: str) -> None:
        for part in parts:
            # The fault before may still be being healed.
            wait_until(lambda part=part: chaos.kill(self.settings, part), PATIENCE_S, f"{part} to be killed")

    def wait_for_answers(self, more: int = 300) -> None:
        """Wait until so many more answers are committed than were ever seen."""
        self._count_answers()
        wanted = self.answered + more
        wait_until(lambda: self._count_answers() > wanted, PATIENCE_S, "answers to flow")

    def _count_answers(self) -> int:
        """Count the committed answers; while the broker is away, those that were seen last."""
        self.answered = max(self.answered, health.sum_prediction_ends(self.settings, self.trial.pipeline))
        return self.answered

    def mark(self, fault: str) -> None:
        """Remember at which offset a fault is caused."""
        with Broker(self.settings) as broker:
            self.marks.append((broker.stable_end(self.trial.pipeline.topic), fault))
        print(time.strftime("%H:%M:%S"), *self.marks[-1], flush=True)

    def find_fault(self, offset: int) -> str:
        """Return the fault before an offset."""
        return next((fault for mark, fault in reversed(self.marks) if mark <= offset), "no fault")

    def lineage(self) -> Lineage:
        with Broker(self.settings) as broker:
            lineage = LineageRegister(broker, self.trial.pipeline).current()
        assert lineage is not None
        return lineage

    def served(self) -> dict[str, float]:
        """Return what the server says of the served version."""
        parameters: dict[str, float] = self.server.get("/v2/models/survivor")["parameters"]
        return parameters

    @contextmanager
    def redis(self) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(self.settings.redis) as client:
            yield client


Fault = Callable[[Flow], None]


RESUMED = {chaos.WORKER, "taskmanager", "jobmanager"}
"""The parts without which the job resumes: answers may flow on for seconds before it does."""


def kill(*parts: str) -> Fault:
    """`kill -9` of parts at once."""

    def act(flow: Flow) -> None:
        starts = flow.trial.count_restores()
        flow.kill(*parts)
        if RESUMED & set(parts):
            wait_until(lambda: flow.trial.count_restores() > starts, PATIENCE_S, "the job to resume")

    return act


def take_away(part: str) -> Fault:
    """A part that is gone until the served model has grown old."""

    def act(flow: Flow) -> None:
        flow.supervisor.stop_service(part)
        wait_until(lambda: flow.served()["age_s"] > 4, PATIENCE_S, "the model to grow old")
        flow.supervisor.start_service(part)

    return act


def empty_redis(flow: Flow) -> None:
    """The model is learned again from Kafka; meanwhile the old one is served."""
    before, version = len(flow.trial.list_restores()), flow.served()["version"]
    with flow.redis() as client:
        client.flushall()
    # Another process of the server may answer, which has not taken over the newest version yet.
    assert flow.served()["version"] >= version - RATE, "an emptied Redis takes no model out of service"
    wait_until(flow.trial.list_restores, PATIENCE_S, "the model to be rebuilt")
    rebuilt = flow.trial.list_restores()[0]
    assert before > 0
    assert rebuilt.snapshot is None
    assert rebuilt.relearned > 0


def spoil_snapshots(flow: Flow) -> None:
    """The worker is killed, and then snapshots are spoiled, while the broker stands still."""
    broker = flow.trial.stack.find_service("kafka")
    with flow.redis() as client:
        broker.suspend()
        try:
            # First: it would store another version after those that are spoiled.
            flow.kill(chaos.WORKER)
            keys = client.keys("streamlearn:survivor:snapshot:*")
            keys = sorted(keys, key=lambda key: int(key.split(b":")[-1]))
            for key, value in zip(keys[-40:], [b"", b"not a snapshot", None] * 20, strict=False):
                client.set(key, (client.get(key) or b"")[:-7] if value is None else value)
        finally:
            broker.resume()
    wait_until(
        lambda: any(r.refused for r in flow.trial.list_restores()), PATIENCE_S, "a snapshot to be refused"
    )
    refusal = next(r for r in flow.trial.list_restores() if r.refused)
    assert any("not a snapshot" in reason or "truncated" in reason for reason in refusal.refused.values())


def kill_between_precommit_and_commit(flow: Flow) -> None:
    """A complete checkpoint, a broker that stands still before it commits, and Flink killed."""
    hits = 0
    for _ in range(6):
        hits += kill_before_the_commit(flow)
        flow.wait_for_answers()
        if hits:
            return
    pytest.fail("no kill fell between a pre-commit and its commit")


def kill_before_the_commit(flow: Flow) -> bool:
    """Kill Flink between a checkpoint and the commit of its transaction; return whether that was hit."""
    lineage = flow.lineage()
    # Of any submission: the job may be submitted again before the next checkpoint.
    root = checkpoint_folder(lineage, flow.settings)
    before, broker = set(root.glob("*/*/chk-*/_metadata")), flow.trial.stack.find_service("kafka")
    starts = flow.trial.count_restores()
    wait_until(
        lambda: set(root.glob("*/*/chk-*/_metadata")) - before, PATIENCE_S, "a checkpoint", every_s=0.0005
    )
    broker.suspend()
    flow.kill("taskmanager", "jobmanager")
    broker.resume()
    with Broker(flow.settings) as client:
        answered = LineageRegister(client, flow.trial.pipeline).first_unanswered(lineage)
    wait_until(lambda: flow.trial.count_restores() > starts, PATIENCE_S, "the job to go on")
    return flow.trial.list_restores()[-1].offset > answered


def roll_back(flow: Flow) -> None:
    kept = json.loads(flow.trial.streamlearn("models list --json").stdout)
    target = kept[len(kept) // 2]
    process = flow.trial.streamlearn("models rollback", str(target["version"]), "--wait", str(PATIENCE_S))
    assert f"is version {target['version']} again" in process.stdout
    flow.wait_for_answers()
    kept = json.loads(flow.trial.streamlearn("models list --json").stdout)
    assert kept[-1]["served"]


def forge_a_control_record(flow: Flow) -> None:
    lineage, dead = flow.lineage(), Topic(flow.settings.kafka, "survivor.dead_letter")
    order = {"kind": "rollback", "lineage": lineage.id, "version": lineage.start}
    forged = json.dumps({"streamlearn_control": order, "mac": "00" * 32}, separators=(",", ":")).encode()
    offset = send(flow.settings.kafka, "survivor", [forged])
    reason = "a control record whose signature is not of this key"
    wait_until(
        lambda: (offset, reason) in [(d["offset"], d["reason"]) for d in dead.read().json()],
        PATIENCE_S,
        "its letter",
    )
    dead.close()


def stop_with_a_savepoint(flow: Flow) -> None:
    job = flow.trial.newest_job()
    flink_api.call(flow.settings, f"/jobs/{job.id}/stop", method="POST", body={"drain": False})
    wait_until(lambda: flow.trial.newest_job().state == "FINISHED", PATIENCE_S, "the job to stop")
    assert "going on from savepoint" in flow.trial.streamlearn("train").stdout


def cancel_and_submit_twice(flow: Flow) -> None:
    flow.trial.cancel()
    command = (".venv/bin/streamlearn", "train", "--pipeline", flow.trial.pipeline.reference)
    runs = [threading.Thread(target=flow.trial.stack.run, args=command) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(flink_api.live_jobs(flow.settings, "survivor: learn")) == 1


def lose_all_checkpoints(flow: Flow) -> None:
    flow.trial.cancel()
    root = checkpoint_folder(flow.lineage(), flow.settings)
    root.rename(root.with_suffix(f".lost-{len(flow.marks)}"))
    refused = flow.trial.streamlearn("train", check=False)
    assert refused.returncode == 1
    assert "no checkpoint of it is left" in refused.stderr
    assert "--rebuild" in refused.stderr
    assert "starting at offset" in flow.trial.streamlearn("train", "--rebuild").stdout


def kill_everything(flow: Flow) -> None:
    """The replay as well; then all is started again."""
    home = flow.settings.home
    supervisor = int((home / "run" / "supervisord.pid").read_text())
    for pid in [supervisor, *(process.pid for process in processes.find_processes(home))]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    stack = Stack(replace(flow.settings, pipelines=""))
    process = stack.run("scripts/up", "--detach", "--no-replay", timeout=600)
    assert "it runs" in process.stdout
    flow.start_replay()


FAULTS: dict[str, Fault] = {
    "the worker killed": kill(chaos.WORKER),
    "the TaskManager killed": kill("taskmanager"),
    "the JobManager killed": kill("jobmanager"),
    "Kafka killed": kill("kafka"),
    "Redis killed": kill("redis"),
    "Kafka and the worker killed": kill("kafka", chaos.WORKER),
    "Redis and the worker killed": kill("redis", chaos.WORKER),
    "TaskManager and JobManager killed": kill("taskmanager", "jobmanager"),
    "Kafka gone for a while": take_away("kafka"),
    "Redis gone for a while": take_away("redis"),
    "Redis emptied": empty_redis,
    "snapshots spoiled": spoil_snapshots,
    "killed between pre-commit and commit": kill_between_precommit_and_commit,
    "rolled back": roll_back,
    "a control record forged": forge_a_control_record,
    "stopped with a savepoint": stop_with_a_savepoint,
    "cancelled and submitted twice": cancel_and_submit_twice,
    "all checkpoints lost": lose_all_checkpoints,
    "everything killed at once": kill_everything,
}


def kill_at_random(seed: int) -> Fault:
    """Two kills of one or two parts each, some of them while the one before is still being healed."""

    def act(flow: Flow) -> None:
        rng = random.Random(seed)
        for _ in range(2):
            _, parts, calm = chaos.draw_kill(rng, chaos.list_parts(flow.settings))
            if calm:
                flow.wait_for_answers(rng.randint(1, 600))
            print(f"  kill -9 {', '.join(parts)}{'' if calm else ' at once'}")
            for part in parts:
                chaos.kill(flow.settings, part)

    return act


BUILT_IN = ("digits", "pm25")


@pytest.fixture
def flow(stack: Stack, tmp_path: Path) -> Iterator[Flow]:
    """The one job on the stack: others would be submitted again as well, after each fault."""
    supervisor = Supervisor(stack.settings)
    supervisor.stop_service("submit")
    for name in BUILT_IN:
        for job in flink_api.live_jobs(stack.settings, job_name(name)):
            flink_api.cancel(stack.settings, job)
    with (
        running_trial(stack, "copies:survivor") as trial,
        keeping(trial),
        trial.running_server(tmp_path) as server,
    ):
        yield Flow(trial, server)
    for name in BUILT_IN:
        stack.streamlearn("train", name)
        wait_until(
            lambda name=name: health.is_job_running(stack.settings, name), PATIENCE_S, f"{name} to run again"
        )
    supervisor.start_service("submit")
    wait_until(lambda: health.is_server_up(stack.settings), PATIENCE_S, "the stack's server")


def test_the_stream_goes_on_after_every_fault_and_every_answer_is_verified(
    flow: Flow, subtests: pytest.Subtests
) -> None:
    seed = random.randrange(1000)
    faults = [*FAULTS.items(), (f"random kills {seed}", kill_at_random(seed))]
    random.Random(seed).shuffle(faults)
    # The last: it brings back the other jobs.
    faults.sort(key=lambda fault: fault[0] == "everything killed at once")
    with flow.replays:
        flow.start_replay()
        flow.wait_for_answers()
        for name, act in faults:
            with subtests.test(fault=name):
                flow.mark(name)
                act(flow)
                flow.wait_for_answers()
        live = flow.trial.streamlearn("verify", "--last", "5000", check=False)
    with subtests.test("verified while it flows"):
        assert live.returncode == 0, live.stdout
        assert "✓ everything is equal" in live.stdout
    flow.trial.settle()
    report = json.loads(flow.trial.streamlearn("verify", "--json", check=False).stdout)
    for difference in report["differences"]:
        with subtests.test("verified in the end", after=flow.find_fault(difference["offset"])):
            pytest.fail(str(difference))
    assert report["exit_code"] == 0, report
    assert report["records"] > RATE * len(faults)
    assert report["controls"] == 1
    assert report["snapshots"] > 0
    left = flow.settings.home / "flink" / "tmp" / "taskmanager"
    assert len(list(left.glob("tm_*"))) == 1, "TaskManagers that were killed have left their files"


def test_the_faults_on_the_page_are_those_that_are_caused() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    assert set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", page)) - {"and"} == set(FAULTS)


@pytest.mark.release
def test_random_kills_under_load_change_nothing(stack: Stack, pm25_csv: str) -> None:
    assert pm25_csv
    process = stack.run("scripts/chaos", "--minutes", "3", "--seed", "11", check=False, timeout=1200)
    print(process.stdout)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "rolled back" in process.stdout


def test_a_doubled_answer_is_found_and_lost_input_stops_the_job(stack: Stack) -> None:
    """Nothing goes on in silence; afterwards a new lineage begins behind the loss."""
    with running_trial(stack, "copies:spoiled") as trial:
        kafka = trial.settings.kafka
        trial.replay(1000)
        trial.verify()
        answers = Topic(kafka, "spoiled_answers").read()
        send(kafka, "spoiled_answers", [answers.values[-100]])
        offset = answers.json()[-100]["offset"]
        answers.close()
        process = trial.streamlearn("verify", check=False)
        assert process.returncode == 1
        assert f"the first at offset {offset}" in process.stdout
        assert "doubled" in process.stdout

        trial.cancel()
        trial.replay(500)
        with Broker(trial.settings) as broker:
            last = broker.stable_end("spoiled")
        drop_records(kafka, "spoiled", last - 100)
        reason = "are gone from Kafka before they were learned"
        submitted = trial.streamlearn("train", check=False)
        assert submitted.returncode == 1
        assert reason in submitted.stderr
        assert reason in trial.stack.streamlearn("status", check=False).stdout
        trial.streamlearn("reset", "--force")
        assert trial.streamlearn("verify", check=False).returncode == 2
        drop_records(kafka, "spoiled", last)
        trial.streamlearn("train")
        trial.replay(500)
        assert trial.verify()["start"] >= last
