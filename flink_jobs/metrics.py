"""What Flink shows of the learning, under the group `online_ml`: in the web UI and at Prometheus.

Lifetime figures (`sample_count`, `prediction_acc`, a counter a label) go on over restarts, since they come
out of the learner's own state; the meters, `record_count` and `dead_letter_count` count since the worker
started. Flink takes whole numbers only from Python, so the accuracy is in whole percent.
"""

from collections.abc import Callable
from typing import Any

from streamlearn.learner import Learner
from streamlearn.pipeline import Pipeline
from streamlearn.worker import Chunk

_SPAN_S = 10


class LearningMetrics:
    """Gauges, counters and meters of one worker; `observe` after each chunk."""

    def __init__(self, group: Any, pipeline: Pipeline, write_ms: Callable[[], int]) -> None:
        group = group.add_group("online_ml")
        self._pipeline = pipeline
        self._learner: Learner | None = None
        group.gauge("model_version", lambda: self._learner.version if self._learner else -1)
        group.gauge("prediction_acc", self._percent)
        group.gauge("checkpoint_write_ms", write_ms)
        self._records = group.counter("record_count")
        self._samples = Total(group.counter("sample_count"))
        self._labels = {
            str(label): Total(group.counter(f"label_{label}_count")) for label in pipeline.classes
        }
        self._dead_letters = group.counter("dead_letter_count")
        self._total = group.meter("total_10_sec", time_span_in_seconds=_SPAN_S)
        self._right = group.meter("right_10_sec", time_span_in_seconds=_SPAN_S)

    def observe(self, learner: Learner, chunk: Chunk) -> None:
        """Show `learner` as it is after `chunk`."""
        self._learner = learner
        self._records.inc(len(chunk.rows))
        self._samples.rise_to(learner.score.samples)
        for label, count in learner.score.labels.items():
            self._labels[label].rise_to(count)
        self._dead_letters.inc(chunk.bad)
        pairs = [
            (self._pipeline.label(record), predicted)
            for record, predicted in zip(chunk.records, chunk.predictions, strict=True)
        ]
        scored = [truth == predicted for truth, predicted in pairs if None not in (truth, predicted)]
        self._total.mark_event(len(scored))
        self._right.mark_event(sum(scored))

    def _percent(self) -> int:
        accuracy = self._learner.score.value if self._learner else None
        return -1 if accuracy is None else round(100 * accuracy)


class Total:
    """A counter that follows a total kept elsewhere. Its own count cannot be asked: Flink takes it away."""

    def __init__(self, counter: Any) -> None:
        self._counter = counter
        self._told = 0

    def rise_to(self, total: int) -> None:
        """Count what has come since the last call."""
        self._counter.inc(total - self._told)
        self._told = total
