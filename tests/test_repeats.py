"""Records that a producer sends again, recognised by their ids."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from helpers import KEY, LINEAGE, ListStream, Make, commit, inputs, read_snapshots
from msgspec import structs
from sklearn.linear_model import SGDClassifier
from stacks import Stack, open_topics, running_trial

from streamlearn.engine.check import check
from streamlearn.engine.verification_report import Report
from streamlearn.engine.verify import verify
from streamlearn.errors import ConfigurationError
from streamlearn.learning import LabelsLater, Tabular
from streamlearn.learning.learner import RecentIds
from streamlearn.local import chaos
from streamlearn.pipelines import Pipeline, digits
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.ports import Input
from streamlearn.stream.records import encode

pipeline = replace(digits.pipeline, identity="ts", remembers=500)
lineage = structs.replace(LINEAGE, definition=pipeline.definition)

CUTS = (100, 108, 250, 300, 301, 420, 640, 800)


def send_again(count: int = 900) -> list[Input]:
    """Return digits as they come, some of them sent again at once or after sixty others."""
    sent: list[bytes | None] = []
    for number, row in enumerate(inputs(count)):
        sent += [row.value] * (2 if number % 50 == 7 else 1)
        if number % 90 == 89:
            sent.append(inputs(count)[number - 60].value)
    return [Input(0, offset, value) for offset, value in enumerate(sent)]


def keep_first(rows: list[Input]) -> list[Input]:
    """Return each record once, where it came first."""
    return sorted({row.value: row for row in reversed(rows)}.values(), key=lambda row: row.offset)


def verify_stream(stream: ListStream, store: Store, verified: Pipeline = pipeline) -> Report:
    stream.commit = stream.end()
    snapshots = read_snapshots(store, verified.name)
    return verify(verified, lineage, stream, snapshots, key=KEY, wait_s=0)


def test_a_record_that_is_sent_again_is_learned_once(make: Make, stream: ListStream, store: Store) -> None:
    rows = send_again()
    worker = make(pipeline=pipeline, lineage=lineage)
    answers = commit(stream, worker, rows, *CUTS)
    firsts = {row.offset for row in keep_first(rows)}
    repeats = [answer for answer in answers if "reason" in answer]
    assert [letter["offset"] for letter in repeats] == [
        row.offset for row in rows if row.offset not in firsts
    ]
    assert repeats[0]["reason"] == (
        'sent again: one of the last 500 records with an id had the ts "2026-01-01 00:00:07"'
    )
    assert verify_stream(stream, store).differences == []
    learned = worker.learner
    store.clear("digits")
    plain, unrepeated = ListStream(), make()
    unrepeated._stream = plain
    expected = commit(plain, unrepeated, keep_first(rows), *CUTS)
    # A step ends with its last record, whether that is a repeat or not.
    for answer in (*answers, *expected):
        del answer["model_version"]
    assert [answer for answer in answers if "reason" not in answer] == expected
    assert learned is not None
    assert unrepeated.learner is not None
    assert learned.score == unrepeated.learner.score
    np.testing.assert_array_equal(learned.model.coef_, unrepeated.learner.model.coef_)


def test_a_worker_that_takes_over_recognises_what_was_sent_before_it(
    make: Make, stream: ListStream, store: Store
) -> None:
    rows = send_again()
    quiet = ListStream()
    alone = make(pipeline=pipeline, lineage=lineage)
    alone._stream = quiet
    expected = commit(quiet, alone, rows, *CUTS)
    final = read_snapshots(store, "digits")[len(rows)]
    store.clear("digits")

    def start() -> Any:
        return make(pipeline=pipeline, lineage=lineage)

    answers = commit(stream, start(), rows[:300], *CUTS)
    start().answer(rows[300:301])  # never committed
    answers += commit(stream, start(), rows[300:420], *CUTS)
    store.clear("digits")  # the next one learns all of it again
    third = start()
    answers += commit(stream, third, rows[420:800], *CUTS)
    assert third.counts.relearned == 420
    store.delete("streamlearn:digits:snapshot:aaaa:800")
    answers += commit(stream, start(), rows[800:], *CUTS)
    assert answers == expected
    assert read_snapshots(store, "digits")[len(rows)] == final
    assert verify_stream(stream, store).differences == []


def test_verify_finds_a_repeat_that_was_learned(make: Make, stream: ListStream, store: Store) -> None:
    """A worker that does not recognise it answers it like any other."""
    commit(stream, make(), send_again(120), 60)
    assert {difference.kind for difference in verify_stream(stream, store).differences} >= {"prediction"}


def test_what_is_longer_ago_than_the_window_is_forgotten(make: Make, stream: ListStream) -> None:
    few = replace(pipeline, remembers=10)
    values = [row.value for row in inputs(30)]
    values += [values[19], values[20], values[29]]
    rows = [Input(0, offset, value) for offset, value in enumerate(values)]
    answers = commit(stream, make(pipeline=few, lineage=lineage), rows, 15, 31)
    # Number 19 came eleven records ago; as it was taken again, number 20 is the one that went.
    assert [answer["offset"] for answer in answers if "reason" in answer] == [32]


@pytest.mark.parametrize("cuts", [(), (1, 2, 3, 4, 5)])
def test_records_without_an_id_and_bad_ones_are_not_told_apart(
    make: Make, stream: ListStream, cuts: tuple[int, ...]
) -> None:
    pixels = [0.0] * 64
    values: list[Any] = [{"x": pixels}] * 3 + [{"x": [], "ts": "a"}, {"x": pixels, "ts": "a"}]
    rows = [Input(0, offset, encode(value)) for offset, value in enumerate(values)]
    answers = commit(stream, make(pipeline=pipeline, lineage=lineage), rows, *cuts)
    assert ["reason" in answer for answer in answers] == [False, False, False, True, False]


def test_a_job_that_is_killed_learns_what_is_sent_again_once(stack: Stack) -> None:
    """What was sent before the kill is recognised after it, by a worker that has what a snapshot holds."""
    with running_trial(stack, "copies:sent_again") as trial, open_topics(trial) as topics:
        trial.replay(900)
        topics.settle()
        assert chaos.kill(trial.settings, chaos.WORKER), "no Python worker is running"
        trial.replay(900)
        topics.settle()
        dead = topics.dead.json()
        assert [letter["offset"] for letter in dead] == topics.records.read().offsets[900:]
        assert {letter["reason"].partition(":")[0] for letter in dead} == {"sent again"}
        assert len(topics.predictions.values) == 900
        assert trial.verify()["dead_letters"] == 900


class Visit(msgspec.Struct):
    x: float
    no: int | str | None = None
    bought: bool | None = None


def make_features(visits: Any) -> Any:
    if any(visit.x == 666 for visit in visits):
        raise ZeroDivisionError("x is 666")
    return np.array([[visit.x] for visit in visits])


visits = Pipeline(
    name="digits",  # whose topics the stream in memory has
    topic="handwritten_digit",
    prediction_topic="digit_predict",
    record=Visit,
    learning=Tabular(
        features=make_features,
        label="bought",
        estimator=SGDClassifier,
        classes=(False, True),
        labels_later=LabelsLater(id="no"),
    ),
    parameters={"loss": "log_loss", "random_state": 0},
    revision="1",
    identity="no",
)


def answer_visits(make: Make, stream: ListStream, values: list[Any], *cuts: int) -> list[str | None]:
    """Return the reason against each record, None where it was taken."""
    rows = [Input(0, offset, encode(value)) for offset, value in enumerate(values)]
    own = structs.replace(LINEAGE, parameters=dict(visits.parameters), definition=visits.definition)
    answers = commit(stream, make(pipeline=visits, lineage=own), rows, *cuts)
    return [None if (reason := answer.get("reason")) is None else str(reason) for answer in answers]


def test_a_label_that_comes_later_has_the_id_of_its_record(make: Make, stream: ListStream) -> None:
    question, label = {"x": 1.0, "no": 7}, {"no": 7, "bought": True}
    reasons = answer_visits(make, stream, [question, label, question, {**question, "no": "7"}], 2)
    assert reasons == [
        None, None, "sent again: one of the last 10000 records with an id had the no 7", None
    ]  # fmt: skip


@pytest.mark.parametrize("cuts", [(), (3,), (1, 2, 3, 4, 5, 6)])
def test_a_record_that_was_set_aside_may_come_again_in_better_shape(
    make: Make, stream: ListStream, cuts: tuple[int, ...]
) -> None:
    """After it, what was taken before in the same chunk is still recognised."""
    values: list[Any] = [{"x": 1.0, "no": 1}, {"x": 666, "no": 2}, {"x": 3.0, "no": 3}]
    reasons = answer_visits(make, stream, [*values, *values, {"x": 2.0, "no": 2}], *cuts)
    taken = [reason and reason[:10] for reason in reasons]
    assert taken == [None, "ZeroDivisi", None, "sent again", "ZeroDivisi", "sent again", None]


def test_the_ids_stand_in_the_snapshot_and_nowhere_else() -> None:
    learner = pipeline.new_learner()
    assert learner.recent_ids is not None
    assert [learner.recent_ids.add(key) for key in (3, 2**64 - 1, 5)] == [True] * 3
    again = snapshot.loads(snapshot.dumps(learner, pipeline, "aaaa", KEY), pipeline, "aaaa", KEY)
    assert again.recent_ids is not None
    assert again.recent_ids.state().tolist() == [3, 2**64 - 1, 5]
    assert snapshot.find_differences(learner, again) == []
    again.recent_ids.add(6)
    assert snapshot.find_differences(learner, again) != []
    assert digits.pipeline.new_learner().recent_ids is None


def test_ids_that_are_written_otherwise_are_others() -> None:
    ids = RecentIds("no", 10)
    keys = {ids.hash_of(Visit(0, no)) for no in (7, "7", "7 ", "", 0, -7)}
    assert len(keys) == 6
    assert ids.hash_of(Visit(0)) is None


def test_a_lineage_goes_on_only_with_the_identity_that_it_began_with() -> None:
    assert "identity" not in digits.pipeline.definition
    assert pipeline.changes_since(pipeline.definition) == {}
    spec = {"field": "ts", "remembers": 500}
    assert pipeline.changes_since(digits.pipeline.definition) == {"identity": (None, spec)}
    assert digits.pipeline.changes_since(pipeline.definition) == {"identity": (spec, None)}
    other = {**pipeline.parameters, "alpha": 0.1}
    newer = replace(pipeline, parameters=other, earlier=(digits.pipeline,))
    assert newer.changes_since(digits.pipeline.definition) == {}
    assert newer.new_learner(digits.pipeline.parameters).recent_ids is None
    assert newer.new_learner(other).recent_ids is not None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"identity": "id"}, "Digit has no field 'id'"),
        ({"identity": "x"}, "identity 'x' must be text or a whole number, or null"),
        ({"identity": "ts", "remembers": 0}, "remembers=0 ids; let it be at least one"),
    ],
)
def test_what_cannot_be_an_identity_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(digits.pipeline, **wrong)


def test_a_pipeline_that_recognises_records_passes_its_check() -> None:
    values = [row.value or b"" for row in inputs(300)]
    assert json.loads(values[0])["ts"]
    findings = list(check(pipeline, values))
    assert [finding.what for finding in findings if not finding.passed] == []
