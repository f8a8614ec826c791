"""One pipeline's stream on Kafka, as the engine sees it (`stream/ports.py`)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import msgspec

from streamlearn.broker import kafka_journal
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister, group_id
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.control import Obeyed
from streamlearn.stream.ports import Input


class KafkaStream:
    """A `streamlearn.stream.ports.Stream`."""

    def __init__(self, broker: Broker, pipeline: Pipeline) -> None:
        self._broker = broker
        self._pipeline = pipeline

    def oldest(self) -> int:
        """Return the offset of the oldest record that Kafka still holds."""
        return self._broker.oldest(self._pipeline.topic)

    def end(self) -> int:
        """Return the offset after the last record."""
        return self._broker.stable_end(self._pipeline.topic)

    def offsets(self, start: int, end: int) -> list[int]:
        """Return the offsets with start ≤ offset < end at which Kafka holds a record."""
        return self._broker.offsets(self._pipeline.topic, max(start, self.oldest()), end)

    def is_hole(self, start: int, end: int) -> bool:
        """Whether no record ever stood in [start, end); False also where nobody can tell any more."""
        return self._broker.is_hole(self._pipeline.topic, start, end)

    def committed(self) -> int | None:
        """Return the offset that the job's consumer group has committed."""
        return self._broker.committed_offset(group_id(self._pipeline), self._pipeline.topic)

    def rows(self, start: int, end: int) -> Iterator[Input]:
        """Yield the records with start ≤ offset < end that Kafka holds."""
        for record in self._broker.read(self._pipeline.topic, max(start, self.oldest()), end):
            yield Input(0, record.offset, record.value)

    def obeyed_controls(self, lineage: str) -> list[Obeyed]:
        """Return the control records that a lineage has obeyed."""
        decode = msgspec.json.Decoder(Obeyed).decode
        controls = [decode(record.value) for record in self._broker.read(self._pipeline.control_topic)]
        return [control for control in controls if control.lineage == lineage]

    def journal(self, lineage: str, start: int) -> AbstractContextManager[kafka_journal.KafkaJournal]:
        """Open the journal of a lineage, at the answers to the records from `start` on."""
        order = LineageRegister(self._broker, self._pipeline).order()
        return kafka_journal.open_journal(self._broker, self._pipeline, lineage, order, start)
