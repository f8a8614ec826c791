"""The worker with a real Redis, but without Flink: its answers, and how it continues after a restart."""

import json

import plain_loop
import pytest
from helpers import KEY, LINEAGE, ListStream, Make, commit, inputs, learner, rollback
from msgspec.structs import replace

from streamlearn.engine.recovery import Progress
from streamlearn.engine.worker import Worker
from streamlearn.errors import BadSetting, Fenced, LineageError, StoreEmptied
from streamlearn.pipelines.digits import pipeline
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.ports import Input


def answer(worker: Worker, rows: list[Input]) -> list[dict[str, object]]:
    return [json.loads(output.value) for output in worker.answer(rows)]


def test_a_call_is_cut_into_chunks_and_answers_as_a_plain_loop(make: Make) -> None:
    worker, rows = make(), inputs(1000)
    predictions = answer(worker, rows[:600]) + answer(worker, rows[600:])
    assert sorted({p["model_version"] for p in predictions}) == [0, 256, 512, 600, 856]
    assert [p["predict_y"] for p in predictions] == plain_loop.replay(predictions)


def test_bad_records_are_dead_letters_among_their_neighbours(make: Make) -> None:
    rows = inputs(5)
    rows[2] = rows[2]._replace(value=b"broken")
    outputs = make().answer(rows)
    topics = [output.topic for output in outputs]
    assert topics == ["digit_predict"] * 2 + ["handwritten_digit.dead_letter"] + ["digit_predict"] * 2
    letter = json.loads(outputs[2].value)
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("handwritten_digit", 0, 2)
    assert "malformed" in letter["reason"]


def test_a_worker_that_takes_over_goes_on_where_flink_resumes(make: Make) -> None:
    """The first worker got further than the last checkpoint: what it did after that never happened."""
    rows = inputs(900)
    first = make()
    kept = answer(first, rows[:300])
    lost = answer(first, rows[300:500]) + answer(first, rows[500:700])
    second = make()
    again = answer(second, rows[300:900])
    assert [p["predict_y"] for p in kept + again] == plain_loop.replay(kept + again)
    assert lost[0] == again[0]
    with pytest.raises(Fenced):
        first.answer(rows[700:710])


def read_snapshot(store: Store, version: int) -> bytes | None:
    return store.snapshot("digits", "aaaa", version)


def test_an_emptied_redis_stops_the_writer_and_the_next_rebuilds_from_kafka(
    make: Make, store: Store, stream: ListStream
) -> None:
    rows = inputs(900)
    rows[130] = rows[130]._replace(value=b"broken")
    worker = make()
    kept = commit(stream, worker, rows[:700], 100, 131, 500)
    expected = read_snapshot(store, 700)
    store.clear("digits")
    with pytest.raises(StoreEmptied):
        worker.answer(rows[700:710])
    second = make()
    again = commit(stream, second, rows[700:])
    assert second.counts.relearned == 700
    (restore,) = store.restores("digits")
    assert (restore.offset, restore.snapshot, restore.relearned, restore.dropped) == (700, None, 700, 0)
    predictions = [p for p in kept + again if "predict_y" in p]
    assert [p["predict_y"] for p in predictions] == plain_loop.replay(predictions)
    store.clear("digits")
    assert snapshot.dumps(make()._resume(700), pipeline, "aaaa", KEY) == expected


def test_what_the_newest_snapshot_lacks_is_learned_again(
    make: Make, store: Store, stream: ListStream
) -> None:
    rows = inputs(900)
    kept = commit(stream, make(), rows[:700], 100, 256, 300, 500)
    for version in (500, 700):
        store.delete(f"streamlearn:digits:snapshot:aaaa:{version}")
    worker = make()
    again = commit(stream, worker, rows[700:])
    assert [p["predict_y"] for p in kept + again] == plain_loop.replay(kept + again)
    restore = store.restores("digits")[-1]
    assert (restore.snapshot, restore.relearned) == (300, 400)
    assert sorted(restore.refused) == ["500", "700"]
    assert worker.counts.relearned == 400


