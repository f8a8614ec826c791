"""What Flink shows of the learning, on a metric group that only counts; `test_job.py` has the real one."""

from types import SimpleNamespace
from typing import Any

import pytest
from helpers import LINEAGE, learner

from flink_jobs.metrics import LearningMetrics, PartitionMetrics
from streamlearn.engine.worker import Counts
from streamlearn.learning.metrics import Accuracy
from streamlearn.pipelines.digits import pipeline
from streamlearn.stream.lineage import Lineage


class Group:
    """A metric group as PyFlink has it."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.totals: dict[str, int] = {}
        self.groups: dict[tuple[str, ...], Group] = {}

    def add_group(self, *names: str) -> "Group":
        return self.groups.setdefault(names, Group(*self.names, *names))

    def gauge(self, name: str, value: Any) -> None:
        return None

    def counter(self, name: str) -> Any:
        return SimpleNamespace(inc=lambda count: self._add(name, count))

    def meter(self, name: str, time_span_in_seconds: int) -> Any:
        return SimpleNamespace(mark_event=lambda count: self._add(name, count))

    def _add(self, name: str, count: int) -> None:
        self.totals[name] = self.totals.get(name, 0) + count


@pytest.mark.parametrize(
    ("lineage", "groups"),
    [(LINEAGE, {0: ()}), (LINEAGE.add_partitions([0]), {0: ("partition", "0"), 1: ("partition", "1")})],
    ids=["one partition", "two"],
)
def test_each_of_several_partitions_has_a_group_of_its_own(
    lineage: Lineage, groups: dict[int, tuple[str, ...]]
) -> None:
    group, workers = Group(), {}
    partitions = SimpleNamespace(workers=workers, worker=lambda k: workers.setdefault(k, make_worker(10)))
    metrics = PartitionMetrics(group, pipeline, partitions, lineage)  # type: ignore[arg-type]
    for partition in groups:
        partitions.worker(partition).learner = learner(10 * (partition + 1))
    metrics.observe()
    below = group.add_group("online_ml")
    for partition, names in groups.items():
        own = below.add_group(*names) if names else below
        assert own.totals["label_0_count"] == learner(10 * (partition + 1)).score.counts()["label_0_count"]
    assert set(below.groups) == {names for names in groups.values() if names}


def make_worker(count: int) -> SimpleNamespace:
    return SimpleNamespace(learner=learner(count), counts=Counts())


def test_a_label_that_was_not_known_at_the_start_is_counted() -> None:
    group, worker = Group(), make_worker(10)
    metrics = LearningMetrics(group, pipeline, worker)  # type: ignore[arg-type]
    worker.learner.score = Accuracy()
    worker.learner.score.add([True, True, False], [True, False, False])
    metrics.observe()
    worker.learner.score.add([True], [None])
    metrics.observe()
    assert (group.totals["label_True_count"], group.totals["label_False_count"]) == (3, 1)
    assert group.totals["sample_count"] == 3
