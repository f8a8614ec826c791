"""A topic's records as rows to look at side by side; those that cannot be read are counted."""

from typing import Any

import msgspec

from streamlearn.errors import TopicRefused
from streamlearn.lag_sources import Rows
from streamlearn.settings import Settings
from topics import records
from topics.client import consumer


def read(settings: Settings, topic: str, last: int | None = None) -> Rows:
    """Read the JSON objects of a topic's only partition, or of its newest `last` offsets.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    TopicRefused
        There is no such topic, or it has several partitions and so no order.
    """
    with consumer(settings) as client:
        partitions = client.partitions_for_topic(topic)
    if not partitions:
        raise TopicRefused(f"there is no topic {topic}")
    if len(partitions) > 1:
        raise TopicRefused(f"{topic} has {len(partitions)} partitions, and so no order: one is needed")
    start = None
    if last is not None:
        start = max(records.oldest(settings, topic), records.stable_end(settings, topic) - last)
    return _rows(topic, records.read(settings, topic, start))


def _rows(topic: str, found: Any) -> Rows:
    rows, names, strange = Rows(f"topic {topic}", []), dict[str, None](), 0
    for record in found:
        try:
            value = msgspec.json.decode(record.value or b"", type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            strange += 1
            continue
        names.update(dict.fromkeys(value))
        rows.values.append(value)
        rows.where.append(f"offset {record.offset}")
    rows.names = list(names)
    if strange:
        rows.notes = (f"{strange} records are no JSON objects: left out",)
    return rows
