"""What the engine asks of Kafka: a pipeline's records, and the journal of how they were answered.

The journal is every answer that is committed: predictions, dead letters, and control records that were
obeyed, each with the version that gave it. A run of answers with one version is one chunk: one step of
predicting, then learning (`journal.py`). `broker/kafka_stream.py` reads both from Kafka.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from streamlearn.stream.control import Obeyed


class Input(NamedTuple):
    """A record as it stands in the input topic."""

    partition: int
    offset: int
    value: bytes | None


class Output(NamedTuple):
    """An answer, and the topic that it goes to."""

    value: bytes
    topic: str


class Entry(NamedTuple):
    """A committed answer."""

    offset: int
    """That of the record answered."""
    version: int
    """The version that answered it."""
    lineage: str
    output: Output
    partition: int = 0
    """That of the record answered."""


class Journal(Protocol):
    """The committed answers to one partition of a lineage, taken in the order of their records."""

    strays: list[Entry]
    """Answers that `take` passed over: their record does not exist, or already had an answer.

    The caller empties the list.
    """
    cut_off: bool
    """Whether Kafka may have dropped answers that belong to its beginning."""

    @property
    def ahead(self) -> bool:
        """Whether an answer after the last one taken is already known."""
        ...

    def take(self, offset: int, wait_s: float) -> Entry | None:
        """Return the answer to the record at `offset`, or None if it has none.

        While all that is committed is older, wait for more, for at most `wait_s` seconds.
        """
        ...


class Stream(Protocol):
    """One partition of a pipeline's topics. Every method may raise `BrokerUnavailable`."""

    def oldest(self) -> int:
        """Return the offset of the oldest record that Kafka still holds."""
        ...

    def end(self) -> int:
        """Return the offset after the last record."""
        ...

    def offsets(self, start: int, end: int) -> list[int]:
        """Return the offsets with start ≤ offset < end at which Kafka holds a record; it must be quick."""
        ...

    def is_hole(self, start: int, end: int) -> bool:
        """Whether no record ever stood in [start, end); False also where nobody can tell any more."""
        ...

    def committed(self) -> int | None:
        """Return the offset below which Flink will never resume, or None while it is unknown."""
        ...

    def rows(self, start: int, end: int) -> Iterator[Input]:
        """Yield the records with start ≤ offset < end that Kafka holds."""
        ...

    def rows_of(self, topic: str, start: int, end: int) -> Iterator[Input]:
        """Yield the records with start ≤ offset < end of the same partition of another topic.

        Raises
        ------
        LineageError
            There is no such topic, or it no longer holds all of them.
        """
        ...

    def obeyed_controls(self, lineage: str) -> list[Obeyed]:
        """Return the control records that a lineage has obeyed."""
        ...

    def journal(self, lineage: str, start: int) -> AbstractContextManager[Journal]:
        """Open the journal of a lineage, at the answers to the records from `start` on."""
        ...
