"""The newest committed records of some topics, read on from look to look, for those who watch a stream.

A watcher wants to see what happens now: where records come faster than it looks, it skips ahead.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from kafka import TopicPartition

from streamlearn.broker.broker import Broker

_POLL_MS = 200
_WAIT_MS = 5000


@dataclass
class Seen:
    """What one look saw, by topic; a topic that does not exist yet has no partition."""

    records: dict[str, list[Any]] = field(default_factory=dict)
    """The records since the look before (`partition`, `offset`, `value`, `timestamp`), in each partition the
    oldest first."""
    ends: dict[str, list[int]] = field(default_factory=dict)
    """The last stable offset of each partition."""


class Tail:
    """Reads some topics on from look to look.

    Parameters
    ----------
    broker
        One that gives up soon: who watches looks again, and a server that ends waits for those who connect.
    look_back
        For each topic, how many offsets before the end of each partition are of interest; 0: only the ends.
    """

    def __init__(self, broker: Broker, look_back: Mapping[str, int]) -> None:
        self._broker = broker
        self._look_back = dict(look_back)
        self._positions: dict[TopicPartition, int] = {}
        self._open = ExitStack()
        self._client = self._open.enter_context(broker.consumer(request_timeout_ms=_WAIT_MS))

    def look(self) -> Seen:
        """Read what has come since the last look.

        Raises
        ------
        BrokerUnavailable
            Kafka does not answer; a new `Tail` is needed then.
        """
        with self._broker.map_errors():
            places = [place for topic in self._look_back for place in self._list_partitions(topic)]
            ends = self._client.end_offsets(places, timeout_ms=_WAIT_MS) if places else {}
            seen = Seen({topic: [] for topic in self._look_back}, {topic: [] for topic in self._look_back})
            for place in places:
                seen.ends[place.topic].append(int(ends[place]))
            self._read({place: int(ends[place]) for place in places if self._look_back[place.topic]}, seen)
            return seen

    def written_at(self, topic: str, partition: int, offset: int) -> float | None:
        """Return when the first record from `offset` on was written, as `Broker.written_at` does."""
        return self._broker.written_at(topic, partition, offset)

    def _list_partitions(self, topic: str) -> list[TopicPartition]:
        numbers = self._client.partitions_for_topic(topic) or ()
        return [TopicPartition(topic, number) for number in sorted(numbers)]

    def _read(self, ends: dict[TopicPartition, int], seen: Seen) -> None:
        if not ends:
            return
        if self._client.assignment() != set(ends):
            self._client.assign(list(ends))
            self._positions.clear()
        first = self._client.beginning_offsets(list(ends), timeout_ms=_WAIT_MS)
        for place, end in ends.items():
            wanted = max(int(first[place]), end - self._look_back[place.topic])
            # A topic that was deleted and made anew ends before where it was read.
            if not wanted <= self._positions.get(place, -1) <= end:
                self._client.seek(place, wanted)
        while any(self._client.position(place) < end for place, end in ends.items()):
            for place, records in self._client.poll(timeout_ms=_POLL_MS).items():
                seen.records[place.topic] += records
        self._positions = {place: int(self._client.position(place)) for place in ends}

    def close(self) -> None:
        """Close the connection."""
        self._open.close()
