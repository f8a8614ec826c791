"""The adapter between Flink's Arrow batches and `streamlearn.engine.worker`; nothing is decided here.

`__init__` runs where the job is submitted and keeps what is pickled; `open` runs on the worker and connects,
with the worker's own settings. The function is called for its effect, so it must not count as
deterministic: Flink would be free to call it twice, or not at all.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pandas as pd
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

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


class Learn(ScalarFunction):  # type: ignore[misc]
    """The SQL function `learn`: columns partition, offset, value → rows (value, topic)."""

    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage

    def is_deterministic(self) -> bool:
        """Return False: the result depends on more than the arguments."""
        return False

    def open(self, function_context: FunctionContext) -> None:
        """Connect. The model is loaded at the first `eval`, whose offset tells where Flink resumed."""
        pin_blas_threads()
        settings = Settings.load()
        pipeline = load(self._lineage.reference)
        broker = Broker(settings)
        LineageRegister(broker, pipeline).check_open(self._lineage)
        stream = KafkaStream(broker, pipeline)
        self._committed = PolledValue(stream.committed, _COMMITTED_POLL_S)
        self._worker = Worker(
            pipeline,
            self._lineage,
            settings,
            store=Store.of(settings),
            stream=stream,
            committed=self._committed.get,
        )
        self._worker.admit()
        self._metrics = LearningMetrics(function_context.get_metric_group(), pipeline, self._worker)
        relieve_collector()

    def close(self) -> None:
        """Stop polling the committed offset."""
        self._committed.stop()

    def eval(self, partition: Any, offset: Any, value: Any) -> pd.DataFrame:
        """Answer a batch of rows, one output row for each."""
        rows = [Input(int(p), int(o), v) for p, o, v in zip(partition, offset, value, strict=True)]
        answers = self._worker.answer(rows)
        self._metrics.observe()
        return pd.DataFrame(answers, columns=["value", "topic"])


def learn_function(lineage: Lineage) -> Any:
    """Wrap `Learn` as the SQL function `learn`."""
    result = DataTypes.ROW(
        [DataTypes.FIELD("value", DataTypes.BYTES()), DataTypes.FIELD("topic", DataTypes.STRING())]
    )
    return udf(Learn(lineage), result_type=result, func_type="pandas", deterministic=False)


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
