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
    """What one look saw, by topic; a topic that does not exist yet has nothing, and ends at 0."""

    records: dict[str, list[Any]] = field(default_factory=dict)
    """The records since the look before (`offset`, `value`, `timestamp`), the oldest first."""
    ends: dict[str, int] = field(default_factory=dict)
    """The last stable offsets."""


class Tail:
    """Reads some topics on from look to look.

    Parameters
    ----------
    broker
        One that gives up soon: who watches looks again, and a server that ends waits for those who connect.
    look_back
        For each topic, how many offsets before its end are of interest; 0: only its end.
    """

    def __init__(self, broker: Broker, look_back: Mapping[str, int]) -> None:
        self._broker = broker
        self._look_back = dict(look_back)
        self._positions: dict[str, int] = {}
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
            seen = Seen({topic: [] for topic in self._look_back}, dict.fromkeys(self._look_back, 0))
            known = {t: TopicPartition(t, 0) for t in self._look_back if self._client.partitions_for_topic(t)}
            if known:
                ends = self._client.end_offsets(list(known.values()), timeout_ms=_WAIT_MS)
                seen.ends |= {topic: int(ends[partition]) for topic, partition in known.items()}
                self._read(known, seen)
            return seen

    def _read(self, known: dict[str, TopicPartition], seen: Seen) -> None:
        read = {topic: partition for topic, partition in known.items() if self._look_back[topic]}
        if self._client.assignment() != set(read.values()):
            self._client.assign(list(read.values()))
            self._positions.clear()
        first = self._client.beginning_offsets(list(read.values()), timeout_ms=_WAIT_MS)
        for topic, partition in read.items():
            wanted = max(int(first[partition]), seen.ends[topic] - self._look_back[topic])
            # A topic that was deleted and made anew ends before where it was read.
            if not wanted <= self._positions.get(topic, -1) <= seen.ends[topic]:
                self._client.seek(partition, wanted)
        while any(self._client.position(p) < seen.ends[topic] for topic, p in read.items()):
            for partition, records in self._client.poll(timeout_ms=_POLL_MS).items():
                seen.records[partition.topic] += records
        self._positions = {topic: int(self._client.position(p)) for topic, p in read.items()}

    def close(self) -> None:
        """Close the connection."""
        self._open.close()
