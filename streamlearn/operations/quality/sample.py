"""The records of a pipeline's newest answers, those of an hour ago, and the oldest: a bounded sample.

What they are compared by is kept, so that nothing is read twice.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamlearn.broker.tail import Tail
from streamlearn.errors import BadRecord
from streamlearn.learning.labels_later import LateLabel
from streamlearn.operations.quality.kinds import Origin, Place
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.control import is_control

LOOK_BACK = 5_000
"""How many offsets of records are read back, over all partitions."""

COMPARED = 1_000
"""How many of the newest and of the oldest records are kept whole, to be compared."""

_LARGEST = 16 << 10
_FEEDBACK = ("source", b"feedback")
"""The header of a record that is feedback."""


@dataclass(frozen=True)
class SampledRecord:
    """A record that is kept whole."""

    place: Place
    record: Any
    """Of the pipeline's record type."""
    value: bytes
    """As it stands in the topic."""


class Sample:
    """What was read from a pipeline's input topic. One thread looks and reads it.

    Attributes
    ----------
    written_s
        When each record was written, by partition and offset, in seconds since 1970.
    origins
        What tells the kind of each record that can be told, the oldest first.
    newest
        The newest records, the oldest of them first.
    oldest
        The oldest records that Kafka holds, in each partition in order; none of them is later than an answer.
    hour_ago
        The last records that stood in the topic an hour ago, in each partition in order; none that is among
        the newest.
    feedback
        When and where the newest feedback was written: seconds since 1970, and the place.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.written_s: dict[Place, float] = {}
        self.origins: deque[Origin] = deque(maxlen=LOOK_BACK)
        self.newest: deque[SampledRecord] = deque(maxlen=COMPARED)
        self.oldest: list[SampledRecord] = []
        self.hour_ago: list[SampledRecord] = []
        self.feedback: deque[tuple[float, Place]] = deque(maxlen=50)
        self._oldest_keys: list[Origin] = []

    def look(
        self,
        tail: Tail,
        answered: Mapping[int, int],
        read: Callable[[int, int, int], Sequence[Any]],
    ) -> None:
        """Read on up to the records that are answered; at the first look, the oldest as well.

        Parameters
        ----------
        answered
            The newest offset of each partition that has an answer.
        read
            Returns the oldest records of a partition that Kafka holds: (partition, the offset before which to
            stop, how many at most).

        Raises
        ------
        BrokerUnavailable
            Kafka does not answer; a new `Tail` is needed then.
        """
        topic = self.pipeline.topic
        seen = tail.look({topic: {partition: offset + 1 for partition, offset in answered.items()}})
        self.add(seen.records[topic])
        if not self.oldest and answered:
            ends = {partition: offset + 1 for partition, offset in answered.items()}
            self.oldest, self._oldest_keys = self._take(_read_shares(ends, read))

    def look_at_hour_ago(
        self, ends: Mapping[int, int], read: Callable[[int, int, int], Sequence[Any]]
    ) -> None:
        """Read the last records that stood in the topic an hour ago.

        Parameters
        ----------
        ends
            The offset after the last of them in each partition.
        read
            Returns the last records of a partition before an offset: (partition, offset, how many at most).

        Raises
        ------
        BrokerUnavailable
            Kafka does not answer.
        """
        newest = {sampled.place for sampled in self.newest}
        rows = [row for row in _read_shares(ends, read) if (row.partition, row.offset) not in newest]
        self.hour_ago, _ = self._take(rows)

    def add(self, rows: Sequence[Any]) -> None:
        """Add the records of one look."""
        for row in rows:
            self.written_s[row.partition, row.offset] = row.timestamp / 1000
        for place in list(self.written_s)[: max(0, len(self.written_s) - LOOK_BACK)]:
            del self.written_s[place]
        records, origins = self._take(rows)
        self.newest += records
        self.origins += origins
        self.feedback += [
            (self.written_s[origin.place], origin.place)
            for origin in origins
            if origin.is_feedback and origin.place in self.written_s
        ]

    def list_older(self) -> list[int]:
        """Return the hashes of those of the oldest records that stand before the newest that were read."""
        return [origin.key for origin in self._oldest_keys if origin.place not in self.written_s]

    @property
    def is_whole(self) -> bool:
        """Whether every record that Kafka holds, up to the newest, was read."""
        first: dict[int, int] = {}
        for partition, offset in self.written_s:
            first[partition] = min(offset, first.get(partition, offset))
        last: dict[int, int] = {}
        for sampled in self.oldest:
            last[sampled.place[0]] = sampled.place[1]
        return bool(first) and all(offset <= last.get(k, -1) + 1 for k, offset in first.items())

    def _take(self, rows: Sequence[Any]) -> tuple[list[SampledRecord], list[Origin]]:
        """Return the records that can be read, and what tells their kinds."""
        taken: list[SampledRecord] = []
        feedback: list[bool] = []
        for row in rows:
            if row.value is None or len(row.value) > _LARGEST or is_control(row.value):
                continue
            try:
                record = self.pipeline.codec.decode(row.value)
            except BadRecord:
                continue
            if isinstance(record, LateLabel):
                continue
            taken.append(SampledRecord((row.partition, row.offset), record, row.value))
            feedback.append(_FEEDBACK in row.headers)
        keys = self._hash_features(taken)
        return taken, [
            Origin(sampled.place, key, is_feedback)
            for sampled, key, is_feedback in zip(taken, keys, feedback, strict=True)
        ]

    def _hash_features(self, taken: Sequence[SampledRecord]) -> list[int]:
        """Return a hash of what the model sees of each record; of its bytes, where that cannot be had."""
        try:
            features = self.pipeline.learning.features_of([sampled.record for sampled in taken])
        except Exception:  # code of the pipeline's own, which may fail on any record
            features = None
        if features is None or len(features) != len(taken):
            return [hash(sampled.value) for sampled in taken]
        return [hash(row.tobytes()) for row in features]


def _read_shares(ends: Mapping[int, int], read: Callable[[int, int, int], Sequence[Any]]) -> list[Any]:
    """Return records of each partition before an offset, together about as many as are compared."""
    share = -(-COMPARED // max(1, len(ends)))
    return [row for partition, end in sorted(ends.items()) for row in read(partition, end, share)]
