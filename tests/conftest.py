"""The fixtures and the tiers: what a test takes decides where it runs.

A test that takes `browser` belongs to the tier *browser*, one that takes `stack` to *stack*, one that takes
`broker` to *broker*; `@pytest.mark.release` puts a test into *release* whatever it takes. All others are
*unit*. `-m TIER` selects one tier.
"""

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import KEY, LINEAGE, ListStream, Make
from stacks import Server, Stack, free_port, free_settings, running_broker, running_server, running_stack

from serving.app import create_app
from streamlearn.datasets import pm25
from streamlearn.engine.worker import Worker
from streamlearn.errors import DataUnavailable
from streamlearn.learning import process
from streamlearn.local.services import find_redis_server
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import ONE_BLAS_THREAD, Settings
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage
from streamlearn.waiting import wait_until

# Commands find the pipelines of tests here, as the tests do; the workers of a stack do not (`stacks.Stack`).
os.environ["PYTHONPATH"] = str(Path(__file__).parent)
# As every process that learns: threads of several test processes would wait for each other, spinning, which
# takes ten times the CPU; and they may add in another order.
os.environ.update(ONE_BLAS_THREAD)
process.pin_blas_threads()
# Here a JVM runs for minutes, and starts often: to compile its code twice costs more than it brings.
os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# Commands run in this process, which goes on: each would collect all garbage, and then leave it to nobody.
process.relieve_collector = lambda: None

TIERS = ("unit", "broker", "stack", "browser", "release")

LONGEST = tuple(
    f"test_{name}.py"
    for name in (
        "server",
        "pm25_years",
        "init",
        "report",
        "bench_serving",
        "check",
        "survival",
        "many_partitions",
        "warehouse_jobs",
        "poison",
        "cluster",
        "sql",
        "repair",
        "backfill",
    )
)
"""Files that begin first, in this order, so that no process is left alone with one of them at the end."""


def pytest_configure() -> None:
    """Let SIGTERM end the tests as Ctrl-C does, so that everything that they have started is stopped.

    SIGINT as well: a process that a shell runs in the background ignores it, and so do its children.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while modules are imported: all that they make stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its tier before `-m` selects; the longest files go first, then the quick tiers."""
    tiers = {id(item): find_tier(item) for item in items}
    for item in items:
        item.add_marker(tiers[id(item)])
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (ranks.get(item.path.name, len(ranks)), TIERS.index(tiers[id(item)])))


def find_tier(item: pytest.Item) -> str:
    if item.get_closest_marker("release"):
        return "release"
    taken = getattr(item, "fixturenames", ())
    return next((tier for tier in ("browser", "stack", "broker") if tier in taken), "unit")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what did not run here, so that nobody takes it for passed."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("NOT RUN HERE", red=True)
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            terminalreporter.write_line(f"{report.nodeid}: {reason}")


@pytest.fixture(scope="session")
def pm25_csv() -> str:
    """The path of the PM2.5 file: the one that the settings name, else the download in the cache."""
    settings = Settings.load()
    try:
        pm25.load(settings)
    except DataUnavailable as error:
        pytest.skip(str(error))
    return settings.pm25_csv or str(settings.cache / "pm25.csv")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, without the replays, on free ports and in a folder of its own."""
    # A slot each for digits, pm25, and three pipelines that tests bring along, or four workers of one.
    settings = free_settings(tmp_path_factory.mktemp("stack"), flink_slots=6)
    with running_stack(settings) as stack:
        yield stack


@pytest.fixture(scope="session")
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> Iterator[Settings]:
    """Kafka and Redis; each test takes topics of its own.

    Where tests of the stack run as well, it is the stack's Kafka: a second one would idle beside it.
    """
    home = tmp_path_factory.mktemp("broker")
    if any("stack" in getattr(item, "fixturenames", ()) for item in request.session.items):
        kafka = request.getfixturevalue("stack").settings.kafka
        yield free_settings(home, redis=redis_url, kafka=kafka)
        return
    settings = free_settings(home, redis=redis_url)
    with running_broker(settings):
        yield settings


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
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in; modules that are imported from it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    # Not by `syspath_prepend`, which forgets all that the importer knows: another thread may be importing.
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(f"{tmp_path}/"):
            del sys.modules[name]


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
        defaults = Settings(home=tmp_path, redis=redis_url, model_poll_ms=20, flink="http://localhost:1")
        apps.append(create_app(replace(defaults, **settings)))
        if "kafka" not in settings:
            apps[-1].extensions["backlogs"].stop()
        return apps[-1]

    yield build
    for app in apps:
        for cache in app.extensions["models"].values():
            cache.stop()
        for part in ("jobs", "backlogs", "arrivals", "lineages", "live", "summarized"):
            app.extensions[part].stop()
        # Its lines belong to this test's log, not to the next one's.
        app.extensions["telemetry"].write()


@pytest.fixture
def start_server(store: Store, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers on the real Redis; they end with the test."""
    with ExitStack() as servers:

        def start(**settings: Any) -> Server:
            home = tmp_path / str(free_port())
            home.mkdir()
            return servers.enter_context(running_server(home, **{"redis": redis_url, **settings}))

        yield start


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
    """A real headless Chromium."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert path, "Chromium is not installed: install the package chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--disable-background-networking", "--disable-quic", "--disable-component-update"]
        arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
        chrome = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chrome
        chrome.close()
