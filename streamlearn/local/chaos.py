"""Kill parts of the running stack at random, under load, and verify afterwards that nothing is amiss.

The load is the pipelines' own data with odd records in it: fields that are missing, null, extreme or of
another type.

The seed decides what is killed and when. What a part was doing when it was killed does not repeat.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import psutil

from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.engine.check import sample
from streamlearn.engine.odd_records import make_odd_records
from streamlearn.engine.verification_report import Report, combine_exit_codes
from streamlearn.errors import StackError, StreamlearnError
from streamlearn.local import health, processes
from streamlearn.local.services import select_replayed
from streamlearn.local.supervisor import Supervisor
from streamlearn.operations import verification
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import Settings, inherit_env
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Restore
from streamlearn.waiting import wait_until

WORKER = "worker"
"""Flink's Python workers, which supervisord does not know."""

_PAUSE_S = (1.0, 10.0)
"""Least and most seconds between kills."""
_DOUBLE_SHARE = 0.3
"""Share of the kills that hit two parts at once."""
_CALM_SHARE = 0.75
"""Share of the kills that wait until all jobs work again; the others hit the recovery."""
_CALM_S = 90.0
_POLL_S = 0.5
_SETTLE_S = 420.0
ODD_SHARE = 0.02
"""The share of odd records in the load."""
_ODD_EVERY_S = 2.0
_SERIES_SHARE = 0.1
"""The share of the rate that a pipeline with a series gets: to forecast an hour takes ten times as long."""


@dataclass
class Outcome:
    """The kills of a run, and what was seen of them."""

    kills: list[tuple[float, str]] = field(default_factory=list)
    """(seconds since the start, part)"""
    restores: dict[str, list[Restore]] = field(default_factory=dict)
    reports: dict[str, list[Report]] = field(default_factory=dict)
    """Of each pipeline, a report for each partition."""

    @property
    def rolled_back(self) -> int:
        """How many versions were rolled back in all."""
        return sum(restore.dropped for restores in self.restores.values() for restore in restores)

    @property
    def exit_code(self) -> int:
        """0: all equal; 1: something differs; 2: nothing was compared, or nothing was ever rolled back."""
        codes = {combine_exit_codes(reports) for reports in self.reports.values()}
        return 1 if 1 in codes else 2 if codes != {0} or not self.rolled_back else 0

    def format_lines(self) -> Iterator[str]:
        """Yield the outcome as lines for people."""
        counts = Counter(part for _, part in self.kills)
        yield f"{len(self.kills)} kills: " + ", ".join(f"{part} {n}" for part, n in sorted(counts.items()))
        for name, restores in self.restores.items():
            rollbacks = [restore.dropped for restore in restores if restore.dropped]
            yield (
                f"{name}: {len(restores)} restores, of which {len(rollbacks)} rolled back"
                f" {sum(rollbacks)} versions;"
                f" {sum(restore.relearned for restore in restores)} offsets learned again from Kafka"
            )
        for name, reports in self.reports.items():
            records = sum(report.records for report in reports)
            different = sum(report.different for report in reports)
            yield f"{name}: {records} records verified, {different} differences"
        if not self.rolled_back:
            yield "no restore rolled a version back: this run proves nothing; repeat it with more --minutes"


def run_chaos(
    settings: Settings, *, minutes: float, seed: int, rate: float, echo: Callable[[str], None]
) -> Outcome:
    """Replay data, kill parts at random for `minutes`, wait until every record is answered, and verify.

    `rate` is the load in records a second.

    Raises
    ------
    StackError
        The stack does not recover within some minutes.
    """
    rng = random.Random(seed)  # noqa: S311 (it must repeat, not be secret)
    outcome, start, start_time_s = Outcome(), time.monotonic(), time.time()
    pipelines = [pipeline for pipeline in load_all(settings) if pipeline.dataset]
    with replay_in_background(settings, pipelines, rate, seed):
        while time.monotonic() - start < minutes * 60:
            pause_s, parts, calm = draw_kill(rng, list_parts(settings))
            if calm:
                _wait_for_work(settings, pipelines)
            time.sleep(pause_s)
            for part in parts:
                pids = kill(settings, part)
                killed_s = time.monotonic() - start
                echo(f"{killed_s:6.1f} s  kill -9 {part} {pids or '(was not running)'}")
                if pids:
                    outcome.kills.append((killed_s, part))
    echo("no more kills; waiting until every record is answered")
    for pipeline in pipelines:
        # What the stack's own replays send meanwhile is not waited for.
        ends = wait_until(partial(_list_ends, settings, pipeline), _SETTLE_S, "Kafka")
        wait_until(
            partial(is_caught_up, settings, pipeline, ends),
            _SETTLE_S,
            f"{pipeline.name} to be answered",
        )
        with Broker(settings) as broker:
            partitions = range(broker.count_partitions(pipeline.topic))
            reports = verification.verify_lineage(broker, pipeline)
        with Store.of(settings) as store:
            outcome.restores[pipeline.name] = [
                restore
                for partition in partitions
                for restore in store.restores(pipeline.name, partition)
                if restore.time_s >= start_time_s
            ]
        outcome.reports[pipeline.name] = reports
        for line in verification.format_reports(reports, time.monotonic() - start):
            echo(line)
    return outcome


