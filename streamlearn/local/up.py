"""Start and stop the local stack as a whole, and report its status."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from flink_jobs.java import class_archive, command_lines
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.errors import StackError, StreamlearnError
from streamlearn.local import health, processes
from streamlearn.local.configuration import write_variables
from streamlearn.local.services import Service, prepare_services, select_replayed
from streamlearn.local.supervisor import Supervisor
from streamlearn.operations.job_state import describe_trouble, find_missing_answer
from streamlearn.operations.looking import gather_facts
from streamlearn.operations.verdict import judge
from streamlearn.pipelines.announced import load_known
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import ONE_BLAS_THREAD, Settings
from streamlearn.storage.store import Store

_START_S = 240.0
_STOP_S = 60.0
_REPORT_S = 5.0
_SWEEPS = 5
_FAILED_STATES = frozenset({"FATAL", "BACKOFF"})
"""supervisord's names for the states of a service that does not start."""


@dataclass(frozen=True)
class Step:
    """A condition to wait for while the stack starts."""

    condition: str
    """What must be so, for people: "Redis answers"."""
    is_met: Callable[[], object]
    service: str
    """The service whose log tells why the condition is not met."""


@dataclass(frozen=True)
class PartStatus:
    """One line of `streamlearn status`."""

    name: str
    state: str
    """In a word, for people."""
    detail: str = ""
    failed: bool = False
    """Whether the stack does not work because of this part."""


def start_stack(settings: Settings, *, replay: bool, echo: Callable[[str], None]) -> None:
    """Start the stack unless it runs, and return once it works.

    With `replay`, it works once the first predictions of every pipeline are served; without, once the server
    answers and every job runs. A stack that runs already is left as it is, but for the replays: those that do
    not run are started.

    Raises
    ------
    StackError
        A port is taken, a part is not installed, or a part does not start in time.
    """
    supervisor = Supervisor(settings)
    if supervisor.alive:
        echo("the stack runs already")
        if replay:
            for process in supervisor.list_processes():
                if process["name"].startswith("replay-"):
                    supervisor.start_service(process["name"])
    else:
        _end_leftovers(settings, echo)
        services = prepare_services(settings, echo)
        _check_ports(services)
        write_variables(settings.started_with, settings.environment(secrets=False))
        supervisor.start(
            services, {**command_lines.build_environment(settings), **ONE_BLAS_THREAD}, replay=replay
        )
        echo("starting " + ", ".join(service.name for service in services if replay or not service.replay))
    replayed = {process["name"] for process in supervisor.list_processes()} if replay else set()
    for step in _list_steps(settings, replayed):
        _wait_for(step, settings, supervisor, echo)
    class_archive.make_archives(settings, echo)


def stop_stack(settings: Settings, echo: Callable[[str], None]) -> None:
    """Stop everything that the stack at this home has started, even if its supervisor has died."""
    supervisor = Supervisor(settings)
    if supervisor.alive:
        echo("stopping the services")
        supervisor.shut_down()
        deadline = time.monotonic() + _STOP_S
        while processes.find_processes(settings.home) and time.monotonic() < deadline:
            time.sleep(0.2)
    _end_leftovers(settings, echo)
    settings.started_with.unlink(missing_ok=True)
    echo("stopped")


def report_status(settings: Settings) -> Iterator[PartStatus]:
    """Yield the status of every service, whether each part answers, and the verdict on each pipeline."""
    supervisor = Supervisor(settings)
    if not supervisor.alive:
        looked_in = settings.home.absolute()
        yield PartStatus("stack", "down", f"`streamlearn up` starts it; looked in {looked_in}", failed=True)
        for home in processes.list_homes():
            yield PartStatus("another stack", "runs", f"STREAMLEARN_HOME={home}")
        return
    for process in supervisor.list_processes():
        state = process["statename"]
        detail = (
            f"pid {process['pid']}, for {process['now'] - process['start']} s" if state == "RUNNING" else ""
        )
        yield PartStatus(process["name"], state.lower(), detail, failed=state in _FAILED_STATES)
    for step in _list_steps(settings, set()):
        is_met = bool(step.is_met())
        yield PartStatus(step.condition, "yes" if is_met else "NO", failed=not is_met)
    pipelines = load_known(settings)
    for pipeline, facts in zip(pipelines, gather_facts(settings, pipelines), strict=True):
        verdict = judge(facts)
        state = {"up": "well", "wait": "look", "down": "TROUBLE"}[verdict.level]
        advice = f"; {verdict.advice.format()}" if verdict.advice else ""
        is_down = verdict.level == "down"
        yield PartStatus(pipeline.name, state, verdict.format() + advice, failed=is_down)
        yield from _report_troubles(settings, pipeline)


