"""A span of a stream that was wrong, learned again as it should have been, and taken over."""

import csv
import json
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import copies
import pytest
from click.testing import CliRunner
from helpers import admit_partitions, append
from reading import send
from stacks import ROOT, Stack, open_topics, running_trial

from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import create_history_topic, ensure_topics, list_history_topics
from streamlearn.cli.main import main
from streamlearn.datasets import digits, pm25
from streamlearn.datasets.table import Table
from streamlearn.errors import DataError, LineageError
from streamlearn.learning.learner import predict_then_learn
from streamlearn.operations import flink_api
from streamlearn.operations.history import repair
from streamlearn.operations.history.backfill import HistoryLearning, begin_lineage, learn_history
from streamlearn.operations.history.repair import Span
from streamlearn.operations.verification import verify_lineage
from streamlearn.pipelines import digits as digits_pipeline
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream import control
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input
from streamlearn.stream.records import encode
from streamlearn.waiting import wait_until

RECORDS = 600
FIRST, BEHIND = 200, 300
"""The numbers of the first record of the span that is wrong, and of the first behind it."""


def list_records() -> list[dict[str, Any]]:
    """Return digits, one a minute."""
    records = islice(digits.records(seed=4), RECORDS)
    return [{**one, "ts": f"2026-01-01 {n // 60:02}:{n % 60:02}:00"} for n, one in enumerate(records)]


def spoil(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**one, "actual_y": (one["actual_y"] + 1) % 10} if FIRST <= number < BEHIND else one
        for number, one in enumerate(records)
    ]


@pytest.fixture
def own(broker: Settings) -> Pipeline:
    name = f"test-{uuid.uuid4().hex[:8]}"
    return replace(digits_pipeline.pipeline, name=name, topic=name, prediction_topic=f"{name}-predictions")


@pytest.fixture
def client(broker: Settings) -> Iterator[Broker]:
    with Broker(broker) as client:
        yield client


@pytest.fixture
def span() -> Span:
    return Span("ts", datetime(2026, 1, 1, 3, 20), datetime(2026, 1, 1, 5, 0))


def answer(client: Broker, pipeline: Pipeline, lineage: Lineage, store: Store) -> None:
    """Let a worker answer all records that have no answer yet, and commit the answers."""
    start = LineageRegister(client, pipeline).first_unanswered(lineage)
    job = admit_partitions(client, pipeline, lineage, store)
    rows = [Input(0, record.offset, record.value) for record in client.read(pipeline.topic, start)]
    for call in (rows[:70], rows[70:]):
        outputs = job.answer(call) if call else []
        append(client, [(output.topic, output.value, 0) for output in outputs])


def learn_live(client: Broker, pipeline: Pipeline, store: Store) -> Lineage:
    """Let a lineage learn the records with the span that is wrong."""
    ensure_topics(client, pipeline)
    append(client, [(pipeline.topic, encode(record), 0) for record in spoil(list_records())])
    lineage = LineageRegister(client, pipeline).claim()
    answer(client, pipeline, lineage, store)
    return lineage


