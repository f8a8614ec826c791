"""A lineage's journal in Kafka: its predictions, dead letters and obeyed control records, in one order.

Each input partition has a journal of its own. Its answers stand in the same partition of each topic (see
`answer_keys.py`), in the order of the records answered, lineage after lineage; so where a journal begins is
found by halving, and the parts are merged by offset. Only committed answers are seen.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kafka import KafkaConsumer, TopicPartition

from streamlearn.broker.broker import Broker
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.journal import read_entry
from streamlearn.stream.ports import Entry

if TYPE_CHECKING:
    from streamlearn.broker.bulk import BulkReader

_POLL_MS = 500
_BATCH = 2000
_PAUSE_S = 0.1


class Part:
    """A topic that holds a part of the journal: searched by a consumer of its own, then read on by `reader`.

    One consumer for all would have to pause those whose answers are still waiting to be taken; kafka-python
    (3.0) may then never fetch from a partition again that had something under way.
    """

    def __init__(self, client: KafkaConsumer, topic: str, partition: int = 0) -> None:
        self._client = client
        self._partition = TopicPartition(topic, partition)
        self.reader: BulkReader | None = None
        """Reads the topic on, once it is known from where."""
        self.waiting: deque[Entry] = deque()
        client.assign([self._partition])
        self.begin = int(client.beginning_offsets([self._partition])[self._partition])
        self.end = int(client.end_offsets([self._partition])[self._partition])

    @property
    def topic(self) -> str:
        """The topic's name."""
        return str(self._partition.topic)

    def fill(self, lineage: str) -> bool:
        """Read on what is committed by now; return whether there was anything to read."""
        assert self.reader is not None
        end = self._client.end_offsets([self._partition])[self._partition]
        if self.reader.position >= end:
            return False
        for _, value in self.reader.poll(_BATCH):
            entry = self._read_entry(value)
            if entry and entry.lineage == lineage:
                self.waiting.append(entry)
        return True

    def answers(self, start: int, end: int) -> Iterator[tuple[int, Entry | None]]:
        """Yield the offsets of [start, end) in this topic, each with its answer; None for other records."""
        self._client.seek(self._partition, start)
        while self._client.position(self._partition) < end:
            for offset, entry in self._poll():
                if offset >= end:
                    return
                yield offset, entry

    def backwards(self) -> Iterator[Entry]:
        """Yield the answers, the last first, reading ever longer stretches."""
        end, length = self.end, 64
        while end > self.begin:
            start = max(self.begin, end - length)
            yield from reversed([entry for _, entry in self.answers(start, end) if entry])
            end, length = start, 2 * length

    def first(self, wanted: tuple[int, int], order: dict[str, int]) -> int:
        """Return the offset of the first answer that does not come before `wanted`, by halving.

        That is (the lineage's number, the offset of the record answered).
        """
        low, high = self.begin, self.end
        while low < high:
            middle = (low + high) // 2
            known = (
                (offset, entry)
                for offset, entry in self.answers(middle, high)
                if entry and entry.lineage in order
            )
            offset, entry = next(known, (high, None))
            if entry and (order[entry.lineage], entry.offset) < wanted:
                low = offset + 1
            else:
                high = middle
        return low

    def _poll(self) -> Iterator[tuple[int, Entry | None]]:
        for record in self._client.poll(timeout_ms=_POLL_MS).get(self._partition, ()):
            yield record.offset, self._read_entry(record.value)

    def _read_entry(self, value: bytes | None) -> Entry | None:
        """Return the answer to a record of this partition that stands here."""
        entry = read_entry(value or b"", self.topic)
        return entry if entry and entry.partition == self._partition.partition else None


class KafkaJournal:
    """A `streamlearn.stream.ports.Journal` on three topics."""

    def __init__(self, parts: Sequence[Part], lineage: str) -> None:
        self._parts = parts
        self._lineage = lineage
        self.strays: list[Entry] = []
        self.cut_off = False
        """Whether Kafka may have dropped answers that belong here."""

    @property
    def ahead(self) -> bool:
        """Whether an answer after the last one taken is already known."""
        return any(part.waiting for part in self._parts)

    def take(self, offset: int, wait_s: float) -> Entry | None:
        """Return the answer to the record at `offset`; see `streamlearn.stream.Journal`."""
        deadline = time.monotonic() + wait_s
        while True:
            for waiting in (part.waiting for part in self._parts):
                while waiting and waiting[0].offset < offset:
                    self.strays.append(waiting.popleft())
                if waiting and waiting[0].offset == offset:
                    return waiting.popleft()
            drained = [part for part in self._parts if not part.waiting]
            if not drained:
                return None
            if not any(part.fill(self._lineage) for part in drained):
                if time.monotonic() >= deadline:
                    return None
                time.sleep(_PAUSE_S)


@contextmanager
def open_journal(
    broker: Broker, pipeline: Pipeline, lineage: str, order: dict[str, int], start: int, partition: int = 0
) -> Iterator[KafkaJournal]:
    """Open a lineage's journal of a partition, at the answers to the records from `start` on.

    `order` numbers the pipeline's lineages as they came.
    """
    with _open_parts(broker, pipeline, partition) as parts, ExitStack() as readers:
        journal = KafkaJournal(parts, lineage)
        firsts = [part.first((order.get(lineage, len(order)), start), order) for part in parts]
        for part, first in zip(parts, firsts, strict=True):
            part.reader = readers.enter_context(broker.bulk_reader(part.topic, first, partition))
        # What is kept equally long everywhere is whole from where one topic still holds something older.
        older = any(part.begin < first for part, first in zip(parts, firsts, strict=True))
        journal.cut_off = parts[0].begin > 0 and not older
        yield journal


def last_answered(broker: Broker, pipeline: Pipeline, lineage: str, partition: int = 0) -> int | None:
    """Return the offset of the last record of a partition that the lineage has answered; None if none."""
    with _open_parts(broker, pipeline, partition) as parts:
        newest = (
            next((entry for entry in part.backwards() if entry.lineage == lineage), None) for part in parts
        )
        return max((entry.offset for entry in newest if entry), default=None)


@contextmanager
def _open_parts(broker: Broker, pipeline: Pipeline, partition: int) -> Iterator[list[Part]]:
    topics = (pipeline.prediction_topic, pipeline.dead_letter_topic, pipeline.control_topic)
    with ExitStack() as consumers:
        yield [Part(consumers.enter_context(broker.consumer()), topic, partition) for topic in topics]
