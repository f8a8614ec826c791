"""Read topics with kafka-python and json alone, without any code of the project."""

import json
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

Record = dict[str, Any]

_BROKER_MS = 120_000
"""Milliseconds that a broker that has just been started may take to answer."""


class Topic:
    """The committed records of a topic's only partition; each `read` adds those that are new."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self._partition = TopicPartition(name, 0)
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