def test_a_span_is_replaced_compared_and_taken_over(
    client: Broker, own: Pipeline, span: Span, store: Store, tmp_path: Path
) -> None:
    lineage = learn_live(client, own, store)
    file = tmp_path / "right.jsonl"
    file.write_text("\n".join(map(json.dumps, list_records()[FIRST:BEHIND])))
    correction = repair.read_correction(own, own.read_file(file), span)
    repair.check_repairable(client, own, lineage)
    copy = repair.write_copy(client, own, lineage, span, correction)
    assert (copy.records, copy.removed, copy.corrected, copy.reached) == (RECORDS, 100, 100, [RECORDS])
    live, repaired = repair.compare(client, own, lineage, copy, lambda partition, at, end: None)
    assert repaired.score.right > live.score.right
    assert any("state.model" in line for line in repair.describe_parameters(live, repaired))
    # What comes meanwhile is learned by the live model, and by the repaired one.
    append(client, [(own.topic, encode(record), 0) for record in list_records()[:40]])
    answer(client, own, lineage, store)
    reached: list[int] = []
    learning, count = repair.learn_beside(
        client, own, lineage, copy, repaired, lambda partition, at, end: reached.append(at)
    )
    # What was learned to be compared is not learned again.
    assert (count, learning.count_left(), reached) == (40, (RECORDS + 40) % 256, [])
    append(client, [(own.topic, encode(record), 0) for record in list_records()[40:50]])
    answer(client, own, lineage, store)
    assert repair.catch_up(client, own, lineage, copy) == 10
    history = learning.finish()
    new = begin_lineage(client, own, history, fresh=True)
    assert (new.start, new.id != lineage.id) == (RECORDS + 50, True)
    # The repaired model is that of a stream that was right all along.
    records, plain = [*list_records(), *list_records()[:50]], own.new_learner()
    for start, end in pairwise([0, 256, 512, RECORDS + 50]):
        predict_then_learn(plain, [own.codec.decode(encode(one)) for one in records[start:end]], end)
    assert new.origin is not None
    assert new.origin.digests == (snapshot.digest(snapshot.dumps(plain, own, "")),)
    append(client, [(own.topic, encode(record), 0) for record in list_records()[:90]])
    store.clear()
    answer(client, own, new, store)
    (report,) = verify_lineage(client, own)
    assert (report.exit_code, report.differences, report.records) == (0, [], 90)
    # A lineage that begins from something is repaired with that.
    again = repair.write_copy(client, own, new, span, correction)
    assert (again.records, again.removed) == (RECORDS + 50 + 90, 100)
    # A copy that a lineage begins from stays, whatever fails after that.
    for each in (copy, again):
        repair.discard(client, each)
    wait_until(
        lambda: list_history_topics(client, own) == [copy.topic], 30, "one to be deleted", every_s=0.05
    )


def test_other_parameters_are_taken_over_as_if_they_had_been_there_from_the_beginning(
    client: Broker, own: Pipeline, store: Store
) -> None:
    lineage = learn_live(client, own, store)
    with pytest.raises(LineageError, match=f"{own.name} has the parameters of its lineage"):
        repair.check_promotable(own, lineage)
    other = replace(own, learning=replace(own.learning, classes=(0, 1)))  # type: ignore[type-var]
    with pytest.raises(LineageError, match=r"differs from its lineage .* in its classes; only parameters"):
        repair.check_promotable(other, lineage)
    better = replace(own, parameters={**own.parameters, "step": 0.5})
    repair.check_promotable(better, lineage)
    copy = repair.write_copy(client, better, lineage, repair.NO_SPAN, [])
    assert [record.value for record in client.read(copy.topic)] == [*map(encode, spoil(list_records()))]
    live, promoted = repair.compare(
        client, own, lineage, copy, lambda partition, at, end: None, changed=better, name="better"
    )
    assert (live.name, promoted.name) == (repair.LIVE, "better")
    assert any("parameters" in line for line in repair.describe_parameters(live, promoted))
    learning, _ = repair.learn_beside(
        client, better, lineage, copy, promoted, lambda partition, at, end: None
    )
    new = begin_lineage(client, better, learning.finish(), fresh=True)
    assert (new.parameters["step"], new.origin and new.origin.topic) == (0.5, copy.topic)
    append(client, [(own.topic, encode(record), 0) for record in list_records()[:90]])
    store.clear()
    answer(client, better, LineageRegister(client, better).claim(), store)
    (report,) = verify_lineage(client, better)
    assert (report.exit_code, report.differences, report.records) == (0, [], 90)


