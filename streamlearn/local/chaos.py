"""Killing parts of the running stack at random, under load, and seeing afterwards that nothing is amiss.

The seed decides what is killed and when; when a kill hits the work, and where, does not repeat.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
from streamlearn.engine.verify import Report, verify
from streamlearn.errors import StackError, StreamlearnError
from streamlearn.local import health, processes
from streamlearn.local.services import named, sources
from streamlearn.local.supervisor import Supervisor
from streamlearn.operations import verification
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import Settings, inherited
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Restore
from streamlearn.waiting import wait_until

WORKER = "worker"
"""Flink's Python workers, which the supervisor does not know."""

_PAUSE_S = (1.0, 10.0)
_TWO_AT_ONCE = 0.3
_CALM = 0.75
"""How often a kill waits until the last one has healed; else it hits the healing."""
_CALM_S = 90.0
_LOOK_S = 0.5
_SETTLE_S = 420.0
_SHARE = {"digits": 1.0}
"""How much of the rate a pipeline's replay gets; the others a tenth."""

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a run has done and found."""

    kills: list[tuple[float, str]] = field(default_factory=list)
    """(seconds since the start, part)"""
    restores: dict[str, list[Restore]] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)

    @property
    def rolled_back(self) -> int:
        """How many versions were rolled back in all."""
        return sum(restore.dropped for found in self.restores.values() for restore in found)

    @property
    def exit_code(self) -> int:
        """0: all equal; 1: something differs; 2: nothing was compared, or nothing was ever rolled back."""
        codes = {report.exit_code for report in self.reports.values()}
        return 1 if 1 in codes else 2 if codes != {0} or not self.rolled_back else 0

    def lines(self) -> Iterator[str]:
        """The outcome in words."""
        parts = sorted({part for _, part in self.kills})
        counts = ", ".join(f"{part} {sum(part == one for _, one in self.kills)}" for part in parts)
        yield f"{len(self.kills)} kills: {counts}"
        for name, found in self.restores.items():
            back = [restore for restore in found if restore.dropped]
            yield (
                f"{name}: {len(found)} restores, of which {len(back)} rolled back"
                f" {sum(restore.dropped for restore in back)} versions;"
                f" {sum(restore.relearned for restore in found)} offsets learned again from Kafka"
            )
        for name, report in self.reports.items():
            yield f"{name}: {report.records} records verified, {report.different} differences"
        if not self.rolled_back:
            yield "no restore rolled a version back: this run proves nothing; let it run for longer"


def run(settings: Settings, *, minutes: float, seed: int, rate: float, say: Say) -> Outcome:
    """Let records flow, kill parts at random for `minutes`, wait until all has healed, and verify.

    Raises
    ------
    StackError
        The stack has not healed within some minutes.
    """
    chance = random.Random(seed)  # noqa: S311 (it must repeat, not be secret)
    outcome, start = Outcome(), time.monotonic()
    pipelines = [pipeline for pipeline in load_all(settings) if pipeline.dataset]
    began = time.time()
    with loaded(settings, pipelines, rate, seed):
        while time.monotonic() - start < minutes * 60:
            pause, parts, calm = draw(chance, names(settings))
            if calm:
                _wait_for_work(settings, pipelines)
            time.sleep(pause)
            for part in parts:
                pids = kill(settings, part)
                at = time.monotonic() - start
                say(f"{at:6.1f} s  kill -9 {part} {pids or '(was not running)'}")
                if pids:
                    outcome.kills.append((at, part))
    say("no more kills; waiting until everything is answered")
    for pipeline in pipelines:
        wait_until(lambda p=pipeline: answered(settings, p), _SETTLE_S, f"{pipeline.name} to be answered")  # type: ignore[misc]
        found = Store.of(settings).restores(pipeline.name)
        outcome.restores[pipeline.name] = [restore for restore in found if restore.time_s >= began]
        with Broker(settings) as broker:
            lineage, snapshots, stream = verification.collect(broker, pipeline)
            report = verify(pipeline, lineage, stream, snapshots, key=settings.checkpoint_key)
        outcome.reports[pipeline.name] = report
        for line in verification.format_report(report, time.monotonic() - start):
            say(line)
    return outcome


def names(settings: Settings) -> list[str]:
    """Return the parts that may be killed."""
    found = [process["name"] for process in Supervisor(settings).processes()]
    return [*sorted(name for name in found if not name.startswith("replay-")), WORKER]


def draw(chance: random.Random, parts: list[str]) -> tuple[float, list[str], bool]:
    """Draw the next kill: seconds to wait, the parts, and whether to wait first until all jobs work again."""
    count = 2 if chance.random() < _TWO_AT_ONCE else 1
    # The worker is what most often goes: it is where the learning is.
    weighted = [*parts, *[WORKER, WORKER, "taskmanager"]]
    return (
        chance.uniform(*_PAUSE_S),
        sorted({chance.choice(weighted) for _ in range(count)}),
        chance.random() < _CALM,
    )


def _wait_for_work(settings: Settings, pipelines: list[Pipeline]) -> None:
    """Return when every pipeline has new committed answers, or after a while."""
    starts = {pipeline.name: health.predictions(settings, pipeline) for pipeline in pipelines}
    deadline = time.monotonic() + _CALM_S
    while time.monotonic() < deadline:
        if all(health.predictions(settings, pipeline) > starts[pipeline.name] > 0 for pipeline in pipelines):
            return
        time.sleep(_LOOK_S)


def kill(settings: Settings, part: str) -> list[int]:
    """`kill -9` a part; return the processes that were killed."""
    if part == WORKER:
        pids = [p.pid for p in processes.ours(settings.home) if _is_worker(p)]
    else:
        known = Supervisor(settings).processes()
        pids = [process["pid"] for process in known if process["name"] == part and process["pid"]]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "pyflink.fn_execution" in " ".join(process.cmdline())
    return False


def answered(settings: Settings, pipeline: Pipeline) -> bool:
    """Whether everything runs, and every record has a committed answer."""
    try:
        with Broker(settings) as broker:
            register, stream = LineageRegister(broker, pipeline), KafkaStream(broker, pipeline)
            lineage = register.current()
            if lineage is None or not health.job(settings, pipeline.name):
                return False
            end, resumed = stream.end(), register.resume_at(lineage)
            return resumed >= end or not stream.may_be_lost(resumed, end)
    except StreamlearnError:
        return False


@contextmanager
def loaded(settings: Settings, pipelines: list[Pipeline], rate: float, seed: int) -> Iterator[None]:
    """Replay every topic's data for the length of a `with`, starting again whatever ends."""
    with ExitStack() as stopping:
        for pipeline in sources(pipelines):
            share = rate * _SHARE.get(pipeline.name, 0.1)
            command = [sys.executable, "-m", "streamlearn", "replay", *named(pipeline)]
            command += ["--loop", "--rate", f"{share:g}", "--seed", str(seed)]
            script = 'while :; do "$@" && exit; sleep 1; done'
            process = subprocess.Popen(
                ["/bin/sh", "-c", script, "replay", *command],
                env=inherited({**settings.environment(), **processes.mark(settings.home)}),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            stopping.callback(_stop, process)
        yield


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Let a replay flush what it has sent, and end."""
    for number, patience_s in ((signal.SIGINT, 60.0), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            return
    raise StackError("a replay does not end")
