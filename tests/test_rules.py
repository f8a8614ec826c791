"""Rules: conditions in SQL, their history, the log in Kafka, and the job that routes by them."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from reading import Topic as Reader
from reading import create_topic, send
from stacks import Stack

from flink_jobs.rules import job
from streamlearn.broker.broker import Broker
from streamlearn.cli.main import main
from streamlearn.errors import BadRecord, ConfigurationError
from streamlearn.operations import flink_api
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until
from streamlearn.warehouse.catalogue import Column, Topic
from streamlearn.warehouse.rules.book import Change, RuleBook, Start
from streamlearn.warehouse.rules.changes import add_rule, describe_targets, remove_rule
from streamlearn.warehouse.rules.conditions import Condition
from streamlearn.warehouse.rules.log import DEAD_LETTERS, RULES, read_book
from streamlearn.warehouse.rules.router import Router

COLUMNS = {"ts": "STRING", "temp": "DOUBLE", "n": "BIGINT", "x": "ARRAY<DOUBLE>", "wet": "BOOLEAN"}


def holds(text: str, **record: Any) -> bool:
    return Condition(text, COLUMNS).holds(json.dumps(record).encode())


def test_a_condition_is_true_false_or_null_of_a_record() -> None:
    assert holds("temp > 25 AND n BETWEEN 1 AND 3", temp=26, n=2)
    assert not holds("temp > 25", temp=25)
    assert not holds("temp > 25", n=1)
    assert not holds("NOT temp > 25", temp=None)
    assert holds("temp IS NULL")
    assert holds("1 = 1")
    assert holds("wet", wet=True)
    assert not Condition("temp > 0", COLUMNS).holds(None)


def test_a_condition_has_the_functions_of_sqlite() -> None:
    assert holds("strftime('%m', ts) IN ('12', '01')", ts="2010-01-02 03:00:00")
    assert holds("json_extract(x, '$[1]') > 8 AND json_array_length(x) = 2", x=[1, 9])
    assert holds("n > 1 -- not many", n=2)


def test_only_the_columns_that_a_condition_reads_must_have_their_type() -> None:
    condition = Condition("temp > 25", COLUMNS)
    assert condition.columns == {"temp": "DOUBLE"}
    assert condition.holds(b'{"temp": 26, "n": "many"}')
    with pytest.raises(BadRecord, match=r"Expected `float \| null`, got `str` - at `\$\.temp`"):
        condition.holds(b'{"temp": "warm"}')
    for value in (b"nothing", b"[1]", b"\xff"):
        with pytest.raises(BadRecord):
            condition.holds(value)
    with pytest.raises(BadRecord, match="malformed JSON"):
        Condition("json_extract(ts, '$.a') = 1", COLUMNS).holds(b'{"ts": "{"}')
    with pytest.raises(BadRecord):
        Condition("n > 1", COLUMNS).holds(b'{"n": 99999999999999999999}')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tempp > 1", "no such column: tempp"),
        ('"tempp" > 1', "no such column: tempp"),
        ("temp >", "syntax error"),
        ("", "syntax error"),
        ("temp > 1; DROP TABLE record", "syntax error"),
        ("temp > 1) IS TRUE), b AS ((2", "more than one expression"),
        ("temp > ?", "parameters prohibited"),
        ("random() > 0", "non-deterministic"),
        ("ts < current_timestamp", "non-deterministic"),
        ("ts < datetime('now')", "non-deterministic"),
        ("(SELECT 1)", "subqueries prohibited"),
        ("count(*) > 1", "misuse of aggregate"),
        ("load_extension('x')", "load_extension"),
        ("temp = 'a\0b'", "null character"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_columns(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as refused:
        Condition(text, COLUMNS)
    assert "over the columns ts, temp, n, x, wet" in str(refused.value)


def test_a_record_cannot_let_a_condition_read_the_clock() -> None:
    with pytest.raises(BadRecord, match="non-deterministic"):
        holds("date(ts) > '2010'", ts="now")


def change(name: str, condition: str | None, target: str = "t", source: str = "s") -> Change:
    return Change(name, source, target, condition, {}, "2026-01-01T00:00:00+00:00")


def test_the_rules_of_a_record_follow_from_where_it_stands() -> None:
    book = RuleBook()
    for place, entry in enumerate(
        [
            *(change("a", "1"), Start(0, [10, 0])),
            *(change("a", "2"), Start(2, [20, 5]), Start(2, [99, 99])),
            *(change("b", "3"), Start(5, [15])),
            *(change("a", None), Start(7, [30, 9])),
            change("c", "4"),
        ]
    ):
        book.add(place, entry)

    def at(partition: int, offset: int) -> tuple[list[str | None], int | None]:
        rules, following = book.rules_at("s", partition, offset)
        return [rule.change.condition for rule in rules], following

    assert [at(0, offset) for offset in (9, 10, 15, 20, 30)] == [
        ([], 10),
        (["1"], 15),
        (["1", "3"], 20),
        (["2", "3"], 30),
        (["3"], None),
    ]
    # Of a partition that the source did not have then, a change counts from its first record.
    assert at(1, 0) == (["1", "3"], 5)
    assert at(2, 0) == (["3"], None)
    assert book.rules_at("other", 0, 50) == ([], None)
    assert [rule.change.name for rule in book.list_current()] == ["b", "c"]
    assert [numbered.number for numbered in book.list_unsettled()] == [5]


def test_the_targets_of_rules_are_in_the_catalogue_as_their_sources_are() -> None:
    book = RuleBook()
    book.add(0, change("a", "1", "s.warm"))
    columns = (Column("temp", "DOUBLE", "°C"),)
    source = Topic("s", "producers", "", columns, key=("temp",), cleanup="compact", layer="raw", input="r")
    (target,) = describe_targets(book, [source])
    assert (target.name, target.owner, target.layer) == ("s.warm", "rules: route", "raw")
    assert (target.columns, target.key, target.cleanup, target.input) == (columns, (), "delete", "")
    assert describe_targets(book, [source, target]) == []


def test_the_job_reads_committed_records_and_writes_them_exactly_once() -> None:
    source, sink, insert = job.build_statements(Settings(kafka="kafka:9"), ["a", "b.c"])
    assert "'topic' = 'a;b.c'" in source
    assert "'properties.isolation.level' = 'read_committed'" in source
    assert "'sink.delivery-guarantee' = 'exactly-once'" in sink
    assert "'sink.transactional-id-prefix' = 'streamlearn-rules:'" in sink
    assert insert.count("route(") == 1


READINGS = Topic("readings", "tests", "", (Column("n", "BIGINT"), Column("value", "DOUBLE")), layer="raw")


@pytest.fixture
def kafka(broker: Settings) -> Iterator[Broker]:
    with Broker(broker) as client:
        yield client


def describe(name: str) -> Topic:
    return Topic(name, "tests", "", READINGS.columns, layer="raw")


def test_a_rule_counts_from_the_end_of_each_partition(kafka: Broker) -> None:
    source = create_topic(kafka.settings.kafka, "split", 2)
    send(kafka.settings.kafka, source, [b'{"value": 1}'] * 3)
    router = Router(kafka)
    assert list(router.route(source, 0, 2, b'{"value": 1}')) == []
    added = add_rule(kafka, [describe(source)], "split.high", source, "value > 0")
    assert added.starts == [3, 0]
    assert list(router.route(source, 0, 2, b'{"value": 1}')) == []
    assert list(router.route(source, 0, 3, b'{"value": 1}')) == [("split.high", None)]
    assert list(router.route(source, 1, 0, b'{"value": 0}')) == []
    send(kafka.settings.kafka, source, [b'{"value": 1}'] * 2)
    changed = add_rule(kafka, [describe(source)], "split.high", source, "value > 5", target="split.higher")
    removed = remove_rule(kafka, "split.high")
    assert (changed.starts, removed.starts) == ([5, 0], [5, 0])
    # One that begins anew, elsewhere and from the middle, routes as the first one did.
    for other in (router, Router(kafka)):
        assert [target for target, _ in other.route(source, 0, 4, b'{"value": 6}')] == ["split.high"]
        assert list(other.route(source, 0, 5, b'{"value": 6}')) == []
    assert [c.change.condition for c in read_book(kafka)][-3:] == ["value > 0", "value > 5", None]


def test_a_change_whose_start_nobody_wrote_is_settled_by_who_reads_it(kafka: Broker) -> None:
    source = create_topic(kafka.settings.kafka, "orphan")
    router = Router(kafka)
    send(kafka.settings.kafka, source, [b"{}"] * 4)
    entry = Change("orphan.all", source, "orphan.all", "1", {}, "")
    place = kafka.send(RULES, json.dumps({"kind": "change", **_asdict(entry)}).encode())
    assert list(router.route(source, 0, 3, b"{}")) == []
    assert list(router.route(source, 0, 4, b"{}")) == [("orphan.all", None)]
    kafka.send(RULES, json.dumps({"kind": "start", "change": place, "offsets": [0]}).encode())
    assert list(Router(kafka).route(source, 0, 3, b"{}")) == []


def _asdict(entry: Change) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


def test_a_record_on_which_a_condition_fails_is_a_dead_letter_and_other_rules_take_it(kafka: Broker) -> None:
    source = create_topic(kafka.settings.kafka, "spoilt")
    topics = [describe(source)]
    for name, text in (("spoilt.a", "value > 1"), ("spoilt.b", "n = 1"), ("spoilt.c", "n > 0")):
        add_rule(kafka, topics, name, source, text, target="spoilt.n" if name != "spoilt.a" else None)
    (first, letter), *others = Router(kafka).route(source, 0, 0, b'{"n": 1, "value": "much"}')
    assert first == DEAD_LETTERS
    assert letter is not None
    told = json.loads(letter)
    assert (told["rule"], told["topic"], told["offset"]) == ("spoilt.a", source, 0)
    assert "Expected `float | null`, got `str`" in told["reason"]
    # Two rules with one target write a record once.
    assert others == [("spoilt.n", None)]


def test_names_and_topics_that_cannot_be_are_refused(kafka: Broker) -> None:
    source = create_topic(kafka.settings.kafka, "named")
    create_topic(kafka.settings.kafka, "named.other")
    topics = [describe(source), describe("named.missing"), describe("named.other")]

    def add(name: str, topic: str, **more: Any) -> Callable[[], object]:
        return lambda: add_rule(kafka, topics, name, topic, "n > 0", **more)

    add("named.first", source)()
    for attempt, reason in (
        (add("a rule", source), "names of letters"),
        (add("named.x", "nothing"), "the catalogue has no topic 'nothing'"),
        (add("named.x", "named.missing"), "does not exist yet"),
        (add("named.x", source, target="named.other"), "is there already"),
        (add("named.first", "named.other"), "is about named: remove it"),
        (lambda: remove_rule(kafka, "named.x"), "there is no rule 'named.x'"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            attempt()


def test_the_commands_list_tell_the_history_and_remove(kafka: Broker) -> None:
    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["rules", *arguments], env=kafka.settings.environment())

    source = create_topic(kafka.settings.kafka, "told", 2)
    add_rule(kafka, [describe(source)], "told.few", source, "n < 3")
    (line,) = (line for line in call().output.splitlines() if line.startswith("told.few"))
    assert line.split() == ["told.few", "told", "told.few", line.split()[3], "n", "<", "3"]
    assert (
        "counts no more from offset 0 of partition 0, 0 of partition 1" in call("remove", "told.few").output
    )
    assert "told.few" not in call("list").output
    lines = call("history", "told.few").output.splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["where", "n < 3", "removed"]
    for arguments in (("remove", "told.few"), ("history", "told.many")):
        refused = call(*arguments)
        assert (refused.exit_code, refused.output.count("\n")) == (1, 1)


LAYER = """
layer = "raw"

