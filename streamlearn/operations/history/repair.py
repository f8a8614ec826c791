"""A lineage's records with a span of time replaced: copied, learned beside the live job, and compared."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.placement import Placement
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import create_history_topic
from streamlearn.datasets.table import Table
from streamlearn.engine.answering import cut_into_chunks
from streamlearn.engine.backtest import Outcome, Part, backtest
from streamlearn.errors import BrokerUnavailable, DataError, LineageError
from streamlearn.lags.grid import to_utc
from streamlearn.operations.history.backtest import read_parts
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.control import is_control
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.records import MAX_RECORD_BYTES, check_size, encode

LIVE, REPAIRED = "as it is live", "repaired"

ShowProgress = Callable[[int, int, int], None]


class Span(NamedTuple):
    """The records of a time: those whose field `field` is at or after `begin` and before `end`."""

    field: str
    begin: datetime
    end: datetime

    def holds(self, value: bytes) -> bool:
        """Return whether a record is of this time; one without a time is not.

        >>> span = Span("ts", datetime(2026, 1, 1), datetime(2026, 2, 1))
        >>> span.holds(b'{"ts": "2026-01-31 23:00:00"}'), span.holds(b'{"ts": "2026-02-01"}'), span.holds(b"")
        (True, False, False)
        """
        time = self.time_of(value)
        return time is not None and self.begin <= time < self.end

    def precedes(self, value: bytes) -> bool:
        """Return whether a record is of a later time."""
        time = self.time_of(value)
        return time is not None and time >= self.end

    def time_of(self, value: bytes) -> datetime | None:
        """Return the time of a record in UTC; None where it has none."""
        try:
            return to_utc(datetime.fromisoformat(msgspec.json.decode(value)[self.field]))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, KeyError, TypeError):
            return None


class Copy(NamedTuple):
    """A lineage's records in a topic of their own, with a span replaced."""

    topic: str
    reached: list[int]
    """Up to which offset of each partition of the input it goes."""
    records: int
    removed: int
    """How many records of the span were left out."""
    corrected: int
    """How many came in their place."""


def check_repairable(broker: Broker, pipeline: Pipeline, lineage: Lineage) -> None:
    """Make sure that all that a lineage has learned can be learned again from a copy of its records.

    Raises
    ------
    LineageError
        Kafka no longer holds its first records, or control records have changed it.
    """
    for partition in lineage.partitions:
        stream, start = KafkaStream(broker, pipeline, partition), lineage.starts[partition]
        if (oldest := stream.oldest()) > start and not stream.is_hole(start, oldest):
            raise LineageError(
                f"Kafka holds the records of {pipeline.topic} from offset {oldest} on, and lineage"
                f" {lineage.id} began at {start}: what it learned before cannot be learned again"
            )
        if stream.obeyed_controls(lineage.id):
            raise LineageError(
                f"lineage {lineage.id} of {pipeline.name} has obeyed control records (a roll-back, other"
                " lags), which a copy of its records would not have"
            )


def read_correction(pipeline: Pipeline, table: Table, span: Span) -> list[bytes]:
    """Return the rows of a file as records, if all of them are of the span.

    Raises
    ------
    DataError
        The file cannot be read, or one of its rows is of another time.
    """
    table.prepare()
    values = [check_size(encode(record)) for record in table.records(passes=1)]
    if stray := next((value for value in values if not span.holds(value)), None):
        raise DataError(
            f"{table.locate()} has a record that is not of the time from {span.begin} to before {span.end},"
            f" by its field {span.field!r}: {stray[:200].decode()}"
        )
    return values


def write_copy(
    broker: Broker, pipeline: Pipeline, lineage: Lineage, span: Span, correction: Sequence[bytes]
) -> Copy:
    """Copy what a lineage has answered, and what it began from, into a new topic, with a span replaced.

    The correction stands where the first record of the span stood or, where there is none, before the first
    of a later time. Records that are set aside, and control records, are left out.

    Raises
    ------
    BrokerUnavailable
        Kafka does not take a record.
    LineageError
        What the lineage began from is gone.
    """
    partitions = len(lineage.partitions)
    topic = create_history_topic(broker, pipeline, partitions, kind="repair")
    register, placement = LineageRegister(broker, pipeline), Placement(pipeline, partitions)
    by_partition: dict[int, list[bytes]] = {partition: [] for partition in lineage.partitions}
    for value in correction:
        by_partition[placement.place(msgspec.json.decode(value))].append(value)
    ends = [register.first_unanswered(lineage, partition) for partition in lineage.partitions]
    removed = 0
    for partition, end in enumerate(ends):
        values = list_values(broker, pipeline, lineage.in_partition(partition), partition, end)
        spliced = Splice(values, span, by_partition[partition])
        append(broker, topic, partition, spliced)
        removed += spliced.removed
    records = sum(broker.stable_end(topic, partition) for partition in lineage.partitions)
    return Copy(topic, ends, records, removed, len(correction))


