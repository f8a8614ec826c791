"""A lineage's records with a span of time replaced: copied, learned beside the live job, and compared.

Without a span it is how other parameters are taken over: a copy of everything, learned with them.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.placement import Placement
from streamlearn.broker.register import LineageRegister, list_open_lineages
from streamlearn.broker.topics import create_history_topic, delete_topic
from streamlearn.datasets.table import Table
from streamlearn.engine.answering import cut_into_chunks
from streamlearn.engine.backtest import Outcome, Part, ShowProgress, backtest
from streamlearn.engine.verify import find_rollbacks
from streamlearn.errors import BrokerUnavailable, DataError, LineageError
from streamlearn.lags.grid import to_utc
from streamlearn.operations.history.backfill import HistoryLearning
from streamlearn.operations.history.backtest import read_parts
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.control import Rollback, is_control
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.records import MAX_RECORD_BYTES, check_size, encode

LIVE, REPAIRED, PROMOTED = "as it is live", "repaired", "with the new parameters"

_GOES = 5
_FEW_CHUNKS = 4
"""So many chunks of records are soon learned with the job stopped."""


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


NO_SPAN = Span("", datetime.max, datetime.max)
"""A span that no record is of."""


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
        Kafka no longer holds its first records, or control records have changed how it learns.
    """
    for partition in lineage.partitions:
        stream, start = KafkaStream(broker, pipeline, partition), lineage.starts[partition]
        if (oldest := stream.oldest()) > start and not stream.is_hole(start, oldest):
            raise LineageError(
                f"Kafka holds the records of {pipeline.topic} from offset {oldest} on, and lineage"
                f" {lineage.id} began at {start}: what it learned before cannot be learned again"
            )
        orders = (obeyed.control for obeyed in stream.obeyed_controls(lineage.id))
        if any(not isinstance(order, Rollback) for order in orders):
            raise LineageError(
                f"lineage {lineage.id} of {pipeline.name} has obeyed a change of its lags, which a copy of"
                " its records would not have"
            )


