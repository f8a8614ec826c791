"""One pipeline's stream on Kafka, as the engine sees it (`stream/ports.py`)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import msgspec

from streamlearn.broker import kafka_journal
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister, group_id
from streamlearn.errors import LineageError
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.control import Obeyed
from streamlearn.stream.ports import Input


class KafkaStream:
    """A `streamlearn.stream.ports.Stream`: one partition of a pipeline's topics."""

    def __init__(self, broker: Broker, pipeline: Pipeline, partition: int = 0) -> None:
        self._broker = broker
        self._pipeline = pipeline
        self._partition = partition

    def oldest(self) -> int:
        """Return the offset of the oldest record that Kafka still holds."""
        return self._broker.oldest(self._pipeline.topic, self._partition)

    def end(self) -> int:
        """Return the offset after the last record."""
        return self._broker.stable_end(self._pipeline.topic, self._partition)

    def offsets(self, start: int, end: int) -> list[int]:
        """Return the offsets with start ≤ offset < end at which Kafka holds a record."""
        topic, partition = self._pipeline.topic, self._partition
        return self._broker.offsets(topic, max(start, self.oldest()), end, partition)

    def is_hole(self, start: int, end: int) -> bool:
        """Whether no record ever stood in [start, end); False also where nobody can tell any more."""
        return self._broker.is_hole(self._pipeline.topic, start, end, self._partition)

    def committed(self) -> int | None:
        """Return the offset that the job's consumer group has committed."""
        group, topic = group_id(self._pipeline), self._pipeline.topic
        return self._broker.committed_offset(group, topic, self._partition)

    def rows(self, start: int, end: int) -> Iterator[Input]:
        """Yield the records with start ≤ offset < end that Kafka holds."""
        topic, partition = self._pipeline.topic, self._partition
        for offset, value in self._broker.read_many(topic, max(start, self.oldest()), end, partition):
            yield Input(partition, offset, value)

    def rows_of(self, topic: str, start: int, end: int) -> Iterator[Input]:
        """Yield the records with start ≤ offset < end of the same partition of another topic.

        Raises
        ------
        LineageError
            There is no such topic, or it no longer holds all of them.
        """
        broker, partition = self._broker, self._partition
        if partition not in broker.partitions(topic):
            raise LineageError(f"Kafka has no topic {topic} any more")
        oldest, last = broker.oldest(topic, partition), broker.stable_end(topic, partition)
        if start < end and (oldest > start or last < end):
            raise LineageError(
                f"Kafka no longer holds all records of {topic} from offset {start} to {end}: it has"
                f" {oldest} to {last}"
            )
        for offset, value in broker.read_many(topic, start, end, partition):
            yield Input(partition, offset, value)

    def obeyed_controls(self, lineage: str) -> list[Obeyed]:
        """Return the control records that a lineage has obeyed."""
        decode = msgspec.json.Decoder(Obeyed).decode
        records = self._broker.read(self._pipeline.control_topic, partition=self._partition)
        controls = [decode(record.value) for record in records]
        own = (lineage, self._partition)
        return [control for control in controls if (control.lineage, control.partition) == own]

    def journal(self, lineage: str, start: int) -> AbstractContextManager[kafka_journal.KafkaJournal]:
        """Open the journal of a lineage, at the answers to the records from `start` on."""
        order = LineageRegister(self._broker, self._pipeline).number_lineages()
        return kafka_journal.open_journal(
            self._broker, self._pipeline, lineage, order, start, self._partition
        )
