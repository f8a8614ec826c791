from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from helpers import learner, records
from sklearn.linear_model import SGDClassifier, SGDRegressor

from streamlearn.errors import BadRecord, ChangeRefused, NoModel
from streamlearn.estimators import RandomFeatureSoftmax
from streamlearn.learning.learner import Answer, Learner, has_finite_numbers, predict_then_learn
from streamlearn.learning.tabular import Tabular
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.digits import first, pipeline
from streamlearn.storage import snapshot


@pytest.mark.parametrize(
    ("revision", "estimator"), [(first, SGDClassifier), (pipeline, RandomFeatureSoftmax)]
)
def test_each_chunk_is_predicted_before_it_is_learned(revision: Pipeline, estimator: Any) -> None:
    """The loop that defines prequential evaluation, with the plain estimator, gives the same."""
    digits, ours, expected = records(600), [], []
    subject = revision.new_learner()
    plain = estimator(**revision.parameters)
    for start in range(0, 600, 60):
        chunk = digits[start : start + 60]
        x = np.array([record.x for record in chunk])
        y = np.array([record.actual_y for record in chunk])
        expected += plain.predict(x).tolist() if start else [None] * 60
        plain.partial_fit(x, y, classes=np.arange(10))
        ours += [answer["predict_y"] for answer in predict_then_learn(subject, chunk, start + 60)]
    assert ours == expected
    truths = [record.actual_y for record in digits[60:]]
    assert subject.score.samples == 540
    assert subject.score.right == sum(a == b for a, b in zip(truths, ours[60:], strict=True))
    np.testing.assert_array_equal(subject.model.coef_, plain.coef_)


def test_the_first_chunk_is_answered_with_none_and_not_scored() -> None:
    subject = learner()
    assert predict_then_learn(subject, records(5), 5) == [{"predict_y": None}] * 5
    assert subject.score.samples == 0
    assert subject.score.value is None
    assert sum(subject.score.labels.values()) == 5


def test_unlabelled_records_are_predicted_and_change_nothing() -> None:
    subject = learner(100)
    before = subject.model.coef_.copy()
    unlabelled = records(10, seed=8)
    for record in unlabelled:
        record.actual_y = None
    assert len(predict_then_learn(subject, unlabelled, 110)) == 10
    np.testing.assert_array_equal(subject.model.coef_, before)
    assert subject.version == 110
    assert subject.score.samples == 0


def test_features_made_to_predict_are_learned_from_only_where_they_are_those_of_the_labelled_rows() -> None:
    """Chunks of which all, some and none have a label, and one that is learned without being predicted."""
    model, plain = pipeline.new_learner(), RandomFeatureSoftmax(**pipeline.parameters)
    classes = np.arange(10)
    for number, start in enumerate(range(0, 1000, 100)):
        chunk = records(1000)[start : start + 100]
        if number % 3:
            chunk = [
                msgspec.structs.replace(r, actual_y=r.actual_y if n % number else None)
                for n, r in enumerate(chunk)
            ]
        answers = model.predict(chunk)
        x = pipeline.learning.features_of(chunk)
        if number:
            assert [answer["predict_y"] for answer in answers] == plain.predict(x).tolist()
        lesson = records(100, seed=7) if number == 6 else chunk
        model.learn(lesson, answers)
        labelled = [r for r in lesson if r.actual_y is not None]
        if labelled:
            y = np.array([r.actual_y for r in labelled])
            plain.partial_fit(pipeline.learning.features_of(labelled), y, classes=classes)
    assert model.model.coef_.tobytes() == plain.coef_.tobytes()


def test_an_empty_chunk_moves_the_version_on() -> None:
    subject = learner(100)
    assert predict_then_learn(subject, [], 103) == []
    assert subject.version == 103


def test_a_version_never_goes_back() -> None:
    subject = learner(100)
    with pytest.raises(ValueError, match="does not come after"):
        predict_then_learn(subject, records(1), 100)


def test_nothing_is_predicted_without_a_model() -> None:
    with pytest.raises(NoModel):
        learner().answer(records(1))


def test_learning_repeats_exactly() -> None:
    first, second = learner(500, cuts=[100, 150, 400]), learner(500, cuts=[100, 150, 400])
    np.testing.assert_array_equal(first.model.coef_, second.model.coef_)
    assert first.score == second.score


class Point(msgspec.Struct):
    x: float
    y: float | None = None


LINE = Pipeline(
    name="line",
    topic="line",
    prediction_topic="line_predict",
    record=Point,
    learning=Tabular(
        features=lambda records: np.array([[record.x] for record in records]),
        label="y",
        estimator=SGDRegressor,
    ),
    parameters={"random_state": 1},
    passthrough_fields=("x",),
)


