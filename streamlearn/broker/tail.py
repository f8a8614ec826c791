"""The newest committed records of some topics, read on from look to look, for those who watch a stream.

A watcher wants to see what happens now: where records come faster than it looks, it skips ahead.
"""

from collections.abc import Mapping, Sequence
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

    def look(self, until: Mapping[str, Mapping[int, int]] | None = None) -> Seen:
        """Read what has come since the last look.

        `until` names for each topic the offset of each partition before which to stop: what is of interest
        there ends at that offset instead of the partition's end, and a partition that it does not name is not
        read.

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
            stops = {place: int(ends[place]) for place in places if self._look_back[place.topic]}
            if until is not None:
                stops = {
                    place: min(end, until[place.topic][place.partition])
                    for place, end in stops.items()
                    if place.partition in until.get(place.topic, {})
                }
            self._read(stops, seen)
            return seen

    def find_ends_at(self, topic: str, moments_s: Sequence[float]) -> list[dict[int, int]]:
        """Return how far each partition of a topic reached at some moments, given in seconds since 1970.

        That is the offset after the newest record then, as the records' timestamps say. Kafka is asked once
        for each moment, and no record is read.

        Raises
        ------
        BrokerUnavailable
            Kafka does not answer; a new `Tail` is needed then.
        """
        with self._broker.map_errors():
            places = self._list_partitions(topic)
            if not places:
                return [{} for _ in moments_s]
            ends = self._client.end_offsets(places, timeout_ms=_WAIT_MS)
            return [self._find_ends_at(places, ends, moment_s) for moment_s in moments_s]

    def _find_ends_at(
        self, places: list[TopicPartition], ends: dict[TopicPartition, int], moment_s: float
    ) -> dict[int, int]:
        asked = dict.fromkeys(places, int(1000 * moment_s) + 1)
        later = self._client.offsets_for_times(asked, timeout_ms=_WAIT_MS)
        return {
            place.partition: int(ends[place] if later.get(place) is None else later[place].offset)
            for place in places
        }

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
                seen.records[place.topic] += [record for record in records if record.offset < ends[place]]
                if self._client.position(place) > ends[place]:
                    self._client.seek(place, ends[place])
        self._positions = {place: int(self._client.position(place)) for place in ends}

    def close(self) -> None:
        """Close the connection."""
        self._open.close()
