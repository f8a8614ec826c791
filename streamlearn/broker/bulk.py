"""Long stretches of a topic, read or written by librdkafka: for `verify`, learning again, and replays.

It takes a tenth of kafka-python's time a record. Short questions stay with kafka-python, which waits in
Python: librdkafka would hold up every request of a server that runs on gevent. `Broker` makes both classes.
"""

from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka import KafkaError as LibraryError
from kafka.errors import KafkaError, OffsetOutOfRangeError

from streamlearn.settings import Settings

_WAIT_S = 0.5
_QUEUE_KIB = 16 << 10
"""How much librdkafka fetches ahead; by default it would be 64 MiB a topic."""

_DELIVERY_MS = 120_000

OnDelivery = Callable[[BaseException | None], None]
"""Called when a record is acknowledged, with None, or cannot be."""


class BulkReader:
    """Reads a partition of a topic on from an offset; sees committed transactions only.

    Parameters
    ----------
    start
        The offset of the first record to read.
    check
        Asks the broker something, and raises what there is to raise: librdkafka itself tries for ever.
    """

    def __init__(
        self, settings: Settings, topic: str, start: int, partition: int, check: Callable[[], object]
    ) -> None:
        options = {
            # Nothing is committed for it; librdkafka wants a name.
            "group.id": "streamlearn-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            # An offset that Kafka no longer holds is an error, not a reason to read somewhere else.
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": _QUEUE_KIB,
        }
        self._check = check
        self._consumer = Consumer({**_make_options(settings), **options})
        self._consumer.assign([TopicPartition(topic, partition, start)])
        self.position = start
        """The offset up to which all is read: after the last record, or after what transactions leave."""

    def poll(self, most: int) -> list[tuple[int, bytes | None]]:
        """Return the next records as (offset, value), at most so many; none if none come in half a second.

        Raises
        ------
        BrokerUnavailable
            None come, and the broker does not answer.
        KafkaError
            Kafka refuses; `OffsetOutOfRangeError`: it no longer holds the records at this position.
        """
        records: list[tuple[int, bytes | None]] = []
        # With a timeout librdkafka would wait until there are as many as were asked for.
        for message in self._consumer.consume(most, 0) or self._consumer.consume(1, _WAIT_S):
            error = message.error()
            if error is None:
                offset = message.offset()
                records.append((offset, message.value()))
                self.position = offset + 1
            elif error.code() == LibraryError._PARTITION_EOF:
                self.position = message.offset()
            elif error.code() == LibraryError._AUTO_OFFSET_RESET:
                raise OffsetOutOfRangeError(f"offset {self.position}")
            else:
                raise KafkaError(error.str())
        if not records:
            self._check()
        return records

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


class BulkWriter:
    """Appends records to topics, idempotently, acknowledged by every replica.

    Parameters
    ----------
    largest_bytes
        Room for the largest record.
    """

    def __init__(self, settings: Settings, largest_bytes: int) -> None:
        options = {"enable.idempotence": True, "linger.ms": 5, "message.max.bytes": largest_bytes}
        options["delivery.timeout.ms"] = _DELIVERY_MS
        self._producer = Producer({**_make_options(settings), **options})

    def send(self, topic: str, value: bytes, on_delivery: OnDelivery, partition: int = 0) -> None:
        """Append a record; `on_delivery` is called within a later call of a method, by the same thread."""

        def deliver(error: LibraryError | None, _: Message) -> None:
            on_delivery(None if error is None else KafkaError(error.str()))

        while True:
            try:
                self._producer.produce(topic, value, partition=partition, on_delivery=deliver)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(_WAIT_S)
            except KafkaException as error:
                raise KafkaError(error.args[0].str()) from error

    def flush(self) -> None:
        """Wait until every record is acknowledged, or cannot be."""
        while self._producer.flush(_WAIT_S):
            pass


def _make_options(settings: Settings) -> dict[str, Any]:
    """Return the connection's options, with those for TLS and SASL."""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.kafka,
        "security.protocol": settings.kafka_security,
        # It would write to standard error at every failed connection; we say once what is wrong.
        "log_level": 0,
        "error_cb": lambda error: None,
    }
    if settings.kafka_security.startswith("SASL"):
        options |= {
            "sasl.mechanism": settings.kafka_sasl,
            "sasl.username": settings.kafka_user,
            "sasl.password": settings.kafka_password,
        }
    if settings.kafka_security.endswith("SSL"):
        options |= {"ssl.ca.location": settings.tls_ca} if settings.tls_ca else {}
        cert = settings.tls_cert
        options |= {"ssl.certificate.location": cert, "ssl.key.location": cert} if cert else {}
    return options
