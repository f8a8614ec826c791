"""The worker with a real Redis, but without Flink: what it answers, and how it goes on after a restart."""

import json
from collections.abc import Callable

import plain_loop
import pytest
from helpers import LINEAGE, inputs
from msgspec.structs import replace

from streamlearn.errors import Fenced, LineageError, SnapshotRefused
from streamlearn.pipelines.digits import pipeline
from streamlearn.store import Store
from streamlearn.worker import Input, Outside, Worker

Make = Callable[..., Worker]


@pytest.fixture
def make(store: Store) -> Make:
    def worker(
        committed: Callable[[], int | None] = lambda: None,
        lost: Callable[[int, int], bool] = lambda start, end: start < end,
    ) -> Worker:
        outside = Outside(store, wait_s=1, chunk_rows=256, may_be_lost=lost, committed=committed)
        return Worker(pipeline, LINEAGE, outside)

    return worker


def answers(worker: Worker, rows: list[Input]) -> list[dict[str, object]]:
    return [json.loads(output.value) for output in worker.answer(rows)]


def test_a_call_is_cut_into_chunks_and_answers_as_a_plain_loop(make: Make) -> None:
    worker, rows = make(), inputs(1000)
    found = answers(worker, rows[:600]) + answers(worker, rows[600:])
    assert sorted({p["model_version"] for p in found}) == [0, 256, 512, 600, 856]
    assert [p["predict_y"] for p in found] == plain_loop.replay(found)


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
    kept = answers(first, rows[:300])
    lost = answers(first, rows[300:500]) + answers(first, rows[500:700])
    second = make()
    again = answers(second, rows[300:900])
    assert [p["predict_y"] for p in kept + again] == plain_loop.replay(kept + again)
    assert lost[0] == again[0]
    with pytest.raises(Fenced):
        first.answer(rows[700:710])


def test_a_worker_without_the_snapshot_it_needs_stops(make: Make, store: Store) -> None:
    rows = inputs(300)
    answers(make(), rows[:100])
    store.clear("digits")
    with pytest.raises(LineageError, match=r"resumes at offset 100.*only up to 0"):
        make().answer(rows[100:])


def test_offsets_that_kafka_does_not_hold_are_no_gap(make: Make) -> None:
    rows = inputs(300)
    answers(make(), rows[:100])
    later = [row._replace(offset=row.offset + 1) for row in rows[100:]]
    assert len(answers(make(lost=lambda start, end: False), later)) == 200


def test_records_that_kafka_lost_before_they_were_learned_stop_it(make: Make) -> None:
    rows, worker = inputs(300), make()
    answers(worker, rows[:100])
    with pytest.raises(LineageError, match="between the offsets 100 and 120 are gone"):
        worker.answer(rows[120:130])
    with pytest.raises(LineageError, match="between the offsets 105 and 110 are gone"):
        worker.answer([*rows[100:105], *rows[110:120]])


def test_a_snapshot_that_does_not_join_up_is_not_dropped(make: Make, store: Store) -> None:
    rows = inputs(300)
    worker = make()
    for start in (0, 100, 200):
        answers(worker, rows[start : start + 100])
    store.delete("streamlearn:digits:snapshot:aaaa:100")
    with pytest.raises(LineageError, match="its bytes are gone"):
        make().answer(rows[100:])
    assert store.admit("digits", "aaaa", 1).versions() == [100, 200, 300]


def test_a_worker_that_was_admitted_before_another_stays_shut_out(make: Make) -> None:
    """It came late to its first call: it may not resume, nor drop what the other has written."""
    rows = inputs(300)
    late = make()
    late.admit()
    current = make()
    answers(current, rows[:100])
    answers(current, rows[100:200])
    with pytest.raises(Fenced):
        late.answer(rows[:100])
    answers(current, rows[200:])


def test_a_value_over_the_limit_is_kept_in_part(make: Make) -> None:
    rows = inputs(3)
    huge = b'{"x": [' + b" " * (5 << 20) + b"]}"
    rows[1] = rows[1]._replace(value=huge)
    outputs = make().answer(rows)
    letter = json.loads(outputs[1].value)
    assert len(outputs[1].value) < 2 << 20
    assert "over the limit" in letter["reason"]
    assert letter["length"] == len(huge)


def test_an_altered_snapshot_is_refused(make: Make, store: Store, redis_url: str) -> None:
    import redis

    rows = inputs(300)
    answers(make(), rows[:100])
    with redis.Redis.from_url(redis_url) as client:
        client.setrange("streamlearn:digits:snapshot:aaaa:100", 1000, b"?")
    with pytest.raises(SnapshotRefused, match="altered"):
        make().answer(rows[100:])


def test_snapshots_that_no_restart_can_need_are_dropped(make: Make, store: Store) -> None:
    rows = inputs(500)
    commits = iter([None, None, 0, 250, 250])
    worker = make(committed=lambda: next(commits))
    for start in range(0, 500, 100):
        answers(worker, rows[start : start + 100])
    assert store.admit("digits", "aaaa", 1).versions() == [200, 300, 400, 500]


def test_a_worker_of_an_older_submission_is_shut_out(make: Make, store: Store) -> None:
    store.admit("digits", "aaaa", LINEAGE.epoch + 1)
    with pytest.raises(Fenced):
        make().answer(inputs(5))


def test_another_lineage_has_models_of_its_own(make: Make, store: Store) -> None:
    answers(make(), inputs(100))
    fresh = replace(LINEAGE, id="bbbb", start=100, epoch=2)
    outside = Outside(store, wait_s=1, chunk_rows=256, may_be_lost=lambda a, b: a < b, committed=lambda: None)
    found = answers(Worker(pipeline, fresh, outside), inputs(10, start=100))
    assert {(p["lineage"], p["model_version"], p["predict_y"]) for p in found} == {("bbbb", 100, None)}
