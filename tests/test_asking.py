"""Asked over HTTP, labelled later: learned once, scored against the answer that the server gave."""

import uuid
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import redis
from helpers import KEY, LINEAGE, ListStream, Make, MakeApp, commit, put, read_snapshots
from msgspec import structs
from reading import Topic, create_topic
from sklearn.linear_model import SGDRegressor
from test_labels_later import SGD, Visit, answer_all, make_pipeline, make_records

from streamlearn.engine.verify import verify
from streamlearn.errors import ConfigurationError
from streamlearn.learning import LabelsLater, Tabular
from streamlearn.learning.labels_later import make_answered_record
from streamlearn.pipelines import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.stream.ports import Input
from streamlearn.stream.records import encode
from streamlearn.waiting import wait_until

TRAINING = make_records(60, 5)
ASKED = {"x": [3.0, -3.0], "visit-no": "asked"}
LABEL = {"visit-no": "asked", "bought": True}


def make_asked(predicted: Any) -> dict[str, Any]:
    return {**ASKED, "answer_given": {"predict_y": predicted, "model_version": "7"}}


@pytest.mark.parametrize("cut", [[], [len(TRAINING), len(TRAINING) + 1]])
@pytest.mark.parametrize(("given", "right"), [(True, 1), (False, 0), (None, None)])
def test_a_label_is_scored_against_the_answer_that_was_given(
    given: bool | None, right: int | None, cut: list[int]
) -> None:
    pipeline = make_pipeline()
    before, _ = answer_all(pipeline, TRAINING, [40])
    learner, answers = answer_all(pipeline, [*TRAINING, make_asked(given), LABEL], [40, *cut])
    assert [answers[-1]["predict_y"], len(learner.waiting)] == [given, 0]
    scored = learner.score.samples - before.score.samples
    assert scored == (0 if right is None else 1)
    assert learner.score.right - before.score.right == (right or 0)
    # The job's own answer to the record is its own.
    plain_learner, plain = answer_all(pipeline, [*TRAINING, ASKED, LABEL], [40, *cut])
    assert answers[-2] == plain[-2]
    assert learner.model.coef_.tolist() == plain_learner.model.coef_.tolist()


@pytest.mark.parametrize("given", ["yes", 2, [True]])
def test_an_answer_that_the_pipeline_cannot_give_is_a_dead_letter(given: Any) -> None:
    _, answers = answer_all(make_pipeline(), [*TRAINING, make_asked(given), LABEL], [40])
    assert answers[-2]["reason"].startswith("answer_given: the label ")
    assert "waits for its label" in answers[-1]["reason"]


class Stay(msgspec.Struct):
    """A stay, by its number, and perhaps how long it was."""

    x: list[float]
    stay: int | None = None
    hours: float | None = None


@pytest.mark.parametrize(
    ("given", "error"), [(4.0, 1.0), (7, 4.0), (None, None), ("long", None), (True, None)]
)
def test_a_number_that_was_given_is_scored_as_it_is(given: Any, error: float | None) -> None:
    learning = Tabular(
        features=lambda records: np.array([record.x for record in records]),
        label="hours",
        estimator=SGDRegressor,
        labels_later=LabelsLater(id="stay"),
    )
    pipeline = Pipeline("stays", "stays", "stays_hours", Stay, learning, {"random_state": 0}, ("hours",))
    question: dict[str, Any] = {"x": [1.0], "stay": 1, "answer_given": {"predict_y": given}}
    records = [{"x": [0.5], "hours": 2.0}, question, {"stay": 1, "hours": 3.0}]
    learner, answers = answer_all(pipeline, records, [1, 2])
    assert learner.score.absolutes == (error or 0.0)
    assert ("reason" in answers[1]) == (given in ("long", True))


@pytest.mark.parametrize("own", [5, "x", {"predict_y": True, "model_version": 3}])
def test_a_field_of_that_name_that_means_something_else_changes_nothing(own: Any) -> None:
    pipeline = make_pipeline()
    assert (
        answer_all(pipeline, [{**ASKED, "answer_given": own}], [])[1] == answer_all(pipeline, [ASKED], [])[1]
    )
    assert type(pipeline.codec.decode(encode({**ASKED, "answer_given": own}))) is Visit


def test_a_record_type_with_a_field_of_that_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot have a field answer_given"):
        make_answered_record(make_answered_record(Visit))


