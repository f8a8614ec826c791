"""How good a stream and its answers are lately: measured on a sample, and sent to the pages."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import copies
import numpy as np
import pytest
from flask.testing import FlaskClient
from helpers import MakeApp, inputs, learner, put, serve
from kafka import KafkaProducer
from reading import create_topic
from stacks import free_port

from serving.pages import quality
from serving.pages.quality import Event
from serving.pages.watch import Watch
from streamlearn.broker.broker import Broker
from streamlearn.broker.tail import Tail
from streamlearn.broker.topics import ensure_topics
from streamlearn.learning.learner import predict_then_learn
from streamlearn.operations.flow import ControlObeyed
from streamlearn.operations.quality.calibration import measure_calibration
from streamlearn.operations.quality.delays import count_waiting, find_stretches, measure_delays
from streamlearn.operations.quality.kinds import Origin, classify_origins, score_kinds
from streamlearn.operations.quality.sample import Sample
from streamlearn.operations.quality.shift import compare_samples
from streamlearn.pipelines import digits
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.storage.versions import PinChange, Restore
from streamlearn.stream import control
from streamlearn.stream.control import Lags, Obeyed, Rollback
from streamlearn.stream.records import Stamp
from streamlearn.waiting import wait_until


@dataclass
class Row:
    """A record as a consumer returns it."""

    offset: int
    value: bytes | None
    timestamp: int = 0
    partition: int = 0
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def take_digits(count: int, seed: int = 3, start: int = 0) -> list[Row]:
    """Return the digits of a replay, one a second from second 1,000 on."""
    return [
        Row(row.offset, row.value, 1000 * (1000 + row.offset))
        for row in inputs(count, seed=seed, start=start)
    ]


def test_a_field_that_moved_comes_first_and_one_that_did_not_moved_little() -> None:
    random = np.random.default_rng(1)
    then = [{"moved": v, "same": w} for v, w in random.normal(size=(1000, 2)).tolist()]
    now = [{"moved": v + 1, "same": w} for v, w in random.normal(size=(1000, 2)).tolist()]
    shift = compare_samples(then, now, ["same", "moved"])
    assert shift is not None
    moved, same = shift.fields
    assert (moved.name, moved.level, same.name, same.level) == ("moved", "much", "same", "little")
    assert moved.psi > 0.8
    assert moved.now.quantiles is not None
    assert moved.now.quantiles[1] == pytest.approx(1, abs=0.15)


def test_what_chance_does_to_small_samples_is_little() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        then, now = ([{"a": v} for v in random.normal(size=60).tolist()] for _ in range(2))
        shift = compare_samples(then, now, ["a"])
        assert shift is not None
        assert shift.fields[0].level == "little", shift.fields[0].psi
    assert compare_samples(then[:10], now, ["a"]) is None


def test_values_that_are_missing_now_are_a_shift() -> None:
    then = [{"a": n % 5, "wind": "NW"} for n in range(500)]
    now = [{"a": None if n % 2 else n % 5, "wind": "SE" if n % 4 else "NW"} for n in range(500)]
    shift = compare_samples(then, now, ["a", "wind"])
    assert shift is not None
    fields = {moved.name: moved for moved in shift.fields}
    assert fields["a"].level == fields["wind"].level == "much"
    assert (fields["a"].then.missing, fields["a"].now.missing) == (0, 0.5)
    assert fields["wind"].now.shares == [("NW", 0.25), ("SE", 0.75)]


def test_elements_of_a_list_are_compared_each_and_a_time_is_not() -> None:
    then = [{"x": [n % 3, 7], "ts": f"second {n}"} for n in range(200)]
    now = [{"x": [n % 3, 7 + n % 2], "ts": f"second {n}"} for n in range(200)]
    shift = compare_samples(then, now, ["x", "ts"])
    assert shift is not None
    assert [(moved.name, moved.level) for moved in shift.fields] == [("x[1]", "much"), ("x[0]", "little")]
    assert shift.left_out == ["ts"]


def test_fields_of_odd_values_are_compared_as_text() -> None:
    odd = [1, "a", True, {"b": 1}, None, float("inf"), [1, "c"], []]
    rows = [{"a": odd[n % 6], "b": odd[n % 8]} for n in range(100)]
    shift = compare_samples(rows, rows, ["a", "b", "nowhere"])
    assert shift is not None
    assert {moved.psi for moved in shift.fields} == {0.0}
    nowhere = next(moved for moved in shift.fields if moved.name == "nowhere")
    assert nowhere.now.missing == 1


def test_delays_are_measured_where_answers_were_written() -> None:
    times = find_stretches(1000.0, 1100.0)
    assert len(times) == 40
    delays = measure_delays([(1000.0, 1001.0), (1000.0, 1002.0), (1099.0, 1098.0)], times, [0] * 40)
    assert delays is not None
    assert delays.median_s[0] == 1.5
    assert delays.median_s[1] is None
    assert delays.median_s[-1] == 0, "a clock that is behind makes no time negative"
    assert (delays.count, delays.overall_s[0]) == (3, 1.0)
    assert measure_delays([], times, []) is None


def test_waiting_is_counted_in_every_partition_from_its_first_answer_on() -> None:
    ends = [{0: 10, 1: 5}, {0: 10, 1: 5}, {0: 20, 1: 5}]
    answers = [(1.0, 0, 3), (2.5, 1, 4), (2.6, 0, 9)]
    assert count_waiting(ends, answers, [2.0, 3.0, 4.0]) == [None, 0, 10]


def test_a_record_is_new_once() -> None:
    origins = [Origin((0, n), key, n == 3) for n, key in enumerate([5, 6, 5, 6, 9])]
    kinds = classify_origins([9], origins)
    assert [*kinds.values()] == ["new", "new", "repeated", "feedback", "repeated"]
    answers = [((0, n), n, n if n < 4 else 0) for n in range(5)]
    scores = score_kinds(kinds, answers, is_classification=True)
    assert [(score.kind, score.count, score.value) for score in scores] == [
        ("new", 2, 1.0), ("repeated", 2, 0.5), ("feedback", 1, 1.0),
    ]  # fmt: skip
    (new, *_) = score_kinds(kinds, [((0, 0), 1.0, 4.0), ((0, 1), 1.0, 5.0)], is_classification=False)
    assert new.value == pytest.approx(12.5**0.5)


def test_calibration_weighs_each_bin_by_its_answers() -> None:
    probabilities = np.array([[0.9, 0.1]] * 3 + [[0.4, 0.6]])
    calibration = measure_calibration(probabilities, [0, 0, 5, 1], [0, 1])
    assert [(part.low, part.count, round(part.right, 2)) for part in calibration.bins] == [
        (0.6, 1, 1.0), (0.9, 3, 0.67),
    ]  # fmt: skip
    assert calibration.ece == pytest.approx((3 * abs(0.9 - 2 / 3) + 0.4) / 4)


def test_a_sample_keeps_what_can_be_read_and_knows_feedback() -> None:
    sample = Sample(digits.pipeline)
    rows = take_digits(3)
    rows[1].headers.append(("source", b"feedback"))
    broken = Row(3, b"broken", 5000)
    order = Row(4, control.sign(Rollback("aaaa", 1), "key"), 6000)
    sample.add([*rows, broken, order, Row(5, None, 7000)])
    assert [sampled.place for sampled in sample.newest] == [(0, 0), (0, 1), (0, 2)]
    assert [origin.is_feedback for origin in sample.origins] == [False, True, False]
    assert [*sample.feedback] == [(1001.0, (0, 1))]
    assert sample.written_s[0, 3] == 5.0
    sample.add(take_digits(6000, start=6))
    assert len(sample.written_s) == 5000


class Ends:
    """In place of a tail: how far the input reached at a moment, one record a second from 1,000 on."""

    def find_ends_at(self, topic: str, moments_s: Sequence[float]) -> list[dict[int, int]]:
        return [{0: max(0, min(700, int(moment_s) - 1000))} for moment_s in moments_s]


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app(kafka=f"localhost:{free_port()}", flink=f"http://localhost:{free_port()}").test_client()


@pytest.fixture
def watch(client: FlaskClient) -> Watch:
    """A watch of the digits that has seen the answers to 700 records, each written half a second later."""
    seen: Watch = client.application.extensions["live"]["digits"].watch
    for row in take_digits(700):
        label = json.loads(row.value or b"")["actual_y"]
        seen.flow.answers.append({"offset": row.offset, "partition": 0, "actual_y": label, "predict_y": 3})
        seen.flow.values.append(row.value)
        seen.flow.times.append(row.timestamp / 1000 + 0.5)
    seen.flow.ends = [700]
    return seen


def take_sample(count: int = 700) -> Sample:
    sample = Sample(digits.pipeline)
    sample.add(take_digits(count))
    sample.oldest, sample._oldest_keys = sample._take(take_digits(count))
    return sample


def test_the_quality_of_a_stream_is_made_of_both_topics(
    watch: Watch, client: FlaskClient, store: Store
) -> None:
    put(store, digits.pipeline, learner(256))
    serve(client, store, 700)
    sample = take_sample()
    made = quality.make_quality(watch, sample, Ends())  # type: ignore[arg-type]
    assert made.delays is not None
    assert made.delays.overall_s == (0.5, 0.5)
    assert made.delays.waiting[0] is not None
    assert made.kinds is not None
    assert (made.kinds.figure, made.kinds.is_whole) == ("accuracy", True)
    assert [(score.kind, score.count) for score in made.kinds.scores] == [("new", 700)]
    compared = made.since_start
    assert compared is not None
    assert (compared.fields, len(compared.shift.fields), compared.shift.now) == (65, 12, 350)
    assert sum(compared.moved.values()) == 65
    assert compared.shift.left_out == ["ts"]
    assert made.since_hour is None, "nothing is an hour old"


def test_the_newest_inputs_are_compared_with_the_last_of_an_hour_ago() -> None:
    rows = take_digits(1600)
    stood = {0: 600}
    sample = Sample(digits.pipeline)
    sample.add(rows[1000:])

    def read(partition: int, end: int, most: int) -> Sequence[Row]:
        return rows[max(0, end - most) : end]

    sample.look_at_hour_ago(stood, read)
    assert [row.place for row in sample.hour_ago] == [(0, offset) for offset in range(600)]
    compared = quality.compare_inputs(sample, sample.hour_ago)
    assert compared is not None
    assert (compared.shift.now, compared.shift.then) == (600, 600)
    # Of an idle stream, the last of an hour ago are the newest.
    sample.look_at_hour_ago({0: 1600}, read)
    assert [row.place for row in sample.hour_ago] == [(0, offset) for offset in range(600, 1000)]
    sample.look_at_hour_ago({}, read)
    assert quality.compare_inputs(sample, sample.hour_ago) is None


def test_a_version_is_calibrated_on_records_that_it_has_not_learned(
    watch: Watch, client: FlaskClient, store: Store
) -> None:
    sample = take_sample()
    assert quality.calibrate(watch, sample) is None, "no version is kept"
    put(store, digits.pipeline, learner(256))
    serve(client, store, 700)
    calibrated = quality.calibrate(watch, sample)
    assert calibrated is not None
    assert (calibrated.version, calibrated.calibration.count) == ("256", 444)
    assert calibrated.calibration.ece < 0.3
    assert quality.calibrate(watch, take_sample(200)) is None, "too few records"


def test_what_happened_is_listed_in_its_order(watch: Watch) -> None:
    sample = take_sample(10)
    sample.feedback.append((5.0, (0, 7)))
    watch.restores = [Restore("aaaa", n, None, 0, n, {}, float(n)) for n in range(3)]
    watch.pin_changes = [PinChange(3.0, "12"), PinChange(4.0, None)]
    for time_s, order in ((6.0, Rollback("aaaa", 9)), (7.0, Lags("aaaa", {}))):
        watch.flow.controls.append(ControlObeyed(time_s, Obeyed(order, 0, int(time_s), 5, "aaaa")))
    assert quality.list_events(watch, sample) == [
        Event("rollback", 1.0, 1),
        Event("rollback", 2.0, 2),
        Event("pin", 3.0, None, "12"),
        Event("unpin", 4.0),
        Event("feedback", 5.0, 7),
        Event("rollback", 6.0, 6, "9"),
        Event("setting", 7.0, 7),
    ]


def test_a_pin_and_its_end_are_remembered(client: FlaskClient, store: Store) -> None:
    serve(client, store, 512)
    head, data = store.served("digits") or (None, None)
    assert head is not None
    store.unpin("digits")
    assert store.pin_changes("digits") == [], "nothing was pinned"
    store.pin("digits", head, data or b"")
    store.unpin("digits")
    assert [change.version for change in store.pin_changes("digits")] == ["512", None]


def test_a_broker_that_is_away_is_told_and_events_stay(client: FlaskClient, store: Store) -> None:
    serve(client, store, 512)
    head, data = store.served("digits") or (None, None)
    assert head is not None
    store.pin("digits", head, data or b"")

    def ask() -> dict[str, Any]:
        answer: dict[str, Any] = client.get("/live/digits/quality").get_json()
        return answer

    wait_until(
        lambda: "does not answer" in ask()["trouble"] and ask()["events"], 60, "the trouble to be told"
    )
    assert ask()["events"][0]["kind"] == "pin"
    assert client.get("/live/nothing/quality").status_code == 404


def test_records_of_a_real_topic_are_measured(make_app: MakeApp, broker: Settings) -> None:
    """The second half of the records repeats the first."""
    pipeline = copies.measured
    ensure_topics(Broker(broker), pipeline)
    start_ms = int(1000 * time.time()) - 200_000  # Kafka's retention takes older records
    rows = inputs(600) + inputs(600, start=600)
    model = pipeline.new_learner()
    producer = KafkaProducer(bootstrap_servers=broker.kafka)
    for start in range(0, 1200, 200):
        chunk = rows[start : start + 200]
        records = [pipeline.codec.decode(row.value) for row in chunk]
        for row, answer in zip(chunk, predict_then_learn(model, records, start + 200), strict=True):
            stamp = Stamp(0, row.offset, start, "aaaa")
            producer.send(pipeline.topic, row.value, partition=0, timestamp_ms=start_ms + 100 * row.offset)
            producer.send(
                pipeline.prediction_topic,
                pipeline.codec.encode(row.value, answer, stamp),
                partition=0,
                timestamp_ms=start_ms + 250 + 100 * row.offset,
            )
    producer.close(timeout=30)
    client = make_app(
        kafka=broker.kafka, flink=f"http://localhost:{free_port()}", pipelines="copies:measured"
    ).test_client()

    def ask() -> dict[str, Any]:
        answer: dict[str, Any] = client.get("/live/measured/quality").get_json()
        return answer

    wait_until(lambda: (ask()["delays"] or {"count": 0})["count"] == 1200, 60, "all answers to be measured")
    measured = ask()
    assert measured["delays"]["overall_s"] == [0.25, 0.25]
    assert measured["delays"]["waiting"][-1] == 0
    kinds = {score["kind"]: score for score in measured["kinds"]["scores"]}
    assert kinds["new"]["count"] + kinds["repeated"]["count"] == 1000, "the first 200 came before a model"
    assert kinds["repeated"]["count"] >= 600
    assert kinds["repeated"]["value"] > kinds["new"]["value"]
    assert measured["since_start"]["shift"]["now"] == 600


def test_a_tail_stops_where_it_is_told_and_finds_the_past_ends(broker: Settings) -> None:
    topic = "stops"
    start_s = int(time.time()) - 100
    create_topic(broker.kafka, topic)
    producer = KafkaProducer(bootstrap_servers=broker.kafka)
    for n in range(5):
        producer.send(topic, b"%d" % n, partition=0, timestamp_ms=1000 * (start_s + n))
    producer.close(timeout=30)
    tail = Tail(Broker(broker), {topic: 2})
    wait_until(lambda: tail.look({}).ends[topic] == [5], 30, "the topic to be seen")
    assert tail.look({}).records[topic] == [], "a partition that is not named is not read"
    assert [row.value for row in tail.look({topic: {0: 3}}).records[topic]] == [b"1", b"2"]
    assert tail.look({topic: {0: 3}}).records[topic] == [], "nothing is read twice"
    assert [row.value for row in tail.look({topic: {0: 4}}).records[topic]] == [b"3"]
    moments_s = [start_s - 1, start_s, start_s + 2.5, start_s + 50]
    assert tail.find_ends_at(topic, moments_s) == [{0: 0}, {0: 1}, {0: 3}, {0: 5}]
    assert tail.find_ends_at("nowhere", [1.0]) == [{}]
    tail.close()
