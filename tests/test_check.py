"""`streamlearn check`: what is wrong with a pipeline is noticed, by the check that is there for it."""

from dataclasses import replace
from typing import Any

import pytest
from sklearn.linear_model import SGDClassifier

from streamlearn.engine.check import check, sample
from streamlearn.learning import Tabular
from streamlearn.pipelines.digits import pipeline


class Forgetful(SGDClassifier):
    """Learns each chunk a little less, and keeps out of its state how many it has learned."""

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Any:  # noqa: N803
        self._chunks = getattr(self, "_chunks", 0) + 1
        return super().partial_fit(X / self._chunks, y, classes=classes)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_chunks"}


@pytest.mark.parametrize(("estimator", "passes"), [(SGDClassifier, True), (Forgetful, False)])
def test_state_that_a_snapshot_lacks_is_noticed(estimator: Any, passes: bool) -> None:
    assert isinstance(pipeline.learning, Tabular)
    learning = replace(pipeline.learning, estimator=estimator)
    subject = replace(pipeline, learning=learning, trusted_types=("test_check.Forgetful",))
    findings = {finding.what: finding.passed for finding in check(subject, sample(subject, 200))}
    assert findings["learning repeats exactly"]
    assert findings["a snapshot goes on exactly"] is passes
