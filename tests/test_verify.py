"""Verification must be able to fail: it finds every kind of tampering and names the offset."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from helpers import KEY, LINEAGE, ListStream, Make, commit, inputs, rollback
from msgspec import structs

from streamlearn.engine import answering
from streamlearn.engine.verification_report import Report
from streamlearn.engine.verify import verify as run
from streamlearn.errors import NothingToCompare
from streamlearn.learning.learner import Answer
from streamlearn.learning.tabular import Tabular, TabularLearner
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.digits import pipeline
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input, Output
from streamlearn.stream.records import encode


@pytest.fixture
def verify(store: Store, stream: ListStream) -> Callable[..., Report]:
    def verify_stream(pipeline: Pipeline = pipeline, lineage: Lineage = LINEAGE, **options: Any) -> Report:
        stored = {v: store.snapshot("digits", "aaaa", v) for v in store.versions("digits", "aaaa")}
        snapshots = {version: data for version, data in stored.items() if data is not None}
        if stream.commit is None:
            stream.commit = stream.end()
        return run(pipeline, lineage, stream, snapshots, **{"key": KEY, "wait_s": 0, **options})

    return verify_stream


Verify = Callable[..., Report]


@pytest.fixture
def rows() -> list[Input]:
    rows = inputs(900)
    rows[130] = rows[130]._replace(value=b"broken")
    rows[300] = rows[300]._replace(value=None)
    rows[301] = rows[301]._replace(value=b"{}")
    return rows


@pytest.fixture
def honest(make: Make, stream: ListStream, rows: list[Input]) -> ListStream:
    commit(stream, make(), rows, 100, 131, 301, 302, 500)
    return stream


def list_kinds(report: Report) -> list[tuple[int, str]]:
    """Return the offset and kind of each difference."""
    return [(difference.offset, difference.kind) for difference in report.differences]


def test_an_honest_stream_is_equal(honest: ListStream, verify: Verify) -> None:
    report = verify()
    assert report.differences == []
    assert (report.exit_code, report.predictions, report.dead_letters) == (0, 897, 3)
    assert (report.start, report.end, report.unanswered, report.begun_from) == (0, 900, 0, None)
    assert report.snapshots == 6


def test_workers_that_were_killed_leave_an_equal_stream(
    make: Make, stream: ListStream, verify: Verify
) -> None:
    rows = inputs(900)
    commit(stream, make(), rows[:400], 100, 150)
    make().answer(rows[400:700])  # never committed
    commit(stream, make(), rows[400:], 450)
    assert verify().exit_code == 0


@pytest.mark.parametrize("begun_with", [{}, pipeline.definition], ids=["a lineage from before", "a new one"])
def test_a_label_that_is_a_whole_float_is_taken_as_the_lineage_began(
    make: Make, store: Store, stream: ListStream, verify: Verify, begun_with: dict[str, Any]
) -> None:
    lineage, rows = structs.replace(LINEAGE, definition=begun_with), inputs(300)
    whole, halved = json.loads(rows[5].value or b""), json.loads(rows[6].value or b"")
    rows[5] = rows[5]._replace(value=encode({**whole, "actual_y": float(whole["actual_y"])}))
    rows[6] = rows[6]._replace(value=encode({**halved, "actual_y": 7.5}))
    outputs = commit(stream, make(lineage=lineage), rows, 100)
    reason = "Expected `int | null`, got `float` - at `$.actual_y`"
    assert outputs[6]["reason"] == reason
    assert outputs[5].get("reason") == (None if begun_with else reason)
    counted = verify(lineage=lineage)
    assert (counted.exit_code, counted.dead_letters) == (0, 1 if begun_with else 2)
    # A worker that must learn all of it again reads it in the same way; read otherwise, it is another stream.
    store.clear()
    commit(stream, make(lineage=lineage), inputs(50, start=300))
    assert verify(lineage=lineage).exit_code == 0
    other = {} if begun_with else pipeline.definition
    assert (5, "prediction" if begun_with else "dead letter") in list_kinds(
        verify(lineage=structs.replace(LINEAGE, definition=other))
    )


def change_answer(stream: ListStream, offset: int, **fields: object) -> None:
    for number, output in enumerate(stream.answers):
        answer = json.loads(output.value)
        if answer["offset"] == offset:
            stream.answers[number] = output._replace(value=json.dumps({**answer, **fields}).encode())


def test_one_changed_prediction_is_found(honest: ListStream, verify: Verify) -> None:
    right = json.loads(honest.answers[700].value)["predict_y"]
    honest.answers[700] = honest.answers[700]._replace(
        value=honest.answers[700].value.replace(
            b'"predict_y":%d' % right, b'"predict_y":%d' % ((right + 1) % 10)
        )
    )
    report = verify()
    assert list_kinds(report) == [(700, "prediction")]
    assert f"predict_y is {(right + 1) % 10}, expected {right}" in report.differences[0].detail
    assert report.exit_code == 1


def test_other_bytes_of_the_same_meaning_are_found(honest: ListStream, verify: Verify) -> None:
    change_answer(honest, 700)
    report = verify()
    assert list_kinds(report) == [(700, "prediction")]
    assert report.differences[0].detail == "the same values in other bytes"


def test_a_field_that_is_null_in_place_of_absent_is_named(honest: ListStream, verify: Verify) -> None:
    change_answer(honest, 700, note=None)
    assert verify().differences[0].detail == "note is None, expected absent"


def test_an_answer_that_is_no_json_is_found(honest: ListStream, verify: Verify) -> None:
    """Its place in the stream can be read, and a text in it cannot."""
    right = json.loads(honest.answers[700].value)["predict_y"]
    spoiled = honest.answers[700].value.replace(b'"predict_y":%d' % right, b'"predict_y":"\xff"')
    honest.answers[700] = honest.answers[700]._replace(value=spoiled)
    report = verify()
    assert list_kinds(report) == [(700, "prediction")]
    assert (
        report.differences[0].detail == "other bytes than expected, which cannot be decoded as JSON objects"
    )


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'"\xff"', b"\xff", b'{"offset": 700}'])
def test_what_somebody_else_wrote_among_the_answers_is_no_answer(
    honest: ListStream, verify: Verify, value: bytes
) -> None:
    honest.answers.insert(700, Output(value, "digit_predict"))
    assert verify().exit_code == 0


def test_a_changed_dead_letter_is_found(honest: ListStream, verify: Verify) -> None:
    change_answer(honest, 130, reason="somebody's own")
    assert list_kinds(verify()) == [(130, "dead letter")]


def test_a_prediction_turned_into_a_dead_letter_is_found(honest: ListStream, verify: Verify) -> None:
    honest.answers[700] = Output(honest.answers[700].value, "handwritten_digit.dead_letter")
    assert list_kinds(verify()) == [(700, "dead letter")]


def test_a_dropped_row_is_found(honest: ListStream, verify: Verify) -> None:
    del honest.answers[700]
    assert list_kinds(verify()) == [(700, "missing")]


def test_the_last_row_dropped_is_found(honest: ListStream, verify: Verify) -> None:
    """Flink has counted it as committed, so it is not just late."""
    del honest.answers[-1]
    report = verify()
    assert (899, "missing") in list_kinds(report)
    honest.commit = 899
    late = verify()
    assert (late.exit_code, late.end, late.unanswered) == (0, 899, 1) or late.snapshots == 5


@pytest.mark.parametrize("place", [701, 750, 900])
def test_a_doubled_row_is_found(honest: ListStream, verify: Verify, place: int) -> None:
    honest.answers.insert(place, honest.answers[700])
    assert list_kinds(verify()) == [(700, "doubled")]


def test_a_row_answered_in_both_topics_is_found(honest: ListStream, verify: Verify) -> None:
    honest.answers.insert(701, Output(honest.answers[700].value, "handwritten_digit.dead_letter"))
    assert list_kinds(verify()) == [(700, "doubled")]


@pytest.mark.parametrize("offset", [700, 499, 500], ids=["within", "the last of", "the first of"])
def test_an_input_that_is_gone_from_a_chunk_is_found(honest: ListStream, verify: Verify, offset: int) -> None:
    del honest.records[offset]
    assert (offset, "doubled") in list_kinds(verify())


def test_a_wrong_version_is_found(honest: ListStream, verify: Verify) -> None:
    honest.answers[500] = honest.answers[500]._replace(
        value=honest.answers[500].value.replace(b'"model_version":500', b'"model_version":501')
    )
    assert list_kinds(verify())[0] == (500, "version")


@pytest.mark.parametrize("place", [10, 400, 5000, -40])
def test_one_byte_of_a_snapshot_is_found(
    honest: ListStream, verify: Verify, redis_url: str, place: int
) -> None:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        key = "streamlearn:digits:snapshot:aaaa:500"
        data = bytearray(client.get(key))
        data[place] ^= 1
        client.set(key, bytes(data))
    report = verify()
    assert list_kinds(report) == [(500, "snapshot")]
    assert report.exit_code == 1


def test_another_state_under_a_whole_snapshot_is_found(
    honest: ListStream, verify: Verify, store: Store, redis_url: str
) -> None:
    import redis

    data = store.snapshot("digits", "aaaa", 500)
    assert data is not None
    learner = snapshot.loads(data, pipeline, "aaaa", KEY)
    learner.model.coef_[3, 20] = next_float(learner.model.coef_[3, 20])
    learner.score.right += 1
    with redis.Redis.from_url(redis_url) as client:
        client.set("streamlearn:digits:snapshot:aaaa:500", snapshot.dumps(learner, pipeline, "aaaa", KEY))
    report = verify()
    assert list_kinds(report) == [(500, "snapshot")]
    assert "score.right, state.model.coef_" in report.differences[0].detail


def next_float(value: float) -> float:
    import numpy as np

    return float(np.nextafter(value, 1))


def test_a_snapshot_that_other_libraries_wrote_is_equal_where_its_state_is(
    honest: ListStream, verify: Verify, store: Store, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import redis

    data = store.snapshot("digits", "aaaa", 500)
    assert data is not None
    learner = snapshot.loads(data, pipeline, "aaaa", KEY)
    with monkeypatch.context() as earlier, redis.Redis.from_url(redis_url) as client:
        earlier.setattr(snapshot, "installed_libraries", lambda: {"numpy": "1.26.0"})
        other = snapshot.dumps(learner, pipeline, "aaaa", KEY)
        client.set("streamlearn:digits:snapshot:aaaa:500", other)
    assert other != data
    report = verify()
    assert (report.differences, report.snapshots) == ([], 6)


def test_a_snapshot_where_no_step_ended_is_found(honest: ListStream, verify: Verify, redis_url: str) -> None:
    snapshots = {450: b"x"}
    assert (450, "snapshot") in list_kinds(run(pipeline, LINEAGE, honest, snapshots, key=KEY, wait_s=0))


def train_first(learner, records, version: int, predict) -> list[Answer]:  # type: ignore[no-untyped-def]
    learner.learn(records, [{"predict_y": None}] * len(records))
    learner.version = version
    return learner.predict(records)  # type: ignore[no-any-return]


class LearnsWhilePredicting(TabularLearner):
    def predict(self, records) -> list[Answer]:  # type: ignore[no-untyped-def]
        self.learn(records, [{"predict_y": None}] * len(records))
        return super().predict(records)


class LearnsWhilePredictingOnceTrained(TabularLearner):
    def predict(self, records) -> list[Answer]:  # type: ignore[no-untyped-def]
        if self.trained:
            self.learn(records, [{"predict_y": None}] * len(records))
        return super().predict(records)


class Cheating(Tabular):
    learner: ClassVar[type[TabularLearner]] = LearnsWhilePredicting

    def new_learner(self, parameters, version: int) -> TabularLearner:  # type: ignore[no-untyped-def]
        return self.learner(self, parameters, version)


class CheatingOnceTrained(Cheating):
    learner = LearnsWhilePredictingOnceTrained


def test_a_job_that_trains_before_it_predicts_is_found(
    make: Make, stream: ListStream, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as tampered:
        tampered.setattr(answering, "predict_then_learn", train_first)
        commit(stream, make(), inputs(600), 100, 200)
    report = verify()
    assert report.exit_code == 1
    assert list_kinds(report)[0] == (0, "prediction")


@pytest.mark.parametrize("kind", [Cheating, CheatingOnceTrained])
def test_a_learner_that_learns_while_it_predicts_is_found(
    make: Make, stream: ListStream, verify: Verify, kind: type[Cheating]
) -> None:
    learning = pipeline.learning
    assert isinstance(learning, Tabular)
    cheating = replace(
        pipeline, learning=kind(learning.features, learning.label, learning.estimator, learning.classes)
    )
    commit(stream, make(pipeline=cheating), inputs(600), 100, 200)
    report = verify(cheating)
    assert report.exit_code == 1
    assert list_kinds(report)[0][1] == "learner"


def test_a_stream_that_was_rolled_back_is_equal(make: Make, stream: ListStream, verify: Verify) -> None:
    rows = inputs(900)
    rows[450], rows[451] = rollback(450, 200), rollback(451, 100, key="another")
    rows[700] = rollback(700, 451)
    worker = make()
    commit(stream, worker, rows[:600], 200, 400)
    commit(stream, worker, rows[600:])
    report = verify()
    assert report.differences == []
    assert (report.controls, report.dead_letters) == (2, 1)
    change_answer(stream, 450, lineage="aaaa")
    assert list_kinds(verify()) == [(450, "control")]


def test_a_stream_that_was_rolled_back_to_its_very_beginning_is_equal(
    make: Make, stream: ListStream, verify: Verify
) -> None:
    rows, worker = inputs(300), make()
    rows[150] = rollback(150, 0)
    commit(stream, worker, rows[:150], 100)
    answers = commit(stream, worker, rows[150:])
    assert answers[1]["predict_y"] is None
    assert verify().differences == []


def test_a_control_record_that_was_obeyed_where_no_step_had_ended_is_found(
    make: Make, stream: ListStream, verify: Verify
) -> None:
    rows = inputs(300)
    rows[150] = rollback(150, 100)
    commit(stream, make(), rows, 100)
    stream.records[150] = rollback(150, 90)
    change_answer(stream, 150, control={"kind": "rollback", "lineage": "aaaa", "version": 90})
    first = verify().differences[0]
    assert (first.offset, first.kind) == (150, "control")
    assert first.detail == "answered in handwritten_digit.control, expected in handwritten_digit.dead_letter"


def test_the_newest_records_alone_are_compared_from_a_version_before_them(
    honest: ListStream, verify: Verify
) -> None:
    report = verify(last=500)
    assert (report.exit_code, report.start, report.end, report.begun_from) == (0, 302, 900, 302)
    change_answer(honest, 800)
    assert verify(last=500).exit_code == 1
    assert verify(last=50).start == 500
    assert verify(last=400).start == 500
    honest.commit = 0
    assert verify(last=500).start == 302, "also where Flink does not know how far it has come"


def test_a_backlog_that_waits_does_not_hide_what_is_answered(honest: ListStream, verify: Verify) -> None:
    """As after a failure: many records have come, and are not answered yet."""
    honest.commit = 900
    honest.records += [row._replace(offset=900 + number) for number, row in enumerate(inputs(900))]
    report = verify(last=300)
    assert (report.exit_code, report.start, report.end, report.unanswered) == (0, 500, 900, 900)


def test_a_kept_version_is_compared_however_few_records_are(
    honest: ListStream, verify: Verify, store: Store
) -> None:
    report = verify(last=1)
    assert (report.exit_code, report.start, report.snapshots) == (0, 500, 1)
    store.delete("streamlearn:digits:snapshot:aaaa:900")
    report = verify(last=100)
    assert (report.exit_code, report.start, report.snapshots) == (0, 302, 1)


def test_it_begins_before_the_version_that_a_control_record_goes_back_to(
    make: Make, stream: ListStream, verify: Verify
) -> None:
    rows = inputs(900)
    rows[700] = rollback(700, 200)
    worker = make()
    commit(stream, worker, rows, 200, 400, 600, 800)
    kept = verify(last=250)
    assert (kept.differences, kept.start, kept.controls, kept.notes) == ([], 600, 1, [])
    worker.admit().delete([200])
    report = verify(last=250)
    assert (report.differences, report.start, report.controls) == ([], 0, 1)
    assert len(report.notes) == 1
    assert "goes back to version 200" in report.notes[0]
    assert verify(last=50).start == 800


def test_where_kafka_has_lost_the_start_it_begins_at_a_version_that_goes_on(
    honest: ListStream, verify: Verify
) -> None:
    honest.first = 120
    report = verify()
    assert (report.exit_code, report.start, report.begun_from) == (0, 131, 131)
    assert "Kafka no longer holds what follows on version 0" in report.notes[0]


def test_where_kafka_has_lost_the_first_answers_it_begins_at_a_version_that_goes_on(
    honest: ListStream, verify: Verify
) -> None:
    honest.first_answered = 120
    report = verify()
    assert (report.exit_code, report.start, report.begun_from) == (0, 131, 131)
    assert report.notes == [
        f"Kafka no longer holds the answers that follow on version {version}" for version in (0, 100)
    ]


def test_it_does_not_begin_at_a_version_that_cannot_be_read(
    honest: ListStream, verify: Verify, redis_url: str
) -> None:
    import redis

    honest.first = 120
    with redis.Redis.from_url(redis_url) as client:
        client.set("streamlearn:digits:snapshot:aaaa:131", b"spoiled")
    report = verify()
    assert (report.start, report.begun_from) == (301, 301)
    assert "version 131 cannot be begun from" in " ".join(report.notes)


def test_nothing_to_compare_is_no_success(stream: ListStream, verify: Verify, honest: ListStream) -> None:
    report = run(pipeline, LINEAGE, honest, {}, key=KEY, wait_s=0)
    assert report.different == 0
    assert report.exit_code == 2
    empty = ListStream()
    assert run(pipeline, LINEAGE, empty, {}, key=KEY, wait_s=0).exit_code == 2
    honest.first = 899
    with pytest.raises(NothingToCompare):
        run(pipeline, LINEAGE, honest, {}, key=KEY, wait_s=0)


def test_what_is_not_committed_yet_is_no_difference(
    make: Make,
    stream: ListStream,
    verify: Verify,
) -> None:
    rows, worker = inputs(900), make()
    commit(stream, worker, rows[:600], 200)
    stream.commit = 600
    stream.records += rows[600:]
    worker.answer(rows[600:700])  # answered, and not committed
    report = verify()
    assert (report.exit_code, report.end, report.unanswered) == (0, 600, 300)
