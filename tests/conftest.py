"""The fixtures: a real Redis for quick tests, and one real stack that all other tests share."""

import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask import Flask
from helpers import KEY, LINEAGE, ListStream, Make

from serving.app import create_app
from streamlearn.engine.worker import Worker
from streamlearn.local.services import find_redis_server
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings, inherit_env
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage
from streamlearn.waiting import wait_until

ROOT = Path(__file__).parent.parent
KEPT = ROOT.parent / "shared" / "data" / "PRSA_data_2010.1.1-2014.12.31.csv"
"""The path of a copy of the PM2.5 data, which tests use if it exists."""

if KEPT.exists():
    os.environ.setdefault("STREAMLEARN_PM25_CSV", str(KEPT))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_configure() -> None:
    """Let SIGTERM end the tests as Ctrl-C does, so that everything that they have started is stopped.

    SIGINT as well: a process that a shell runs in the background ignores it, and so do its children.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests that run on the real stack, and those that need a browser."""
    if "stack" in getattr(item, "fixturenames", ()):
        item.add_marker("stack")
    if "browser" in getattr(item, "fixturenames", ()):
        item.add_marker("browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick tests first, browsers last."""
    items.sort(key=lambda item: ("browser" in item.keywords, "stack" in item.keywords))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("on the real Kafka, Flink and Redis")
    for report in terminalreporter.stats.get("passed", []):
        if "stack" in report.keywords:
            browser = " (Chromium)" if "browser" in report.keywords else ""
            terminalreporter.write_line(f"{report.nodeid} {report.duration:.1f} s{browser}")


@dataclass(frozen=True)
class Stack:
    """A running local stack, on which commands can be called."""

    settings: Settings

    def run(
        self, *command: str, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a command line as a user would, from the checkout."""
        process = subprocess.run(
            command,
            cwd=ROOT,
            env=inherit_env(self.settings.environment()),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or process.returncode == 0, process.stdout + process.stderr
        return process

    def streamlearn(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(".venv/bin/streamlearn", *arguments, check=check)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.settings.http_port}"


@pytest.fixture(scope="session")
def pm25_csv() -> str:
    """The path of the PM2.5 file: the one that the settings name, or the copy for tests."""
    path = Settings.load().pm25_csv
    if not path:
        pytest.skip("there is no copy of the PM2.5 data; name one in STREAMLEARN_PM25_CSV")
    return path


def free_settings(home: Path, **more: object) -> Settings:
    """Return the settings of another stack, on ports that are free."""
    ports = {option.name: free_port() for option in fields(Settings) if option.name.endswith("_port")}
    addresses = {
        "kafka": f"localhost:{free_port()}",
        "redis": f"redis://:a%20pass%22word@localhost:{free_port()}/0",
        "flink": f"http://localhost:{free_port()}",
    }
    shared = {"cache": ROOT / ".streamlearn" / "cache", "pm25_csv": Settings.load().pm25_csv}
    shared["checkpoint_key"] = KEY
    return Settings(home=home, **{**ports, **addresses, **shared, **more})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start the stack, without the replays, on free ports and in a folder of its own."""
    # A slot each for digits, pm25, and three pipelines that tests bring along.
    settings = free_settings(tmp_path_factory.mktemp("stack"), flink_slots=5)
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


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis server, started for the quick tests."""
    port = free_port()
    server = subprocess.Popen(
        [find_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd=tmp_path_factory.mktemp("redis"),
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://localhost:{port}/0"
    try:
        wait_until(lambda: _answers(url), 20, "the test's Redis")
        yield url
    finally:
        server.kill()
        server.wait()


def _answers(url: str) -> bool:
    import redis

    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    """An empty store on the real Redis."""
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    store = Store(redis_url)
    yield store
    store.close()


@pytest.fixture
def make_app(store: Store, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Make the server's application on the real Redis; it polls for models until the test ends."""
    apps: list[Flask] = []

    def build(**settings: Any) -> Flask:
        defaults = Settings(home=tmp_path, redis=redis_url, model_poll_ms=20)
        apps.append(create_app(replace(defaults, **settings)))
        return apps[-1]

    yield build
    for app in apps:
        for cache in app.extensions["models"].values():
            cache.stop()


@dataclass
class Server:
    """A server, as `streamlearn serve` starts it."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, timeout: float = 10) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=timeout) as response:
            return json.load(response)


@contextmanager
def running_server(home: Path, **settings: Any) -> Iterator[Server]:
    """Start a server, without Kafka and Flink, and end it."""
    configured = replace(Settings(home=home, http_port=free_port(), model_poll_ms=50), **settings)
    log = home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [ROOT / ".venv/bin/streamlearn", "serve"],
            env=inherit_env(configured.environment()),
            stdout=output,
            stderr=output,
        )
    server = Server(f"http://127.0.0.1:{configured.http_port}", process, log)
    try:
        wait_until(
            lambda: (
                process.poll() is not None or (lives(server) and listening(server) == configured.http_workers)
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


@pytest.fixture
def start_server(store: Store, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers on the real Redis; they end with the test."""
    with ExitStack() as servers:

        def start(**settings: Any) -> Server:
            home = tmp_path / str(free_port())
            home.mkdir()
            return servers.enter_context(running_server(home, **{"redis": redis_url, **settings}))

        yield start


def listening(server: Server) -> int:
    """Return how many processes of a server accept connections."""
    return sum(
        connection.status == psutil.CONN_LISTEN
        for child in psutil.Process(server.process.pid).children()
        for connection in child.net_connections("tcp")
    )


def lives(server: Server) -> bool:
    try:
        return bool(server.get("/v2/health/live")["live"])
    except OSError:
        return False


@pytest.fixture
def stream() -> ListStream:
    """A stream in memory; the stack has real ones."""
    return ListStream()


@pytest.fixture
def make(store: Store, redis_url: str, stream: ListStream) -> Make:
    """Make a worker that learns digits, on the real Redis and the stream in memory."""

    def worker(
        committed: Callable[[], int | None] = lambda: None,
        lineage: Lineage = LINEAGE,
        pipeline: Pipeline = digits.pipeline,
        **settings: Any,
    ) -> Worker:
        defaults = Settings(redis=redis_url, redis_wait_s=1, journal_wait_s=0, checkpoint_key=KEY)
        return Worker(
            pipeline, lineage, replace(defaults, **settings), store=store, stream=stream, committed=committed
        )

    return worker


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """A real headless Chromium; where there is none, the tests that need it are skipped."""
    path = chromium()
    if path is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--disable-background-networking", "--disable-quic", "--disable-component-update"]
        arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
        chrome = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chrome
        chrome.close()