def test_a_job_with_asked_records_is_rebuilt_and_verified(
    make: Make, stream: ListStream, store: Store, redis_url: str
) -> None:
    pipeline, lineage = make_pipeline(), structs.replace(LINEAGE, pipeline="visits", parameters=dict(SGD))
    questions = [
        {**make_asked(number % 3 == 0), "visit-no": f"a{number}", "x": [0.1 * number, 1.0]}
        for number in range(30)
    ]
    labels = [{"visit-no": f"a{number}", "bought": number % 2 == 0} for number in range(30)]
    records = [*TRAINING, *questions, *labels]
    rows = [Input(0, number, encode(record)) for number, record in enumerate(records)]
    middle = len(TRAINING) + 20
    commit(stream, make(pipeline=pipeline, lineage=lineage), rows[:middle], 30, 31)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()  # what waits, and was given, must be learned again, too
    commit(stream, make(pipeline=pipeline, lineage=lineage), rows[middle:], middle + 25)
    stream.commit = len(rows)
    report = verify(pipeline, lineage, stream, read_snapshots(store, "visits"), key=KEY, wait_s=0)
    assert (report.exit_code, report.differences, report.predictions) == (0, [], len(rows))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"x": [1.0, 2.0]}, "set its field 'visit-no'"),
        ({**ASKED, "bought": True}, "has its label, bought, already"),
        ({"visit-no": "v1"}, "missing required field `x`"),
    ],
)
def test_what_cannot_wait_is_refused(
    record: dict[str, Any], words: str, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.app.load_all", lambda settings: [make_pipeline()])
    client = make_app().test_client()
    answer = client.post("/v2/models/visits/ask", json={"record": record})
    assert (answer.status_code, words in answer.get_json()["error"]) == (400, True)


def test_a_pipeline_whose_labels_come_at_once_says_what_to_declare(make_app: MakeApp) -> None:
    answer = make_app().test_client().post("/v2/models/digits/ask", json={"record": {"x": [0] * 64}})
    assert (answer.status_code, answer.get_json()["code"]) == (404, "not_supported")
    assert "declare `labels_later`" in answer.get_json()["error"]


def test_asking_is_off_where_feedback_is(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.app.load_all", lambda settings: [make_pipeline()])
    answer = make_app(feedback="off").test_client().post("/v2/models/visits/ask", json={"record": ASKED})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "feedback_off")


class Numbered(Visit):
    """A visit whose id is a whole number."""

    number: int | None = None


@pytest.fixture
def numbered(broker: Settings) -> Pipeline:
    """The visits by number, on topics of the test's own; there are three partitions."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    pipeline = make_pipeline()
    assert isinstance(pipeline.learning, Tabular)
    learning = replace(pipeline.learning, labels_later=LabelsLater(id="number"))
    create_topic(broker.kafka, name, 3)
    return replace(
        pipeline,
        name=name,
        topic=name,
        prediction_topic=f"{name}-out",
        record=Numbered,
        learning=learning,
        passthrough_fields=("number",),
    )


def test_what_is_asked_over_http_waits_for_its_label(
    numbered: Pipeline, broker: Settings, store: Store, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.app.load_all", lambda settings: [numbered])
    app = make_app(kafka=broker.kafka)
    client = app.test_client()
    url = f"/v2/models/{numbered.name}"
    training = [
        {"x": record["x"], "bought": record["x"][0] > record["x"][1]} for record in TRAINING if "x" in record
    ]
    try:
        first = client.post(f"{url}/ask", json={"record": {"x": [1.0, 0.0], "number": 1}})
        assert (first.status_code, first.get_json()["predict_y"]) == (201, None), "there is no model yet"
        learner, _ = answer_all(numbered, training, [])
        put(store, numbered, learner)
        wait_until(lambda: client.get(f"{url}/ready").status_code == 200, 10, "the model", every_s=0.05)
        question = client.post(f"{url}/ask", json={"record": {"x": [3.0, -3.0], "number": 17}}).get_json()
        assert (question["id"], question["predict_y"], question["model_version"]) == (
            17,
            True,
            str(len(training)),
        )
        told = client.post(f"{url}/feedback", json={"id": 17, "label": False}).get_json()
        assert told["partition"] == question["partition"]
    finally:
        app.extensions["feedback"].close()
    topic = Topic(broker.kafka, numbered.topic, question["partition"])
    sent = [record for record in topic.read().json() if record["number"] == 17]
    topic.close()
    again, answers = answer_all(numbered, [*training, *sent], [len(training)])
    assert answers[-1]["predict_y"] is True
    assert (again.score.samples, again.score.right) == (1, 0), "it was wrong"
    assert len(again.waiting) == 0
