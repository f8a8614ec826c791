"""One pipeline's stream as the core sees it (`streamlearn/stream.py`), on Kafka."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import msgspec

from streamlearn.control import Obeyed
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream import Input
from topics import journal, lineages, records


@dataclass(frozen=True)
class KafkaStream:
    """A `streamlearn.stream.Stream`."""

    settings: Settings
    pipeline: Pipeline

    def oldest(self) -> int:
        """Return the offset of the oldest record that Kafka still holds."""
        return records.oldest(self.settings, self.pipeline.topic)

    def end(self) -> int:
        """Return the offset after the last record."""
        return records.stable_end(self.settings, self.pipeline.topic)

    def may_be_lost(self, start: int, end: int) -> bool:
        """Whether [start, end) held records that Kafka holds no more, or holds some."""
        return records.may_be_lost(self.settings, self.pipeline.topic, start, end)

    def committed(self) -> int | None:
        """Return the offset that the job's consumer group has committed."""
        return records.committed_offset(self.settings, lineages.group_id(self.pipeline), self.pipeline.topic)

    def rows(self, start: int, end: int) -> Iterator[Input]:
        """Yield the records with start ≤ offset < end that Kafka holds."""
        start = max(start, self.oldest())
        for record in records.read(self.settings, self.pipeline.topic, start, end):
            yield Input(0, record.offset, record.value)

    def obeyed(self, lineage: str) -> list[Obeyed]:
        """Return the control records that a lineage has obeyed."""
        decode = msgspec.json.Decoder(Obeyed).decode
        found = [decode(record.value) for record in records.read(self.settings, self.pipeline.control_topic)]
        return [obeyed for obeyed in found if obeyed.lineage == lineage]

    def journal(self, lineage: str, start: int) -> AbstractContextManager[journal.KafkaJournal]:
        """Open the journal of a lineage, at the answers to the records from `start` on."""
        order = lineages.order(self.settings, self.pipeline)
        return journal.journal(self.settings, self.pipeline, lineage, order, start)
