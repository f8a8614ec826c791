"""What Flink shows of the learning, under the group `online_ml`: in the web UI and at Prometheus.

Lifetime figures (`sample_count`, the score's gauges and counts) go on over restarts, since they come out of
the learner's own state; `record_count`, `dead_letter_count` and the meters count since the worker started.
Flink takes whole numbers only from Python, so an accuracy is in percent and an error in thousandths.
"""

from collections.abc import Callable
from typing import Any

from streamlearn.engine.worker import Worker
from streamlearn.pipelines.base import Pipeline

_SPAN_S = 10


class LearningMetrics:
    """Gauges, counters and meters of one worker; `observe` after each call."""

    def __init__(self, group: Any, pipeline: Pipeline, worker: Worker) -> None:
        group = group.add_group("online_ml")
        self._worker = worker
        blank = pipeline.new_learner().score
        self._gauges = blank.gauges()
        for name in self._gauges:
            group.gauge(name, self._gauge(name))
        group.gauge("model_version", lambda: worker.learner.version if worker.learner else -1)
        group.gauge("checkpoint_write_ms", lambda: round(1000 * worker.counts.write_s))
        self._records = Total(group.counter("record_count"))
        self._dead_letters = Total(group.counter("dead_letter_count"))
        self._relearned = Total(group.counter("relearned_count"))
        self._dropped = Total(group.counter("rolled_back_count"))
        self._lost = Total(group.counter("lost_count"))
        self._samples = Total(group.counter("sample_count"))
        self._counts = {name: Total(group.counter(name)) for name in blank.counts()}
        self._total = Total(group.meter("total_10_sec", time_span_in_seconds=_SPAN_S))
        self._right = Total(group.meter("right_10_sec", time_span_in_seconds=_SPAN_S))
        self._started = False

    def observe(self) -> None:
        """Show the worker and its learner as they are now."""
        assert self._worker.learner is not None
        score = self._worker.learner.score
        self._gauges = score.gauges()
        right = getattr(score, "right", 0)
        if not self._started:
            # What was scored before this worker started is not of the last ten seconds; nor, for
            # simplicity, is its first call.
            self._total.skip_to(score.samples)
            self._right.skip_to(right)
            self._started = True
        counts = self._worker.counts
        self._records.rise_to(counts.rows)
        self._dead_letters.rise_to(counts.dead_letters)
        self._relearned.rise_to(counts.relearned)
        self._dropped.rise_to(counts.dropped)
        self._lost.rise_to(counts.lost)
        self._samples.rise_to(score.samples)
        self._total.rise_to(score.samples)
        self._right.rise_to(right)
        for name, count in score.counts().items():
            self._counts[name].rise_to(count)

    def _gauge(self, name: str) -> Callable[[], int]:
        return lambda: self._gauges[name]


class Total:
    """A counter or meter that follows a total kept elsewhere; Flink takes away what it has counted itself."""

    def __init__(self, metric: Any) -> None:
        self._count = metric.inc if hasattr(metric, "inc") else metric.mark_event
        self._told = 0

    def rise_to(self, total: int) -> None:
        """Count what has come since the last call."""
        self._count(total - self._told)
        self._told = total

    def skip_to(self, total: int) -> None:
        """Take a total as known, without counting it."""
        self._told = total
