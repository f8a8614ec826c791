"""Classes that come as they do: the same ones in the same order however learning is interrupted."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from helpers import MakeApp, put
from sklearn.linear_model import Perceptron, SGDClassifier
from sklearn.naive_bayes import GaussianNB

from streamlearn.engine.answering import Answering, cut_into_chunks
from streamlearn.errors import ConfigurationError
from streamlearn.learning import Tabular
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.pipelines import Pipeline
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.ports import Input
from streamlearn.stream.records import encode
from streamlearn.waiting import wait_until

NAMES = ("plum", "apple", "fig", "pear")


class Fruit(msgspec.Struct):
    """A fruit's two measures, and perhaps its name."""

    x: list[float]
    name: str | None = None


def make_pipeline(estimator: Any = SGDClassifier, classes: tuple[Any, ...] = (), most: int = 4) -> Pipeline:
    parameters = {} if estimator is GaussianNB else {"random_state": 0}
    if estimator is SGDClassifier:
        parameters |= {"loss": "log_loss"}  # type: ignore[dict-item]
    return Pipeline(
        name="fruits",
        topic="fruits",
        prediction_topic="fruits_predict",
        record=Fruit,
        learning=Tabular(
            features=lambda records: np.array([record.x for record in records]),
            label="name",
            estimator=estimator,
            classes=classes,
            max_classes=most,
        ),
        parameters=parameters,
        revision="1",
    )


def make_fruits(count: int) -> list[Fruit]:
    """Fruits of which each kind first comes 40 records after the one before."""
    random, fruits = np.random.default_rng(1), []
    for number in range(count):
        kind = int(random.integers(min(len(NAMES), 1 + number // 40)))
        centre = [(3, 0), (0, 3), (-3, 0), (0, -3)][kind]
        fruits.append(Fruit((random.normal(size=2) + centre).tolist(), NAMES[kind]))
    return fruits


def learn(pipeline: Pipeline, fruits: list[Fruit], *, resume: bool = False) -> tuple[Learner, list[Any]]:
    learner, predicted = pipeline.new_learner(), []
    for start in range(0, len(fruits), 10):
        chunk = fruits[start : start + 10]
        predicted += predict_then_learn(learner, chunk, start + len(chunk))
        if resume:
            learner = snapshot.loads(snapshot.dumps(learner, pipeline, "aaaa"), pipeline, "aaaa")
    return learner, [answer["predict_y"] for answer in predicted]


@pytest.mark.parametrize("estimator", [SGDClassifier, GaussianNB, Perceptron])
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_each_class_takes_its_place_as_it_first_comes(estimator: Any) -> None:
    pipeline, fruits = make_pipeline(estimator), make_fruits(400)
    learner, predicted = learn(pipeline, fruits)
    assert learner.classes == NAMES
    names = [fruit.name for fruit in fruits]
    for number, label in enumerate(predicted):
        assert label in {*names[: number // 10 * 10], None}, "no class is predicted before it has come"
    assert np.mean([a == b for a, b in zip(predicted[200:], names[200:], strict=True)]) > 0.85
    resumed, predicted_again = learn(pipeline, fruits, resume=True)
    assert predicted_again == predicted
    assert snapshot.dumps(resumed, pipeline, "aaaa") == snapshot.dumps(learner, pipeline, "aaaa")


def test_one_class_too_many_is_set_aside_whatever_the_chunk() -> None:
    pipeline = make_pipeline(classes=("plum",), most=2)
    names = ["apple", "fig", "pear", "plum", None, "apple"]
    rows = [Input(0, number, encode({"x": [number, 1.0], "name": name})) for number, name in enumerate(names)]
    for size in (1, 2, 6):
        answering, learner = (
            Answering(pipeline, "aaaa", "", lambda version: pipeline.new_learner()),
            (pipeline.new_learner()),
        )
        reasons = {}
        for chunk in cut_into_chunks(rows, size):
            learner, outputs = answering.answer(learner, chunk)
            answers = [json.loads(output.value) for output in outputs]
            reasons |= {answer["offset"]: answer["reason"] for answer in answers if "reason" in answer}
        assert learner.classes == ("plum", "apple")
        assert reasons == {
            offset: f"the label '{names[offset]}' is new, and there are 2 classes already, the most allowed"
            for offset in (1, 2)
        }


@pytest.mark.parametrize(
    ("known", "label", "reason"),
    [
        ((1, 2), "three", "the label 'three' is not of the type of the classes, such as 1"),
        ((1, 2), 0.5, "the label 0.5 cannot be a class: a class is text, a whole number or a boolean"),
        ((1, 2), [1], "the label [1] cannot be a class"),
        ((1, 2), 3, None),
        (("a",), "b", None),
    ],
)
def test_a_label_that_can_be_no_class_is_told(known: tuple[Any, ...], label: Any, reason: str | None) -> None:
    pipeline = make_pipeline(classes=known)
    record = Fruit([0.0, 0.0], label)
    assert pipeline.new_learner().rejection_reason(record) == reason


@pytest.mark.parametrize(("classes", "most"), [(None, 3), (("a", "b", "c"), 2), ((), 1)])
def test_a_maximum_that_makes_no_sense_is_refused(classes: tuple[Any, ...] | None, most: int) -> None:
    with pytest.raises(ConfigurationError, match="at least 2 and as many as those"):
        Tabular(len, "y", SGDClassifier, classes, max_classes=most)  # type: ignore[arg-type]


def test_the_definition_names_the_maximum_only_where_there_is_one() -> None:
    assert make_pipeline().definition["max_classes"] == 4
    assert "max_classes" not in Tabular(len, "y", SGDClassifier, (0, 1)).definition()  # type: ignore[arg-type]


def test_the_server_names_the_classes_of_the_version_that_answers(
    store: Store, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, fruits = make_pipeline(), make_fruits(400)
    monkeypatch.setattr("serving.app.load_all", lambda settings: [pipeline])
    writer = put(store, pipeline, learn(pipeline, fruits[:60])[0])
    put(store, pipeline, learn(pipeline, fruits)[0], writer)
    client = make_app().test_client()
    wait_until(lambda: bool(client.get("/v2/models/fruits").get_json()["parameters"]), 5, "the model")
    request = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [0, 3]}]}
    for path, classes in (("/versions/60", ["plum", "apple"]), ("", list(NAMES))):
        described = client.get(f"/v2/models/fruits{path}").get_json()["outputs"]
        assert [output["datatype"] for output in described] == ["BYTES", "FP64"]
        assert described[1]["shape"] == [-1, len(classes)]
        assert described[1]["parameters"] == {"classes": classes}
        label, probabilities = client.post(f"/v2/models/fruits{path}/infer", json=request).get_json()[
            "outputs"
        ]
        assert label["data"] == ["apple"]
        assert probabilities["shape"] == [1, len(classes)]
        assert probabilities["parameters"]["classes"] == classes
        assert sum(probabilities["data"]) == pytest.approx(1)
        assert int(np.argmax(probabilities["data"])) == 1
