"""A client that keeps some connections to a server busy, in one thread, and measures both ends."""

import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import cast

import psutil

_READ_BYTES = 1 << 20
_TIMEOUT_S = 10


@dataclass(frozen=True)
class Outcome:
    """What a number of requests took."""

    seconds: list[float]
    """How long each took, in the order of the answers."""
    failed: int
    """How many were not answered with 200."""
    server_cpu_s: float
    """CPU seconds of all processes of the server."""
    wall_s: float


def build_request(path: str, body: bytes, content_type: str = "application/json") -> bytes:
    """Return the bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def measure(server: psutil.Process, port: int, request: bytes, *, connections: int, wall_s: float) -> Outcome:
    """Open connections, and send over each as soon as the request before is answered, for some seconds."""
    with ExitStack() as opened:
        sockets = [
            opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S))
            for _ in range(connections)
        ]
        return _keep_busy(server, sockets, request, wall_s)


def _keep_busy(
    server: psutil.Process, connections: Sequence[socket.socket], request: bytes, wall_s: float
) -> Outcome:
    seconds: list[float] = []
    failed = 0
    cpu_before, started = read_cpu_seconds(server), time.perf_counter()
    with selectors.DefaultSelector() as selector:
        sent_at: dict[socket.socket, float] = {}
        parts = {connection: bytearray() for connection in connections}
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
            sent_at[connection] = time.perf_counter()
            connection.sendall(request)
        while sent_at:
            ready = selector.select(_TIMEOUT_S)
            if not ready:
                raise TimeoutError(f"the server has not answered for {_TIMEOUT_S} s")
            for key, _ in ready:
                connection = cast(socket.socket, key.fileobj)
                received = connection.recv(_READ_BYTES)
                if not received:
                    raise ConnectionError("the server has closed a connection that was to be kept")
                answer = parts[connection]
                answer += received
                if not _is_whole(answer):
                    continue
                now = time.perf_counter()
                seconds.append(now - sent_at.pop(connection))
                failed += not answer.startswith(b"HTTP/1.1 200 ")
                answer.clear()
                if now - started < wall_s:
                    sent_at[connection] = now
                    connection.sendall(request)
    return Outcome(seconds, failed, read_cpu_seconds(server) - cpu_before, time.perf_counter() - started)


def _is_whole(answer: bytearray) -> bool:
    head, separator, body = bytes(answer).partition(b"\r\n\r\n")
    if not separator:
        return False
    _, _, length = head.lower().partition(b"\r\ncontent-length: ")
    return len(body) >= int(length.partition(b"\r\n")[0])


def read_cpu_seconds(server: psutil.Process) -> float:
    """Return the CPU seconds that a server's processes have taken so far."""
    processes = [server, *server.children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)
