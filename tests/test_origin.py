"""A lineage that begins from the fold of another topic: learned again exactly, else refused."""

from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from helpers import KEY, LINEAGE, ListStream, Make, commit, inputs, read_snapshots, rollback
from msgspec import structs

from streamlearn.engine.backtest import backtest
from streamlearn.engine.verification_report import Report
from streamlearn.engine.verify import verify as run_verify
from streamlearn.errors import LineageError, NothingToCompare
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.operations.history.backtest import parse_variants, read_part
from streamlearn.pipelines import definition
from streamlearn.pipelines.digits import pipeline
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import ORIGIN, Lineage, Origin
from streamlearn.stream.ports import Input

HISTORY = "handwritten_digit.history.1"


def learn_plainly(learner: Learner, rows: list[Input], *edges: int) -> Learner:
    """Learn rows in chunks between offsets, as `predict_then_learn` does by itself."""
    for start, end in pairwise(edges):
        values = [row.value for row in rows if start <= row.offset < end]
        predict_then_learn(learner, [pipeline.codec.decode(value) for value in values], end)
    return learner


def begin(history: list[Input], start: int = 0) -> tuple[Lineage, Learner]:
    """Return a lineage that begins from a history, and its learner before any record."""
    end = len(history)
    edges = [*range(0, end, 256), end]
    learner = learn_plainly(pipeline.new_learner(), history, *edges)
    digest = snapshot.digest(snapshot.dumps(learner, pipeline, ""))
    libraries = snapshot.installed_libraries()
    lineage = structs.replace(LINEAGE, start=start, definition=pipeline.definition)
    learner.version = start
    return lineage.begin_from(Origin(HISTORY, (0,), (end,), (digest,), 256, libraries)), learner


def verify(stream: ListStream, store: Store, lineage: Lineage, **options: Any) -> Report:
    stream.commit = stream.end()
    return run_verify(
        pipeline, lineage, stream, read_snapshots(store, "digits"), key=KEY, wait_s=0, **options
    )


def test_other_parameters_are_tried_on_the_history_as_well(make: Make, stream: ListStream) -> None:
    stream.others[HISTORY] = history = inputs(600, seed=9)
    lineage, _ = begin(history, 40)
    worker = make(lineage=lineage)
    rows = inputs(300, start=40)
    rows[100] = rollback(140, 40)
    commit(stream, worker, rows, 100, 140, 141)
    with ExitStack() as journals:
        part = read_part(stream, lineage, 0, stream.end(), None, journals)
        live, other = backtest(pipeline, parse_variants(pipeline, ["step=0.5"]), [part], key=KEY)
    assert worker.learner is not None
    assert live.score == worker.learner.score
    assert other.score.samples == live.score.samples


@pytest.mark.parametrize("start", [0, 40])
def test_a_lineage_goes_on_from_what_history_taught(
    make: Make, stream: ListStream, store: Store, start: int
) -> None:
    stream.others[HISTORY] = history = inputs(600, seed=9)
    lineage, learner = begin(history, start)
    rows, worker = inputs(300, start=start), make(lineage=lineage)
    answers = commit(stream, worker, rows, start + 100)
    expected = learn_plainly(learner, rows, start, start + 100, start + 300)
    assert worker.learner is not None
    assert snapshot.dumps(worker.learner, pipeline, "") == snapshot.dumps(expected, pipeline, "")
    assert (answers[0]["offset"], answers[0]["model_version"]) == (start, start)
    assert answers[0]["predict_y"] is not None
    # The origin itself is kept: the version before the first record.
    assert list(read_snapshots(store, "digits")) == [start, start + 100, start + 300]
    report = verify(stream, store, lineage)
    assert (report.exit_code, report.snapshots, report.differences) == (0, 3, [])
    assert report.origin == f"{HISTORY}, offsets 0 to 600"


def test_an_emptied_redis_is_rebuilt_from_there(make: Make, stream: ListStream, store: Store) -> None:
    stream.others[HISTORY] = inputs(600, seed=9)
    lineage, learner = begin(stream.others[HISTORY])
    rows = inputs(500)
    commit(stream, make(lineage=lineage), rows[:400], 120, 200)
    store.clear()
    worker = make(lineage=lineage)
    commit(stream, worker, rows[400:])
    assert worker.counts.relearned == 600 + 400
    # What the history had made by its offset 256 is no version of the lineage.
    assert {0, 500} <= set(read_snapshots(store, "digits")) <= {0, 120, 200, 400, 500}
    expected = learn_plainly(learner, rows, 0, 120, 200, 400, 500)
    assert worker.learner is not None
    assert worker.learner.score == expected.score
    assert verify(stream, store, lineage).exit_code == 0
    # From a kept version on, nothing before it is learned again.
    del stream.others[HISTORY]
    report = verify(stream, store, lineage, last=50)
    assert (report.exit_code, report.origin) == (0, msgspec.UNSET)
    assert report.begun_from in {120, 200, 400}


