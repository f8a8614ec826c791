"""Kafka, by one object that holds the connections to it.

What the client library raises becomes `BrokerUnavailable`. Readers see committed transactions only, so the
end of a topic is its last stable offset: what was written inside a transaction that is still open, or was
aborted, is not there.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorError,
)
from kafka.net.compat import KafkaNetClient
from kafka.structs import OffsetAndMetadata

from streamlearn.errors import BrokerUnavailable
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.broker.bulk import BulkReader, BulkWriter

T = TypeVar("T")
Client = TypeVar("Client", KafkaAdminClient, KafkaConsumer, KafkaProducer)

COORDINATOR_NOT_READY = (
    CoordinatorNotAvailableError,
    CoordinatorLoadInProgressError,
    NotCoordinatorError,
)
"""What a broker that has just started answers where it is asked for a group's offsets."""

_POLL_MS = 500
_PAUSE_S = 0.2
_SEND_S = 30.0
_BULK_RECORDS = 2000

# The library warns at every failed connection; we say once what is wrong, in one sentence.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


class Broker:
    """The broker that the settings name.

    The admin and the consumer connection, for short questions, are opened at first use, kept, and opened
    anew when one fails. Readers and producers have connections of their own, for the length of a `with`.
    Any thread may ask.

    Parameters
    ----------
    connect_ms
        How long a connection may take, and a short question; None: as the settings say.
    """

    def __init__(self, settings: Settings, *, connect_ms: int | None = None) -> None:
        self.settings = settings
        self._connect_ms = connect_ms or round(1000 * settings.kafka_wait_s)
        self._lock = threading.RLock()
        self._open = ExitStack()
        self._clients: dict[type[Any], Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection that is kept; the next question opens another."""
        with self._lock:
            self._clients.clear()
            opened, self._open = self._open, ExitStack()
        with suppress(BrokerUnavailable):
            opened.close()

    def ping(self) -> None:
        """Return once the broker has answered; raise `BrokerUnavailable` if it does not."""
        self.topics()

    def topics(self) -> list[str]:
        """Return the names of all topics."""
        return list(self.ask_admin(lambda admin: admin.list_topics()))

    def partitions(self, topic: str) -> set[int]:
        """Return the partitions of a topic; none where there is no such topic."""
        return self._ask_consumer(lambda client: set(client.partitions_for_topic(topic) or ()))

    def count_partitions(self, topic: str) -> int:
        """Return how many partitions a topic has now; the consumer connection may remember fewer."""
        described = self.ask_admin(lambda admin: admin.describe_topics([topic]))
        return sum(len(entry["partitions"]) for entry in described)

    def stable_end(self, topic: str, partition: int = 0) -> int:
        """Return the last stable offset of a partition: every transaction below it is decided."""
        place = TopicPartition(topic, partition)
        return self._ask_consumer(
            lambda client: int(client.end_offsets([place], timeout_ms=self._connect_ms)[place])
        )

    def stable_ends(self, topic: str, count: int | None = None) -> list[int]:
        """Return the last stable offset of each partition of a topic, which has `count`, if you know that."""
        count = self.count_partitions(topic) if count is None else count
        places = [TopicPartition(topic, partition) for partition in range(count)]

        def ask(client: KafkaConsumer) -> list[int]:
            ends = client.end_offsets(places, timeout_ms=self._connect_ms)
            return [int(ends[place]) for place in places]

        return self._ask_consumer(ask) if places else []

    def oldest(self, topic: str, partition: int = 0) -> int:
        """Return the offset of the oldest record that a partition still holds, or its end if none."""
        place = TopicPartition(topic, partition)
        return self._ask_consumer(
            lambda client: int(client.beginning_offsets([place], timeout_ms=self._connect_ms)[place])
        )

    def committed_offset(self, group: str, topic: str, partition: int = 0) -> int | None:
        """Return the offset that a consumer group has committed, or None if it has not."""
        return self.committed_offsets(group, topic).get(partition)

    def committed_offsets(self, group: str, topic: str) -> dict[int, int]:
        """Return the offsets that a consumer group has committed, by partition of the topic."""
        offsets = self.ask_admin(lambda admin: self._list_group_offsets(admin, group))
        return {
            place.partition: int(stored.offset)
            for place, stored in offsets.get(group, {}).items()
            if place.topic == topic and stored.offset >= 0
        }

    def commit_offsets(self, group: str, offsets: Mapping[str, Mapping[int, int]]) -> None:
        """Commit offsets as a consumer group that nobody is in, by topic and partition."""
        places = {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)
            for topic, own in offsets.items()
            for partition, offset in own.items()
        }
        with self.consumer(group_id=group) as client:
            client.assign(list(places))
            client.commit(places)

    def _list_group_offsets(self, admin: KafkaAdminClient, group: str) -> Any:
        """Ask for a group's offsets; a new broker first has to make and load the topic that holds them."""
        deadline = time.monotonic() + self._connect_ms / 1000
        while True:
            try:
                return admin.list_group_offsets({group: None})
            except COORDINATOR_NOT_READY:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE_S)

    def is_hole(self, topic: str, start: int, end: int, partition: int = 0) -> bool:
        """Whether no record ever stood in [start, end): markers of transactions took it, or compaction.

        False also where the range begins before the oldest record that Kafka holds: nobody can tell any more.
        """
        if start >= end:
            return True
        if self.oldest(topic, partition) > start:
            return False
        return not any(True for _ in self.read(topic, start, end, partition))

    def offsets(self, topic: str, start: int, end: int, partition: int = 0) -> list[int]:
        """Return the offsets of a partition's records with `start` ≤ offset < `end`.

        For ranges that one fetch or a few hold: it uses the connection that is kept, and throws the values
        away.
        """
        place = TopicPartition(topic, partition)

        def ask(client: KafkaConsumer) -> list[int]:
            client.assign([place])
            client.seek(place, start)
            offsets = [record.offset for record in _poll_until(client, place, end)]
            client.unsubscribe()
            return offsets

        return self._ask_consumer(ask) if start < end else []

    def written_at(self, topic: str, partition: int, offset: int) -> float | None:
        """Return when the first record of a partition from `offset` on was written; None where none is there.

        In seconds since 1970, as its timestamp in Kafka says.
        """
        place = TopicPartition(topic, partition)

        def ask(client: KafkaConsumer) -> float | None:
            end = client.end_offsets([place], timeout_ms=self._connect_ms)[place]
            first = client.beginning_offsets([place], timeout_ms=self._connect_ms)[place]
            client.assign([place])
            client.seek(place, max(offset, first))
            moments = [record.timestamp / 1000 for record in islice(_poll_until(client, place, end), 1)]
            client.unsubscribe()
            return moments[0] if moments else None

        return self._ask_consumer(ask)

    def read(
        self, topic: str, start: int | None = None, end: int | None = None, partition: int = 0
    ) -> Iterator[Any]:
        """Yield the records of a topic's partition with `start` ≤ offset < `end`, in order.

        `start=None` is the oldest record that is kept; `end=None` is the last stable offset at the call.
        Records have `offset`, `key`, `value` and `timestamp`.
        """
        place = TopicPartition(topic, partition)
        with self.consumer() as client:
            client.assign([place])
            stop = client.end_offsets([place])[place] if end is None else end
            if start is None:
                client.seek_to_beginning(place)
            else:
                client.seek(place, start)
            yield from _poll_until(client, place, stop)

    def read_newest(self, topic: str, count: int) -> list[Any]:
        """Return the records in the newest `count` offsets of a topic, an equal share of each partition.

        Those of a partition are in order, and stand together.
        """
        partitions = sorted(self.partitions(topic))
        records: list[Any] = []
        for partition in partitions:
            share = -(-count // len(partitions))
            start = max(self.oldest(topic, partition), self.stable_end(topic, partition) - share)
            records += self.read(topic, start, partition=partition)
        return records

    def read_many(
        self, topic: str, start: int, end: int, partition: int = 0
    ) -> Iterator[tuple[int, bytes | None]]:
        """Yield (offset, value) of a partition's records with `start` ≤ offset < `end`, in order, and fast.

        For long stretches, and not within the server; see `bulk.py`.
        """
        with self.bulk_reader(topic, start, partition) as reader:
            while reader.position < end:
                for offset, value in reader.poll(min(_BULK_RECORDS, end - reader.position)):
                    if offset >= end:
                        return
                    yield offset, value

    def send(self, topic: str, value: bytes, *, key: bytes | None = None, partition: int = 0) -> int:
        """Append one record to a partition; return its offset once every replica has it."""
        with self.producer() as client:
            sent = client.send(topic, key=key, value=value, partition=partition)
            return int(sent.get(timeout=_SEND_S).offset)

    def ask_admin(self, question: Callable[[KafkaAdminClient], T]) -> T:
        """Call `question` with the admin client that is kept."""
        return self._ask(KafkaAdminClient, self._open_admin, question)

    def _ask_consumer(self, question: Callable[[KafkaConsumer], T]) -> T:
        return self._ask(KafkaConsumer, self.consumer, question)

    def _ask(self, kind: type[Any], connect: Callable[[], Any], question: Callable[[Any], T]) -> T:
        """Ask on the connection that is kept; if that has gone stale, once more on a new one."""
        with self._lock:
            if kind in self._clients:
                with suppress(BrokerUnavailable), self.map_errors():
                    return question(self._clients[kind])
                self.close()
            with self.map_errors():
                client = self._clients[kind] = self._open.enter_context(connect())
                return question(client)

    @contextmanager
    def map_errors(self) -> Iterator[None]:
        """Raise `BrokerUnavailable` for what the client library raises inside."""
        try:
            yield
        except (KafkaError, OSError) as error:
            raise BrokerUnavailable(
                f"Kafka at {self.settings.kafka} does not answer ({error or type(error).__name__});"
                " is it running? `streamlearn status` tells"
            ) from error

    def _connect(self, kind: type[Client], **options: Any) -> Client:
        """Make a client of the library; one that finds no broker leaves no thread behind.

        Its constructor would: the thread of its connections goes on looking for the broker, for ever.
        """
        made: list[KafkaNetClient] = []

        def make_connections(**given: Any) -> KafkaNetClient:
            made.append(KafkaNetClient(**given))
            return made[-1]

        try:
            return kind(
                bootstrap_servers=self.settings.kafka,
                bootstrap_timeout_ms=self._connect_ms,
                kafka_client=make_connections,
                **_make_security_options(self.settings),
                **options,
            )
        except BaseException:
            for connections in made:
                connections.close()
            raise

    @contextmanager
    def _open_admin(self) -> Iterator[KafkaAdminClient]:
        with self.map_errors():
            client = self._connect(KafkaAdminClient, request_timeout_ms=self._connect_ms)
            try:
                yield client
            finally:
                client.close()

    @contextmanager
    def consumer(self, **options: Any) -> Iterator[KafkaConsumer]:
        """Open a consumer that sees committed records only, for the length of a `with`."""
        with self.map_errors():
            client = self._connect(
                KafkaConsumer,
                isolation_level="read_committed",
                enable_auto_commit=False,
                # An offset that Kafka no longer holds is an error, not a reason to read somewhere else.
                auto_offset_reset="none",
                **options,
            )
            try:
                yield client
            finally:
                client.close(autocommit=False)

    @contextmanager
    def bulk_reader(self, topic: str, start: int, partition: int = 0) -> Iterator["BulkReader"]:
        """Open a reader of a long stretch of a partition, from an offset on, for the length of a `with`."""
        from streamlearn.broker.bulk import BulkReader

        with self.map_errors():
            reader = BulkReader(
                self.settings, topic, start, partition, lambda: self.stable_end(topic, partition)
            )
            try:
                yield reader
            finally:
                reader.close()

    @contextmanager
    def bulk_writer(self, largest_bytes: int) -> Iterator["BulkWriter"]:
        """Open a writer of many records, for the length of a `with`, at the end of which all are written."""
        from streamlearn.broker.bulk import BulkWriter

        # librdkafka itself would try for ever.
        self.ping()
        with self.map_errors():
            writer = BulkWriter(self.settings, largest_bytes)
            try:
                yield writer
            finally:
                writer.flush()

    @contextmanager
    def producer(self, **options: Any) -> Iterator[KafkaProducer]:
        """Open an idempotent producer whose writes are acknowledged by every replica, flushed at the end."""
        with self.map_errors():
            client = self._connect(KafkaProducer, acks="all", enable_idempotence=True, **options)
            try:
                yield client
            finally:
                client.close(timeout=self._connect_ms / 1000)


def _poll_until(client: KafkaConsumer, partition: TopicPartition, stop: int) -> Iterator[Any]:
    """Yield a consumer's next records, up to the offset `stop`."""
    # The position moves over transaction markers, which are offsets without a record.
    while client.position(partition) < stop:
        for record in client.poll(timeout_ms=_POLL_MS).get(partition, ()):
            if record.offset >= stop:
                return
            yield record


def _make_security_options(settings: Settings) -> dict[str, Any]:
    """Return the client's options for TLS and SASL."""
    options: dict[str, Any] = {"security_protocol": settings.kafka_security}
    if settings.kafka_security.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.kafka_sasl,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password,
        }
    if settings.kafka_security.endswith("SSL"):
        options |= {"ssl_cafile": settings.tls_ca or None, "ssl_certfile": settings.tls_cert or None}
    return options
