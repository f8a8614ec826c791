"""The partitions that one worker of Flink has: a learner each, told apart by their records.

Which partitions those are shows only when their first records come: Flink deals them out anew at each start,
and until the next one a partition stays with its worker.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TypeVar

from streamlearn.engine.worker import Worker
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.redis_client import retry
from streamlearn.storage.store import Store
from streamlearn.storage.writer import Writer
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input, Output, Stream

T = TypeVar("T")


class Partitions:
    """Answers the records of several partitions, each by a `Worker` of its own.

    Parameters
    ----------
    open_stream
        Partition → its stream.
    committed
        Partition → the offset below which Flink will never resume in it; see `Worker`.
    alone
        Whether no other worker learns from the pipeline at the same time.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lineage: Lineage,
        settings: Settings,
        *,
        store: Store,
        open_stream: Callable[[int], Stream],
        committed: Callable[[int], int | None],
        alone: bool,
    ) -> None:
        self._pipeline = pipeline
        self._lineage = lineage
        self._settings = settings
        self._store = store
        self._open_stream = open_stream
        self._committed = committed
        self._alone = alone
        self._admission: Writer | None = None
        self.workers: dict[int, Worker] = {}
        """The workers by partition, in the order in which their first records came."""

    def admit(self) -> None:
        """Take a token from Redis, newer than those of all workers that have started before.

        Redis is told of all partitions of the lineage: a reader knows how many there are from the beginning.

        Raises
        ------
        Fenced
            A newer submission has been admitted.
        StoreUnavailable
            Redis stayed away for longer than the settings allow.
        """
        name, lineage = self._pipeline.name, self._lineage
        self._admission = admission = self._retry(lambda: self._store.admit(name, lineage.id, lineage.epoch))
        self._retry(lambda: admission.announce_partitions(len(lineage.partitions)))

    def answer(self, rows: Sequence[Input]) -> list[Output]:
        """Predict and learn `rows`, those of each partition in order; return one output for each row.

        Raises
        ------
        LineageError
            As `Worker.answer` does; also where a record is of a partition that the lineage does not know.
        PipelineFails, Fenced, StoreUnavailable, StoreEmptied
            As `Worker.answer` does.
        """
        answers = {
            partition: iter(self.worker(partition).answer(own_rows))
            for partition, own_rows in _split_by_partition(rows)
        }
        return [next(answers[row.partition]) for row in rows]

    def worker(self, partition: int) -> Worker:
        """Return the worker of a partition; it takes the partition if it is new here.

        Raises
        ------
        LineageError
            The lineage does not learn from that partition.
        Fenced
            A worker that started later has it.
        """
        if partition not in self.workers:
            lineage = self._lineage.in_partition(partition)
            self.workers[partition] = Worker(
                self._pipeline,
                lineage,
                self._settings,
                store=self._store,
                stream=self._open_stream(partition),
                committed=lambda: self._committed(partition),
                partition=partition,
                writer=self._take(partition),
            )
        return self.workers[partition]

    def _take(self, partition: int) -> Writer:
        admission = self._admission
        if admission is None:
            raise RuntimeError("`admit` comes before the first record")
        return self._retry(lambda: admission.take_partition(partition, alone=self._alone))

    def _retry(self, call: Callable[[], T]) -> T:
        return retry(call, self._settings.redis_wait_s)


def _split_by_partition(rows: Sequence[Input]) -> Iterable[tuple[int, list[Input]]]:
    """Return the partitions of rows and the rows of each, in order."""
    if all(row.partition == rows[0].partition for row in rows):
        return [(rows[0].partition, list(rows))]
    in_order = sorted(rows, key=lambda row: row.partition)  # a sort that is stable
    return [(partition, list(own)) for partition, own in groupby(in_order, lambda row: row.partition)]
