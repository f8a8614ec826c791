"""Everything in some topics, read on from given offsets, for those who must not miss a record."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from kafka import TopicPartition

from streamlearn.broker.broker import Broker

_WAIT_MS = 1000

Place = tuple[str, int]
"""A topic and a partition of it."""


class Follower:
    """Reads the committed records of some partitions, each from an offset on. Raises `BrokerUnavailable`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._open = ExitStack()
        self._client = self._open.enter_context(broker.consumer(fetch_max_wait_ms=_WAIT_MS))

    def follow(self, offsets: Mapping[Place, int]) -> None:
        """Read these partitions from now on, each from its offset on."""
        with self._broker.map_errors():
            self._client.assign([TopicPartition(*place) for place in offsets])
        for place, offset in offsets.items():
            self.seek(place, offset)

    def seek(self, place: Place, offset: int) -> None:
        """Go on at an offset; where the topic holds nothing there any more, at the oldest record after it."""
        partition = TopicPartition(*place)
        with self._broker.map_errors():
            oldest = self._client.beginning_offsets([partition])[partition]
            self._client.seek(partition, max(offset, int(oldest)))

    def poll(self) -> dict[Place, list[Any]]:
        """Wait for records, for a second at the longest; return those of each partition, in order.

        They have `offset`, `key`, `value` and `timestamp`.
        """
        with self._broker.map_errors():
            records = self._client.poll(timeout_ms=_WAIT_MS)
        return {(place.topic, place.partition): found for place, found in records.items()}

    def close(self) -> None:
        """Close the connection."""
        self._open.close()
