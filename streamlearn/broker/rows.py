"""A topic's records as the rows of a table; those that are no JSON objects are counted."""

from collections.abc import Iterator
from typing import Any

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.errors import TopicRefused
from streamlearn.lags.readers import RawTable


def read_rows(broker: Broker, topic: str, last: int | None = None) -> RawTable:
    """Read the JSON objects in a topic's only partition, or in its newest `last` offsets.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    TopicRefused
        There is no such topic, or it has several partitions and so no order.
    """
    partitions = broker.partitions(topic)
    if not partitions:
        raise TopicRefused(f"there is no topic {topic}")
    if len(partitions) > 1:
        raise TopicRefused(f"{topic} has {len(partitions)} partitions, and so no order: one is needed")
    start = None
    if last is not None:
        start = max(broker.oldest(topic), broker.stable_end(topic) - last)
    return _decode(topic, broker.read(topic, start))


def _decode(topic: str, records: Iterator[Any]) -> RawTable:
    table, names, undecodable = RawTable(f"topic {topic}", []), dict[str, None](), 0
    for record in records:
        try:
            row = msgspec.json.decode(record.value or b"", type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            undecodable += 1
            continue
        names.update(dict.fromkeys(row))
        table.rows.append(row)
        table.where.append(f"offset {record.offset}")
    table.names = list(names)
    if undecodable:
        table.notes = (f"{undecodable} records are no JSON objects: left out",)
    return table
