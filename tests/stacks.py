"""A local stack, a broker alone and a server, as tests start them: on free ports, in folders of their own."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import psutil
from click.testing import CliRunner
from helpers import KEY
from reading import Topic, send

from streamlearn.cli.main import main
from streamlearn.errors import StoreUnavailable
from streamlearn.local import chaos, configuration, health, processes, services
from streamlearn.local.supervisor import Supervisor
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings, inherit_env
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Restore
from streamlearn.waiting import wait_until

ROOT = Path(__file__).parent.parent

FLINK_PROPERTIES = """\
heartbeat.interval: 500
heartbeat.timeout: 6000
"""
"""Options of Flink with which a test need not wait long until a dead part is noticed."""


_PORTS_A_PROCESS = 3000


def _list_ports() -> Iterator[int]:
    """Yield the ports of this process of the tests, over and over; another run's begin elsewhere."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10_000 + worker * _PORTS_A_PROCESS
    for number in itertools.count(os.getpid()):
        yield first + number % _PORTS_A_PROCESS


_ports = _list_ports()


def free_port() -> int:
    """Return a port that nobody listens on.

    It stays free until it is listened on: no other process of the tests is given it, and the system gives it
    to no connection, since those have ports above 32,767.
    """
    return next(filter(processes.is_port_free, _ports))


def free_settings(home: Path, **more: object) -> Settings:
    """Return the settings of another stack, on ports that are free."""
    ports = {option.name: free_port() for option in fields(Settings) if option.name.endswith("_port")}
    addresses = {
        "kafka": f"localhost:{free_port()}",
        "redis": f"redis://:a%20pass%22word@localhost:{free_port()}/0",
        "flink": f"http://localhost:{free_port()}",
    }
    shared = {"cache": ROOT / ".streamlearn" / "cache", "pm25_csv": Settings.load().pm25_csv}
    shared |= {"checkpoint_key": KEY, "restart_wait_s": 1.0}
    return Settings(home=home, **{**ports, **addresses, **shared, **more})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Stack:
    """A running local stack, on which commands can be called."""

    settings: Settings
    python_path: str = ""
    """Where commands find pipelines that are not installed; Flink's workers do not look there."""

    def environment(self) -> dict[str, str]:
        """Return the environment of a command."""
        more = {"PYTHONPATH": self.python_path, "FLINK_PROPERTIES": FLINK_PROPERTIES}
        return inherit_env({**self.settings.environment(), **more})

    def run(
        self, *command: str, check: bool = True, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a command line as a user would, from the checkout."""
        process = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or process.returncode == 0, process.stdout + process.stderr
        return process

    def streamlearn(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Call a command in this process, which has imported everything already."""
        done = CliRunner().invoke(main, arguments, env=self.environment())
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert not check or done.exit_code == 0, done.output
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.settings.http_port}"

    def find_service(self, name: str) -> psutil.Process:
        listed = Supervisor(self.settings).list_processes()
        return next(psutil.Process(service["pid"]) for service in listed if service["name"] == name)


@contextmanager
def running_stack(settings: Settings) -> Iterator[Stack]:
    """Start a stack without the replays, and stop it."""
    stack = Stack(settings)
    try:
        process = stack.run("scripts/up", "--detach", "--no-replay", check=False, timeout=600)
        assert process.returncode == 0, process.stdout + process.stderr + _read_logs(settings.home)
        yield stack
    finally:
        stack.run("scripts/down", check=False)


