"""Gunicorn's configuration beside its command line: how the server's processes start and stop.

Processes that accept from one socket share it badly: on an idle machine the same process wins every race,
and ends up with all the connections that clients keep open. So each listens on a socket of its own, and the
kernel spreads connections over them (SO_REUSEPORT).
"""

from gevent import monkey

monkey.patch_all()  # before anything else is imported

from typing import Any  # noqa: E402

from gunicorn import sock  # noqa: E402
from prometheus_client import multiprocess  # noqa: E402

import serving.app  # noqa: E402, F401 (once, for all processes: that takes seconds)

reuse_port = True


def when_ready(arbiter: Any) -> None:
    """Close the parent's socket: the kernel would give it connections that nobody accepts."""
    for listener in arbiter.LISTENERS:
        listener.close()


def post_fork(_: Any, worker: Any) -> None:
    """Forget the parent's socket, which is closed."""
    worker.sockets = []


def post_worker_init(worker: Any) -> None:
    """Listen on the process's own socket, now that it can answer."""
    # Pages' event streams end when this turns false. A stop would otherwise wait for them until it times out.
    worker.wsgi.extensions["is_alive"] = lambda: worker.alive
    worker.sockets = [listener.sock for listener in sock.create_sockets(worker.cfg, worker.log)]


def child_exit(_: Any, worker: Any) -> None:
    """Remove from the counts what is true of a process only while it lives."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def worker_exit(_: Any, worker: Any) -> None:
    """Close what the process has open, so that everything it has sent leaves it."""
    application = worker.wsgi
    if application is not None:
        for cache in application.extensions["models"].values():
            cache.stop()
        application.extensions["arrivals"].stop()
        application.extensions["live"].stop()
        application.extensions["lineages"].stop()
        application.extensions["feedback"].close()
        application.extensions["recent"].close()
        application.extensions["telemetry"].write()