def test_an_altered_snapshot_is_refused_and_the_one_before_it_used(
    make: Make, store: Store, redis_url: str, stream: ListStream
) -> None:
    import redis

    rows = inputs(300)
    kept = commit(stream, make(), rows[:200], 100)
    with redis.Redis.from_url(redis_url) as client:
        client.setrange("streamlearn:digits:snapshot:aaaa:200", 1000, b"?")
    again = commit(stream, make(), rows[200:])
    assert [p["predict_y"] for p in kept + again] == plain_loop.replay(kept + again)
    restore = store.restores("digits")[-1]
    assert restore.snapshot == 100
    assert "altered" in restore.refused["200"]


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"pickle me",
        snapshot.dumps(learner(200), pipeline, "bbbb", KEY),
        snapshot.dumps(learner(100), pipeline, "aaaa", KEY),
    ],
    ids=["nothing", "no snapshot", "another lineage's", "another version's"],
)
def test_a_foreign_value_under_a_snapshot_is_refused(
    make: Make, store: Store, redis_url: str, stream: ListStream, foreign: bytes
) -> None:
    import redis

    rows = inputs(300)
    kept = commit(stream, make(), rows[:200], 100)
    with redis.Redis.from_url(redis_url) as client:
        client.set("streamlearn:digits:snapshot:aaaa:200", foreign)
    again = commit(stream, make(), rows[200:])
    assert [p["predict_y"] for p in kept + again] == plain_loop.replay(kept + again)
    assert list(store.restores("digits")[-1].refused) == ["200"]


def test_snapshots_signed_with_another_key_are_refused_and_rebuilt(
    make: Make, store: Store, stream: ListStream
) -> None:
    rows = inputs(300)
    kept = commit(stream, make(), rows[:200], 100)
    again = commit(stream, make(checkpoint_key="another"), rows[200:])
    assert [p["predict_y"] for p in kept + again] == plain_loop.replay(kept + again)
    assert "not signed" in store.restores("digits")[-1].refused["100"]


def test_answers_that_are_not_committed_are_waited_for_and_then_named(
    make: Make, store: Store, stream: ListStream
) -> None:
    """It must not continue in silence: the journal tells how the records before were learned."""
    rows = inputs(300)
    commit(stream, make(), rows[:200])
    store.clear("digits")
    stream.answers = stream.answers[:150]
    with pytest.raises(LineageError, match="offset 150 has no committed answer"):
        make().answer(rows[200:])
    assert store.restores("digits") == []


def test_records_that_kafka_lost_cannot_be_learned_again(
    make: Make, store: Store, stream: ListStream
) -> None:
    rows = inputs(300)
    commit(stream, make(), rows[:200])
    store.clear("digits")
    stream.first = 20
    with pytest.raises(LineageError, match=r"resumes at offset 200.*up to 0.*from 20 on.*--fresh"):
        make().answer(rows[200:])
    stream.first, stream.first_answered = 0, 20
    with pytest.raises(LineageError, match="no longer holds the answers that follow on that version"):
        make().answer(rows[200:])
    stream.first_answered, stream.records = 0, stream.records[:50] + stream.records[60:]
    with pytest.raises(LineageError, match="offset 50 was answered, but Kafka holds it no more"):
        make().answer(rows[200:])


def test_answers_of_another_version_than_what_is_learned_again_are_named(
    make: Make, store: Store, stream: ListStream
) -> None:
    rows = inputs(300)
    commit(stream, make(), rows[:200], 100)
    stream.answers[100:] = [
        answer._replace(value=answer.value.replace(b'"model_version":100', b'"model_version":99'))
        for answer in stream.answers[100:]
    ]
    store.clear("digits")
    with pytest.raises(
        LineageError, match=r"offset 100 was answered by version 99, but .* makes version 100"
    ):
        make().answer(rows[200:])


def test_an_answer_that_is_there_twice_does_not_keep_it_from_learning_again(
    make: Make, store: Store, stream: ListStream
) -> None:
    """`verify` tells of it; the model is the same."""
    commit(stream, make(), inputs(300), 100, 200)
    expected = read_snapshot(store, 300)
    for place, offset in ((250, 199), (150, 50), (100, 99)):
        stream.answers.insert(place, stream.answers[offset])
    store.clear("digits")
    assert snapshot.dumps(make()._resume(300), pipeline, "aaaa", KEY) == expected


def test_a_record_that_is_skipped_is_skipped_again_when_it_must_be_learned_again(
    make: Make, store: Store, stream: ListStream
) -> None:
    lineage = replace(LINEAGE, skipped=(150,))
    answers = commit(stream, make(lineage=lineage), inputs(300), 100)
    assert answers[150]["reason"] == "skipped on request"
    expected = read_snapshot(store, 300)
    store.clear("digits")
    assert snapshot.dumps(make(lineage=lineage)._resume(300), pipeline, "aaaa", KEY) == expected