def _read_logs(home: Path) -> str:
    return "".join(
        f"\n--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in home.glob("log/*.log")
    )


@dataclass(frozen=True)
class Trial:
    """A pipeline of some tests' own, whose job runs on a stack that others use as well."""

    stack: Stack
    pipeline: Pipeline

    @property
    def settings(self) -> Settings:
        return self.stack.settings

    def streamlearn(
        self, command: str, *arguments: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this pipeline."""
        words = command.split()
        named = ["models", self.pipeline.reference, *words[1:]] if words[0] == "models" else [
            *words, "--pipeline", self.pipeline.reference,
        ]  # fmt: skip
        return self.stack.streamlearn(*named, *arguments, check=check)

    def replay(self, count: int, seed: int = 0) -> None:
        """Send records of the pipeline's data set, as fast as it goes."""
        self.streamlearn("replay", "--rate", "0", "--limit", str(count), "--seed", str(seed))

    def settle(self, timeout_s: float = 300) -> None:
        """Wait until every record has a committed answer."""
        wait_until(
            lambda: chaos.is_caught_up(self.settings, self.pipeline),
            timeout_s,
            f"every record of {self.pipeline.name} to be answered",
            every_s=0.2,
        )

    def verify(self, *options: str) -> dict[str, Any]:
        """Wait until every record has its answer, then verify as a user would; return the report."""
        self.settle()
        process = self.streamlearn("verify", "--json", *options, check=False)
        report: dict[str, Any] = json.loads(process.stdout)
        assert (process.returncode, report.get("differences")) == (0, []), report
        assert report["snapshots"] > 0
        return report

    def newest_job(self) -> flink_api.Job:
        job = flink_api.newest_job(self.settings, job_name(self.pipeline.name))
        assert job is not None
        return job

    def list_restores(self) -> list[Restore]:
        """Return what each start of the job's worker has found, the newest last."""
        store = Store.of(self.settings)
        try:
            return store.restores(self.pipeline.name)
        finally:
            store.close()

    def count_restores(self) -> int:
        """Count the starts of the job's worker; none while Redis is away."""
        try:
            return len(self.list_restores())
        except StoreUnavailable:
            return 0

    @contextmanager
    def running_server(self, home: Path) -> Iterator["Server"]:
        """Start a server of this pipeline alone, and end it."""
        names = ("kafka", "redis", "flink", "checkpoint_key", "pipelines")
        with running_server(home, **{name: getattr(self.settings, name) for name in names}) as server:
            yield server

    def cancel(self) -> None:
        """Cancel the job as the button in Flink's pages does."""
        flink_api.call(self.settings, f"/jobs/{self.newest_job().id}", method="PATCH")
        wait_until(lambda: self.newest_job().state == "CANCELED", 120, "the job to be cancelled")


@dataclass
class Topics:
    """The three topics of a trial, read without any code of the project."""

    trial: Trial
    records: Topic
    predictions: Topic
    dead: Topic

    def send(self, *values: bytes | None) -> int:
        """Append records; return the offset of the first."""
        return send(self.trial.settings.kafka, self.trial.pipeline.topic, list(values))

    def settle(self) -> None:
        """Wait until every record has its answer."""
        wait_until(self._is_settled, 300, "every record to be answered", every_s=0.2)

    def _is_settled(self) -> bool:
        self.records.read()
        answered = len(self.predictions.read().values) + len(self.dead.read().values)
        return answered >= len(self.records.values)


@contextmanager
def open_topics(trial: Trial) -> Iterator[Topics]:
    """Read the topics of a trial."""
    pipeline = trial.pipeline
    names = (pipeline.topic, pipeline.prediction_topic, pipeline.dead_letter_topic)
    with ExitStack() as readers:
        topics = [Topic(trial.settings.kafka, name) for name in names]
        for topic in topics:
            readers.callback(topic.close)
        yield Topics(trial, *topics)


@contextmanager
def running_trial(stack: Stack, reference: str, **more: Any) -> Iterator[Trial]:
    """Run the job of a pipeline of one's own on a stack, from nothing; then end its lineage.

    The stack's submitter keeps it running. `more` are settings of its own.
    """
    settings = replace(stack.settings, pipelines=reference, **more)
    trial = Trial(Stack(settings, python_path=str(ROOT / "tests")), load(reference))
    trial.streamlearn("reset", "--force", check=False)
    trial.streamlearn("train")
    try:
        wait_until(
            lambda: health.is_job_running(settings, trial.pipeline.name),
            300,
            f"{reference} to run",
            every_s=0.2,
        )
        yield trial
    finally:
        trial.streamlearn("reset", "--force", check=False)


@contextmanager
def keeping(trial: Trial) -> Iterator[None]:
    """Keep a trial's job running where the stack's submitter is stopped."""
    settings = trial.settings
    command = [sys.executable, "-m", "streamlearn", "train", "--pipeline", trial.pipeline.reference, "--keep"]
    with (settings.home / "log" / f"submit-{trial.pipeline.name}.log").open("ab") as log:
        keeper = subprocess.Popen(command, env=trial.stack.environment(), stdout=log, stderr=log)
    try:
        yield
    finally:
        keeper.kill()
        keeper.wait()


def read_metrics(settings: Settings, job: str) -> dict[str, float]:
    """Read the metrics of a job's learning from Flink's own Prometheus endpoint."""
    url = f"http://localhost:{settings.taskmanager_metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        text = response.read().decode()
    return {
        name: float(value)
        for name, labels, value in re.findall(r"^\w+_online_ml_(\w+)\{([^}]*)\} (\S+)$", text, re.MULTILINE)
        if f'job_name="{job.replace(" ", "_")}"' in labels
    }


class Kafka:
    """A broker alone, which a test may stop, kill and start again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        home = settings.home
        for folder in ("conf", "kafka"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        configuration.write_kafka(home / "conf" / "kafka.properties", settings, home / "kafka" / "data")
        self._command = services.build_kafka(settings, home, print).command
        self._log = home / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start the broker, and wait until it answers."""
        with self._log.open("ab") as output:
            process = subprocess.Popen(self._command, stdout=output, stderr=output, start_new_session=True)
        self._process = process
        wait_until(
            lambda: process.poll() is not None or health.is_kafka_up(self.settings),
            120,
            "the tests' Kafka",
            every_s=0.2,
        )
        assert process.poll() is None, self._log.read_text()

    def signal(self, number: int) -> None:
        """Send a signal to the broker's processes."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End the broker as `kill -9` does; what it has acknowledged stays in its files."""
        self.signal(signal.SIGKILL)
        if self._process:
            self._process.wait()
            self._process = None


@contextmanager
def running_broker(settings: Settings) -> Iterator[Kafka]:
    """Start Kafka alone, and end it."""
    kafka = Kafka(settings)
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.kill()


@dataclass
class Server:
    """A server, as `streamlearn serve` starts it."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, timeout: float = 10) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=timeout) as response:
            return json.load(response)

    def ask(self, path: str, body: Any = None) -> Any:
        """Return the JSON of an answer, whatever its status."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(self.url + path, data, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def is_live(self) -> bool:
        try:
            return bool(self.get("/v2/health/live")["live"])
        except OSError:
            return False

    def count_listening(self) -> int:
        """Return how many of its processes accept connections."""
        return sum(
            connection.status == psutil.CONN_LISTEN
            for child in psutil.Process(self.process.pid).children()
            for connection in child.net_connections("tcp")
        )


@contextmanager
def running_server(home: Path, **settings: Any) -> Iterator[Server]:
    """Start a server, without Kafka and Flink, and end it."""
    configured = replace(Settings(home=home, http_port=free_port(), model_poll_ms=50), **settings)
    log = home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlearn", "serve"],
            env=inherit_env({**configured.environment(), "PYTHONPATH": str(ROOT / "tests")}),
            stdout=output,
            stderr=output,
        )
    server = Server(f"http://127.0.0.1:{configured.http_port}", process, log)
    try:
        wait_until(
            lambda: (
                process.poll() is not None
                or (server.is_live() and server.count_listening() == configured.http_workers)
            ),
            60,
            "all processes of the server",
        )
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
