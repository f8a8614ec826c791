"""Keeps each pipeline's model in memory and replaces it as a whole when Redis announces another version.

An announcement can be lost, so Redis is also polled. While Redis is away, the model in memory stays. To load
every version of a model that nobody asks would keep a core busy for nothing, so those follow at leisure.

A request takes the current `Served` and works with that one object, so its version and its parameters always
belong together. The served version may also go back: after a restart, versions whose predictions were never
committed no longer exist; and while a version is pinned, no other is served.

Where the topic has several partitions, one model is made of the newest version of each, as the pipeline's
kind of learning says. Its version names those that it is made of, so it can be made again.
"""

import logging
import mmap
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streamlearn.broker.placement import make_partition_function, place_key
from streamlearn.errors import NoModel, SnapshotRefused, StoreUnavailable, UnknownVersion
from streamlearn.learning.by_key import LearnersByKey
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import bundle, snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Head, VersionInfo, merge_heads, parse_name

_log = logging.getLogger(__name__)

_FIRST_REFRESH_S = 2.0
"""How long a server that starts waits for its first model before it answers that it has none."""

_LEAST_PAUSE_S = 0.1
"""Least seconds between the starts of two loads."""

_PAUSES_A_LOAD = 4
"""Loading takes at most a quarter of the time."""

_ASKED_S = 2.0
"""For how long a question counts: meanwhile the newest version is loaded as soon as it is there."""

_asked_s = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("d")
"""When models were asked last, by the monotonic clock. The server's processes are forked from one that has
imported this, so they share it: who asks twice may be answered by another process the second time."""

_UNASKED_PAUSE_S = 0.75
"""Seconds between the starts of two loads of a model that nobody asks: no first answer is a second old."""

_MAX_OTHERS = 8
"""How many versions beside the served one stay in memory."""


@dataclass(frozen=True)
class Served:
    """A model, and which version of it that is."""

    head: Head
    learner: Learner

    def age_s(self, clock: Callable[[], float] = time.time) -> float:
        """Return the seconds since the version was written."""
        return max(0.0, clock() - self.head.time_s)


