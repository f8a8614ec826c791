"""A lineage's journal in Kafka: its predictions, dead letters and obeyed control records, in one order.

Each topic holds its part in the order of the records answered, lineage after lineage; so where a journal
begins is found by halving, and the parts are merged by offset. Only committed answers are seen.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from kafka import KafkaConsumer, TopicPartition

from streamlearn.answers import entry
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream import Entry
from topics.client import consumer

_POLL_MS = 500
_BATCH = 2000
_LOOK_S = 0.1


class Part:
    """A topic that holds a part of the journal, read on by a consumer of its own.

    One consumer for all would have to pause those whose answers are still waiting to be taken; kafka-python
    (3.0) may then never fetch from a partition again that had something under way.
    """

    def __init__(self, client: KafkaConsumer, topic: str) -> None:
        self._client = client
        self._partition = TopicPartition(topic, 0)
        self.waiting: deque[Entry] = deque()
        client.assign([self._partition])
        self.begin = int(client.beginning_offsets([self._partition])[self._partition])
        self.end = int(client.end_offsets([self._partition])[self._partition])
        self.seek(self.begin)

    def seek(self, offset: int) -> None:
        """Read on from an offset of this topic."""
        self._client.seek(self._partition, offset)

    def fill(self, lineage: str) -> bool:
        """Read on what is committed by now; return whether there was anything to read."""
        end = self._client.end_offsets([self._partition])[self._partition]
        if self._client.position(self._partition) >= end:
            return False
        for _, found in self._poll(_BATCH):
            if found and found.lineage == lineage:
                self.waiting.append(found)
        return True

    def answers(self, start: int, end: int) -> Iterator[tuple[int, Entry | None]]:
        """Yield what stands in [start, end) of this topic, and where."""
        self.seek(start)
        while self._client.position(self._partition) < end:
            for offset, found in self._poll(None):
                if offset >= end:
                    return
                yield offset, found

    def backwards(self) -> Iterator[Entry]:
        """Yield the answers, the last first, reading ever longer stretches."""
        end, length = self.end, 64
        while end > self.begin:
            start = max(self.begin, end - length)
            yield from reversed([found for _, found in self.answers(start, end) if found])
            end, length = start, 2 * length

    def first(self, wanted: tuple[int, int], order: dict[str, int]) -> int:
        """Return where the first answer stands that does not come before `wanted`.

        That is (the lineage's number, the offset of the record answered).
        """
        low, high = self.begin, self.end
        while low < high:
            middle = (low + high) // 2
            known = ((at, one) for at, one in self.answers(middle, high) if one and one.lineage in order)
            at, answer = next(known, (high, None))
            if answer and (order[answer.lineage], answer.offset) < wanted:
                low = at + 1
            else:
                high = middle
        return low

    def _poll(self, most: int | None) -> Iterator[tuple[int, Entry | None]]:
        for record in self._client.poll(timeout_ms=_POLL_MS, max_records=most).get(self._partition, ()):
            yield record.offset, entry(record.value or b"", self._partition.topic)


class KafkaJournal:
    """A `streamlearn.stream.Journal` on three topics."""

    def __init__(self, parts: Sequence[Part], lineage: str) -> None:
        self._parts = parts
        self._lineage = lineage
        self.strays: list[Entry] = []
        self.cut_off = False
        """Whether Kafka may have dropped answers that belong here."""

    @property
    def ahead(self) -> bool:
        """Whether later answers than the one that was last asked for are known."""
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
                time.sleep(_LOOK_S)


@contextmanager
def journal(
    settings: Settings, pipeline: Pipeline, lineage: str, order: dict[str, int], start: int
) -> Iterator[KafkaJournal]:
    """Open a lineage's journal at the answers to the records from `start` on.

    `order` numbers the pipeline's lineages as they came.
    """
    with _parts(settings, pipeline) as parts:
        found = KafkaJournal(parts, lineage)
        firsts = [part.first((order.get(lineage, len(order)), start), order) for part in parts]
        for part, first in zip(parts, firsts, strict=True):
            part.seek(first)
        # What is kept equally long everywhere is whole from where one topic still holds something older.
        older = any(part.begin < first for part, first in zip(parts, firsts, strict=True))
        found.cut_off = parts[0].begin > 0 and not older
        yield found


def last_answered(settings: Settings, pipeline: Pipeline, lineage: str) -> int | None:
    """Return the offset of the last record that the lineage has answered; None if it has answered none."""
    with _parts(settings, pipeline) as parts:
        ours = (next((one for one in part.backwards() if one.lineage == lineage), None) for part in parts)
        return max((one.offset for one in ours if one), default=None)


@contextmanager
def _parts(settings: Settings, pipeline: Pipeline) -> Iterator[list[Part]]:
    topics = (pipeline.prediction_topic, pipeline.dead_letter_topic, pipeline.control_topic)
    with ExitStack() as opened:
        yield [Part(opened.enter_context(consumer(settings)), topic) for topic in topics]
