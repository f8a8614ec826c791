"""The model in memory: loaded once, replaced whole when Redis announces another, kept while Redis is away.

Announcements can be lost, so the head is also looked at now and then.

A request takes the current `Served` and works with that one object, so version and parameters always belong
together. The head may also move backwards: after a restart, versions whose predictions were never committed
are gone.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from streamlearn import checkpoint
from streamlearn.errors import NoModel, SnapshotRefused, StoreUnavailable
from streamlearn.learner import Learner
from streamlearn.pipeline import Pipeline
from streamlearn.store import Head, Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """A model, and which version of it that is."""

    head: Head
    learner: Learner

    def age_s(self, clock: Callable[[], float] = time.time) -> float:
        """Return the seconds since the version was written."""
        return max(0.0, clock() - self.head.time_s)


class ModelCache:
    """The newest model of one pipeline, looked for in the background of the process that makes this."""

    def __init__(self, store: Store, pipeline: Pipeline, poll_s: float, key: str = "") -> None:
        self._key = key
        self.pipeline = pipeline
        self._store = store
        self._poll_s = poll_s
        self._served: Served | None = None
        self._head: Head | None = None
        self._trouble = ""
        self._stopped = threading.Event()
        self.look()
        threading.Thread(target=self._look_for_ever, daemon=True).start()

    def current(self) -> Served:
        """Return the model to answer with.

        Raises
        ------
        NoModel
            Nothing has been learned yet, or nothing could be read since the start.
        """
        if self._served is None:
            raise NoModel(f"no model of {self.pipeline.name} has been learned yet; try again in a moment")
        return self._served

    @property
    def begun(self) -> bool:
        """Whether a head has been seen: the pipeline's job has begun to learn."""
        return self._head is not None

    def stop(self) -> None:
        """Look no more; the model in memory stays."""
        self._stopped.set()

    def look(self) -> None:
        """Take over the head if it is another version than the one in memory."""
        try:
            found = self._store.newer(self.pipeline.name, self._head)
        except StoreUnavailable as error:
            self._tell(f"keeping version {self._version} of {self.pipeline.name}: {error}")
            return
        self._tell("")
        head, data = found or (None, None)
        if head is None or data is None:
            return  # nothing newer; an emptied Redis takes no model out of service
        self._head = head
        try:
            self._take(head, data)
        except SnapshotRefused as error:
            self._tell(f"version {head.version} of {self.pipeline.name} is refused: {error}")
            if self._served is None:
                self._take_an_older(head)

    def _take(self, head: Head, data: bytes) -> None:
        learner = checkpoint.loads(data, self.pipeline, head.lineage, self._key)
        if learner.trained:
            self._served = Served(head, learner)

    def _take_an_older(self, head: Head) -> None:
        """Serve the newest version before a refused head that can be read."""
        kept = self._store.versions(self.pipeline.name, head.lineage)
        for version in reversed([version for version in kept if version < head.version]):
            data, about = self._store.snapshot(self.pipeline.name, head.lineage, version), kept[version]
            older = Head(head.lineage, version, about.digest, about.samples, about.time_s)
            try:
                if data is not None:
                    self._take(older, data)
                    return
            except SnapshotRefused as error:
                _log.warning("version %d of %s is refused: %s", version, self.pipeline.name, error)

    def _tell(self, trouble: str) -> None:
        """Log a trouble when it comes, not at every look while it lasts."""
        if trouble and trouble != self._trouble:
            _log.warning(trouble)
        self._trouble = trouble

    @property
    def _version(self) -> int | None:
        return self._served.head.version if self._served else None

    def _look_for_ever(self) -> None:
        while not self._stopped.is_set():
            try:
                self._store.wait_for_news(self.pipeline.name, self._poll_s)
            except StoreUnavailable:
                self._stopped.wait(self._poll_s)
            try:
                self.look()
            except Exception:
                _log.exception("looking for a newer model of %s failed", self.pipeline.name)
