"""One submission or reset of a pipeline at a time on this machine.

A job cannot be seen in Flink before `flink run` has returned, so two that look at once would both submit.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings


@contextmanager
def lock_submission(settings: Settings, pipeline: Pipeline) -> Iterator[int]:
    """Wait until nobody else submits or resets the pipeline; keep others waiting for the length of a `with`.

    Gives the lock's file descriptor. A child process that inherits it holds the lock until it ends, even if
    this process is killed.
    """
    with lock_name(settings, pipeline.name) as lock:
        yield lock


@contextmanager
def lock_name(settings: Settings, name: str) -> Iterator[int]:
    """Do what `lock_submission` does, for any job, by a name."""
    folder = settings.home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"submit-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
