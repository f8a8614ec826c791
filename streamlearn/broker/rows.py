"""A topic's records as the rows of a table; those that are no JSON objects are counted."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.errors import TopicRefused
from streamlearn.lags.readers import RawTable

_MAX_DIGITS = 1000
"""Python refuses to read an integer of more than 4300 digits; a float holds at most 309."""


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
        row = decode_row(record.value or b"")
        if row is None:
            undecodable += 1
            continue
        names.update(dict.fromkeys(row))
        table.rows.append(row)
        table.where.append(f"offset {record.offset}")
    table.names = list(names)
    if undecodable:
        table.notes = (f"{undecodable} records are no JSON objects: left out",)
    return table


def decode_row(value: bytes) -> dict[str, Any] | None:
    """Return a JSON object, also where it holds NaN or a number that is too large for a float; else None."""
    try:
        return msgspec.json.decode(value, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # NaN and numbers out of range, too: one such field is no reason to leave the record out
    try:
        row = json.loads(value, parse_int=_read_integer)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _read_integer(text: str) -> int | float:
    """Return an integer; infinity where it has more digits than Python reads."""
    return int(text) if len(text) < _MAX_DIGITS else float(text)
