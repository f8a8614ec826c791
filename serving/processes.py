"""What gunicorn is told beside its command line: how the server's processes begin and end.

Processes that accept from one socket share it badly: on an idle machine the same one wins each race, and has
all the connections that clients keep open. So each listens on a socket of its own, and the kernel spreads
connections over them (SO_REUSEPORT).
"""

from gevent import monkey

monkey.patch_all()  # before anything else is imported

from typing import Any  # noqa: E402

from gunicorn import sock  # noqa: E402
from prometheus_client import multiprocess  # noqa: E402

import serving.app  # noqa: E402, F401 (once, for all processes: it takes seconds)

reuse_port = True


def when_ready(arbiter: Any) -> None:
    """Close the parent's socket: it would be given connections that nobody accepts."""
    for listener in arbiter.LISTENERS:
        listener.close()


def post_fork(_: Any, worker: Any) -> None:
    """Leave the parent's socket, which is closed."""
    worker.sockets = []


def post_worker_init(worker: Any) -> None:
    """Listen on a socket of one's own, now that everything is there to answer with."""
    # Pages' streams of events would else hold up a stop for as long as it waits for requests to end.
    worker.wsgi.extensions["serving"] = lambda: worker.alive
    worker.sockets = [listener.sock for listener in sock.create_sockets(worker.cfg, worker.log)]


def child_exit(_: Any, worker: Any) -> None:
    """Leave out of the counts what held for a process only while it lived."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def worker_exit(_: Any, worker: Any) -> None:
    """Close what the process has open, so that what was sent is on its way."""
    application = worker.wsgi
    if application is not None:
        for models in application.extensions["models"].values():
            models.stop()
        for live in application.extensions["live"].values():
            live.watch.stop()
        application.extensions["feedback"].close()
