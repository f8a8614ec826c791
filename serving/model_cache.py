"""The model in memory: loaded once, replaced whole when Redis announces another, kept while Redis is away.

Announcements can be lost, so what is to be served is also looked at now and then.

A request takes the current `Served` and works with that one object, so version and parameters always belong
together. What is to be served may also move backwards: after a restart, versions whose predictions were never
committed are gone; and a pin holds it where it is.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from streamlearn.errors import NoModel, SnapshotRefused, StoreUnavailable, UnknownVersion
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Head, VersionInfo

_log = logging.getLogger(__name__)

_FIRST_LOOK_S = 2.0
"""How long a server that starts waits for its first model before it answers that it has none."""

_KEPT = 8
"""How many versions, beside the one that is served, stay loaded."""


@dataclass(frozen=True)
class Served:
    """A model, and which version of it that is."""

    head: Head
    learner: Learner

    def age_s(self, clock: Callable[[], float] = time.time) -> float:
        """Return the seconds since the version was written."""
        return max(0.0, clock() - self.head.time_s)


class ModelCache:
    """The model of one pipeline, looked for in the background of the process that makes this."""

    def __init__(self, store: Store, pipeline: Pipeline, poll_s: float, key: str = "") -> None:
        self._key = key
        self.pipeline = pipeline
        self._store = store
        self._poll_s = poll_s
        self._served: Served | None = None
        self._head: Head | None = None
        self._lineage = ""
        self._others: OrderedDict[tuple[str, int], Served] = OrderedDict()
        self._trouble = ""
        self._stopped = threading.Event()
        self._looked = threading.Event()
        self._swapped = threading.Condition()
        threading.Thread(target=self._look_for_ever, daemon=True).start()
        # A Redis that hangs must not keep the server from saying that it lives.
        self._looked.wait(_FIRST_LOOK_S)

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

    def at(self, version: int) -> Served:
        """Return one version: the one that is served, or another of the newest lineage.

        Raises
        ------
        NoModel
            Nothing has been learned yet.
        UnknownVersion
            It is not kept.
        SnapshotRefused
            It cannot be read.
        StoreUnavailable
            Redis is away, and it is not in memory.
        """
        served = self.current()
        if served.head.version == version:
            return served
        lineage = self.lineage
        known = self._others.get((lineage, version))
        if self._trouble and known is not None:
            return known
        # After a rebuild the same version may have been cut elsewhere, and be another.
        about = self._store.version_info(self.pipeline.name, lineage, version)
        if about is not None and known is not None and about.digest == known.head.digest:
            return known
        data = self._store.snapshot(self.pipeline.name, lineage, version) if about else None
        if about is None or data is None:
            raise UnknownVersion(f"version {version} of {self.pipeline.name} is not kept")
        learner = snapshot.loads(data, self.pipeline, lineage, self._key)
        if not learner.trained:
            raise NoModel(f"version {version} of {self.pipeline.name} had learned nothing yet")
        found = Served(Head(lineage, version, about.digest, about.samples, about.time_s), learner)
        self._others[lineage, version] = found
        while len(self._others) > _KEPT:
            self._others.popitem(last=False)
        return found

    def versions(self) -> dict[int, VersionInfo]:
        """Return the versions that are kept of the newest lineage, ascending.

        Raises
        ------
        StoreUnavailable
            Redis is away.
        """
        return self._store.versions(self.pipeline.name, self.lineage) if self.lineage else {}

    def wait_until_learned(self, offset: int, wait_s: float) -> Served | None:
        """Return what is served once it has learned the record at `offset`; None after `wait_s` seconds."""
        with self._swapped:
            self._swapped.wait_for(lambda: self._has_learned(offset) or self._stopped.is_set(), wait_s)
        return self._served if self._has_learned(offset) else None

    def _has_learned(self, offset: int) -> bool:
        served = self._served
        return served is not None and served.head.lineage == self.lineage and served.head.version > offset

    @property
    def lineage(self) -> str:
        """The newest lineage; empty before the first."""
        return self._lineage

    @property
    def begun(self) -> bool:
        """Whether there was anything to serve: the pipeline's job has begun to learn."""
        return self._head is not None

    @property
    def trouble(self) -> str:
        """What keeps this from following the newest version; empty if nothing does."""
        return self._trouble

    def stop(self) -> None:
        """Look no more; the model in memory stays."""
        self._stopped.set()
        with self._swapped:
            self._swapped.notify_all()

    def look(self) -> None:
        """Take over what is to be served if it is another version than the one in memory."""
        try:
            found = self._store.served(self.pipeline.name, self._head)
            newest = self._store.newest(self.pipeline.name) if found and found[0].pinned else None
        except StoreUnavailable as error:
            self._tell(f"keeping version {self._version} of {self.pipeline.name}: {error}")
            return
        self._tell("")
        head, data = found or (None, None)
        if head is None:
            return  # an emptied Redis takes no model out of service
        # A version of another lineage may be pinned: what is kept and learned is told of the newest.
        self._lineage = newest.lineage if newest else head.lineage
        if data is None:
            self._mark_pinned(head)
            return
        self._head = head
        try:
            self._take(head, data)
        except SnapshotRefused as error:
            self._tell(f"version {head.version} of {self.pipeline.name} is refused: {error}")
            if self._served is None:
                self._take_an_older(head)

    def _take(self, head: Head, data: bytes) -> None:
        learner = snapshot.loads(data, self.pipeline, head.lineage, self._key)
        if learner.trained:
            self._swap(Served(head, learner))

    def _mark_pinned(self, head: Head) -> None:
        """The version is the one in memory, but it may have been pinned or unpinned since."""
        served = self._served
        if served and (served.head.lineage, served.head.digest) == (head.lineage, head.digest):
            self._head = head
            if served.head.pinned != head.pinned:
                self._swap(Served(head, served.learner))

    def _swap(self, served: Served) -> None:
        with self._swapped:
            self._served = served
            self._swapped.notify_all()

    def _take_an_older(self, head: Head) -> None:
        """Serve the newest version before a refused one that can be read."""
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
                self.look()
            except Exception:
                _log.exception("looking for a newer model of %s failed", self.pipeline.name)
            self._looked.set()
            try:
                self._store.wait_for_head(self.pipeline.name, self._poll_s)
            except StoreUnavailable:
                self._stopped.wait(self._poll_s)