def test_promote_compares_and_takes_over(
    client: Broker, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = copies.promoted
    before = replace(pipeline, parameters={**pipeline.parameters, "step": 0.5})
    lineage = learn_live(client, before, store)
    monkeypatch.setattr(flink_api, "newest_job", lambda settings, name: None)

    def call(*words: str, exit_code: int = 0) -> str:
        done = CliRunner().invoke(main, words, env=client.settings.environment())
        assert done.exit_code == exit_code, done.output
        return done.output

    promote = partial(call, "promote", "copies:promoted")
    # A repair may be tried with other parameters, and is taken over without.
    file = tmp_path / "right.jsonl"
    file.write_text("\n".join(map(json.dumps, list_records()[FIRST:BEHIND])))
    times = ("--from", "2026-01-01T03:20", "--to", "2026-01-01T05:00", "--file", str(file))
    repaired = partial(call, "repair", "copies:promoted", *times, "--set")
    assert re.search(r"^\| repaired, step=2 \| \d+ \| 0\.\d+ ", repaired("step=2"), re.MULTILINE)
    assert "call `streamlearn promote`" in repaired("step=2", "--switch", exit_code=2)
    for values in ("0.5", "1,2"):
        assert "`streamlearn backtest` tries several" in repaired(f"step={values}", exit_code=2)
    told = promote()
    for name in (repair.LIVE, repair.PROMOTED):
        assert re.search(rf"^\| {name} \| \d+ \| 0\.\d+ ", told, re.MULTILINE), told
    assert "nothing live has changed" in told
    assert LineageRegister(client, pipeline).current() == lineage
    told = promote("--switch")
    assert "0 records that have come meanwhile; 88 were learned with the job stopped" in told
    assert told.endswith("go on with: streamlearn train copies:promoted\n")
    new = LineageRegister(client, pipeline).current()
    assert new is not None
    assert new.parameters == pipeline.parameters
    topics = [new.origin.topic] if new.origin else []
    wait_until(lambda: list_history_topics(client, pipeline) == topics, 30, "one to be deleted", every_s=0.05)


@pytest.mark.parametrize(
    ("days", "expected"), [((1, 3), (1, 2, 3)), ((1,), (1, 2)), ((3, 1), (2, 3, 1)), ((2, 1, 2), (2, 1))]
)
def test_a_correction_stands_where_the_span_was_or_would_have_been(
    days: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    second = Span("ts", datetime(2026, 1, 2), datetime(2026, 1, 3))
    by_day = {day: encode({"ts": f"2026-01-0{day}"}) for day in (1, 2, 3)}
    splice = repair.Splice([by_day[day] for day in days], second, [by_day[2]])
    assert list(splice) == [by_day[day] for day in expected]


def test_what_a_copy_would_not_have_is_refused(client: Broker, own: Pipeline, store: Store) -> None:
    lineage = learn_live(client, own, store)
    order = control.Lags(lineage.id, {"dew": [0]})
    obeyed = control.Obeyed(order, 0, RECORDS, RECORDS, lineage.id)
    send(client.settings.kafka, own.control_topic, [encode(obeyed)])
    with pytest.raises(LineageError, match="has obeyed a change of its lags"):
        repair.check_repairable(client, own, lineage)


def test_what_a_roll_back_has_unlearned_is_not_repaired(
    client: Broker, own: Pipeline, span: Span, store: Store
) -> None:
    lineage = learn_live(client, own, store)
    # Back to before the span that is wrong; the model has learned up to 70 in its first step.
    order = control.sign(control.Rollback(lineage.id, 70), client.settings.checkpoint_key)
    append(client, [(own.topic, value, 0) for value in (order, *map(encode, list_records()[300:320]))])
    answer(client, own, lineage, store)
    repair.check_repairable(client, own, lineage)
    right = [encode(record) for record in list_records()[FIRST:BEHIND]]
    copy = repair.write_copy(client, own, lineage, span, right)
    expected = [*list_records()[:70], *list_records()[FIRST:BEHIND], *list_records()[300:320]]
    assert [record.value for record in client.read(copy.topic)] == [*map(encode, expected)]
    assert (copy.removed, copy.corrected) == (0, 100)
    live, _ = repair.compare(client, own, lineage, copy, lambda partition, at, end: None)
    data = store.snapshot(own.name, lineage.id, max(store.versions(own.name, lineage.id)))
    assert data is not None
    newest = snapshot.loads(data, own, lineage.id, client.settings.checkpoint_key)
    assert snapshot.find_differences(live.learners[0], newest) == []
    # One that comes while the copy is learned could make it wrong.
    append(client, [(own.topic, order, 0)])
    answer(client, own, lineage, store)
    with pytest.raises(LineageError, match="rolled back meanwhile"):
        repair.catch_up(client, own, lineage, copy)


@pytest.mark.parametrize("sizes", [(256, 512), (300,), (100, 255, 256, 700)])
def test_a_topic_that_grows_while_it_is_learned_makes_the_model_of_one_go(
    client: Broker, own: Pipeline, sizes: tuple[int, ...]
) -> None:
    values = [*map(encode, list_records()[:590]), b"{}", *map(encode, list_records()[:200])]
    topic = create_history_topic(client, own, 1)
    learning, written = HistoryLearning(client, own, topic, [own.new_learner()]), 0
    for size in sizes:
        append(client, [(topic, value, 0) for value in values[written:size]])
        learning.learn_whole_chunks()
        written = size
        assert learning.count_left() == size % 256
    append(client, [(topic, value, 0) for value in values[written:]])
    history, whole = learning.finish(), learn_history(client, own, topic, 1)
    assert history.origin == whole.origin
    assert (history.set_aside, history.records) == (1, len(values))


def test_a_correction_of_another_time_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "right.jsonl"
    file.write_text("\n".join(map(json.dumps, list_records()[190:BEHIND])))
    table = Table(file, digits_pipeline.pipeline.record)
    span = Span("ts", datetime(2026, 1, 1, 3, 20), datetime(2026, 1, 1, 5, 0))
    with pytest.raises(DataError, match="has a record that is not of the time from 2026-01-01 03:20"):
        repair.read_correction(digits_pipeline.pipeline, table, span)


@pytest.mark.parametrize(
    ("begin", "end", "error"),
    [("2026-01-02", "2026-01-01", "is empty"), ("yesterday", "2026-01-01", "is no time such as 2014-03-01")],
)
def test_a_span_that_is_none_is_refused(begin: str, end: str, error: str, tmp_path: Path) -> None:
    arguments = ["repair", "digits", "--from", begin, "--to", end, "--file", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, error in done.stderr) == (2, True)


def test_a_month_is_repaired_while_hours_flow(stack: Stack, tmp_path: Path) -> None:
    hours = [*islice(pm25.records(passes=1), 2000)]
    month = [hour for hour in hours if hour["ts"].startswith("2010-02")]
    wrong = [{**hour, "pollution": 10.0} if hour in month else hour for hour in hours]
    with (tmp_path / "march.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(month[0]))
        writer.writeheader()
        writer.writerows(month)
    # As the page says, of another month.
    page = (ROOT / "docs" / "repair.md").read_text()
    look, switch = re.findall(r"^streamlearn repair pm25 (.*)$", page, re.MULTILINE)
    days = {"2014-03-01": "2010-02-01", "2014-04-01": "2010-03-01"}
    files = {name: str(tmp_path / name) for name in ("march.csv", "march.svg")}
    look, switch = ([{**days, **files}.get(word, word) for word in line.split()] for line in (look, switch))
    with running_trial(stack, "copies:mended") as trial, open_topics(trial) as topics:
        register = LineageRegister(Broker(trial.settings), trial.pipeline)
        topics.send(*map(encode, wrong[:1800]))
        topics.settle()
        before = register.current()
        done = trial.streamlearn("repair", *look)
        assert f"{len(month)} records replaced by {len(month)}; 1800 in all" in done.stdout
        assert "nothing live has changed" in done.stdout
        assert (tmp_path / "march.svg").exists()
        assert register.current() == before
        rest, is_done = iter(wrong[1800:1950]), threading.Event()

        def send_on() -> None:
            while not is_done.wait(0.2) and (hour := next(rest, None)):
                topics.send(encode(hour))

        sender = threading.Thread(target=send_on)
        sender.start()
        try:
            done = trial.streamlearn("repair", *switch)
        finally:
            is_done.set()
            sender.join()
        assert "learn submitted" in done.stdout
        assert re.search(r" (\d+) were learned with the job stopped\n", done.stdout), done.stdout
        assert re.search(r"^the job stood still for \d+ s$", done.stdout, re.MULTILINE), done.stdout
        after = register.current()
        assert before is not None
        assert after is not None
        assert after.id != before.id
        topics.send(*map(encode, [*rest, *wrong[1950:]]))
        report = trial.verify()
        assert ".repair." in report["origin"]
        # No record was missed, and none answered twice, over both lineages.
        topics.settle()
        answered = [
            one["offset"] for topic in (topics.predictions, topics.dead) for one in topic.read().json()
        ]
        assert sorted(answered) == topics.records.read().offsets
