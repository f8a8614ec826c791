"""Find the processes that belong to a stack, and the one that holds a port.

Every process of a stack inherits a variable that names the stack's home, so that `streamlearn down` finds all
of them even where their supervisor was killed.
"""

import contextlib
import socket
from pathlib import Path

import psutil

_HOME_VARIABLE = "STREAMLEARN_STACK"
_STOP_S = 20.0


def mark_environment(home: Path) -> dict[str, str]:
    """Return the variable that marks a process as one of the stack at `home`."""
    return {_HOME_VARIABLE: str(home.absolute())}


def find_processes(home: Path) -> list[psutil.Process]:
    """Return the live processes of the stack at `home`, without this process and its ancestors."""
    mark = str(home.absolute())
    current = psutil.Process()
    excluded = {current.pid, *(parent.pid for parent in current.parents())}
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in excluded and process.environ().get(_HOME_VARIABLE) == mark:
                processes.append(process)
    return processes


def list_homes() -> list[Path]:
    """Return the homes of the stacks whose supervisors run on this machine, sorted."""
    homes = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "supervisor.supervisord" in process.cmdline() and (
                home := process.environ().get(_HOME_VARIABLE)
            ):
                homes.add(Path(home))
    return sorted(homes)


def terminate(processes: list[psutil.Process]) -> None:
    """Terminate the processes, and kill those that do not end within some seconds."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=_STOP_S)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=_STOP_S)


def is_port_free(port: int) -> bool:
    """Return whether a server could listen on `port` of the loopback interface."""
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
            except OSError:
                return False
    return True


def describe_port_holder(port: int) -> str:
    """Return the name and command line of the process that listens on `port`, if this user may see it."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                process = psutil.Process(connection.pid)
                return f"{process.name()} (process {process.pid}: {' '.join(process.cmdline())[:120]})"
    return "a process that this user may not see"
