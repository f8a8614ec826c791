"""Read and write topics with kafka-python and json alone, without any code of the project."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.structs import OffsetAndMetadata

Record = dict[str, Any]

_BROKER_MS = 120_000
"""Milliseconds that a broker that has just been started may take to answer."""


class Topic:
    """The committed records of one partition of a topic; each `read` adds those that are new."""

    def __init__(self, bootstrap: str, name: str, partition: int = 0) -> None:
        self._partition = TopicPartition(name, partition)
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            bootstrap_timeout_ms=_BROKER_MS,
            isolation_level="read_committed",
            enable_auto_commit=False,
        )
        self._consumer.assign([self._partition])
        self._consumer.seek_to_beginning(self._partition)
        self.values: list[bytes | None] = []
        self.offsets: list[int] = []

    def read(self) -> "Topic":
        """Read everything that is committed by now."""
        end = self._consumer.end_offsets([self._partition])[self._partition]
        while self._consumer.position(self._partition) < end:
            for record in self._consumer.poll(timeout_ms=500).get(self._partition, ()):
                self.values.append(record.value)
                self.offsets.append(record.offset)
        return self

    def json(self) -> list[Record]:
        return [json.loads(value) for value in self.values if value is not None]

    @property
    def end(self) -> int:
        return int(self._consumer.end_offsets([self._partition])[self._partition])

    def close(self) -> None:
        self._consumer.close(autocommit=False)


def send(bootstrap: str, topic: str, values: list[bytes | None]) -> int:
    """Append values to a topic; return the offset of the first."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=2 << 20)
    try:
        futures = [producer.send(topic, key=b"test", value=value, partition=0) for value in values]
        producer.flush()
        return int(futures[0].get(timeout=30).offset)
    finally:
        producer.close(timeout=10)


def drop_records(bootstrap: str, topic: str, before: int) -> None:
    """Let Kafka forget a topic's records below an offset, as retention does."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.delete_records({TopicPartition(topic, 0): before})
    admin.close()


def create_topic(bootstrap: str, name: str, partitions: int = 1, **configuration: str) -> str:
    """Create a topic, with an option a keyword (`cleanup_policy`); return its name."""
    options = {key.replace("_", "."): value for key, value in configuration.items()}
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(name, partitions, 1, topic_configs=options)])
    admin.wait_for_topics([name])
    admin.close()
    return name


@contextmanager
def open_transaction(bootstrap: str, topic: str, values: list[bytes]) -> Iterator[KafkaProducer]:
    """Write values in a transaction, and leave it to the caller to commit or abort it."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic)
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for value in values:
            producer.send(topic, value=value, partition=0)
        producer.flush()
        yield producer
    finally:
        producer.close(timeout=10)


def commit_offset(bootstrap: str, group: str, topic: str, offset: int, partition: int = 0) -> None:
    """Commit an offset as a consumer group."""
    place = TopicPartition(topic, partition)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    consumer.assign([place])
    consumer.commit({place: OffsetAndMetadata(offset, "", -1)})
    consumer.close(autocommit=False)
