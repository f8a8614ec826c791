"""River's models: they learn as by themselves, are stored without pickle, and go on exactly."""

import subprocess
import sys
from copy import deepcopy
from typing import Any

import msgspec
import numpy as np
import pytest
from river import tree
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from streamlearn.engine import check
from streamlearn.errors import ConfigurationError
from streamlearn.estimators import River, Standardized, river_objects
from streamlearn.estimators.river_objects import NotStorable
from streamlearn.learning import Columns, Tabular
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.records import encode

LOGISTIC = {"model": "linear_model.LogisticRegression"}
TREE = {"model": "tree.HoeffdingTreeClassifier", "parameters": {"grace_period": 20}}
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "tree.HoeffdingTreeClassifier": {"parameters": {"grace_period": 20, "delta": 0.1}},
    "tree.HoeffdingAdaptiveTreeClassifier": {"parameters": {"grace_period": 20, "delta": 0.1, "seed": 1}},
    "tree.ExtremelyFastDecisionTreeClassifier": {"parameters": {"grace_period": 20}},
    "forest.AMFClassifier": {"parameters": {"n_estimators": 2, "seed": 1}},
    "forest.ARFClassifier": {"parameters": {"n_models": 2, "seed": 1}},
    "naive_bayes.GaussianNB": {},
    "naive_bayes.MultinomialNB": {},
    "linear_model.SoftmaxRegression": {},
    "multiclass.OneVsRestClassifier": {"parameters": {"classifier": LOGISTIC}},
    "drift.DriftRetrainingClassifier": {
        "parameters": {"model": TREE, "drift_detector": {"model": "drift.binary.DDM"}}
    },
    "compose.Pipeline": {
        "steps": [{"model": "preprocessing.StandardScaler"}, {"model": "linear_model.SoftmaxRegression"}]
    },
}
REGRESSORS: dict[str, dict[str, Any]] = {
    "linear_model.PARegressor": {},
    "tree.HoeffdingTreeRegressor": {"parameters": {"grace_period": 20}},
    "tree.HoeffdingAdaptiveTreeRegressor": {"parameters": {"grace_period": 20, "seed": 1}},
    "forest.AMFRegressor": {"parameters": {"n_estimators": 2, "seed": 1}},
}
ROWS, CUT = 120, 20


def make_data(model: str) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    if model in REGRESSORS:
        x, y = load_diabetes(return_X_y=True)
        return x[:ROWS], y[:ROWS], {}
    x, y = load_digits(return_X_y=True)
    return x[:ROWS, 16:32], y[:ROWS], {"classes": np.arange(10)}


def learn(model: str, options: dict[str, Any], *, resume: bool = False) -> tuple[River, list[Any]]:
    """Predict, then learn the rows; `resume`: store and read the model after each chunk."""
    x, y, classes = make_data(model)
    estimator, predicted = River(model, **options), []
    for start in range(0, ROWS, CUT):
        rows = slice(start, start + CUT)
        if start:
            predicted += estimator.predict(x[rows]).tolist()
        estimator.partial_fit(x[rows], y[rows], **classes)
        if resume:
            state = estimator.__getstate__()
            estimator = River.__new__(River)
            estimator.__setstate__(state)
    return estimator, predicted


@pytest.mark.parametrize("model", [*CLASSIFIERS, *REGRESSORS])
def test_a_model_goes_on_exactly_wherever_it_is_interrupted(model: str) -> None:
    options = {**CLASSIFIERS, **REGRESSORS}[model]
    estimator, predicted = learn(model, options)
    resumed, predicted_again = learn(model, options, resume=True)
    assert predicted == predicted_again
    data = river_objects.dumps(estimator.model_)
    assert river_objects.dumps(resumed.model_) == data
    x, _, _ = make_data(model)
    estimator.predict(x[:CUT])
    assert river_objects.dumps(estimator.model_) == data, "predicting changes nothing"


def test_a_tree_predicts_what_river_predicts_by_itself() -> None:
    model = "tree.HoeffdingTreeClassifier"
    _, predicted = learn(model, CLASSIFIERS[model])
    x, y, _ = make_data(model)
    plain, expected = tree.HoeffdingTreeClassifier(grace_period=20, delta=0.1), []
    for start in range(0, ROWS, CUT):
        rows = [dict(enumerate(row)) for row in x[start : start + CUT].tolist()]
        if start:
            expected += [plain.predict_one(row) for row in rows]
        for row, label in zip(rows, y[start : start + CUT].tolist(), strict=True):
            plain.learn_one(row, label)
    assert predicted == expected


