"""The learner that goes on at an offset: what a job does first after any start.

The first record that Flink hands over says where it resumed. The learner that goes on there has learned
every record of the lineage below that offset and none after it. It is the newest snapshot at or below the
offset; what that one lacks is learned again from Kafka, cut as the committed journal says. Where Redis holds
no snapshot that can be read, everything since the lineage's start is. Snapshots above the offset belong to
answers that were never committed, and are forgotten.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from streamlearn.engine.answering import Answering
from streamlearn.engine.relearning import learn_origin, relearn
from streamlearn.errors import LineageError, SnapshotRefused
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Stream

_log = logging.getLogger(__name__)

_PROGRESS_INTERVAL_S = 2.0


class Snapshots(Protocol):
    """The snapshots of one lineage, as recovery reads them; `storage/writer.py` has one."""

    def versions(self) -> list[int]:
        """Return the versions of the lineage that are kept, ascending."""
        ...

    def read(self, version: int) -> bytes | None:
        """Return a snapshot's bytes, or None if it is not kept."""
        ...


@dataclass
class Progress:
    """How far a learner has been learned again; reported every other second."""

    start: int
    end: int
    report: Callable[["Progress", Learner | None], None]
    """Also called with the learner, if it is a version of the lineage."""
    origin: str = ""
    """The topic of what the lineage begins from, where that is learned again."""
    records: int = 0
    at: int = 0
    _reported: float = 0.0

    def count(self, learner: Learner) -> None:
        """Count a chunk, after which the learner is this."""
        self.records += learner.version - max(self.at, self.start)
        self.at = learner.version
        if time.monotonic() - self._reported > _PROGRESS_INTERVAL_S:
            self._reported = time.monotonic()
            self.report(self, None if self.origin else learner)

    def __str__(self) -> str:
        share = 100 * (self.at - self.start) / max(1, self.end - self.start)
        what = f" {self.origin}, which the lineage begins from," if self.origin else ""
        return (
            f"learning{what} again from Kafka: offset {self.at} of {self.start} to {self.end}, {share:.0f} %"
        )


class Recovery:
    """Finds and rebuilds the versions of one lineage; reads only, so anybody may."""

    def __init__(
        self,
        pipeline: Pipeline,
        lineage: Lineage,
        snapshots: Snapshots,
        stream: Stream,
        *,
        key: str = "",
        wait_s: float,
        report_progress: Callable[[Progress, Learner | None], None] = lambda progress, learner: None,
    ) -> None:
        self._pipeline = pipeline
        self._lineage = lineage
        self._snapshots = snapshots
        self._stream = stream
        self._key = key
        self._wait_s = wait_s
        self._report_progress = report_progress
        self._answering = Answering.of_lineage(pipeline, lineage, key, self.state_at)
        self.refused: dict[int, str] = {}
        """Versions whose snapshots could not be read, and why."""
        self.relearned = 0
        """How many records were learned again."""
        self.snapshot_version: int | None = None
        """The version of the snapshot that the last search found; None: it found none."""

    @property
    def failed_in_a_row(self) -> int:
        """How many of the last relearned records, in a row, the pipeline's code failed on."""
        return self._answering.isolation.in_a_row

    def restore_before(self, offset: int) -> Learner:
        """Return the learner as it was before the record at `offset`.

        Raises
        ------
        LineageError
            It cannot be rebuilt: Kafka no longer holds what follows on any snapshot that can be read, or the
            journal does not go so far within the time allowed.
        """
        learner, self.snapshot_version = self._newest(offset)
        try:
            return self._relearn_up_to(offset, learner)
        except LineageError as error:
            name = self._pipeline.name
            raise LineageError(
                f"{name} resumes at offset {offset}; {error};"
                f" `streamlearn train {name} --fresh` begins a new lineage"
            ) from error

    def _relearn_up_to(self, offset: int, learner: Learner) -> Learner:
        if learner.version >= offset or self._stream.is_hole(learner.version, offset):
            return learner  # nothing but a hole lies between
        _log.warning(
            "%s: the newest snapshot is of version %d: learning again from Kafka up to offset %d",
            self._pipeline.name,
            learner.version,
            offset,
        )
        progress = Progress(learner.version, offset, self._report_progress)
        try:
            with self._stream.journal(self._lineage.id, learner.version) as journal:
                if journal.cut_off:
                    raise LineageError("Kafka no longer holds the answers that follow on that version")
                rows = self._stream.rows(learner.version, offset)
                relearned = relearn(
                    self._answering, learner, rows, journal, offset, self._wait_s, progress.count
                )
        except LineageError as error:
            raise LineageError(
                f"the newest model of lineage {self._lineage.id} that can be read has learned up to"
                f" {progress.start}, and what follows cannot be learned again: {error}."
                f" Kafka holds the records from {self._stream.oldest()} on"
            ) from error
        self.relearned += progress.records
        return relearned

    def state_at(self, version: int) -> Learner:
        """Return the learner as it was at an earlier version.

        Raises
        ------
        LineageError
            There was no such version, or it cannot be rebuilt any more; the message is the reason alone.
        """
        if version < self._lineage.start:
            raise LineageError(f"the lineage begins at {self._lineage.start}")
        learner, snapshot_version = self._newest(version)
        if snapshot_version == version:
            return learner
        learner = self._relearn_up_to(version, learner)
        if learner.version != version or not self._is_a_cut(version):
            raise LineageError("no step ended there")
        return learner

    def _is_a_cut(self, version: int) -> bool:
        """Whether the journal has a chunk that began at a version: then one ended there."""
        with self._stream.journal(self._lineage.id, version) as journal:
            row = next(iter(self._stream.rows(version, self._stream.end())), None)
            entry = journal.take(row.offset, 0) if row else None
            return entry is not None and entry.version == version

    def _newest(self, offset: int) -> tuple[Learner, int | None]:
        """Return the newest readable snapshot at or below an offset, else what the lineage begins with."""
        for version in reversed([version for version in self._snapshots.versions() if version <= offset]):
            data = self._snapshots.read(version)
            try:
                if data is None:
                    raise SnapshotRefused("its bytes are gone")
                learner = snapshot.loads(data, self._pipeline, self._lineage.id, self._key)
                if learner.version != version:
                    raise SnapshotRefused(f"it is of version {learner.version}")
            except SnapshotRefused as error:
                self.refused[version] = str(error)
                _log.error("%s: version %d is refused: %s", self._pipeline.name, version, error)
                continue
            return learner, version
        return self._begin(), None

    def _begin(self) -> Learner:
        """Return the learner before the lineage's first record; learn again what it begins from."""
        pipeline, lineage, origin = self._pipeline, self._lineage, self._lineage.origin
        topic, start, end = (origin.topic, origin.starts[0], origin.ends[0]) if origin else ("", 0, 0)
        progress = Progress(start, end, self._report_progress, topic)
        try:
            learner, objection = learn_origin(
                pipeline, lineage, self._stream, lambda learner, _: progress.count(learner)
            )
        except LineageError as error:
            objection = str(error)
        if objection:
            raise LineageError(
                f"what lineage {lineage.id} of {pipeline.name} begins from cannot be learned again:"
                f" {objection}; `streamlearn train {pipeline.name} --fresh` begins a new one, from nothing"
            )
        if origin:
            self.relearned += progress.records
            self._report_progress(progress, learner)
        return learner
