import msgspec
import numpy as np
import pytest
from helpers import learner, records
from sklearn.linear_model import SGDClassifier, SGDRegressor

from streamlearn.errors import NoModel
from streamlearn.learning.learner import predict_then_learn
from streamlearn.learning.tabular import Tabular
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.digits import pipeline
from streamlearn.storage import snapshot


def test_each_chunk_is_predicted_before_it_is_learned() -> None:
    """The loop that defines prequential evaluation, in plain scikit-learn, gives the same."""
    digits, ours, expected = records(600), [], []
    subject = pipeline.new_learner()
    plain = SGDClassifier(**pipeline.parameters)
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


def test_a_regression_is_scored_beside_the_label_that_came_last() -> None:
    """Against the same in plain numpy and scikit-learn; every fifth record has no label."""
    random = np.random.default_rng(3)
    points = [
        Point(x, None if n % 5 == 4 else 3 * x + 1) for n, x in enumerate(random.normal(size=60).tolist())
    ]
    learning = Tabular(
        features=lambda records: np.array([[record.x] for record in records]),
        label="y",
        estimator=SGDRegressor,
    )
    line = Pipeline("line", "line", "line_predict", Point, learning, {"random_state": 1}, ("x",))
    subject, plain = line.new_learner(), SGDRegressor(random_state=1)
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
    back = snapshot.loads(snapshot.dumps(subject, line, "a"), line, "a")
    assert snapshot.dumps(back, line, "a") == snapshot.dumps(subject, line, "a")
