"""Labels that come later: learned once, with the features as they were, scored against what was answered."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
import redis
from helpers import KEY, LINEAGE, ListStream, Make, MakeApp, commit, put, read_snapshots
from msgspec import structs
from reported import answer_data_set
from sklearn.linear_model import SGDClassifier

from serving.api.feedback import FeedbackRequest, _encode_late_label
from streamlearn.datasets import DataSet
from streamlearn.engine.answering import Answering, cut_into_chunks
from streamlearn.engine.verify import verify
from streamlearn.errors import BadRequest, ConfigurationError
from streamlearn.learning import LabelsLater, Tabular
from streamlearn.pipelines import Pipeline
from streamlearn.reports.contents import build_contents
from streamlearn.reports.decisions import arrange_decisions
from streamlearn.reports.sources import has_whole_records
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.ports import Input
from streamlearn.stream.records import encode
from streamlearn.waiting import wait_until

SGD = {"loss": "log_loss", "learning_rate": "constant", "eta0": 0.1, "random_state": 0}


class Visit(msgspec.Struct):
    """A visit, by its number, and perhaps whether something was bought."""

    x: list[float]
    visit: str | None = msgspec.field(name="visit-no", default=None)
    bought: bool | None = None


def make_pipeline(most: int = 50) -> Pipeline:
    return Pipeline(
        name="visits",
        topic="visits",
        prediction_topic="visits_predict",
        record=Visit,
        learning=Tabular(
            features=lambda records: np.array([record.x for record in records]),
            label="bought",
            estimator=SGDClassifier,
            classes=(False, True),
            labels_later=LabelsLater(id="visit", most=most),
        ),
        parameters=SGD,
        passthrough_fields=("visit-no", "bought"),
        revision="1",
    )


def make_records(count: int, delay: int) -> list[dict[str, Any]]:
    """Visits, the label of each `delay` records later."""
    random, records = np.random.default_rng(2), []
    labels: dict[int, dict[str, Any]] = {}
    for number in range(count):
        x = random.normal(size=2)
        records.append({"x": x.tolist(), "visit-no": f"v{number}"})
        labels[number + delay] = {"visit-no": f"v{number}", "bought": bool(x[0] > x[1])}
        if number in labels:
            records.append(labels.pop(number))
    return [*records, *labels.values()]


def answer_all(
    pipeline: Pipeline, records: list[dict[str, Any]], cuts: list[int], *, resume: bool = False
) -> tuple[Any, list[dict[str, Any]]]:
    rows = [Input(0, number, encode(record)) for number, record in enumerate(records)]
    answering = Answering(pipeline, "aaaa", "", lambda version: pipeline.new_learner())
    learner, answers = pipeline.new_learner(), []
    for start, end in pairwise([0, *cuts, len(rows)]):
        for chunk in cut_into_chunks(rows[start:end], 256):
            learner, outputs = answering.answer(learner, chunk)
            answers += [json.loads(output.value) for output in outputs]
        if resume:
            learner = snapshot.loads(snapshot.dumps(learner, pipeline, "aaaa"), pipeline, "aaaa")
    return learner, answers


@pytest.mark.parametrize("delay", [1, 7, 40])
def test_a_late_label_is_learned_with_the_features_as_they_were(delay: int) -> None:
    """As plain scikit-learn does that is given them then."""
    pipeline, records = make_pipeline(), make_records(200, delay)
    cuts = list(range(10, len(records), 10))
    learner, answers = answer_all(pipeline, records, cuts)
    plain, features, given, right, scored = SGDClassifier(**SGD), {}, {}, 0, 0
    for start, end in pairwise([0, *cuts, len(records)]):
        chunk, x, y = records[start:end], [], []
        for record in chunk:
            if "x" in record:
                name = record["visit-no"]
                features[name] = record["x"]
                given[name] = bool(plain.predict([record["x"]])[0]) if hasattr(plain, "coef_") else None
        for record in chunk:
            if "bought" in record:
                x.append(features[record["visit-no"]])
                y.append(record["bought"])
                scored += given[record["visit-no"]] is not None
                right += given[record["visit-no"]] == record["bought"]
        if x:
            plain.partial_fit(x, y, classes=[False, True])
    expected = [given[record["visit-no"]] for record in records]
    assert [answer["predict_y"] for answer in answers] == expected
    np.testing.assert_array_equal(learner.model.coef_, plain.coef_)
    assert (learner.score.samples, learner.score.right) == (scored, right)
    assert right / scored > 0.8
    assert len(learner.waiting) == 0


def test_what_waits_goes_on_over_an_interruption() -> None:
    pipeline, records = make_pipeline(), make_records(100, 30)
    cuts = [3, 20, 55, 56, 130]
    learner, answers = answer_all(pipeline, records, cuts)
    resumed, answers_again = answer_all(pipeline, records, cuts, resume=True)
    assert answers_again == answers
    assert snapshot.dumps(resumed, pipeline, "aaaa") == snapshot.dumps(learner, pipeline, "aaaa")


@pytest.mark.parametrize("cut", [[], [1, 2, 3, 4, 5, 6, 7, 8, 9]])
def test_the_oldest_are_let_go_and_a_label_counts_once(cut: list[int]) -> None:
    ask = [{"x": [1.0 * number, 0.0], "visit-no": f"v{number}"} for number in range(4)]
    labels = [{"visit-no": f"v{number}", "bought": True} for number in (0, 3, 3, 9)]
    complete = [{"x": [1.0, 2.0], "visit-no": "v2", "bought": False}, {"x": [0.0, 0.0]}]
    learner, answers = answer_all(make_pipeline(most=2), [*ask, *labels, *complete], cut)
    reasons = {answer["offset"]: answer.get("reason", "") for answer in answers}
    assert [offset for offset, reason in reasons.items() if reason] == [4, 6, 7]
    for offset, name in ((4, "v0"), (6, "v3"), (7, "v9")):
        assert reasons[offset].startswith(f"no prediction with the id '{name}' waits for its label")
    assert (len(learner.waiting), learner.waiting.let_go) == (1, 2)
    assert learner.score.labels == {"False": 1, "True": 1}


@pytest.fixture(scope="module")
def half_late() -> Pipeline:
    """The visits, of which every other one has its label itself."""
    records = make_records(400, 30)
    bought = {record["visit-no"]: record["bought"] for record in records if "x" not in record}
    at_once = {name for number, name in enumerate(bought) if number % 2}
    shown = [
        {**record, "bought": bought[record["visit-no"]]} if record["visit-no"] in at_once else record
        for record in records
        if "x" in record or record["visit-no"] not in at_once
    ]
    return replace(make_pipeline(), dataset=DataSet(lambda *, seed=0, passes=None: iter(shown), len(shown)))


def test_a_report_counts_labels_that_came_later_and_tells_them_apart(half_late: Pipeline) -> None:
    answered = answer_data_set(half_late)
    decisions, learner = arrange_decisions(answered), answered.learner
    assert learner is not None
    assert len(decisions.late) == learner.score.samples
    assert decisions.correct.sum() == learner.score.right
    x = {record.visit: record.x for record in answered.records if isinstance(record, Visit)}
    ids = [
        record.visit
        for record, answer in zip(answered.records, answered.answers, strict=True)
        if not isinstance(record, Visit) and answer["predict_y"] is not None
    ]
    assert decisions.late.sum() == len(ids) > 50
    assert decisions.features is not None
    assert decisions.features[decisions.late].tolist() == [x[identity] for identity in ids]
    head, _ = build_contents(answered, 0)
    assert head.score is not None
    rows = {row[0]: row for row in head.score.rows}
    assert rows["labels that came later"][-1] == str(len(ids))
    assert rows["labels in their record"][-1] == str(len(decisions.late) - len(ids))


def test_a_report_says_which_labels_it_cannot_score(half_late: Pipeline) -> None:
    """Their records are older than the answers that it is made from."""
    answered = answer_data_set(half_late, last=100)
    decisions = arrange_decisions(answered)
    assert 0 < decisions.unmatched < 40
    note = f"{decisions.unmatched} labels came later for records before these answers, and are not scored"
    assert note in build_contents(answered, 0)[0].notes


def test_the_answer_to_a_late_label_is_not_taken_for_its_record() -> None:
    pipeline = replace(make_pipeline(), passthrough_fields=("x", "visit-no", "bought"))
    assert not has_whole_records(pipeline)
    assert isinstance(pipeline.learning, Tabular)
    assert has_whole_records(replace(pipeline, learning=replace(pipeline.learning, labels_later=None)))


def test_what_is_neither_a_record_nor_a_label_is_a_dead_letter() -> None:
    odd = [
        {"visit-no": "v0", "bought": True, "colour": "red"},
        {"visit-no": "v0", "bought": "maybe"},
        {"bought": True},
        {"visit-no": None, "bought": True},
    ]
    _, answers = answer_all(make_pipeline(), [{"x": [0.0, 1.0], "visit-no": "v0"}, *odd], [])
    assert ["reason" in answer for answer in answers] == [False, True, True, True, True]


def test_a_job_with_late_labels_is_rebuilt_and_verified(
    make: Make, stream: ListStream, store: Store, redis_url: str
) -> None:
    pipeline, lineage = make_pipeline(), structs.replace(LINEAGE, pipeline="visits", parameters=dict(SGD))
    rows = [Input(0, number, encode(record)) for number, record in enumerate(make_records(120, 25))]
    commit(stream, make(pipeline=pipeline, lineage=lineage), rows[:100], 30, 31, 70)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()  # what waits must be learned again, too
    commit(stream, make(pipeline=pipeline, lineage=lineage), rows[100:], 150)
    stream.commit = len(rows)
    report = verify(pipeline, lineage, stream, read_snapshots(store, "visits"), key=KEY, wait_s=0)
    assert (report.exit_code, report.differences, report.predictions) == (0, [], len(rows))
    assert report.snapshots > 0


@pytest.mark.parametrize(
    ("label", "field"), [(lambda record: True, "visit"), ("bought", "no_such"), ("no_such", "visit")]
)
def test_fields_that_there_are_not_are_refused(label: Any, field: str) -> None:
    with pytest.raises(ConfigurationError, match="labels_later needs"):
        Tabular(len, label, SGDClassifier, (0, 1), labels_later=LabelsLater(id=field)).late_label(Visit)  # type: ignore[arg-type]


def test_the_server_tells_how_many_wait(
    store: Store, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(most=20)
    monkeypatch.setattr("serving.app.load_all", lambda settings: [pipeline])
    questions = [{"x": [0.0, 0.0], "visit-no": f"never {number}"} for number in range(30)]
    learner, _ = answer_all(pipeline, [*make_records(60, 10), *questions], [])
    put(store, pipeline, learner)
    client = make_app().test_client()

    def describe() -> dict[str, Any]:
        return client.get("/v2/models/visits").get_json()["parameters"]

    wait_until(lambda: bool(describe()), 5, "the model to be served", every_s=0.01)
    assert learner.waiting.let_go > 0
    assert describe()["waiting_for_labels"] == len(learner.waiting)
    assert describe()["let_go"] == learner.waiting.let_go


def test_feedback_by_id_becomes_the_record_of_a_late_label() -> None:
    pipeline = make_pipeline()
    late_label = pipeline.learning.late_label(Visit)
    assert late_label is not None
    value = _encode_late_label(pipeline, late_label, FeedbackRequest(id="v7", label=True))
    assert value == b'{"visit-no":"v7","bought":true}'
    missing = "send the label of the record whose visit-no is 'v7'"
    for label, message in ((None, missing), ("x", "Expected")):
        with pytest.raises(BadRequest, match=message):
            _encode_late_label(pipeline, late_label, FeedbackRequest(id="v7", label=label))