def list_parts(settings: Settings) -> list[str]:
    """Return the names of the parts that may be killed."""
    services = [process["name"] for process in Supervisor(settings).list_processes()]
    return [*sorted(name for name in services if not name.startswith("replay-")), WORKER]


def draw_kill(rng: random.Random, parts: list[str]) -> tuple[float, list[str], bool]:
    """Draw the next kill: seconds to wait, the parts, and whether to wait first until all jobs work again."""
    count = 2 if rng.random() < _DOUBLE_SHARE else 1
    # Workers and TaskManager are killed most often: the learning happens there.
    weighted = [*parts, *[WORKER, WORKER, "taskmanager"]]
    return (
        rng.uniform(*_PAUSE_S),
        sorted({rng.choice(weighted) for _ in range(count)}),
        rng.random() < _CALM_SHARE,
    )


def _wait_for_work(settings: Settings, pipelines: list[Pipeline]) -> None:
    """Return when every pipeline has new committed answers, or after a while."""
    starts: dict[str, int] = {}
    deadline = time.monotonic() + _CALM_S
    while time.monotonic() < deadline:
        # Without Kafka there are none: what is new is told from when it answers again.
        ends = {pipeline.name: health.sum_prediction_ends(settings, pipeline) for pipeline in pipelines}
        starts = {name: starts.get(name) or end for name, end in ends.items()}
        if all(ends[name] > start > 0 for name, start in starts.items()):
            return
        time.sleep(_POLL_S)


def kill(settings: Settings, part: str) -> list[int]:
    """`kill -9` a part; return the ids of the processes that were killed."""
    if part == WORKER:
        pids = [process.pid for process in processes.find_processes(settings.home) if _is_worker(process)]
    else:
        services = Supervisor(settings).list_processes()
        pids = [service["pid"] for service in services if service["name"] == part and service["pid"]]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "pyflink.fn_execution" in " ".join(process.cmdline())
    return False


def _list_ends(settings: Settings, pipeline: Pipeline) -> list[int]:
    """Return the end of each partition of a pipeline's topic; none while Kafka is away."""
    try:
        with Broker(settings) as broker:
            partitions = range(broker.count_partitions(pipeline.topic))
            return [broker.stable_end(pipeline.topic, partition) for partition in partitions]
    except StreamlearnError:
        return []


def is_caught_up(settings: Settings, pipeline: Pipeline, ends: Sequence[int] | None = None) -> bool:
    """Return whether a pipeline's job runs, and every record of its topic has a committed answer.

    `ends` tells for each partition below which offset that is wanted; None: all that stand there now.
    """
    try:
        with Broker(settings) as broker:
            register = LineageRegister(broker, pipeline)
            lineage = register.current()
            if lineage is None or not health.is_job_running(settings, pipeline.name):
                return False
            if len(lineage.partitions) < broker.count_partitions(pipeline.topic):
                return False
            if ends is None:
                ends = [broker.stable_end(pipeline.topic, partition) for partition in lineage.partitions]
            return register.is_answered(lineage, ends)
    except StreamlearnError:
        return False


@contextmanager
def replay_in_background(
    settings: Settings, pipelines: list[Pipeline], rate: float, seed: int
) -> Iterator[None]:
    """Replay every topic's data, and some odd records, for the length of a `with`.

    A replay that fails is started again.
    """
    with ExitStack() as stack:
        for pipeline in select_replayed(pipelines):
            share = rate * (_SERIES_SHARE if pipeline.learning.series else 1.0)
            command = [sys.executable, "-m", "streamlearn", "replay", pipeline.reference]
            command += ["--loop", "--rate", f"{share:g}", "--seed", str(seed)]
            script = 'while :; do "$@" && exit; sleep 1; done'
            process = subprocess.Popen(
                ["/bin/sh", "-c", script, "replay", *command],
                env=inherit_env({**settings.environment(), **processes.mark_environment(settings.home)}),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            stack.callback(_stop_replay, process)
            stack.enter_context(_odd_records(settings, pipeline, share * ODD_SHARE, seed))
        yield


@contextmanager
def _odd_records(settings: Settings, pipeline: Pipeline, rate: float, seed: int) -> Iterator[None]:
    """Send odd records, `rate` a second, for the length of a `with`; none while the broker is away."""
    rng = random.Random(seed)  # noqa: S311 (it must repeat, not be secret)
    odd = [record.value for record in make_odd_records(pipeline, *sample(pipeline, 1))]
    stopped = threading.Event()

    def send() -> None:
        while not stopped.wait(_ODD_EVERY_S):
            with suppress(StreamlearnError), Broker(settings) as broker, broker.producer() as producer:
                partitions = sorted(broker.partitions(pipeline.topic)) or [0]
                for value in rng.choices(odd, k=max(1, round(rate * _ODD_EVERY_S))):
                    producer.send(pipeline.topic, value=value, partition=rng.choice(partitions))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stopped.set()
        sender.join()


def _stop_replay(process: "subprocess.Popen[bytes]") -> None:
    """End a replay, which first flushes what it has sent."""
    for signal_, patience_s in ((signal.SIGINT, 60.0), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal_)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            return
    raise StackError(f"a replay (process {process.pid}) does not end")