def test_a_regression_is_scored_beside_the_label_that_came_last() -> None:
    """Against the same in plain numpy and scikit-learn; every fifth record has no label."""
    random = np.random.default_rng(3)
    points = [
        Point(x, None if n % 5 == 4 else 3 * x + 1) for n, x in enumerate(random.normal(size=60).tolist())
    ]
    subject, plain = LINE.new_learner(), SGDRegressor(random_state=1)
    errors, baseline, last = [], [], None
    for start in range(0, 60, 10):
        chunk = points[start : start + 10]
        answers = [answer["predict_y"] for answer in predict_then_learn(subject, chunk, start + 10)]
        x, labelled = (
            np.array([[point.x] for point in chunk]),
            [n for n in range(10) if chunk[n].y is not None],
        )
        expected = plain.predict(x).tolist() if start else [None] * 10
        assert answers == expected
        for n in labelled:
            if start:
                errors.append(expected[n] - chunk[n].y)
                baseline.append(last - chunk[n].y)
            last = chunk[n].y
        plain.partial_fit(x[labelled], [chunk[n].y for n in labelled])
    figures = subject.score.summary()
    assert subject.score.samples == len(errors) == 40
    assert figures["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert figures["baseline_mae"] == pytest.approx(np.mean(np.abs(baseline)))
    back = snapshot.loads(snapshot.dumps(subject, LINE, "a"), LINE, "a")
    assert snapshot.dumps(back, LINE, "a") == snapshot.dumps(subject, LINE, "a")
    following = [Point(0.5, 100.0)]
    assert predict_then_learn(back, following, 61) == predict_then_learn(subject, following, 61)
    assert back.score == subject.score, "the label that came last comes back as well"


class Unsorted:
    """A classifier that takes missing values, and names no order of its probabilities."""

    def partial_fit(self, x: Any, y: Any, classes: Any) -> None:
        self.sums_ = np.nansum(x, axis=0)

    def predict(self, x: Any) -> Any:
        return np.zeros(len(x), dtype=int)

    def predict_proba(self, x: Any) -> Any:
        return np.tile([0.25, 0.75], (len(x), 1))


def test_an_estimator_of_ones_own_sees_what_is_missing_and_keeps_its_order() -> None:
    learning = replace(LINE.learning, estimator=Unsorted, classes=(1, 0))  # type: ignore[type-var]
    subject = learning.new_learner({}, 0)
    predict_then_learn(subject, [Point(np.nan, 1), Point(2.0, 0)], 2)
    assert subject.model.sums_ == [2.0]
    assert subject.outputs([Point(np.nan)])["probabilities"].tolist() == [[0.25, 0.75]]


def test_a_feature_that_is_not_finite_is_told_before_anything_is_learned_and_after() -> None:
    subject = LINE.new_learner()
    for version in (1, 3):
        with pytest.raises(BadRecord, match="feature 0 is inf, not a finite number"):
            predict_then_learn(subject, [Point(1.0, 1.0), Point(np.inf, 1.0)], version)
        predict_then_learn(subject, [Point(1.0, 1.0)], version + 1)


def test_a_label_that_cannot_be_learned_is_told() -> None:
    subject = LINE.new_learner()
    assert subject.rejection_reason(Point(1.0, np.inf)) == "the label inf is not a finite number"
    assert subject.rejection_reason(Point(1.0, 2.0)) is None
    assert subject.rejection_reason(Point(1.0)) is None
    classified = replace(LINE.learning, classes=(0, 1)).new_learner({}, 0)  # type: ignore[type-var]
    reason = classified.rejection_reason(Point(1.0, [1]))  # type: ignore[arg-type]
    assert reason == "the label [1] is none of the classes: 0, 1"


@pytest.mark.parametrize(
    ("numbers", "finite"),
    [([1.0, np.nan], False), ([1e200, -1e200], True), ([np.inf, -np.inf], False), ([], True)],
)
def test_a_model_is_finite_where_all_its_numbers_are(numbers: list[float], finite: bool) -> None:
    """Very large ones are finite, though their squares are not."""
    model = SGDRegressor()
    model.coef_ = np.array(numbers)
    assert has_finite_numbers(model) == finite


class Mean(Learner):
    """The smallest learner of one's own: answers the mean of what came."""

    total = 0.0

    @property
    def trained(self) -> bool:
        return self.version > 0

    def predict(self, records: Sequence[Any]) -> list[Answer]:
        return [{"mean": self.total / max(1, self.version), "count": self.version} for _ in records]

    def learn(self, records: Sequence[Any], answers: Sequence[Answer]) -> None:
        self.total += sum(record.x for record in records)

    def answer(self, records: Sequence[Any]) -> list[Answer]:
        return self.predict(records)

    def state(self) -> dict[str, Any]:
        return {"total": self.total}

    def restore(self, state: dict[str, Any]) -> None:
        self.total = state["total"]


def test_a_learner_of_ones_own_needs_no_more_than_what_is_abstract() -> None:
    subject = Mean({}, 0)
    predict_then_learn(subject, [Point(1.0), Point(2.0)], 2)
    arrays = subject.outputs([Point(0.0)] * 3)
    assert {name: array.tolist() for name, array in arrays.items()} == {"mean": [1.5] * 3, "count": [2] * 3}
    assert subject.is_finite()
    assert subject.rejection_reason(Point(np.inf)) is None
    with pytest.raises(ChangeRefused, match="does not choose its pace"):
        subject.change_setting("pace", 1)


def test_a_learner_that_takes_few_records_at_a_time_is_given_no_more() -> None:
    subject = Mean({}, 0)
    subject.max_chunk_rows = 2
    lengths: list[int] = []

    def predict(learner: Learner, records: Sequence[Any]) -> list[Answer]:
        lengths.append(len(records))
        return learner.predict(records)

    assert len(predict_then_learn(subject, [Point(1.0)] * 5, 5, predict)) == 5
    assert (lengths, subject.total) == ([2, 2, 1], 5.0)
