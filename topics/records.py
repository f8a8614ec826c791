"""Bounded reads of a partition: from an offset to an end that is fixed beforehand.

Readers see committed transactions only, so the end is the last stable offset: what was written inside a
transaction that is still open, or was aborted, is not there.
"""

from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from streamlearn.settings import Settings
from topics.client import admin, consumer

_POLL_MS = 500


def read(settings: Settings, topic: str, start: int | None = None, end: int | None = None) -> Iterator[Any]:
    """Yield the records of `topic`'s partition 0 with `start` ≤ offset < `end`, in order.

    `start=None` is the oldest record that is kept; `end=None` is the last stable offset at the call.
    Records have `offset`, `key`, `value` and `timestamp`.
    """
    partition = TopicPartition(topic, 0)
    with consumer(settings) as client:
        client.assign([partition])
        stop = client.end_offsets([partition])[partition] if end is None else end
        if start is None:
            client.seek_to_beginning(partition)
        else:
            client.seek(partition, start)
        yield from _until(client, partition, stop)


def stable_end(settings: Settings, topic: str) -> int:
    """Return the last stable offset of `topic`: every transaction below it is decided."""
    partition = TopicPartition(topic, 0)
    with consumer(settings) as client:
        return int(client.end_offsets([partition])[partition])


def oldest(settings: Settings, topic: str) -> int:
    """Return the offset of the oldest record that `topic` still holds, or its end if it holds none."""
    partition = TopicPartition(topic, 0)
    with consumer(settings) as client:
        return int(client.beginning_offsets([partition])[partition])


def may_be_lost(settings: Settings, topic: str, start: int, end: int) -> bool:
    """Whether [start, end) holds records, or is older than all that Kafka still holds.

    Else it is a hole: offsets that transaction markers took, or that compaction emptied.
    """
    if start >= end:
        return False
    return oldest(settings, topic) > start or any(True for _ in read(settings, topic, start, end))


def committed_offset(settings: Settings, group: str, topic: str) -> int | None:
    """Return the offset that a consumer group has committed, or None if it has not."""
    with admin(settings) as client:
        found = client.list_group_offsets({group: None})
        stored = found.get(group, {}).get(TopicPartition(topic, 0))
        return None if stored is None or stored.offset < 0 else int(stored.offset)


def _until(client: KafkaConsumer, partition: TopicPartition, stop: int) -> Iterator[Any]:
    # The position moves over transaction markers, which are offsets without a record.
    while client.position(partition) < stop:
        for record in client.poll(timeout_ms=_POLL_MS).get(partition, ()):
            if record.offset >= stop:
                return
            yield record