def test_progress_is_told_from_where_learning_again_begins() -> None:
    progress = Progress(start=100, end=300, report=lambda progress, learner: None)
    progress.count(learner(150))
    assert progress.records == 50
    assert str(progress).endswith("offset 150 of 100 to 300, 25 %")


def test_a_rebuild_that_is_broken_off_goes_on_where_it_was(
    make: Make, store: Store, stream: ListStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlearn.engine.recovery._PROGRESS_INTERVAL_S", 0.0)
    rows = inputs(900)
    commit(stream, make(), rows[:700], 100, 200, 300, 400, 500)
    store.clear("digits")
    answers_before, stream.answers = stream.answers, stream.answers[:350]
    with pytest.raises(LineageError, match="offset 350 has no"):
        make().answer(rows[700:])
    assert store.served("digits") is None, "a half rebuilt model must not be served"
    recovering = store.recovery_progress("digits")
    assert recovering is not None
    assert "offset 300 of 0 to 700" in recovering
    stream.answers = answers_before
    make().answer(rows[700:])
    assert store.restores("digits")[-1].snapshot == 300
    assert store.recovery_progress("digits") is None


def test_offsets_that_kafka_does_not_hold_are_no_gap(make: Make, stream: ListStream) -> None:
    rows = inputs(300)
    commit(stream, make(), rows[:100])
    later = [row._replace(offset=row.offset + 1) for row in rows[100:]]
    stream.records += later
    stream.first_answered = 101  # nor need it hold the answers so far
    assert len(answer(make(), later)) == 200


def test_records_that_kafka_lost_before_they_were_learned_stop_it(make: Make, stream: ListStream) -> None:
    rows, worker = inputs(300), make()
    stream.records = rows
    answer(worker, rows[:100])
    with pytest.raises(LineageError, match="between the offsets 100 and 120 are gone"):
        worker.answer(rows[120:130])
    with pytest.raises(LineageError, match="between the offsets 105 and 110 are gone"):
        worker.answer([*rows[100:105], *rows[110:120]])


def test_lost_records_are_counted_where_the_settings_say_to_go_on(
    make: Make, store: Store, stream: ListStream
) -> None:
    rows, worker = inputs(400), make(lost_input="continue")
    before = commit(stream, worker, rows[:100])
    stream.first = 120
    after = commit(stream, worker, rows[120:300])
    assert worker.counts.lost == 20
    assert {p["model_version"] for p in after} == {100}
    assert [p["predict_y"] for p in before + after] == plain_loop.replay(before + after)
    store.delete("streamlearn:digits:snapshot:aaaa:300")
    again = commit(stream, make(lost_input="continue"), rows[300:])
    assert [p["predict_y"] for p in before + after + again] == plain_loop.replay(before + after + again)


def test_a_worker_that_was_admitted_before_another_stays_shut_out(make: Make) -> None:
    """It came late to its first call: it may not resume, nor drop what the other has written."""
    rows = inputs(300)
    late = make()
    late.admit()
    current = make()
    answer(current, rows[:100])
    answer(current, rows[100:200])
    with pytest.raises(Fenced):
        late.answer(rows[:100])
    answer(current, rows[200:])


def test_a_value_over_the_limit_is_kept_in_part(make: Make) -> None:
    rows = inputs(3)
    huge = b'{"x": [' + b" " * (5 << 20) + b"]}"
    rows[1] = rows[1]._replace(value=huge)
    outputs = make().answer(rows)
    letter = json.loads(outputs[1].value)
    assert len(outputs[1].value) < 2 << 20
    assert "over the limit" in letter["reason"]
    assert letter["length"] == len(huge)


def test_snapshots_that_no_restart_can_need_are_thinned_out(make: Make, store: Store) -> None:
    rows = inputs(1000)
    commits = iter([*[None] * 8, 950, 950])
    worker = make(committed=lambda: next(commits))
    for start in range(0, 1000, 100):
        answer(worker, rows[start : start + 100])
    assert list(store.versions("digits", "aaaa")) == [100, 400, 700, 800, 900, 1000]


def test_a_worker_of_an_older_submission_is_shut_out(make: Make, store: Store) -> None:
    store.admit("digits", "aaaa", LINEAGE.epoch + 1)
    with pytest.raises(Fenced):
        make().answer(inputs(5))


def test_another_lineage_has_models_of_its_own(make: Make, store: Store) -> None:
    answer(make(), inputs(100))
    fresh = replace(LINEAGE, id="bbbb", start=100, epoch=2)
    predictions = answer(make(lineage=fresh), inputs(10, start=100))
    assert {(p["lineage"], p["model_version"], p["predict_y"]) for p in predictions} == {("bbbb", 100, None)}


def test_a_control_record_lets_learning_go_on_from_an_earlier_version(
    make: Make, store: Store, stream: ListStream
) -> None:
    rows = inputs(700)
    rows[450] = rollback(450, 200)
    committed = commit(stream, make(), rows, 200, 400, 600)
    obeyed = committed[450]
    assert obeyed == {
        "control": {"kind": "rollback", "lineage": "aaaa", "version": 200},
        "partition": 0,
        "offset": 450,
        "model_version": 450,
        "lineage": "aaaa",
    }
    assert stream.answers[450].topic == "handwritten_digit.control"
    assert [p["model_version"] for p in committed[449:453]] == [400, 450, 451, 451]
    without = committed[:200] + committed[451:]
    assert [p["predict_y"] for p in without] == plain_loop.replay(without)


def test_a_rollback_is_done_again_when_it_must_be_learned_again(
    make: Make, store: Store, stream: ListStream
) -> None:
    rows = inputs(700)
    rows[450] = rollback(450, 200)
    commit(stream, make(), rows, 200, 400, 600)
    expected = read_snapshot(store, 700)
    store.clear("digits")
    assert snapshot.dumps(make()._resume(700), pipeline, "aaaa", KEY) == expected


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (rollback(100, 50, key="another"), "signature is not of this key"),
        (rollback(100, 50, lineage="bbbb"), "for lineage bbbb"),
        (rollback(100, 101), "not there yet"),
        (rollback(100, 33), "no step ended there"),
        (rollback(100, -1), "begins at 0"),
        (Input(0, 100, (rollback(100, 50).value or b"")[:-1] + b',"unsigned":1}'), "cannot be understood"),
        (Input(0, 100, b'{"streamlearn_control":{"kind":"explode"},"mac":"00"}'), "signature"),
        (Input(0, 100, b'{"streamlearn_control":'), "cannot be understood"),
        (Input(0, 100, b'{"streamlearn_control":{},"mac":"\xff"}'), "cannot be understood"),
        (Input(0, 100, b'{"streamlearn_control":' + b"[" * 100_000 + b"}"), "cannot be understood"),
    ],
)
def test_a_control_record_that_is_refused_is_a_dead_letter(
    make: Make, stream: ListStream, record: Input, reason: str
) -> None:
    rows = inputs(200)
    rows[100] = record
    worker = make()
    committed = commit(stream, worker, rows[:100], 50) + commit(stream, worker, rows[100:])
    assert reason in str(committed[100]["reason"])
    predictions = committed[:100] + committed[101:]
    assert [p["predict_y"] for p in predictions] == plain_loop.replay(predictions)


