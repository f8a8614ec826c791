"""Starts the server: the command's process becomes gunicorn."""

import os
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from serving import files
from streamlearn.errors import BadSetting, StackError
from streamlearn.learning.blas import ONE_BLAS_THREAD
from streamlearn.settings import Settings, inherit_env

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
    host = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
    bind = f"{host}:{settings.http_port}"
    echo(f"serving on http://{bind}/")
    command = [sys.executable, "-m", "gunicorn", "--bind", bind, "--workers", str(settings.http_workers)]
    command += ["--worker-class", "gevent", "--worker-connections", str(_CONNECTIONS), "--no-control-socket"]
    command += ["--keep-alive", str(_KEEP_ALIVE_S), "--graceful-timeout", str(_DRAIN_S)]
    # No proxy stands in front of it, so proxies' headers are not trusted.
    command += ["--forwarded-allow-ips", "", "--forwarder-headers", ""]
    command += ["--config", "python:serving.processes", "serving.app:create_worker_app()"]
    sys.stdout.flush()
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(files.metrics_dir(settings)), **ONE_BLAS_THREAD}
    environment = inherit_env({**settings.environment(), **variables})
    os.execve(sys.executable, command, environment)  # noqa: S606 (our own interpreter, no shell)


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