class ModelCache:
    """The model of one pipeline, kept up to date by a thread of its own."""

    def __init__(self, store: Store, pipeline: Pipeline, poll_s: float, key: str = "") -> None:
        self._key = key
        self.pipeline = pipeline
        self._store = store
        self._poll_s = poll_s
        self._served: Served | None = None
        self._head: Head | None = None
        self._lineage = ""
        self._others: OrderedDict[tuple[str, int, int], Served] = OrderedDict()
        self._parts: dict[int, Served] = {}
        self._refused: dict[int, tuple[Head, str]] = {}
        """By partition, the newest version where it cannot be read, and why: it is not loaded again."""
        self._trouble = ""
        self._stopped = threading.Event()
        # Models that share a place count as asked together.
        self._asked_place = zlib.crc32(pipeline.name.encode()) % len(_asked_s)
        self._refreshing = threading.Lock()
        self._refreshed = threading.Event()
        self._swapped = threading.Condition()
        threading.Thread(target=self._poll, daemon=True).start()
        # A Redis that hangs must not keep the server from answering that it is alive.
        self._refreshed.wait(_FIRST_REFRESH_S)

    def current(self) -> Served:
        """Return the served version.

        Raises
        ------
        NoModel
            Nothing has been learned yet, or nothing could be read since the server started.
        """
        self._note_question()
        if self._served is None:
            raise NoModel(f"no model of {self.pipeline.name} has been learned yet; try again in a moment")
        return self._served

    def load_version(self, name: str) -> Served:
        """Return a version by its name: the served one, or another of the newest lineage, read if need be.

        Raises
        ------
        NoModel
            Nothing has been learned yet.
        UnknownVersion
            Redis does not keep that version.
        SnapshotRefused
            The version cannot be read.
        StoreUnavailable
            The version is not in memory, and Redis does not answer.
        """
        served = self.current()
        if served.head.name == name:
            return served
        versions = parse_name(name)
        if versions is None:
            raise UnknownVersion(f"{name[:40]!r} is not a version of {self.pipeline.name}")
        parts = {
            partition: self._load_part(version, partition)
            for partition, version in enumerate(versions)
            if version is not None
        }
        return parts[0] if len(versions) == 1 else self._merge(parts, len(versions))

    def _load_part(self, version: int, partition: int) -> Served:
        lineage = self.lineage
        cached = self._others.get((lineage, version, partition))
        if self._trouble and cached is not None:
            return cached
        # After a rebuild, chunks may end elsewhere, and a version of the same number may differ.
        info = self._store.version_info(self.pipeline.name, lineage, version, partition)
        if info is not None and cached is not None and info.digest == cached.head.digest:
            return cached
        name = self.pipeline.name
        data = self._store.snapshot(name, lineage, version, partition) if info else None
        where = f" of partition {partition}" if partition else ""
        if info is None or data is None:
            raise UnknownVersion(f"version {version}{where} of {name} is not kept")
        learner = snapshot.loads(data, self.pipeline, lineage, self._key)
        if not learner.trained:
            raise NoModel(f"version {version}{where} of {name} was written before anything was learned")
        loaded = Served(_make_head(lineage, version, info), learner)
        self._others[lineage, version, partition] = loaded
        while len(self._others) > _MAX_OTHERS:
            self._others.popitem(last=False)
        return loaded

    def _merge(self, parts: Mapping[int, Served], count: int) -> Served:
        """Merge the models of some of `count` partitions."""
        head = merge_heads({k: part.head for k, part in parts.items()}, count)
        learning, learners = self.pipeline.learning, {k: part.learner for k, part in parts.items()}
        if learning.merges_by_key:
            return Served(head, self._ask_by_key(learners, count))
        return Served(head, learning.merge(list(learners.values())))

    def _ask_by_key(self, learners: Mapping[int, Learner], count: int) -> LearnersByKey:
        return LearnersByKey(
            learners,
            make_partition_function(self.pipeline, count),
            lambda key: place_key(key, count),
            is_windowed=self.pipeline.learning.series is not None,
        )

    def versions(self, partition: int = 0) -> dict[int, VersionInfo]:
        """Return the versions of a partition in the newest lineage that Redis keeps, ascending.

        Raises
        ------
        StoreUnavailable
            Redis does not answer.
        """
        return self._store.versions(self.pipeline.name, self.lineage, partition) if self.lineage else {}

    def wait_for_offset(self, offset: int, partition: int, timeout_s: float) -> Served | None:
        """Wait until the served version has learned the record at an offset; return it, or None if none has.

        Only versions of the newest lineage count: in another, the offset may be another record's.
        """

        def find() -> Served | None:
            served = self._served
            if served is None or served.head.lineage != self.lineage:
                return None
            return served if served.head.has_learned(offset, partition) else None

        deadline = time.monotonic() + timeout_s
        with self._swapped:
            self._note_question()
            while not find() and not self._stopped.is_set() and (left_s := deadline - time.monotonic()) > 0:
                self._swapped.wait(min(left_s, _ASKED_S / 2))
                self._note_question()
            return find()

    @property
    def lineage(self) -> str:
        """The newest lineage; empty before the first."""
        return self._lineage

    @property
    def has_begun(self) -> bool:
        """Whether the pipeline's job has written any version yet."""
        return self._head is not None

    @property
    def trouble(self) -> str:
        """What keeps the cache from following the newest version; empty where nothing does."""
        return self._trouble

    def stop(self) -> None:
        """Stop following Redis; the model in memory stays."""
        self._stopped.set()
        with self._swapped:
            self._swapped.notify_all()

    def refresh(self) -> None:
        """Ask Redis which version to serve, and load it if it is not the one in memory.

        When this returns, the version is loaded, even where another thread has begun to load it.
        """
        with self._refreshing:
            self._refresh()

    def _refresh(self) -> None:
        try:
            later = self._store.partitions(self.pipeline.name)
            if later and not self._store.is_pinned(self.pipeline.name):
                self._refresh_parts([0, *later])
                return
            # Beside parts, `_head` is that of one of them, which is not what is in memory.
            served = self._store.served(self.pipeline.name, None if self._parts else self._head)
            newest = self._store.newest(self.pipeline.name) if served and served[0].pinned else None
        except StoreUnavailable as error:
            self._set_trouble(f"keeping version {self._version} of {self.pipeline.name}: {error}")
            return
        self._set_trouble("")
        self._parts.clear()
        self._refused.clear()
        head, data = served or (None, None)
        if head is None:
            return  # a model stays in service when Redis is emptied
        # The pinned version may be of another lineage; `versions` and `wait_for_offset` go by the newest.
        self._lineage = newest.lineage if newest else head.lineage
        if data is None:
            self._update_pin(head)
            return
        self._head = head
        try:
            self._load(head, data)
        except SnapshotRefused as error:
            self._set_trouble(f"version {head.version} of {self.pipeline.name} is refused: {error}")
            if self._served is None:
                self._load_older(head)

    def _refresh_parts(self, partitions: Sequence[int]) -> None:
        """Load the newest version of each partition where it is another; serve what they make together."""
        changed = [partition for partition in partitions if self._refresh_part(partition)]
        self._set_trouble("; ".join(reason for _, (_, reason) in sorted(self._refused.items())))
        if not changed:
            return
        # After a reset, partitions begin their new lineage one after the other.
        newest = max(self._parts.values(), key=lambda part: part.head.time_s).head.lineage
        self._lineage = newest
        trained = {
            partition: part
            for partition, part in sorted(self._parts.items())
            if part.head.lineage == newest and part.learner.trained
        }
        self._head = next(iter(self._parts.values())).head
        if trained:
            self._swap(self._merge(trained, max(partitions) + 1))

    def _refresh_part(self, partition: int) -> bool:
        """Load the newest version of a partition unless it is known; return whether it is another now."""
        name, part = self.pipeline.name, self._parts.get(partition)
        refused = self._refused.get(partition)
        known = refused[0] if refused else part.head if part else None
        head, data = self._store.served(name, known, partition) or (None, None)
        if head is None or data is None:
            return False
        self._refused.pop(partition, None)
        try:
            learner = snapshot.loads(data, self.pipeline, head.lineage, self._key)
        except SnapshotRefused as error:
            reason = f"version {head.version} of partition {partition} of {name} is refused: {error}"
            self._refused[partition] = head, reason
            return False
        self._parts[partition] = Served(head, learner)
        return True

    def _load(self, head: Head, data: bytes) -> None:
        if bundle.is_bundle(data):
            self._load_bundle(head, data)
            return
        learner = snapshot.loads(data, self.pipeline, head.lineage, self._key)
        if learner.trained:
            self._swap(Served(head, learner))

    def _load_bundle(self, head: Head, data: bytes) -> None:
        """Serve what the pinned snapshots of several partitions make together."""
        snapshots = bundle.unpack(data)
        parts = {}
        for partition, part in enumerate(snapshots):
            if part is not None:
                learner = snapshot.loads(part, self.pipeline, head.lineage, self._key)
                version, samples = learner.version, learner.score.samples
                part_head = Head(head.lineage, version, snapshot.digest(part), samples, head.time_s)
                parts[partition] = Served(part_head, learner)
        self._swap(Served(head, self._merge(parts, len(snapshots)).learner))

    def _update_pin(self, head: Head) -> None:
        """Note whether the version in memory has been pinned or unpinned since."""
        served = self._served
        if served and (served.head.lineage, served.head.digest) == (head.lineage, head.digest):
            self._head = head
            if served.head.pinned != head.pinned:
                self._swap(Served(head, served.learner))

    def _swap(self, served: Served) -> None:
        with self._swapped:
            self._served = served
            self._swapped.notify_all()

    def _load_older(self, head: Head) -> None:
        """Serve the newest readable version before a refused one."""
        infos = self._store.versions(self.pipeline.name, head.lineage)
        for version in reversed([version for version in infos if version < head.version]):
            data = self._store.snapshot(self.pipeline.name, head.lineage, version)
            try:
                if data is not None:
                    self._load(_make_head(head.lineage, version, infos[version]), data)
                    return
            except SnapshotRefused as error:
                _log.warning("version %d of %s is refused: %s", version, self.pipeline.name, error)

    def _set_trouble(self, trouble: str) -> None:
        """Note a trouble, and log it when it is new: not at every refresh while it lasts."""
        if trouble and trouble != self._trouble:
            _log.warning(trouble)
        self._trouble = trouble

    @property
    def _version(self) -> int | None:
        return self._served.head.version if self._served else None

    def _poll(self) -> None:
        """Refresh at every announcement and at least once in `poll_s` seconds, until stopped."""
        while not self._stopped.is_set():
            started = time.monotonic()
            try:
                self.refresh()
            except Exception:
                _log.exception("the newest version of %s cannot be loaded", self.pipeline.name)
            self._refreshed.set()
            self._pause(started)
            try:
                self._store.wait_for_head(self.pipeline.name, self._poll_s)
            except StoreUnavailable:
                self._stopped.wait(self._poll_s)

    def _pause(self, started: float) -> None:
        """Wait before the next load, after one that started then; a question ends the wait of the unasked.

        While records stream in, a version follows on the other in milliseconds; and those of many partitions
        take their time to load, in which no request is answered.
        """
        pause_s = max(_LEAST_PAUSE_S, _PAUSES_A_LOAD * (time.monotonic() - started))
        self._stopped.wait(max(0.0, started + pause_s - time.monotonic()))
        unasked_until = started + _UNASKED_PAUSE_S
        while not self._is_asked() and time.monotonic() < unasked_until and not self._stopped.is_set():
            self._stopped.wait(_LEAST_PAUSE_S)

    def _note_question(self) -> None:
        _asked_s[self._asked_place] = time.monotonic()

    def _is_asked(self) -> bool:
        return time.monotonic() - _asked_s[self._asked_place] < _ASKED_S


def _make_head(lineage: str, version: int, info: VersionInfo) -> Head:
    return Head(lineage, version, info.digest, info.samples, info.time_s)
