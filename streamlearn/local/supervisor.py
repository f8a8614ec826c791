"""Configure and call supervisord, which starts the services, restarts those that die, and stops them."""

import hashlib
import shlex
import subprocess
import sys
import tempfile
import xmlrpc.client
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from streamlearn.errors import StackError
from streamlearn.local.processes import mark_environment
from streamlearn.local.services import Service
from streamlearn.settings import Settings, inherit_env

_SOCKET_PATH_MAX = 100

_HEAD = """\
[supervisord]
pidfile={run}/supervisord.pid
logfile={log}/supervisord.log
logfile_maxbytes={log_mb}MB
logfile_backups=1
childlogdir={log}
identifier=streamlearn

[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""

_PROGRAM = """
[program:{name}]
command={command}
priority={priority}
autostart={autostart}
autorestart=true
startsecs=2
startretries=1000000
stopwaitsecs=25
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={log}/{name}.log
stdout_logfile_maxbytes={log_mb}MB
stdout_logfile_backups=1
"""


class Supervisor:
    """The supervisor of the stack at one home folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = settings.home.absolute()

    def _call(self, method: str, *arguments: Any) -> Any:
        # A connection stays unusable after a failure, so each call opens its own.
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    @property
    def alive(self) -> bool:
        """Whether supervisord answers."""
        try:
            self._call("getState")
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def start(self, services: list[Service], environment: dict[str, str], *, replay: bool) -> None:
        """Start the supervisor and, with it, the services.

        Raises
        ------
        StackError
            supervisord does not start.
        """
        config = self._home / "conf" / "supervisord.conf"
        config.write_text(self._format_configuration(services, replay=replay))
        process = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(config)],
            env=inherit_env({**self._settings.environment(), **environment, **mark_environment(self._home)}),
            capture_output=True,
            text=True,
        )
        if process.returncode:
            raise StackError(f"supervisord does not start: {(process.stderr + process.stdout).strip()}")

    def list_processes(self) -> list[dict[str, Any]]:
        """Return each service's `name`, `statename`, `pid`, and `start` and `now` in seconds since 1970."""
        return list(self._call("getAllProcessInfo"))

    def start_service(self, name: str) -> None:
        """Start a service that is not running."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise StackError(f"{name} does not start: {fault.faultString}") from fault

    def stop_service(self, name: str) -> None:
        """Stop a service; supervisord does not restart it."""
        self._call("stopProcess", name)

    def shut_down(self) -> None:
        """Tell supervisord to stop the services, the last started first, and to end; do not wait for it."""
        self._call("shutdown")

    @property
    def _socket(self) -> str:
        path = str(self._home / "run" / "supervisor.sock")
        if len(path) <= _SOCKET_PATH_MAX:
            return path
        # A socket's path may have about a hundred characters: that of a deep home would be too long.
        digest = hashlib.sha256(path.encode()).hexdigest()[:16]
        return str(Path(tempfile.gettempdir()) / f"streamlearn-{digest}.sock")

    def _format_configuration(self, services: list[Service], *, replay: bool) -> str:
        log = _escape(self._home / "log")
        run, socket = _escape(self._home / "run"), _escape(self._socket)
        head = _HEAD.format(run=run, log=log, socket=socket, log_mb=self._settings.log_mb)
        return head + "".join(
            _PROGRAM.format(
                name=service.name,
                command=_quote(service.command),
                priority=100 + number,
                autostart=str(replay or not service.replay).lower(),
                log=log,
                log_mb=self._settings.log_mb,
            )
            for number, service in enumerate(services)
        )


def _quote(command: list[str]) -> str:
    """Quote a command for supervisord, which splits like a shell and expands `%`."""
    return _escape(shlex.join(command))


def _escape(text: object) -> str:
    """Keep supervisord from expanding `%`."""
    return str(text).replace("%", "%%")
