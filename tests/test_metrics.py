"""What Flink shows of the learning, on a metric group that only counts; `test_job.py` has the real one."""

from types import SimpleNamespace
from typing import Any

from helpers import learner

from flink_jobs.metrics import LearningMetrics
from streamlearn.engine.worker import Counts
from streamlearn.learning.metrics import Accuracy
from streamlearn.pipelines.digits import pipeline


class Group:
    """A metric group as PyFlink has it."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}

    def add_group(self, name: str) -> "Group":
        return self

    def gauge(self, name: str, value: Any) -> None:
        return None

    def counter(self, name: str) -> Any:
        return SimpleNamespace(inc=lambda count: self._add(name, count))

    def meter(self, name: str, time_span_in_seconds: int) -> Any:
        return SimpleNamespace(mark_event=lambda count: self._add(name, count))

    def _add(self, name: str, count: int) -> None:
        self.totals[name] = self.totals.get(name, 0) + count


def test_a_label_that_was_not_known_at_the_start_is_counted() -> None:
    group, worker = Group(), SimpleNamespace(learner=learner(10), counts=Counts())
    metrics = LearningMetrics(group, pipeline, worker)  # type: ignore[arg-type]
    worker.learner.score = Accuracy()
    worker.learner.score.add([True, True, False], [True, False, False])
    metrics.observe()
    worker.learner.score.add([True], [None])
    metrics.observe()
    assert (group.totals["label_True_count"], group.totals["label_False_count"]) == (3, 1)
    assert group.totals["sample_count"] == 3
