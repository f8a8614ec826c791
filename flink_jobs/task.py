"""What the job's task does on its worker: `streamlearn.engine.worker`, connected and its figures shown."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pandas as pd
from pyflink.metrics import MetricGroup

from flink_jobs.metrics import LearningMetrics
from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
from streamlearn.engine.worker import Worker
from streamlearn.errors import BrokerUnavailable
from streamlearn.learning.blas import pin_blas_threads
from streamlearn.learning.collector import relieve_collector
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input

_COMMITTED_POLL_S = 5.0

_log = logging.getLogger(__name__)


class LearningTask:
    """A lineage's worker, connected with this process' settings.

    The model is loaded with the first rows, whose offset tells where Flink resumed.
    """

    def __init__(self, lineage: Lineage, metrics: MetricGroup) -> None:
        pin_blas_threads()
        settings = Settings.load()
        pipeline = load(lineage.reference)
        broker = Broker(settings)
        LineageRegister(broker, pipeline).check_open(lineage)
        stream = KafkaStream(broker, pipeline)
        self._committed = PolledValue(stream.committed, _COMMITTED_POLL_S)
        self._worker = Worker(
            pipeline,
            lineage,
            settings,
            store=Store.of(settings),
            stream=stream,
            committed=self._committed.get,
        )
        self._worker.admit()
        self._metrics = LearningMetrics(metrics, pipeline, self._worker)
        relieve_collector()

    def close(self) -> None:
        """Stop polling the committed offset."""
        self._committed.stop()

    def answer(self, partition: Any, offset: Any, value: Any) -> pd.DataFrame:
        """Answer a batch of rows, one output row for each."""
        rows = [Input(int(p), int(o), v) for p, o, v in zip(partition, offset, value, strict=True)]
        answers = self._worker.answer(rows)
        self._metrics.observe()
        return pd.DataFrame(answers, columns=["value", "topic"])


class PolledValue:
    """A value that a background thread reads again every `every_s` seconds; None until it is known."""

    def __init__(self, read: Callable[[], int | None], every_s: float) -> None:
        self._read = read
        self._every_s = every_s
        self._value: int | None = None
        self._stopped = threading.Event()
        threading.Thread(target=self._poll, daemon=True).start()

    def get(self) -> int | None:
        """Return the value as it was read last."""
        return self._value

    def stop(self) -> None:
        """Stop reading."""
        self._stopped.set()

    def _poll(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self._value = self._read()
            except BrokerUnavailable as error:
                _log.warning("the committed offset cannot be read, so the last one known is used: %s", error)