def check_promotable(pipeline: Pipeline, lineage: Lineage) -> None:
    """Make sure that a pipeline differs from its lineage in parameters, and in them alone.

    Raises
    ------
    LineageError
        It does not.
    """
    changes = {name.removeprefix("parameter ") for name in pipeline.changes_since(lineage.definition)}
    if others := sorted(changes - {*pipeline.parameters, *lineage.parameters}):
        raise LineageError(
            f"{pipeline.name} differs from its lineage {lineage.id} in its {', '.join(others)}; only"
            f" parameters can be taken over. `streamlearn train {pipeline.name} --fresh` opens a new one"
        )
    if not changes:
        raise LineageError(
            f"{pipeline.name} has the parameters of its lineage {lineage.id}: write others into its module"
            " first"
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
    of a later time. Records that are set aside, control records, and what a roll-back has unlearned are left
    out.

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

    Raises
    ------
    LineageError
        A roll-back after `start` may have unlearned what stood before; or what it began from is gone.
    """
    stream = KafkaStream(broker, pipeline, partition)
    rollbacks = [(offset, version) for offset, version in find_rollbacks(stream, lineage) if offset < end]
    if start is None and (origin := lineage.origin) is not None:
        for row in stream.rows_of(origin.topic, origin.starts[0], origin.ends[0]):
            if row.value and not is_control(row.value):
                yield row.value
    if start is not None and any(offset >= start for offset, _ in rollbacks):
        raise LineageError(f"{pipeline.name} has been rolled back meanwhile: repair it once more")
    ranges = find_learned(lineage.start, rollbacks, end) if start is None else [(start, end)]
    for first, stop in ranges:
        for row in stream.rows(first, stop):
            if row.value and row.offset not in lineage.skipped and not is_control(row.value):
                yield row.value


def find_learned(start: int, rollbacks: Iterable[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """Return the ranges of offsets that the model at `end` has learned, each up to but without its second.

    Parameters
    ----------
    start
        The first offset of the lineage.
    rollbacks
        Where a control record went back, and to which version, in their order.

    Examples
    --------
    >>> find_learned(0, [(50, 20)], 80)
    [(0, 20), (51, 80)]

    A second one may go back to what the first has unlearned:

    >>> find_learned(0, [(50, 20), (60, 40)], 80)
    [(0, 40), (61, 80)]
    """
    learned_before: dict[int, list[tuple[int, int]]] = {start: []}

    def find_at(version: int) -> list[tuple[int, int]]:
        since = max(first for first in learned_before if first <= version)
        return [*learned_before[since], (since, version)]

    for offset, version in rollbacks:
        learned_before[offset + 1] = find_at(version)
    return [(first, stop) for first, stop in find_at(end) if first < stop]


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
    broker: Broker,
    pipeline: Pipeline,
    lineage: Lineage,
    copy: Copy,
    show_progress: ShowProgress,
    *,
    changed: Pipeline | None = None,
    name: str = REPAIRED,
) -> list[Outcome]:
    """Learn the live records and the copy; return what became of each.

    Parameters
    ----------
    pipeline
        The pipeline as the lineage learns with it.
    changed
        The pipeline that learns the copy, if it is another one.
    name
        What the outcome of that is called.

    Raises
    ------
    PipelineFails
        The pipeline's own code fails on more of the copy's records in a row than the settings allow.
    """
    settings, changed = broker.settings, changed or pipeline
    return [
        *backtest(
            pipeline,
            {LIVE: pipeline.parameters},
            read_parts(broker, pipeline, lineage),
            key=settings.checkpoint_key,
            show_progress=show_progress,
        ),
        *backtest(
            changed,
            {name: changed.parameters},
            _read_copy(broker, changed, lineage, copy.topic),
            max_in_a_row=settings.set_aside_in_a_row,
            show_progress=show_progress,
        ),
    ]


def _read_copy(broker: Broker, pipeline: Pipeline, lineage: Lineage, topic: str) -> Iterator[Part]:
    """Yield the records of each partition of a copy, cut as those of an origin."""
    limit = pipeline.chunk_limit(broker.settings.chunk_rows)
    for partition in lineage.partitions:
        own = msgspec.structs.replace(
            lineage.in_partition(partition).begin_from(None),
            id="repair",
            start=0,
            skipped=(),
            definition=pipeline.definition,
        )
        end = broker.stable_end(topic, partition)
        rows = KafkaStream(broker, pipeline, partition).rows_of(topic, 0, end)
        chunks = ([(row, None) for row in chunk] for chunk in cut_into_chunks(rows, limit))
        yield Part(own, partition, 0, end, chunks, whole_rows=limit)


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


def discard(broker: Broker, copy: Copy) -> None:
    """Delete a copy, unless a lineage begins from it by now."""
    origins = [lineage.origin for lineage in list_open_lineages(broker)]
    if copy.topic not in {origin.topic for origin in origins if origin}:
        delete_topic(broker, copy.topic)


def catch_up(broker: Broker, pipeline: Pipeline, lineage: Lineage, copy: Copy) -> int:
    """Append to a copy what the lineage has answered since; return how many records that were.

    Raises
    ------
    LineageError
        The lineage has been rolled back meanwhile.
    """
    register, count = LineageRegister(broker, pipeline), 0
    for partition, start in enumerate(copy.reached):
        end = register.first_unanswered(lineage, partition)
        own = lineage.in_partition(partition)
        values = list(list_values(broker, pipeline, own, partition, end, start))
        append(broker, copy.topic, partition, values)
        copy.reached[partition] = end
        count += len(values)
    return count


def learn_beside(
    broker: Broker,
    pipeline: Pipeline,
    lineage: Lineage,
    copy: Copy,
    outcome: Outcome,
    show_progress: ShowProgress,
) -> tuple[HistoryLearning, int]:
    """Learn on from a comparison, beside the live job, what it has answered meanwhile, until little is left.

    Return what has learned it, and how many records have come meanwhile. Raises as `catch_up` does, and as
    `HistoryLearning` does.

    Parameters
    ----------
    outcome
        What became of the copy, by `compare`; its whole chunks are learned on from, not learned again.
    """
    learning = HistoryLearning(broker, pipeline, copy.topic, outcome.whole_learners)
    few = _FEW_CHUNKS * pipeline.chunk_limit(broker.settings.chunk_rows)
    count = 0
    for _ in range(_GOES):
        learning.learn_whole_chunks(show_progress)
        more = catch_up(broker, pipeline, lineage, copy)
        count += more
        if more <= few:
            break
    return learning, count
