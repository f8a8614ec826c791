"""What the job's task does on its worker: `streamlearn.engine.worker`, connected and its figures shown."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import pandas as pd
from pyflink.metrics import MetricGroup

from flink_jobs.metrics import PartitionMetrics
from flink_jobs.pace import Pace
from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister, group_id
from streamlearn.engine.partitions import Partitions
from streamlearn.errors import StreamlearnError
from streamlearn.learning.process import pin_blas_threads, relieve_collector
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input

Value = TypeVar("Value")

_COMMITTED_POLL_S = 5.0
_RATE_POLL_S = 1.0

_log = logging.getLogger(__name__)


class LearningTask:
    """The partitions of a lineage that Flink has put into this process, connected with its settings.

    Models are loaded at the first records, whose offsets tell where Flink resumed. `parallelism` is the
    number of processes that share the partitions, and the rate at which records may be taken. `variables`
    are the settings that came with the job; None: those of this process's environment.
    """

    def __init__(
        self, lineage: Lineage, metrics: MetricGroup, *, parallelism: int, variables: Mapping[str, str] | None
    ) -> None:
        pin_blas_threads()
        settings = Settings.load(variables)
        pipeline = load(lineage.reference)
        broker = Broker(settings)
        LineageRegister(broker, pipeline).check_newest(lineage)
        group = group_id(pipeline)
        store = Store.of(settings)
        committed = PolledValue(lambda: broker.committed_offsets(group, pipeline.topic), _COMMITTED_POLL_S)
        rate = PolledValue(lambda: store.rate(pipeline.name), _RATE_POLL_S)
        self._polled = (committed, rate)

        def find_share() -> float:
            """Return the records a second that this process may take; 0: no limit."""
            chosen = rate.get()
            return (settings.catch_up_rate if chosen is None else chosen) / parallelism

        self._pace = Pace(find_share)
        self._partitions = Partitions(
            pipeline,
            lineage,
            settings,
            store=store,
            open_stream=lambda partition: KafkaStream(broker, pipeline, partition),
            committed=lambda partition: (committed.get() or {}).get(partition),
            alone=parallelism == 1,
        )
        self._partitions.admit()
        self._metrics = PartitionMetrics(metrics, pipeline, self._partitions, lineage)
        relieve_collector()

    def close(self) -> None:
        """Stop polling."""
        for value in self._polled:
            value.stop()

    def answer(self, partition: Any, offset: Any, value: Any) -> pd.DataFrame:
        """Answer a batch of rows, one output row for each."""
        columns = partition.tolist(), offset.tolist(), value.tolist()
        rows = list(map(Input._make, zip(*columns, strict=True)))
        self._pace.wait_for_turn(len(rows))
        answers = self._partitions.answer(rows)
        self._metrics.observe()
        return pd.DataFrame(answers, columns=["value", "topic"])


class PolledValue(Generic[Value]):
    """A value that a background thread reads again every `every_s` seconds; None until it is known."""

    def __init__(self, read: Callable[[], Value], every_s: float) -> None:
        self._read = read
        self._every_s = every_s
        self._value: Value | None = None
        self._stopped = threading.Event()
        threading.Thread(target=self._poll, daemon=True).start()

    def get(self) -> Value | None:
        """Return the value as it was read last."""
        return self._value

    def stop(self) -> None:
        """Stop reading."""
        self._stopped.set()

    def _poll(self) -> None:
        while not self._stopped.is_set():
            try:
                self._value = self._read()
            except StreamlearnError as error:
                _log.warning("what was read last is used: %s", error)
            self._stopped.wait(self._every_s)