def list_urls(settings: Settings) -> list[tuple[str, str]]:
    """Return the addresses that a user may open, each after its description."""
    return [
        ("the page to draw a digit", health.server_url(settings) + "/"),
        ("Flink's web UI", settings.flink),
        ("metrics for Prometheus", f"http://localhost:{settings.taskmanager_metrics_port}/metrics"),
        ("Kafka", settings.kafka),
    ]


def _report_troubles(settings: Settings, pipeline: Pipeline) -> Iterator[PartStatus]:
    """Yield what keeps a pipeline from learning; what cannot be asked is reported as not answering."""
    name = f"{pipeline.name}: learn"
    with suppress(StreamlearnError), Store.of(settings) as store:
        if progress := store.recovery_progress(pipeline.name):
            yield PartStatus(name, "waits", progress)
    with suppress(StreamlearnError):
        if trouble := describe_trouble(settings, pipeline.name):
            where = _describe_position(settings, pipeline) if trouble.lasts else ""
            state = "TROUBLE" if trouble.lasts else "again"
            yield PartStatus(name, state, trouble.reason + where, trouble.lasts)
    with suppress(StreamlearnError):
        # Flink also counts what it had committed already when a part was killed.
        failed = health.count_failed_commits(settings, pipeline.name)
        missing = find_missing_answer(settings, pipeline) if failed else None
        if missing is not None:
            partition, offset = missing
            where = f"offset {offset}" + (f" of partition {partition}" if partition else "")
            reason = f"the record at {where} has no answer: its transaction was not committed"
            advice = f"`streamlearn verify {pipeline.name}` tells what else is missing"
            yield PartStatus(name, "TROUBLE", f"{reason}; {advice}", failed=True)


def _describe_position(settings: Settings, pipeline: Pipeline) -> str:
    """Return up to where a pipeline's stream is answered; empty where that cannot be told."""
    with suppress(StreamlearnError), Broker(settings) as broker:
        register = LineageRegister(broker, pipeline)
        if lineage := register.current():
            last = [register.first_unanswered(lineage, partition) - 1 for partition in lineage.partitions]
            word = "offset" if len(last) == 1 else "the offsets"
            return f"; answered up to {word} {', '.join(map(str, last))}"
    return ""


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt, as Ctrl-C does, on a termination or when the terminal is closed."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    yield


def _list_steps(settings: Settings, replayed: set[str]) -> Iterator[Step]:
    """Yield the conditions under which the stack works; `replayed` names the replays that run."""
    yield Step("Redis answers", partial(health.is_redis_up, settings), "redis")
    yield Step("Kafka answers", partial(health.is_kafka_up, settings), "kafka")
    yield Step("Flink has a TaskManager", partial(health.is_flink_up, settings), "taskmanager")
    yield Step("the server answers", partial(health.is_server_up, settings), "server")
    pipelines = load_all(settings)
    for pipeline in pipelines:
        name = pipeline.name
        yield Step(f"{name}: learn runs", partial(health.is_job_running, settings, name), "submit")
    replays = {source.topic: f"replay-{source.name}" for source in select_replayed(pipelines)}
    for pipeline in pipelines:
        name, replay = pipeline.name, replays.get(pipeline.topic)
        if replay in replayed:
            written = partial(health.sum_prediction_ends, settings, pipeline)
            yield Step(f"{name}: predictions are written", written, replay)
            yield Step(f"{name} is served", partial(health.is_model_ready, settings, name), "server")


def _wait_for(step: Step, settings: Settings, supervisor: Supervisor, echo: Callable[[str], None]) -> None:
    start = reported = time.monotonic()
    while not step.is_met():
        now = time.monotonic()
        if not supervisor.alive:
            raise StackError(f"the supervisor has ended; see {settings.home / 'log' / 'supervisord.log'}")
        if now - start > _START_S:
            raise StackError(
                f"waited {_START_S:.0f} s in vain until {step.condition};"
                f" see {settings.home / 'log' / step.service}.log"
            )
        if now - reported > _REPORT_S:
            echo(f"  waiting until {step.condition} … {now - start:.0f} s")
            reported = now
        time.sleep(0.2)
    echo(f"✓ {step.condition}")


def _check_ports(services: list[Service]) -> None:
    taken = [
        f"port {port} ({name}) is taken by {processes.describe_port_holder(port)}"
        for service in services
        for name, port in service.ports.items()
        if not processes.is_port_free(port)
    ]
    if taken:
        raise StackError("; ".join(taken) + ". Stop that process, or choose another port (docs/settings.md)")


def _end_leftovers(settings: Settings, echo: Callable[[str], None]) -> None:
    """End the processes that are left, several times: a process may start another while it ends."""
    for _ in range(_SWEEPS):
        leftovers = processes.find_processes(settings.home)
        if not leftovers:
            return
        echo(f"ending {len(leftovers)} processes that were left behind")
        processes.terminate(leftovers)
    pids = " ".join(str(process.pid) for process in leftovers)
    raise StackError(f"some processes of the stack do not end; end them yourself: kill -9 {pids}")
