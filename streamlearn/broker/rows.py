"""A topic's records as the rows of a table; those that are no JSON objects are counted, or named."""

from collections.abc import Iterator
from typing import Any

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.datasets.files import BadRow, decode_row
from streamlearn.errors import TopicRefused
from streamlearn.lags.readers import RawTable
from streamlearn.stream.control import is_control
from streamlearn.stream.explanations import explain_reason


def read_rows(broker: Broker, topic: str, last: int | None = None) -> RawTable:
    """Read the JSON objects in a topic's only partition, or in its newest `last` offsets.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    TopicRefused
        There is no such topic, or it has several partitions and so no order.
    """
    _find_partitions(broker, topic, in_order=True)
    return _decode(topic, iter(broker.read(topic) if last is None else broker.read_newest(topic, last)))


def read_sample(broker: Broker, topic: str, last: int, *, in_order: bool) -> tuple[RawTable, list[BadRow]]:
    """Read the records of a topic's newest `last` offsets as a job would, and those that it could not read.

    Control records are neither. `in_order` wants a topic that has one order.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    TopicRefused
        There is no such topic, it has several partitions and so no order although one is wanted, or none of
        these records is a JSON object.
    """
    table, bad = RawTable(f"topic {topic}", []), []
    names = dict[str, None]()
    several = len(_find_partitions(broker, topic, in_order=in_order)) > 1
    for record in broker.read_newest(topic, last):
        where = f"offset {record.offset}" + (f" of partition {record.partition}" if several else "")
        if is_control(record.value):
            continue
        try:
            row = msgspec.json.decode(record.value or b"", type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            bad.append(BadRow(where, _explain(record.value, error)))
            continue
        names.update(dict.fromkeys(row))
        table.rows.append(row)
        table.where.append(where)
    table.names = list(names)
    if not table.rows:
        reason = f"none of its records can be read: {bad[0].where}: {bad[0].reason}" if bad else "it is empty"
        raise TopicRefused(f"{topic} cannot be learned from as it is: {reason}")
    return table, bad


def _explain(value: bytes | None, error: Exception) -> str:
    """Return why a record's value cannot be read."""
    if value is None:
        return "the value is null"
    reason = str(error) or "the value cannot be decoded"
    return explain_reason(reason, value)


def _find_partitions(broker: Broker, topic: str, *, in_order: bool) -> set[int]:
    partitions = broker.partitions(topic)
    if not partitions:
        raise TopicRefused(f"there is no topic {topic}")
    if in_order and len(partitions) > 1:
        raise TopicRefused(f"{topic} has {len(partitions)} partitions, and so no order: one is needed")
    return partitions


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
