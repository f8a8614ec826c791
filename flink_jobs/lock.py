"""One submission or reset of a pipeline at a time on this machine.

A job cannot be seen in Flink before `flink run` has returned, so two that look at once would both submit.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings


@contextmanager
def submitting(settings: Settings, pipeline: Pipeline) -> Iterator[int]:
    """Wait for one's turn and hold it for the length of a `with`.

    It ends at the latest with this process and those that have inherited the descriptor that is returned.
    """
    folder = settings.home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"submit-{pipeline.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
