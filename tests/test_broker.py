"""Questions to the real broker and bounded reads: what is there, what never was, and what is gone."""

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorError,
)
from reading import commit_offset, create_topic, drop_records, open_transaction, send

from streamlearn.broker.broker import Broker
from streamlearn.broker.bulk import BulkReader
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister, group_id
from streamlearn.broker.tail import Tail
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import BrokerUnavailable
from streamlearn.pipelines import digits
from streamlearn.settings import Settings
from streamlearn.stream.control import Obeyed, Rollback
from streamlearn.stream.records import encode
from streamlearn.waiting import wait_until


@pytest.fixture
def topic(broker: Settings) -> str:
    return create_topic(broker.kafka, f"test-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def client(broker: Settings) -> Iterator[Broker]:
    with Broker(broker) as client:
        yield client


def read_values(client: Broker, topic: str) -> list[tuple[int, bytes | None]]:
    """Read a topic by both clients; they must see the same."""
    values = [(record.offset, record.value) for record in client.read(topic)]
    bulk = list(client.read_many(topic, client.oldest(topic), client.stable_end(topic)))
    assert bulk == values
    return values


def test_a_transaction_is_there_once_it_is_decided(broker: Settings, client: Broker, topic: str) -> None:
    """A topic ends before the first transaction that is open; reading ends although a marker stands last."""
    send(broker.kafka, topic, [b"before"])
    with open_transaction(broker.kafka, topic, [b"taken back"]) as producer:
        send(broker.kafka, topic, [b"after"])
        assert client.stable_end(topic) == 1
        assert read_values(client, topic) == [(0, b"before")]
        producer.abort_transaction()
        wait_until(lambda: client.stable_end(topic) == 4, 30, "the transaction to be taken back")
    assert read_values(client, topic) == [(0, b"before"), (2, b"after")]
    holes = [
        (start, end) for start in range(4) for end in range(start, 5) if client.is_hole(topic, start, end)
    ]
    assert holes == [(0, 0), (1, 1), (1, 2), (2, 2), (3, 3), (3, 4)]


@pytest.mark.parametrize(
    "error", [CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError]
)
def test_the_coordinator_of_a_group_is_asked_until_it_is_ready(
    client: Broker, topic: str, error: type[KafkaError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that has just started may say so to the first question, and answer the next."""
    ask = KafkaAdminClient.list_group_offsets
    failures = [error("not yet")]

    def fail_once(admin: KafkaAdminClient, groups: dict[str, None]) -> object:
        if failures:
            raise failures.pop()
        return ask(admin, groups)

    monkeypatch.setattr(KafkaAdminClient, "list_group_offsets", fail_once)
    assert client.committed_offsets(f"group-{topic}", topic) == {}
    assert not failures


def test_what_compaction_has_taken_is_a_hole(broker: Settings, client: Broker, topic: str) -> None:
    """Of records with one key the last stays; a tombstone is a record without a value."""
    compacted = create_topic(
        broker.kafka,
        f"{topic}-compacted",
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.001",
    )
    admin = KafkaAdminClient(bootstrap_servers=broker.kafka)
    admin.alter_configs([ConfigResource("BROKER", "1", {"log.cleaner.backoff.ms": "100"})])
    admin.close()
    client.send(compacted, b"old", key=b"a")
    client.send(compacted, b"old", key=b"b")
    send(broker.kafka, compacted, [None])

    def is_compacted() -> bool:
        # The newest segment is never compacted; one more record closes it when it is old enough.
        client.send(compacted, b"new", key=b"a")
        return client.is_hole(compacted, 0, 1)

    wait_until(is_compacted, 60, "the broker to compact a topic")
    assert read_values(client, compacted)[:2] == [(1, b"old"), (2, None)]
    assert not client.is_hole(compacted, 0, 2)


def test_what_kafka_has_dropped_is_an_error_and_no_hole(broker: Settings, client: Broker) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}"
    pipeline = replace(digits.pipeline, name=name, topic=name, prediction_topic=f"{name}-out")
    create_topic(broker.kafka, name)
    stream = KafkaStream(client, pipeline)
    assert (stream.oldest(), stream.end()) == (0, 0)
    send(broker.kafka, name, [b"0", b"1", None, b"3"])
    drop_records(broker.kafka, name, 2)
    assert (stream.oldest(), stream.end()) == (2, 4)
    assert [stream.is_hole(start, end) for start, end in ((0, 1), (1, 3), (2, 3), (2, 2))] == [False] * 3 + [
        True
    ]
    for read in (client.read, client.read_many):
        with pytest.raises(BrokerUnavailable, match="OffsetOutOfRange"):
            list(read(name, 0, 4))
    assert [(row.offset, row.value) for row in stream.rows(0, 4)] == [(2, None), (3, b"3")]


def test_how_far_a_group_has_come_is_told(broker: Settings, client: Broker, topic: str) -> None:
    pipeline = replace(digits.pipeline, name=topic, topic=topic)
    stream = KafkaStream(client, pipeline)
    assert stream.committed() is None
    commit_offset(broker.kafka, group_id(pipeline), topic, 3)
    assert stream.committed() == 3
    assert client.committed_offset(group_id(pipeline), f"{topic}-other") is None


def test_when_a_record_was_written_is_told(broker: Settings, client: Broker, topic: str) -> None:
    with open_transaction(broker.kafka, topic, [b"a", b"b"]) as producer:
        producer.commit_transaction()
    send(broker.kafka, topic, [b"after the marker"])
    written = {record.offset: record.timestamp / 1000 for record in client.read(topic)}
    assert sorted(written) == [0, 1, 3]
    expected = [written[0], written[1], written[3], written[3], None]
    assert [client.written_at(topic, 0, offset) for offset in range(5)] == expected
    drop_records(broker.kafka, topic, 1)
    assert client.written_at(topic, 0, 0) == written[1]


def test_the_offsets_of_records_are_told_without_what_transactions_leave(
    broker: Settings, client: Broker, topic: str
) -> None:
    for values in ([b"a", b"b"], [b"c"], [b"d", b"e", b"f"]):
        with open_transaction(broker.kafka, topic, values) as producer:
            producer.commit_transaction()
    assert client.offsets(topic, 0, 9) == [0, 1, 3, 5, 6, 7]
    assert client.offsets(topic, 2, 6) == [3, 5]
    assert client.offsets(topic, 2, 3) == client.offsets(topic, 4, 4) == []
    assert [offset for offset, _ in read_values(client, topic)] == client.offsets(topic, 0, 9)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "lz4", "snappy"])
def test_compressed_records_are_read(broker: Settings, client: Broker, topic: str, compression: str) -> None:
    """Once as the broker compresses them, and once as a producer does."""
    values = [f"{number} ".encode() * 50 for number in range(500)]
    by_broker = create_topic(broker.kafka, f"{topic}-{compression}", compression_type=compression)
    send(broker.kafka, by_broker, list(values))
    producer = KafkaProducer(bootstrap_servers=broker.kafka, compression_type=compression)
    for value in values:
        producer.send(topic, value=value, partition=0)
    producer.close()
    tail = Tail(client, {topic: 100, by_broker: 100})
    seen = tail.look()
    tail.close()
    for name in (by_broker, topic):
        assert [value for _, value in read_values(client, name)] == values
        assert [record.value for record in client.read(name, 250, 260)] == values[250:260]
        assert list(client.read_many(name, 250, 260)) == list(enumerate(values[250:260], 250))
        assert [record.value for record in seen.records[name]] == values[-100:]


def test_a_record_keeps_its_key_and_tells_its_offset(broker: Settings, client: Broker) -> None:
    """Headers, which other producers may send, do not disturb."""
    # So old a record would be deleted if Kafka happened to look now.
    topic = create_topic(broker.kafka, f"test-{uuid.uuid4().hex[:8]}", retention_ms="-1")
    producer = KafkaProducer(bootstrap_servers=broker.kafka)
    producer.send(topic, value=b"first", headers=[("trace", b"1")], timestamp_ms=5, partition=0)
    producer.close()
    assert client.send(topic, b"second", key=b"k") == 1
    assert client.send(topic, b"third") == 2
    records = list(client.read(topic))
    assert [(record.key, record.value) for record in records] == [
        (None, b"first"),
        (b"k", b"second"),
        (None, b"third"),
    ]
    assert records[0].timestamp == 5


def test_the_control_records_that_a_lineage_has_obeyed_are_found(broker: Settings, client: Broker) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}"
    pipeline = replace(digits.pipeline, name=name, topic=name, prediction_topic=f"{name}-out")
    ensure_topics(client, pipeline)
    lineage = LineageRegister(client, pipeline).claim()
    obeyed = [
        Obeyed(Rollback(id_, 3), 0, at, at, id_) for id_, at in ((lineage.id, 5), ("b", 6), (lineage.id, 9))
    ]
    send(broker.kafka, pipeline.control_topic, [encode(control) for control in obeyed])
    stream = KafkaStream(client, pipeline)
    assert stream.obeyed_controls(lineage.id) == [obeyed[0], obeyed[2]]
    with stream.journal(lineage.id, 6) as journal:
        entry = journal.take(9, 0)
        assert entry is not None
        assert (entry.output.topic, entry.version) == (pipeline.control_topic, 9)


def test_a_reader_of_many_goes_on_where_it_is_and_ends_behind_what_transactions_leave(
    broker: Settings, client: Broker, topic: str
) -> None:
    """A value may be null, and one may be empty; what is taken back is not there, also at the end."""
    send(broker.kafka, topic, [b"a", None, b""])
    with client.bulk_reader(topic, 1) as reader:
        assert read_all(reader, 3) == [(1, None), (2, b"")]
        assert reader.poll(10) == []
        with open_transaction(broker.kafka, topic, [b"taken back"]) as producer:
            send(broker.kafka, topic, [b"b"])
            assert reader.poll(10) == []
            producer.abort_transaction()
        with open_transaction(broker.kafka, topic, [b"last"]) as producer:
            producer.abort_transaction()
        wait_until(lambda: client.stable_end(topic) == 8, 30, "both transactions to be taken back")
        assert read_all(reader, 8) == [(4, b"b")]
        assert reader.position == 8


def read_all(reader: BulkReader, end: int) -> list[tuple[int, bytes | None]]:
    records: list[tuple[int, bytes | None]] = []
    while reader.position < end:
        records += reader.poll(10)
    return records


def test_a_writer_of_many_keeps_their_order_and_tells_what_is_acknowledged(
    client: Broker, topic: str
) -> None:
    values = [f"{number}".encode() for number in range(20_000)]
    delivered: list[BaseException | None] = []
    with client.bulk_writer(1 << 20) as writer:
        for value in values:
            writer.send(topic, value, delivered.append)
    assert delivered == [None] * len(values)
    assert [value for _, value in client.read_many(topic, 0, len(values))] == values


def test_a_record_that_has_no_room_is_refused(broker: Settings, client: Broker, topic: str) -> None:
    small = create_topic(broker.kafka, f"{topic}-small", max_message_bytes="1000")
    delivered: list[BaseException | None] = []
    with client.bulk_writer(1 << 20) as writer:
        writer.send(small, bytes(5000), delivered.append)
        writer.flush()
        with pytest.raises(KafkaError, match="too large"):
            writer.send(topic, bytes(2 << 20), delivered.append)
    assert "too large" in str(delivered[0])


def test_a_closed_connection_is_opened_again(broker: Settings, topic: str) -> None:
    client = Broker(broker)
    for _ in range(2):
        client.ping()
        assert topic in client.topics()
        assert client.partitions(topic) == {0}
        assert client.partitions(f"{topic}-absent") == set()
        client.close()
    client.close()