[[topics]]
name = "readings"
owner = "tests"
description = "Readings."
columns = [{ name = "n", type = "BIGINT" }, { name = "value", type = "BIGINT" }]
"""


class Flow:
    """Sends a thousand readings a second, alternately to two partitions, until it is told to stop."""

    def __init__(self, stack: Stack) -> None:
        self._producer = KafkaProducer(bootstrap_servers=stack.settings.kafka, acks="all")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.sent = 0

    def _send(self) -> None:
        while not self._stopped.wait(0.01):
            for _ in range(10):
                value = json.dumps({"n": self.sent, "value": self.sent % 10}).encode()
                self._producer.send("readings", value=value, partition=self.sent % 2)
                self.sent += 1

    def __enter__(self) -> "Flow":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._producer.flush()
        self._producer.close()


def read_places(stack: Stack, topic: str) -> list[tuple[int, int, int]]:
    """Return (partition, offset, n) of each committed record, in order of the partitions."""
    consumer = KafkaConsumer(
        bootstrap_servers=stack.settings.kafka, isolation_level="read_committed", enable_auto_commit=False
    )
    places = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic) or ()]
    records = []
    for place in places:
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end = consumer.end_offsets([place])[place]
        while consumer.position(place) < end:
            for record in consumer.poll(timeout_ms=500).get(place, ()):
                headers = dict(record.headers)
                name, partition, offset = headers.get(
                    "streamlearn-source", f"{topic}/{place.partition}/{record.offset}".encode()
                ).split(b"/")
                assert name == b"readings"
                records.append((int(partition), int(offset), json.loads(record.value)["n"]))
    consumer.close(autocommit=False)
    return records


def expect(stack: Stack) -> dict[str, list[tuple[int, int, int]]]:
    """Return what each target must hold, from the readings and the log of rules alone."""
    reader = Reader(stack.settings.kafka, "streamlearn.rules")
    reader.read()
    log = dict(zip(reader.offsets, reader.json(), strict=True))
    reader.close()
    starts: dict[int, list[int]] = {}
    for entry in log.values():
        if entry["kind"] == "start":
            starts.setdefault(entry["change"], entry["offsets"])
    changes = [
        (entry, starts[place])
        for place, entry in log.items()
        if entry["kind"] == "change" and entry["source"] == "readings"
    ]
    tests: dict[str | None, Callable[[int], bool]] = {
        "value > 4": lambda value: value > 4,
        "value > 7": lambda value: value > 7,
        "value < 3": lambda value: value < 3,
        None: lambda value: False,
    }
    routed: dict[str, list[tuple[int, int, int]]] = {}
    for partition, offset, n in read_places(stack, "readings"):
        rules = {c["name"]: c for c, own in changes if own[partition] <= offset}
        for target in {c["target"] for c in rules.values() if tests[c["condition"]](n % 10)}:
            routed.setdefault(target, []).append((partition, offset, n))
    return routed


@contextmanager
def described_readings(stack: Stack) -> Iterator[None]:
    create_topic(stack.settings.kafka, "readings", 2)
    path = stack.settings.home / "warehouse" / "readings.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(LAYER)
    try:
        yield
    finally:
        stack.streamlearn("rules", "stop", check=False)
        path.unlink()


def count(stack: Stack, topic: str) -> int:
    with Broker(stack.settings) as client:
        return sum(client.stable_ends(topic))


def has_routed_all(stack: Stack) -> bool:
    with Broker(stack.settings) as client:
        committed = client.committed_offsets(job.GROUP, "readings")
        return [committed.get(partition) for partition in (0, 1)] == client.stable_ends("readings")


def find_job(stack: Stack) -> str:
    running = flink_api.newest_job(stack.settings, job.JOB)
    assert running is not None
    return running.id


def test_rules_change_while_records_flow_and_the_taskmanager_dies(stack: Stack) -> None:
    def add(name: str, text: str) -> None:
        stack.streamlearn("rules", "add", name, "--from", "readings", "--where", text)

    def wait_for(topic: str) -> None:
        before = count(stack, topic)
        wait_until(lambda: count(stack, topic) > before, 300, f"more in {topic}", every_s=0.2)

    with described_readings(stack):
        with Flow(stack):
            add("readings.high", "value > 4")
            first = find_job(stack)
            wait_for("readings.high")
            add("readings.low", "value < 3")
            wait_for("readings.low")
            os.kill(stack.find_service("taskmanager").pid, signal.SIGKILL)
            add("readings.high", "value > 7")
            wait_for("readings.low")
            stack.streamlearn("rules", "remove", "readings.low")
            wait_for("readings.high")
        wait_until(lambda: has_routed_all(stack), 300, "every reading to be routed", every_s=0.2)
        assert find_job(stack) == first
        expected = expect(stack)
        assert set(expected) == {"readings.high", "readings.low"}
        for target, places in expected.items():
            routed = read_places(stack, target)
            assert sorted(routed) == places
            for partition in (0, 1):
                own = [place for place in routed if place[0] == partition]
                assert own == sorted(own)
        assert "readings.low" in stack.streamlearn("topics", "list").stdout
        assert "removed" in stack.streamlearn("rules", "history", "readings.low").stdout
        assert "value > 7" in stack.streamlearn("rules").stdout
