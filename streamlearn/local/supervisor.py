"""supervisord starts the services, restarts what dies, ends all of them; here it is configured and asked."""

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
from streamlearn.local.processes import mark
from streamlearn.local.services import Service
from streamlearn.settings import Settings, inherited

_SOCKET_PATH_MAX = 100

_HEAD = """\
[supervisord]
pidfile={run}/supervisord.pid
logfile={log}/supervisord.log
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
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=1
"""


class Supervisor:
    """The supervisor of the stack at one home folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = settings.home.absolute()

    def _ask(self, method: str, *arguments: Any) -> Any:
        # A connection that once failed stays unusable, so each call has its own.
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    @property
    def alive(self) -> bool:
        """Whether the supervisor answers."""
        try:
            self._ask("getState")
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
        config.write_text(self._configuration(services, replay=replay))
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(config)],
            env=inherited({**self._settings.environment(), **environment, **mark(self._home)}),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise StackError(f"supervisord does not start: {(done.stderr + done.stdout).strip()}")

    def processes(self) -> list[dict[str, Any]]:
        """Return what the supervisor knows of each service (`name`, `statename`, `pid`, `start`, `now`)."""
        found = self._ask("getAllProcessInfo")
        return list(found)

    def start_service(self, name: str) -> None:
        """Start a service that is not running."""
        try:
            self._ask("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise StackError(f"{name} does not start: {fault.faultString}") from fault

    def stop_service(self, name: str) -> None:
        """Stop a service until it is started again."""
        self._ask("stopProcess", name)

    def shut_down(self) -> None:
        """Ask the supervisor to stop its services, the last started first, and to end."""
        self._ask("shutdown")

    @property
    def _socket(self) -> str:
        path = str(self._home / "run" / "supervisor.sock")
        if len(path) <= _SOCKET_PATH_MAX:
            return path
        # A socket's path has room for about a hundred characters; a deep home needs another place.
        short = hashlib.sha256(path.encode()).hexdigest()[:16]
        return str(Path(tempfile.gettempdir()) / f"streamlearn-{short}.sock")

    def _configuration(self, services: list[Service], *, replay: bool) -> str:
        log = _escaped(self._home / "log")
        head = _HEAD.format(run=_escaped(self._home / "run"), log=log, socket=_escaped(self._socket))
        return head + "".join(
            _PROGRAM.format(
                name=service.name,
                command=_quoted(service.command),
                priority=100 + number,
                autostart=str(replay or not service.replay).lower(),
                log=log,
            )
            for number, service in enumerate(services)
        )


def _quoted(command: list[str]) -> str:
    """Quote for supervisord, which splits like a shell and expands `%`."""
    return _escaped(shlex.join(command))


def _escaped(text: object) -> str:
    """Keep supervisord from expanding `%`."""
    return str(text).replace("%", "%%")