def test_the_bytes_are_the_same_in_another_process() -> None:
    """Where texts are hashed otherwise."""
    script = """if True:
        import hashlib, test_river
        model, _ = test_river.learn("forest.AMFClassifier", test_river.CLASSIFIERS["forest.AMFClassifier"])
        print(hashlib.sha256(test_river.river_objects.dumps(model.model_)).hexdigest())"""
    outputs = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


class Row(msgspec.Struct):
    """Measurements, some missing, and what they are of."""

    a: float | None
    b: float
    label: str | None = None


def make_pipeline(**parameters: Any) -> Pipeline:
    return Pipeline(
        name="leaves",
        topic="leaves",
        prediction_topic="leaves_predict",
        record=Row,
        learning=Tabular(
            features=Columns(numbers=("a", "b")), label="label", estimator=River, classes=("no", "yes")
        ),
        parameters=parameters,
    )


def make_rows(count: int) -> list[Row]:
    x, y = load_breast_cancer(return_X_y=True)
    return [
        Row(None if number % 9 == 0 else float(x[number, 0]), float(x[number, 1]), ["no", "yes"][y[number]])
        for number in range(count)
    ]


def test_a_pipeline_of_a_tree_passes_its_check_and_its_snapshot_is_read() -> None:
    pipeline = make_pipeline(model="tree.HoeffdingTreeClassifier", parameters={"grace_period": 30})
    findings = list(check.check(pipeline, [encode(row) for row in make_rows(150)]))
    assert [finding for finding in findings if not finding.passed] == []
    learner = pipeline.new_learner()
    rows = make_rows(300)
    for end in range(50, 301, 50):
        predict_then_learn(learner, rows[end - 50 : end], end)
    assert learner.score.value > 0.7
    back = snapshot.loads(snapshot.dumps(learner, pipeline, "aaaa"), pipeline, "aaaa")
    assert back.answer(rows) == learner.answer(rows) == deepcopy(learner).answer(rows)
    assert learner.outputs(rows[:2])["probabilities"].sum(axis=1) == pytest.approx(1)
    assert snapshot.find_differences(learner, back) == []
    predict_then_learn(back, rows[:1], 301)
    assert "state.model.model_" in snapshot.find_differences(learner, back)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "tree.NoSuchTree"}, "River has no 'tree.NoSuchTree'"),
        ({"model": "NoModule"}, "River has no 'NoModule'"),
        ({"parameters": {"depth": 3}}, "cannot be made: "),
    ],
)
def test_a_model_that_there_is_not_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        River(**parameters).partial_fit([[1.0]], [1], classes=[0, 1])


def test_a_model_of_two_classes_says_what_takes_more() -> None:
    with pytest.raises(ConfigurationError, match="put it into multiclass"):
        River("linear_model.LogisticRegression").partial_fit([[1.0]], [1], classes=[0, 1, 2])


def test_linear_models_learn_from_standardised_features() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    model = Standardized("River", LOGISTIC)
    for start in range(0, 500, 50):
        model.partial_fit(x[start : start + 50], y[start : start + 50], classes=[0, 1])
    assert model.score(x[500:], y[500:]) > 0.9


def test_what_is_not_rivers_is_neither_written_nor_read() -> None:
    class Own(tree.HoeffdingTreeClassifier):
        pass

    for odd in (Own(), lambda: 0, sys, open):
        with pytest.raises(NotStorable, match="which no snapshot can"):
            river_objects.dumps([odd])
    for part in (
        ["name", "os", "system"],
        ["name", "river.tree.base", "typing.Any"],
        ["object", "subprocess", "Popen", None, {}],
        ["compiled", "river.drift.adwin_c", "Bucket", "os", "system", ["true"], None],
        ["compiled", "river.drift.adwin_c", "Bucket", "river.utils.pretty", "print_table", ["true"], None],
    ):
        with pytest.raises(NotStorable):
            river_objects.loads(msgspec.msgpack.encode([part]))
    for data in (b"", b"\xff", msgspec.msgpack.encode([["no such kind"]]), msgspec.msgpack.encode([])):
        with pytest.raises(ValueError, match="a model"):
            river_objects.loads(data)