def list_values(
    broker: Broker, pipeline: Pipeline, lineage: Lineage, partition: int, end: int, start: int | None = None
) -> Iterator[bytes]:
    """Yield what the lineage of one partition began from and has learned, up to offset `end` of the input.

    With `start`, only the records of the input from there on.
    """
    stream = KafkaStream(broker, pipeline, partition)
    if start is None and (origin := lineage.origin) is not None:
        for row in stream.rows_of(origin.topic, origin.starts[0], origin.ends[0]):
            if row.value and not is_control(row.value):
                yield row.value
    for row in stream.rows(lineage.start if start is None else start, end):
        if row.value and row.offset not in lineage.skipped and not is_control(row.value):
            yield row.value


class Splice:
    """Values in their order, with those of a span replaced.

    >>> span = Span("ts", datetime(2026, 1, 2), datetime(2026, 1, 3))
    >>> days = [b'{"ts": "2026-01-0%d"}' % day for day in (1, 2, 2, 3)]
    >>> splice = Splice(days, span, [b"right"])
    >>> [value.decode() for value in splice], splice.removed
    (['{"ts": "2026-01-01"}', 'right', '{"ts": "2026-01-03"}'], 2)
    """

    def __init__(self, values: Iterable[bytes], span: Span, correction: Sequence[bytes]) -> None:
        self._values = values
        self._span = span
        self._correction = correction
        self.removed = 0

    def __iter__(self) -> Iterator[bytes]:
        is_placed = False
        for value in self._values:
            is_inside = self._span.holds(value)
            if not is_placed and (is_inside or self._span.precedes(value)):
                yield from self._correction
                is_placed = True
            if is_inside:
                self.removed += 1
            else:
                yield value
        if not is_placed:
            yield from self._correction


def append(broker: Broker, topic: str, partition: int, values: Iterable[bytes]) -> None:
    """Append values to a partition of a topic.

    Raises
    ------
    BrokerUnavailable
        Kafka does not take one of them.
    """
    errors: list[BaseException] = []
    with broker.bulk_writer(2 * MAX_RECORD_BYTES) as writer:
        for value in values:
            writer.send(topic, value, lambda error: errors.append(error) if error else None, partition)
    if errors:
        raise BrokerUnavailable(f"Kafka did not take a record for {topic}: {errors[0]}") from errors[0]


def compare(
    broker: Broker, pipeline: Pipeline, lineage: Lineage, copy: Copy, show_progress: ShowProgress
) -> tuple[Outcome, Outcome]:
    """Learn the live records and the copy; return what became of each.

    Raises
    ------
    PipelineFails
        The pipeline's own code fails on more of the copy's records in a row than the settings allow.
    """
    settings = broker.settings
    (live,) = backtest(
        pipeline,
        {LIVE: pipeline.parameters},
        read_parts(broker, pipeline, lineage),
        key=settings.checkpoint_key,
        show_progress=show_progress,
    )
    (repaired,) = backtest(
        pipeline,
        {REPAIRED: pipeline.parameters},
        _read_copy(broker, pipeline, lineage, copy.topic),
        max_in_a_row=settings.set_aside_in_a_row,
        show_progress=show_progress,
    )
    return live, repaired


def _read_copy(broker: Broker, pipeline: Pipeline, lineage: Lineage, topic: str) -> Iterator[Part]:
    """Yield the records of each partition of a copy, cut as those of an origin."""
    limit = pipeline.chunk_limit(broker.settings.chunk_rows)
    for partition in lineage.partitions:
        own = msgspec.structs.replace(
            lineage.in_partition(partition).begin_from(None), id="repair", start=0, skipped=()
        )
        end = broker.stable_end(topic, partition)
        rows = KafkaStream(broker, pipeline, partition).rows_of(topic, 0, end)
        chunks = ([(row, None) for row in chunk] for chunk in cut_into_chunks(rows, limit))
        yield Part(own, partition, 0, end, chunks)


def describe_parameters(live: Outcome, repaired: Outcome) -> Iterator[str]:
    """Yield, for each partition, which parts of the model differ."""
    for partition, (live_learner, repaired_learner) in enumerate(
        zip(live.learners, repaired.learners, strict=True)
    ):
        parts = [
            part
            for part in snapshot.find_differences(live_learner, repaired_learner)
            if part.startswith(("state", "parameters"))
        ]
        where = f"partition {partition}: " if len(live.learners) > 1 else ""
        shown = ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")
        yield f"{where}the models differ in {shown}" if parts else f"{where}the models are equal"


def catch_up(broker: Broker, pipeline: Pipeline, lineage: Lineage, copy: Copy) -> int:
    """Append to a copy what the lineage has answered since; return how many records that were.

    The lineage's job must have been stopped.
    """
    register, count = LineageRegister(broker, pipeline), 0
    for partition, start in enumerate(copy.reached):
        end = register.first_unanswered(lineage, partition)
        own = lineage.in_partition(partition)
        values = list(list_values(broker, pipeline, own, partition, end, start))
        append(broker, copy.topic, partition, values)
        count += len(values)
    return count
