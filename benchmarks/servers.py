"""Starts what benchmarks need: a Redis, applications under the project's server, a stack of its own."""

import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path

import click
import psutil

from serving import files, launch
from streamlearn.local import processes
from streamlearn.local.services import find_redis_server
from streamlearn.local.up import interrupt_on_signals
from streamlearn.settings import Settings, inherit_env
from streamlearn.waiting import wait_until


@contextmanager
def running_redis(home: Path) -> Iterator[str]:
    """Start a Redis alone, and end it; yield its URL."""
    port = find_free_port()
    command = [find_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _accepts(port), 20, "Redis", every_s=0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


@contextmanager
def running_server(settings: Settings, application: str = launch.APPLICATION) -> Iterator[psutil.Process]:
    """Start an application under the project's server, as `streamlearn serve` does, and end it."""
    files.clear(settings)
    environment = inherit_env({**settings.environment(), **launch.build_environment(settings)})
    log_path = settings.home / f"server-{settings.http_port}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            launch.build_command(settings, application), env=environment, stdout=log, stderr=log
        )
    server = psutil.Process(process.pid)
    try:
        wait_until(
            lambda: process.poll() is not None or _count_listening(server) == settings.http_workers,
            60,
            "the server",
            every_s=0.1,
        )
        if process.poll() is not None:
            raise click.ClickException(log_path.read_text())
        yield server
    finally:
        process.terminate()
        process.wait(60)


def _count_listening(server: psutil.Process) -> int:
    return sum(
        connection.status == psutil.CONN_LISTEN
        for child in server.children()
        for connection in child.net_connections("tcp")
    )


def find_free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def choose_settings(home: Path) -> Settings:
    """Return the settings of a stack of its own, on free ports; the rest is as in the environment."""
    ports = {option.name: find_free_port() for option in fields(Settings) if option.name.endswith("_port")}
    base = Settings.load()
    return replace(
        base,
        **ports,  # type: ignore[arg-type]
        home=home,
        cache=base.cache.absolute(),
        secrets_file="",
        kafka=f"localhost:{find_free_port()}",
        redis=f"redis://:{secrets.token_hex(8)}@localhost:{find_free_port()}/0",
        flink=f"http://localhost:{find_free_port()}",
        checkpoint_key=secrets.token_hex(8),
    )


def run_command(settings: Settings, *arguments: str, check: bool = True) -> str:
    """Run a command of streamlearn's on a stack, and return what it prints.

    Raises
    ------
    click.ClickException
        It fails; with what it has printed.
    """
    command = [sys.executable, "-m", "streamlearn", *arguments]
    environment = inherit_env(settings.environment())
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    if check and process.returncode:
        printed = process.stdout + process.stderr
        raise click.ClickException(f"streamlearn {' '.join(arguments)} fails:\n{printed}")
    return process.stdout


@contextmanager
def running_stack(*, replay: bool = False) -> Iterator[Settings]:
    """Start a whole stack in a folder of its own, and stop it, also at Ctrl-C; yield its settings."""
    with interrupt_on_signals(), tempfile.TemporaryDirectory(prefix="streamlearn-bench-") as folder:
        settings = choose_settings(Path(folder))
        click.echo(f"starting a stack in {folder}")
        try:
            run_command(settings, "up", "--detach", *([] if replay else ["--no-replay"]))
            yield settings
        finally:
            click.echo("stopping it")
            run_command(settings, "down", check=False)


_PARTS = {
    "kafka.Kafka": "kafka",
    "StandaloneSessionClusterEntrypoint": "jobmanager",
    "TaskManagerRunner": "taskmanager",
    "pyflink.fn_execution": "worker",
    "redis-server": "redis",
    "streamlearn serve": "server",
    "gunicorn": "server",
    "streamlearn train": "submitter",
    "streamlearn replay": "replay",
    "supervisord": "supervisor",
}
"""What stands in the command line of each part of a stack."""


def list_parts(settings: Settings) -> dict[str, list[psutil.Process]]:
    """Return the processes of a stack by the part that they belong to."""
    parts: dict[str, list[psutil.Process]] = {}
    for process in processes.find_processes(settings.home):
        with suppress(psutil.Error):
            words = " ".join(process.cmdline())
            part = next((part for text, part in _PARTS.items() if text in words), "other")
            parts.setdefault(part, []).append(process)
    return parts


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