def test_control_records_and_dead_letters_of_a_history_change_nothing(
    make: Make, stream: ListStream, store: Store
) -> None:
    history = inputs(300, seed=9)
    history[100] = rollback(100, 0)
    history[30] = history[30]._replace(value=b"broken")
    learner = pipeline.new_learner()
    valid = [row for row in history if row.offset not in {30, 100}]
    for start, end in pairwise([0, 100, 101, 300]):
        values = [row.value for row in valid if start <= row.offset < end]
        predict_then_learn(learner, [pipeline.codec.decode(value) for value in values], end)
    digest = snapshot.digest(snapshot.dumps(learner, pipeline, ""))
    origin = Origin(HISTORY, (0,), (300,), (digest,), 256, snapshot.installed_libraries())
    stream.others[HISTORY] = history
    lineage = structs.replace(LINEAGE, definition=pipeline.definition).begin_from(origin)
    commit(stream, make(lineage=lineage), inputs(50))
    assert verify(stream, store, lineage).exit_code == 0


def test_another_history_is_found_and_refused(make: Make, stream: ListStream, store: Store) -> None:
    stream.others[HISTORY] = inputs(600, seed=9)
    lineage, _ = begin(stream.others[HISTORY])
    commit(stream, make(lineage=lineage), inputs(200), 120)
    stream.others[HISTORY][17], stream.others[HISTORY][400] = (
        stream.others[HISTORY][17]._replace(value=stream.others[HISTORY][400].value),
        stream.others[HISTORY][400]._replace(value=stream.others[HISTORY][17].value),
    )
    report = verify(stream, store, lineage)
    assert (report.exit_code, report.differences[0].kind, report.differences[0].offset) == (1, "origin", 0)
    assert f"the records of {HISTORY} from offset 0 to 600 now make the model" in report.differences[0].detail
    store.clear()
    with pytest.raises(LineageError, match="begins from cannot be learned again: the records of"):
        make(lineage=lineage).answer(inputs(10, start=200))
    # Another version of a library may write the same model in other bytes.
    assert lineage.origin is not None
    older = structs.replace(lineage.origin, libraries={"numpy": "1.0"})
    make(lineage=lineage.begin_from(older)).answer(inputs(10))


def test_a_history_that_is_gone_is_told(make: Make, stream: ListStream, store: Store) -> None:
    stream.others[HISTORY] = inputs(600, seed=9)
    lineage, _ = begin(stream.others[HISTORY])
    commit(stream, make(lineage=lineage), inputs(300), 120)
    del stream.others[HISTORY]
    report = verify(stream, store, lineage)
    assert (report.exit_code, report.begun_from) == (0, 120)
    assert report.notes == [f"version 0 cannot be begun from: Kafka has no topic {HISTORY} any more"]
    store.clear()
    with pytest.raises(NothingToCompare, match="no topic"):
        verify(stream, store, lineage)
    with pytest.raises(
        LineageError, match=r"no topic .*; `streamlearn train digits --fresh` begins a new one"
    ):
        make(lineage=lineage).answer(inputs(10, start=300))


def test_a_spoiled_first_version_is_found(
    make: Make, stream: ListStream, store: Store, redis_url: str
) -> None:
    import redis

    stream.others[HISTORY] = inputs(600, seed=9)
    lineage, _ = begin(stream.others[HISTORY])
    commit(stream, make(lineage=lineage), inputs(200))
    with redis.Redis.from_url(redis_url) as client:
        key = "streamlearn:digits:snapshot:aaaa:0"
        data = bytearray(client.get(key))
        data[500] ^= 1
        client.set(key, bytes(data))
    report = verify(stream, store, lineage)
    assert [(found.kind, found.offset) for found in report.differences] == [("snapshot", 0)]


def test_going_back_to_what_history_taught(make: Make, stream: ListStream, store: Store) -> None:
    stream.others[HISTORY] = inputs(600, seed=9)
    lineage, learner = begin(stream.others[HISTORY])
    rows = inputs(300)
    rows[150] = rollback(150, 0)
    worker = make(lineage=lineage)
    commit(stream, worker, rows, 150, 151)
    learner.version = 151
    expected = learn_plainly(learner, rows, 151, 300)
    assert worker.learner is not None
    assert worker.learner.score == expected.score
    assert verify(stream, store, lineage).exit_code == 0


def test_the_register_tells_of_it_and_a_program_that_does_not_know_it_refuses() -> None:
    lineage, _ = begin(inputs(300, seed=9))
    again = msgspec.json.decode(msgspec.json.encode(lineage), type=Lineage)
    assert again.origin == lineage.origin
    assert pipeline.changes_since(again.definition) == {}
    assert definition.carry_on(again.definition, pipeline.definition)[ORIGIN] == again.definition[ORIGIN]
    # What such a program does is compare all parts but one that it knows.
    known = {name: part for name, part in again.definition.items() if name != "whole_numbers"}
    own = {name: part for name, part in pipeline.definition.items() if name != "whole_numbers"}
    assert {name for name in {**known, **own} if known.get(name) != own.get(name)} == {"origin"}
    assert LINEAGE.origin is None
    assert b"origin" not in msgspec.json.encode(LINEAGE)


def test_each_partition_begins_from_its_own() -> None:
    origin = Origin("history", (0, 3), (10, 13), ("a", "b"), 256)
    lineage = structs.replace(LINEAGE, later_starts=(5, 0)).begin_from(origin)
    assert lineage.in_partition(1).origin == Origin("history", (3,), (13,), ("b",), 256)
    # A partition that came later.
    assert lineage.in_partition(2).origin is None