def test_without_a_key_no_control_record_is_obeyed_or_sent(make: Make) -> None:
    rows = inputs(3)
    rows[1] = rollback(1, 0)
    outputs = answer(make(checkpoint_key=""), rows)
    assert "no STREAMLEARN_CHECKPOINT_KEY is set" in str(outputs[1]["reason"])
    with pytest.raises(BadSetting, match="STREAMLEARN_CHECKPOINT_KEY"):
        rollback(1, 0, key="")


def test_a_version_that_kafka_can_no_longer_rebuild_tells_of_no_job_that_resumes(
    make: Make, store: Store, stream: ListStream
) -> None:
    """Whoever asks for an earlier version is not told to throw the lineage away."""
    rows = inputs(300)
    rows[200] = rollback(200, 100)
    worker = make()
    commit(stream, worker, rows[:200], 100)
    worker.admit().delete([version for version in store.versions("digits", "aaaa") if version <= 100])
    stream.first = 20
    (refused,) = commit(stream, worker, rows[200:201])
    assert str(refused["reason"]).startswith("version 100 cannot be had: the newest model of lineage aaaa")
    assert "Kafka holds the records from 20 on" in str(refused["reason"])
    assert not any(words in str(refused["reason"]) for words in ("resumes", "--fresh"))


def test_a_control_record_has_the_bytes_that_it_has_always_had() -> None:
    """Those that stand in a topic are obeyed again whenever it is learned again."""
    mac = b"e4f49bc2ac7445a24f9c38cd892083bff903f2496f175acaf3b43c50c8902fce"
    body = b'{"kind":"rollback","lineage":"aaaa","version":200}'
    assert rollback(450, 200).value == b'{"streamlearn_control":' + body + b',"mac":"' + mac + b'"}'
