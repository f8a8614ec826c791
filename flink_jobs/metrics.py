"""The learning's metrics, under the group `online_ml`: Flink shows them in its web UI and to Prometheus.

Of a lineage with several partitions each has metrics of its own, in a group `partition` below; Prometheus is
given that as a label.

Lifetime figures (`sample_count`, the score's gauges and counts) continue over restarts, since they come from
the learner's own state; `record_count`, `dead_letter_count` and the meters count since the worker started.
Flink takes only whole numbers from Python, of 64 bits, so an accuracy is in percent and an error in
thousandths. A figure that cannot be shown never ends a job: it is logged, once, and the learning goes on.
"""

import logging
from collections.abc import Callable
from typing import Any

from streamlearn.engine.partitions import Partitions
from streamlearn.engine.worker import Worker
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.lineage import Lineage

_SPAN_S = 10
_LARGEST = 2**63 - 1

_log = logging.getLogger(__name__)


class PartitionMetrics:
    """The metrics of every partition that a worker of Flink has; call `observe` after each batch."""

    def __init__(self, group: Any, pipeline: Pipeline, partitions: Partitions, lineage: Lineage) -> None:
        self._group = group.add_group("online_ml")
        # A lineage that began with an earlier pipeline keeps that pipeline's score.
        self._pipeline = pipeline.with_parameters(lineage.parameters)
        self._partitions = partitions
        self._metrics: dict[int, LearningMetrics] = {}
        self._has_several = len(lineage.partitions) > 1
        if not self._has_several:
            # The only partition's metrics exist from the start; with several, each appears with its first
            # record.
            self._metrics[0] = LearningMetrics(self._group, self._pipeline, partitions.worker(0))

    def observe(self) -> None:
        """Take over the figures of each partition's worker and learner as they are now."""
        for partition, worker in self._partitions.workers.items():
            if partition not in self._metrics:
                group = self._group.add_group("partition", str(partition))
                self._metrics[partition] = LearningMetrics(group, self._pipeline, worker)
            self._metrics[partition].observe()


class LearningMetrics:
    """Gauges, counters and meters of a worker; call `observe` after each batch."""

    def __init__(self, group: Any, pipeline: Pipeline, worker: Worker) -> None:
        self._group = group
        self._worker = worker
        blank = pipeline.new_learner().score
        self._gauges = blank.gauges()
        for name in self._gauges:
            group.gauge(name, self._make_gauge(name))
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
        self._failed = False

    def observe(self) -> None:
        """Take over the figures of the worker and its learner as they are now."""
        try:
            self._observe()
        except Exception as error:  # a score may be the pipeline's own code
            if not self._failed:
                _log.exception("the metrics are not up to date: %s", error)
            self._failed = True

    def _observe(self) -> None:
        assert self._worker.learner is not None
        score = self._worker.learner.score
        self._gauges = score.gauges()
        right = score.right
        if not self._started:
            # Records scored before this worker started do not belong to the last ten seconds. Its first
            # batch does, but is left out as well: that is simpler.
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
            # A score may come to count what it did not know at the start, such as a label.
            if name not in self._counts:
                self._counts[name] = Total(self._group.counter(name))
            self._counts[name].rise_to(count)

    def _make_gauge(self, name: str) -> Callable[[], int]:
        return lambda: max(-_LARGEST, min(self._gauges.get(name, -1), _LARGEST))


class Total:
    """A counter or meter that follows a total kept elsewhere; Flink itself only takes increments."""

    def __init__(self, metric: Any) -> None:
        self._count = metric.inc if hasattr(metric, "inc") else metric.mark_event
        self._counted = 0

    def rise_to(self, total: int) -> None:
        """Count the difference to the last call's total."""
        self._count(total - self._counted)
        self._counted = total

    def skip_to(self, total: int) -> None:
        """Take over a total without counting it."""
        self._counted = total
