"""up, down, status: the local stack as a whole."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from flink_jobs.submit import environment
from streamlearn.errors import StackError
from streamlearn.learning.blas import ONE_BLAS_THREAD
from streamlearn.local import health, processes
from streamlearn.local.services import Service, prepare, sources
from streamlearn.local.supervisor import Supervisor
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import Settings

_START_S = 240.0
_STOP_S = 60.0
_TELL_S = 5.0
_SWEEPS = 5
_TROUBLED_STATES = frozenset({"FATAL", "BACKOFF"})
"""States of a service, as supervisord names them, in which it does not come up."""


@dataclass(frozen=True)
class Step:
    """Something to wait for while starting."""

    what: str
    done: Callable[[], object]
    service: str
    """Whose log tells why it does not come."""


@dataclass(frozen=True)
class PartStatus:
    """One line of `streamlearn status`."""

    name: str
    state: str
    """In a word, for people."""
    detail: str = ""
    troubled: bool = False
    """Whether the stack does not work as it should."""


def up(settings: Settings, *, replay: bool, say: Callable[[str], None]) -> None:
    """Start what does not run yet and return once it all works.

    With `replay`, that is once the first predictions of every pipeline are served; without, once the
    server is up. A stack that runs already is left as it is, and its missing replays are started.

    Raises
    ------
    StackError
        A port is taken, a part cannot be had, or one does not come up.
    """
    supervisor = Supervisor(settings)
    if supervisor.alive:
        say("the stack runs already")
        if replay:
            for process in supervisor.processes():
                if process["name"].startswith("replay-"):
                    supervisor.start_service(process["name"])
    else:
        _sweep(settings, say)
        services = prepare(settings, say)
        _check_ports(services)
        supervisor.start(services, {**environment(settings), **ONE_BLAS_THREAD}, replay=replay)
        say("starting " + ", ".join(service.name for service in services if replay or not service.replay))
    replayed = {process["name"] for process in supervisor.processes()} if replay else set()
    for step in _steps(settings, replayed):
        _wait(step, settings, supervisor, say)


def down(settings: Settings, say: Callable[[str], None]) -> None:
    """Stop everything that the stack at this home has started, also where its supervisor has died."""
    supervisor = Supervisor(settings)
    if supervisor.alive:
        say("stopping the services")
        supervisor.shut_down()
        deadline = time.monotonic() + _STOP_S
        while processes.ours(settings.home) and time.monotonic() < deadline:
            time.sleep(0.2)
    _sweep(settings, say)
    say("stopped")


def status(settings: Settings) -> Iterator[PartStatus]:
    """Yield the status of every service, and of every part whether it answers."""
    supervisor = Supervisor(settings)
    if not supervisor.alive:
        yield PartStatus("stack", "down", "`streamlearn up` starts it", troubled=True)
        return
    for process in supervisor.processes():
        state = process["statename"]
        detail = (
            f"pid {process['pid']}, for {process['now'] - process['start']} s" if state == "RUNNING" else ""
        )
        yield PartStatus(process["name"], state.lower(), detail, troubled=state in _TROUBLED_STATES)
    for step in _steps(settings, set()):
        answers = bool(step.done())
        yield PartStatus(step.what, "yes" if answers else "NO", troubled=not answers)
    for pipeline in load_all(settings):
        ready = health.ready(settings, pipeline.name)
        yield PartStatus(f"{pipeline.name} is served", "yes" if ready else "not yet")
        if trouble := health.trouble(settings, pipeline.name):
            yield PartStatus(f"{pipeline.name}: learn", "waits", trouble)


def urls(settings: Settings) -> list[tuple[str, str]]:
    """Return what a user may open, as (what, address)."""
    return [
        ("the page to draw a digit", health.server_url(settings) + "/"),
        ("Flink's web UI", settings.flink),
        ("metrics for Prometheus", f"http://localhost:{settings.taskmanager_metrics_port}/metrics"),
        ("Kafka", settings.kafka),
    ]


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Turn a termination or a closed terminal into KeyboardInterrupt, as Ctrl-C is."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    yield


def _steps(settings: Settings, replayed: set[str]) -> Iterator[Step]:
    """What to wait for; `replayed` holds the names of the replays that run."""
    yield Step("Redis answers", partial(health.redis, settings), "redis")
    yield Step("Kafka answers", partial(health.kafka, settings), "kafka")
    yield Step("Flink has a TaskManager", partial(health.flink, settings), "taskmanager")
    yield Step("the server answers", partial(health.server, settings), "server")
    pipelines = load_all(settings)
    for pipeline in pipelines:
        name = pipeline.name
        yield Step(f"{name}: learn runs", partial(health.job, settings, name), f"submit-{name}")
    replays = {source.topic: f"replay-{source.name}" for source in sources(pipelines)}
    for pipeline in pipelines:
        name, replay = pipeline.name, replays.get(pipeline.topic)
        if replay in replayed:
            written = partial(health.predictions, settings, pipeline)
            yield Step(f"{name}: predictions are written", written, replay)
            yield Step(f"{name} is served", partial(health.ready, settings, name), "server")


def _wait(step: Step, settings: Settings, supervisor: Supervisor, say: Callable[[str], None]) -> None:
    start = told = time.monotonic()
    while not step.done():
        now = time.monotonic()
        if not supervisor.alive:
            raise StackError("the supervisor has ended; its log is in " + str(settings.home / "log"))
        if now - start > _START_S:
            raise StackError(
                f"waited {_START_S:.0f} s in vain: {step.what}?"
                f" See {settings.home / 'log' / step.service}.log"
            )
        if now - told > _TELL_S:
            say(f"  waiting: {step.what} … {now - start:.0f} s")
            told = now
        time.sleep(0.2)
    say(f"✓ {step.what}")


def _check_ports(services: list[Service]) -> None:
    taken = [
        f"port {port} ({what}) is taken by {processes.holder(port)}"
        for service in services
        for what, port in service.ports.items()
        if not processes.free(port)
    ]
    if taken:
        raise StackError("; ".join(taken) + ". Stop it, or choose another port (docs/settings.md)")


def _sweep(settings: Settings, say: Callable[[str], None]) -> None:
    """End what is left behind, until nothing is: a process may start another while it ends."""
    for _ in range(_SWEEPS):
        left = processes.ours(settings.home)
        if not left:
            return
        say(f"ending {len(left)} processes that were left behind")
        processes.end(left)
    raise StackError(f"these processes do not end: {[process.pid for process in left]}")
