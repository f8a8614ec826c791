"""Finding processes: those that belong to a stack, and the one that holds a port.

Every process of a stack inherits a variable that names the stack's home, so that `down` finds all of them
even where their supervisor was killed.
"""

import contextlib
import socket
from pathlib import Path

import psutil

MARK = "STREAMLEARN_STACK"
_STOP_S = 20.0


def mark(home: Path) -> dict[str, str]:
    """Return the variable that every process of the stack at `home` carries."""
    return {MARK: str(home.absolute())}


def ours(home: Path) -> list[psutil.Process]:
    """Return the live processes of the stack at `home`, this one and its ancestors left out."""
    wanted = str(home.absolute())
    me = psutil.Process()
    mine = {me.pid, *(parent.pid for parent in me.parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in mine and process.environ().get(MARK) == wanted:
                found.append(process)
    return found


def end(processes: list[psutil.Process]) -> None:
    """Terminate the processes, and kill those that do not end within some seconds."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=_STOP_S)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=_STOP_S)


def free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback interface."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0")):  # noqa: S104
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def holder(port: int) -> str:
    """Name the process that listens on `port`, as far as this user may know."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                process = psutil.Process(connection.pid)
                return f"{process.name()} (process {process.pid}: {' '.join(process.cmdline())[:120]})"
    return "a process that this user may not see"
