"""Which partition of its topic a record goes to: the same entity always to the same one.

A key is placed as Kafka's own clients place the text of it, so records that other producers have sent with
that key stand beside those that streamlearn sends.
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import msgspec
from kafka.partitioner.default import murmur2

from streamlearn.pipelines.base import Pipeline

_POSITIVE = 0x7FFFFFFF


class Placement:
    """Places the records that are sent to a pipeline's topic.

    By the pipeline's key where it has one; else a series stays in partition 0, and records that stand for
    themselves are dealt out in turn.

    Parameters
    ----------
    partitions
        How many the topic has.
    first
        The number of the first record, where those before have been dealt out already.
    """

    def __init__(self, pipeline: Pipeline, partitions: int, first: int = 0) -> None:
        self._partitions = partitions
        self._key = find_key(pipeline)
        self._is_series = pipeline.learning.series is not None
        self._numbers = count(first)

    def place(self, record: Mapping[str, Any]) -> int:
        """Return the partition of the next record, a JSON object.

        >>> from streamlearn.pipelines import digits, pm25
        >>> deal, stay = Placement(digits.pipeline, 3), Placement(pm25.pipeline, 3)
        >>> [deal.place({}) for _ in range(4)], [stay.place({}) for _ in range(4)]
        ([0, 1, 2, 0], [0, 0, 0, 0])
        """
        number = next(self._numbers)
        if self._partitions == 1:
            return 0
        if self._key is not None and record.get(self._key) is not None:
            return place_key(record[self._key], self._partitions)
        return 0 if self._is_series else number % self._partitions


def make_partition_function(pipeline: Pipeline, partitions: int) -> Callable[[Any], int]:
    """Return what tells which of so many partitions the key of a record, the pipeline's struct, belongs to.

    A record without a key counts as one of partition 0.
    """
    key = find_key(pipeline)
    names = {field.encode_name: field.name for field in msgspec.structs.fields(pipeline.record)}

    def find_partition(record: Any) -> int:
        value = msgspec.to_builtins(getattr(record, names[key])) if key is not None else None
        return 0 if value is None else place_key(value, partitions)

    return find_partition


def place_key(value: Any, partitions: int) -> int:
    """Return which of so many partitions a key belongs to."""
    return hash_key(value) % partitions


def hash_key(value: Any) -> int:
    """Return what Kafka's default partitioner makes of the text of a key, before the modulo.

    >>> hash_key("21") == hash_key(21), hash_key("21")
    (True, 1173551340)
    """
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return int(murmur2(text.encode())) & _POSITIVE


def find_key(pipeline: Pipeline) -> str | None:
    """Return the field by which records stay together, by its name in JSON; None where any may go anywhere.

    Without a `Pipeline.key` that is the key of its learning, if that has one. A label that comes later must
    find its record, so where there are such the id is the key.
    """
    if pipeline.key is not None:
        return pipeline.key
    if pipeline.series_key is not None:
        return pipeline.series_key
    late_label = pipeline.learning.late_label(pipeline.record)
    return None if late_label is None else msgspec.structs.fields(late_label)[0].encode_name
