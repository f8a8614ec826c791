"""One attempt at a partition of a pipeline: resume, then answer call after call. Runs in a Flink worker.

Every record gets one answer: a prediction, a dead letter, or that a control record was obeyed.
At the end of each call the model is in the store under the offset after its last record; Flink lets a
checkpoint pass only between calls, so wherever it resumes, there is a snapshot at that very offset.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from streamlearn.engine.answering import Answering, cut_into_chunks
from streamlearn.engine.recovery import Progress, Recovery
from streamlearn.errors import LineageError, StoreUnavailable
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage import snapshot
from streamlearn.storage.redis_client import retry
from streamlearn.storage.retention import versions_to_keep
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Restore, VersionInfo
from streamlearn.storage.writer import Writer
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input, Output, Stream

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass
class Counts:
    """What has happened since the worker started."""

    rows: int = 0
    """Records answered."""
    dead_letters: int = 0
    """Those of them that could not be taken."""
    relearned: int = 0
    """Offsets learned again from Kafka at the start."""
    dropped: int = 0
    """Versions rolled back at the start."""
    lost: int = 0
    """Offsets that Kafka no longer held before they were learned."""
    write_s: float = 0.0
    """How long the last snapshot took to write, in seconds."""


class Worker:
    """Answers the records of one partition; see the module's text.

    Parameters
    ----------
    lineage
        The lineage as that of this partition alone.
    committed
        Tells the offset below which Flink will never resume, None while it is unknown; it is asked at every
        call, so it should not ask Kafka each time.
    partition
        Which partition it is.
    writer
        Who may write the partition's versions; None: the worker has itself admitted.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lineage: Lineage,
        settings: Settings,
        *,
        store: Store,
        stream: Stream,
        committed: Callable[[], int | None],
        partition: int = 0,
        writer: Writer | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._lineage = lineage
        self._settings = settings
        self._store = store
        self._stream = stream
        self._committed = committed
        self._partition = partition
        self._writer = writer
        self._learner: Learner | None = None
        self._trimmed = lineage.start
        self._chunk_rows = pipeline.chunk_limit(settings.chunk_rows)
        self._answering = Answering.of_lineage(
            pipeline,
            lineage,
            settings.checkpoint_key,
            self._state_at,
            max_in_a_row=settings.set_aside_in_a_row,
        )
        self.counts = Counts()

    @property
    def learner(self) -> Learner | None:
        """The learner as it stands; None before the first call."""
        return self._learner

    def answer(self, rows: Sequence[Input]) -> list[Output]:
        """Predict and learn `rows`, in order; return one output for each.

        Raises
        ------
        LineageError
            At the first call: the model that should go on here cannot be rebuilt. Later: Kafka has lost
            records.
        PipelineFails
            The pipeline's own code fails on more records in a row than the settings allow.
        Fenced
            Another worker has taken over.
        StoreUnavailable
            Redis stayed away for longer than the settings allow.
        StoreEmptied
            Redis has lost what it held; the next worker rebuilds it.
        """
        learner = self._learner or self._resume(rows[0].offset)
        self._check_nothing_lost(learner.version, rows)
        outputs: list[Output] = []
        for chunk in cut_into_chunks(rows, self._chunk_rows):
            learner, answers = self._answering.answer(learner, chunk)
            outputs += answers
        self._learner = learner
        self._save(learner)
        self.counts.rows += len(rows)
        self.counts.dead_letters += sum(
            output.topic == self._pipeline.dead_letter_topic for output in outputs
        )
        return outputs

    def admit(self) -> Writer:
        """Register as the writer, once only: registering again could shut out a newer worker."""
        if self._writer is None:
            name, lineage = self._pipeline.name, self._lineage
            self._writer = self._retry(lambda: self._store.admit(name, lineage.id, lineage.epoch))
        return self._writer

    def _resume(self, offset: int) -> Learner:
        writer, recovery = self.admit(), self._recovery()
        learner = self._retry(lambda: recovery.restore_before(offset))
        self._answering.isolation.in_a_row = self._retry(
            lambda: self._read_failures(recovery, learner.version)
        )
        dropped = self._retry(lambda: writer.roll_back(offset))
        # What cannot be read is of no use to anybody, now that all of it has been learned again.
        self._retry(lambda: writer.delete(list(recovery.refused)))
        self.counts.dropped, self.counts.relearned = dropped, recovery.relearned
        restore = Restore(
            lineage=self._lineage.id,
            offset=offset,
            snapshot=recovery.snapshot_version,
            relearned=recovery.relearned,
            dropped=dropped,
            refused={str(version): reason for version, reason in recovery.refused.items()},
            time_s=time.time(),
        )
        self._retry(lambda: writer.record_restore(restore))
        self._retry(lambda: writer.show_progress(None))
        _log.warning("%s, partition %d: %s", self._pipeline.name, self._partition, restore)
        return learner

    def _read_failures(self, recovery: Recovery, version: int) -> int:
        """Return how many records in a row, just before a version, the pipeline's code failed on."""
        if recovery.relearned:
            return recovery.failed_in_a_row
        info = self._store.version_info(self._pipeline.name, self._lineage.id, version, self._partition)
        return info.failed_in_a_row if info else 0

    def _recovery(self) -> Recovery:
        return Recovery(
            self._pipeline,
            self._lineage,
            self.admit(),
            self._stream,
            key=self._settings.checkpoint_key,
            wait_s=self._settings.journal_wait_s,
            report_progress=self._report_progress,
        )

    def _state_at(self, version: int) -> Learner:
        return self._retry(lambda: self._recovery().state_at(version))

    def _report_progress(self, progress: Progress, learner: Learner | None) -> None:
        """Publish the progress of relearning and save a snapshot: relearning can itself be interrupted."""
        _log.warning("%s: %s", self._pipeline.name, progress)
        try:
            if learner is not None:
                self._write(learner, head=False)
            self.admit().show_progress(str(progress))
        except StoreUnavailable as error:
            _log.warning("%s: %s", self._pipeline.name, error)

    def _check_nothing_lost(self, version: int, rows: Sequence[Input]) -> None:
        """Kafka's source steps over what retention has eaten; nobody else would notice."""
        expected_offsets = [version, *(row.offset + 1 for row in rows)]
        gaps = [
            (expected, row.offset)
            for expected, row in zip(expected_offsets, rows, strict=False)
            if row.offset > expected
        ]
        if not gaps:
            return
        # One short question for all of them: a stream of transactions has a gap after each.
        oldest, present = self._stream.oldest(), self._stream.offsets(gaps[0][0], gaps[-1][1])
        for start, end in gaps:
            if oldest > start or any(start <= offset < end for offset in present):
                self._count_lost(start, end)

    def _count_lost(self, start: int, end: int) -> None:
        if self._settings.lost_input == "stop":
            raise LineageError(
                f"records of {self._pipeline.topic} between the offsets {start} and {end}"
                " are gone from Kafka before they were learned;"
                " STREAMLEARN_LOST_INPUT=continue goes on without them"
            )
        _log.error("%s: offsets %d to %d are gone from Kafka unlearned", self._pipeline.name, start, end)
        self.counts.lost += end - start

    def _save(self, learner: Learner) -> None:
        start = time.monotonic()
        self._retry(lambda: self._write(learner, head=True))
        self.counts.write_s = time.monotonic() - start
        self._trim()

    def _write(self, learner: Learner, *, head: bool) -> None:
        data = snapshot.dumps(learner, self._pipeline, self._lineage.id, self._settings.checkpoint_key)
        info = VersionInfo(
            digest=snapshot.digest(data),
            samples=learner.score.samples,
            score=learner.score.summary(),
            failed_in_a_row=self._answering.isolation.in_a_row,
        )
        self.admit().save(learner.version, data, info, head=head)

    def _trim(self) -> None:
        """Thin out the versions that no restart can need: those before the newest at or below the commit."""
        committed = self._committed()
        if committed is None or committed <= self._trimmed:
            return
        writer = self.admit()
        below = [version for version in self._retry(writer.versions) if version <= committed]
        if below:
            needed = below.pop()
            kept = versions_to_keep(below, needed)
            self._retry(lambda: writer.delete([v for v in below if v not in kept]))
        self._trimmed = committed

    def _retry(self, call: Callable[[], T]) -> T:
        return retry(call, self._settings.redis_wait_s)
