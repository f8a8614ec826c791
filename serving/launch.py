"""Starting the server: this process becomes gunicorn."""

import os
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from serving import files
from streamlearn.errors import BadSetting, StackError
from streamlearn.learning.blas import ONE_BLAS_THREAD
from streamlearn.settings import Settings, inherited

_CONNECTIONS = 500
_KEEP_ALIVE_S = 10
_DRAIN_S = 20


def run_server(settings: Settings, echo: Callable[[str], None]) -> NoReturn:
    """Become gunicorn, which serves on the address and port of the settings.

    Raises
    ------
    StackError
        The port is taken.
    BadSetting
        The address is none of this machine.
    """
    _check_free(settings)
    files.begin(settings)
    host = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
    bind = f"{host}:{settings.http_port}"
    echo(f"serving on http://{bind}/")
    command = [sys.executable, "-m", "gunicorn", "--bind", bind, "--workers", str(settings.http_workers)]
    command += ["--worker-class", "gevent", "--worker-connections", str(_CONNECTIONS), "--no-control-socket"]
    command += ["--keep-alive", str(_KEEP_ALIVE_S), "--graceful-timeout", str(_DRAIN_S)]
    # Nobody stands before it: headers of proxies are not believed.
    command += ["--forwarded-allow-ips", "", "--forwarder-headers", ""]
    command += ["--config", "python:serving.processes", "serving.app:create_worker_app()"]
    sys.stdout.flush()
    more = {"PROMETHEUS_MULTIPROC_DIR": str(files.metrics(settings)), **ONE_BLAS_THREAD}
    environment = inherited({**settings.environment(), **more})
    os.execve(sys.executable, command, environment)  # noqa: S606 (our own interpreter, no shell)


def _check_free(settings: Settings) -> None:
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
            " STREAMLEARN_HTTP_PORT names another"
        ) from error
