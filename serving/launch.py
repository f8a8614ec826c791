"""Starts the server: the command's process becomes gunicorn."""

import os
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from serving import files
from streamlearn.errors import BadSetting, StackError
from streamlearn.settings import ONE_BLAS_THREAD, Settings, inherit_env

APPLICATION = "serving.app:create_worker_app()"
"""What gunicorn serves."""

_CONNECTIONS = 500
_KEEP_ALIVE_S = 10
_DRAIN_S = 20


def run_server(settings: Settings, echo: Callable[[str], None]) -> NoReturn:
    """Replace this process by gunicorn, which serves on the host and port of the settings.

    `echo` prints a line.

    Raises
    ------
    StackError
        The server cannot listen there: the port is taken, for example.
    BadSetting
        The host name cannot be resolved.
    """
    _check_listening(settings)
    files.clear(settings)
    echo(f"serving on http://{_bind_address(settings)}/")
    sys.stdout.flush()
    environment = inherit_env({**settings.environment(), **build_environment(settings)})
    os.execve(sys.executable, build_command(settings), environment)  # noqa: S606 (our own interpreter, no shell)


def build_command(settings: Settings, application: str = APPLICATION) -> list[str]:
    """Return the command that serves an application."""
    command = [sys.executable, "-m", "gunicorn", "--bind", _bind_address(settings)]
    command += ["--workers", str(settings.http_workers)]
    command += ["--worker-class", "gevent", "--worker-connections", str(_CONNECTIONS), "--no-control-socket"]
    command += ["--keep-alive", str(_KEEP_ALIVE_S), "--graceful-timeout", str(_DRAIN_S)]
    # No proxy stands in front of it, so proxies' headers are not trusted.
    command += ["--forwarded-allow-ips", "", "--forwarder-headers", ""]
    return [*command, "--config", "python:serving.processes", application]


def build_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that the command needs beside the settings."""
    return {"PROMETHEUS_MULTIPROC_DIR": str(files.metrics_dir(settings)), **ONE_BLAS_THREAD}


def _bind_address(settings: Settings) -> str:
    host = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
    return f"{host}:{settings.http_port}"


def _check_listening(settings: Settings) -> None:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.http_host, settings.http_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise BadSetting(f"STREAMLEARN_HTTP_HOST={settings.http_host!r}: {error.strerror}") from error
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StackError(
            f"the server cannot listen on {settings.http_host}, port {settings.http_port}: {reason};"
            " set STREAMLEARN_HTTP_PORT to another port"
        ) from error
