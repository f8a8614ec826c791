"""What a report is made from: a pipeline's answers, each with its record, and the newest model.

`read_live` reads the committed answers of the open lineage from Kafka and the newest snapshot from Redis;
`answer_offline` lets the learner answer the data set, without a stack. Both answer by `engine/answering.py`,
so the same records, cut at the same places, give the same report.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_journal import Part
from streamlearn.broker.register import LineageRegister
from streamlearn.engine.offline import run_offline
from streamlearn.errors import (
    BrokerUnavailable,
    NothingToReport,
    SnapshotRefused,
    StoreUnavailable,
)
from streamlearn.learning import curves
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Entry
from streamlearn.warehouse.summaries import SummaryFigures, read_summaries

ShowProgress = Callable[[int, int], None]
"""Is called with the number of records that are done, and of all."""

_PROGRESS_ROWS = 1000
"""Records between two calls of it."""

MOST_ANSWERS = 100_000
"""Answers that a report reads unless it is told how many, whatever Kafka holds.

1.4 million took 348 s on two cores: of so many it takes about half a minute.
"""

_STRETCHES = 50
"""Into so many stretches those are divided that are read of a longer history."""


@dataclass(frozen=True)
class AnsweredRecords:
    """At least one record and its answer, in the order of the records."""

    pipeline: Pipeline
    source: str
    """Where the answers come from, for people."""
    lineage: str
    """Its id; empty where there is none, as offline."""
    offsets: NDArray[np.int64]
    """Shape (n,): those of the records in the input topic; where it has several partitions, or in a data set,
    their numbers."""
    records: list[Any]
    """The n records, as the pipeline's struct."""
    answers: list[dict[str, Any]]
    """The n answers, as in the prediction topic: `{"predict_y": 7, "model_version": 12, …}`."""
    learner: Learner | None
    """The newest model; None where there is none, or it cannot be read."""
    notes: tuple[str, ...] = ()
    """What a reader should know about the answers, one sentence each, without a full stop."""
    summaries: Mapping[str, Sequence[SummaryFigures]] = field(default_factory=dict)
    """The rows of the pipeline's summaries in the warehouse, by their names; empty where no job wrote any."""


def answer_offline(
    pipeline: Pipeline, *, passes: int, last: int | None, show_progress: ShowProgress
) -> AnsweredRecords:
    """Predict, then learn `passes` passes of the data set; return the newest `last` answers, or all.

    Raises
    ------
    DataUnavailable
        The pipeline has no data set, or it cannot be had.
    NothingToReport
        Not one record was answered.
    """
    pairs: list[tuple[bytes, bytes]] = []
    learner = None
    for chunk in run_offline(pipeline, passes=passes):
        learner = chunk.learner
        for row, output in zip(chunk.rows, chunk.outputs, strict=True):
            if output.topic == pipeline.prediction_topic and row.value is not None:
                pairs.append((output.value, row.value))
        assert pipeline.dataset is not None
        show_progress(learner.version, passes * pipeline.dataset.size)
    source = "one pass over the data set" if passes == 1 else f"{passes} passes over the data set"
    return _decode(pipeline, source, "", pairs[-last:] if last else pairs, learner, ())


def read_live(
    settings: Settings,
    pipeline: Pipeline,
    *,
    last: int | None,
    show_progress: ShowProgress,
    most: int | None = MOST_ANSWERS,
) -> AnsweredRecords:
    """Read the committed answers of the open lineage, or the newest `last` of them, and the newest model.

    Without `last`, about `most` answers are read, or all if that is None. Of more, those that are read are
    stretches evenly spread from the first to the newest; of a series, and where labels come later, the
    newest, since these answers are scored by what comes after them. A note says so.

    Raises
    ------
    BrokerUnavailable, StoreUnavailable
        Kafka or Redis does not answer.
    NothingToReport
        There is no open lineage, or it has not one answer.
    """
    try:
        with Broker(settings) as broker:
            lineage = LineageRegister(broker, pipeline).current()
            if lineage is None or lineage.ended:
                raise NothingToReport(
                    f"{pipeline.name} has no open lineage; `streamlearn train {pipeline.name}` begins one,"
                    " `--offline` makes the report from the data set"
                )
            histories = [
                _read_committed(
                    broker,
                    pipeline,
                    lineage,
                    partition,
                    _share(last, lineage),
                    _share(most, lineage),
                    show_progress,
                )
                for partition in lineage.partitions
            ]
            shares = [history.entries for history in histories]
            if pipeline.learning.series is not None:
                # Each partition has a series of its own: the report is of the one with the most answers.
                shares = [max(shares, key=len)]
            entries = sum(map(len, shares))
            by_partition = [
                list(_pair_with_records(broker, pipeline, share, show_progress)) for share in shares
            ]
            # Records that were dealt out in turn come back into their order.
            turns = zip_longest(*by_partition)
            pairs = [pair for turn in turns for pair in turn if pair is not None]
        learner, notes = _load_newest_model(settings, pipeline, lineage)
        summaries = read_summaries(settings, pipeline.name)
    except (BrokerUnavailable, StoreUnavailable) as error:
        raise type(error)(
            f"{error}. `scripts/up` starts the stack;"
            " `--offline` makes the report from the data set without it"
        ) from error
    if len(pairs) < entries:
        lost = entries - len(pairs)
        notes = (*notes, f"{lost} answers are left out: Kafka no longer holds their records")
    source = f"the committed answers in {pipeline.prediction_topic}"
    if selection := next((history.selection for history in histories if history.selection), ""):
        committed = sum(history.committed for history in histories)
        notes = (*notes, f"Of about {committed:,} answers {entries:,} were read: {selection}")
    if len(lineage.partitions) > 1 and pipeline.learning.series is None:
        notes = (*notes, f"They are those of {len(lineage.partitions)} learners, one a partition, in turn")
        notes = (*notes, "The newest model is the one of partition 0")
    answered = _decode(pipeline, source, lineage.id, pairs, learner, notes)
    return replace(answered, summaries=summaries)


class _History(NamedTuple):
    """What was read of a partition's answers."""

    entries: list[Entry]
    """In order."""
    committed: int
    """About how many there are."""
    selection: str
    """Which of them were read, in words; empty where it is those that were asked for."""


def _share(count: int | None, lineage: Lineage) -> int | None:
    """Return how many answers each partition contributes to `count`; None: all."""
    return None if count is None else -(-count // len(lineage.partitions))


def _read_committed(
    broker: Broker,
    pipeline: Pipeline,
    lineage: Lineage,
    partition: int,
    last: int | None,
    most: int | None,
    show_progress: ShowProgress,
) -> _History:
    """Read a partition's answers: the newest `last`, or all, but about `most`."""
    order = LineageRegister(broker, pipeline).number_lineages()
    with broker.consumer() as client:
        part = Part(client, pipeline.prediction_topic, partition)
        first = part.first((order[lineage.id], lineage.in_partition(partition).start), order)
        committed, selection = part.end - first, ""
        stretches = [(first, part.end)]
        if last is None and most is not None and committed > most:
            if _needs_what_follows(pipeline):
                last, selection = most, "the newest"
            else:
                stretches = spread_stretches(first, part.end, most)
                length = stretches[0][1] - stretches[0][0]
                selection = (
                    f"{len(stretches)} stretches of {length:,}, evenly spread from the first to the newest"
                )
                selection += ", and strung together in figures over time"
            selection += "; `--all` reads every one"
        if last is not None:
            newest_first = (entry for entry in part.backwards() if entry.lineage == lineage.id)
            return _History(list(islice(newest_first, last))[::-1], committed, selection)
        entries: list[Entry] = []
        total = sum(end - start for start, end in stretches)
        for start, end in stretches:
            for _, entry in part.answers(start, end):
                if entry and entry.lineage == lineage.id:
                    entries.append(entry)
                    if len(entries) % _PROGRESS_ROWS == 0:
                        show_progress(len(entries), total)
        return _History(entries, committed, selection)


def _needs_what_follows(pipeline: Pipeline) -> bool:
    """Return whether an answer is scored by later records, so that they must be read without gaps."""
    learning = pipeline.learning
    return learning.series is not None or learning.late_label(pipeline.record) is not None


def spread_stretches(first: int, end: int, most: int, count: int = _STRETCHES) -> list[tuple[int, int]]:
    """Return at most `count` stretches of [first, end), equally long and far apart, of `most` offsets in all.

    The first begins at `first`, the last one ends at `end`.

    >>> spread_stretches(0, 100, most=15, count=3)
    [(0, 5), (47, 52), (95, 100)]
    >>> spread_stretches(7, 1000, most=1)
    [(999, 1000)]
    """
    count = min(count, most)
    length = most // count
    if count == 1:
        return [(end - length, end)]
    step = (end - first - length) / (count - 1)
    starts = [first + int(number * step) for number in range(count)]
    return [(start, start + length) for start in starts]


def _pair_with_records(
    broker: Broker, pipeline: Pipeline, entries: list[Entry], show_progress: ShowProgress
) -> Iterator[tuple[bytes, bytes]]:
    """Yield each answer of a partition and its record; an answer with all of the record's fields is both."""
    if not entries or has_whole_records(pipeline):
        yield from ((entry.output.value, entry.output.value) for entry in entries)
        return
    partition = entries[0].partition
    oldest, done = broker.oldest(pipeline.topic, partition), 0
    for stretch in _split_at_gaps(entries):
        answers = {entry.offset: entry.output.value for entry in stretch}
        start = max(oldest, stretch[0].offset)
        if start > stretch[-1].offset:
            continue
        for row in broker.read(pipeline.topic, start, stretch[-1].offset + 1, partition):
            if row.offset in answers and row.value is not None:
                yield answers[row.offset], row.value
            done += 1
            if done % _PROGRESS_ROWS == 0:
                show_progress(done, len(entries))


def _split_at_gaps(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Yield the stretches of entries between which more offsets are left out than is worth reading."""
    start = 0
    for number in range(1, len(entries)):
        if entries[number].offset - entries[number - 1].offset > _PROGRESS_ROWS:
            yield entries[start:number]
            start = number
    yield entries[start:]


def has_whole_records(pipeline: Pipeline) -> bool:
    """Return whether each answer can be read as its record.

    Not where labels come later: the answer to one has more than the two fields that it may have.
    """
    fields = {field.encode_name for field in msgspec.structs.fields(pipeline.record)}
    return (
        fields <= set(pipeline.passthrough_fields) and pipeline.learning.late_label(pipeline.record) is None
    )


def _load_newest_model(
    settings: Settings, pipeline: Pipeline, lineage: Lineage
) -> tuple[Learner | None, tuple[str, ...]]:
    """Return the newest model of the lineage, or None and why there is none."""
    with Store.of(settings) as store:
        head = store.newest(pipeline.name)
        data = store.snapshot(pipeline.name, head.lineage, head.version) if head else None
    if head is None or data is None or head.lineage != lineage.id:
        return None, ("Redis holds no model of this lineage",)
    try:
        return snapshot.loads(data, pipeline, lineage.id, settings.checkpoint_key), ()
    except SnapshotRefused as error:
        return None, (f"the newest model is not shown: {error}",)


def _decode(
    pipeline: Pipeline,
    source: str,
    lineage: str,
    pairs: list[tuple[bytes, bytes]],
    learner: Learner | None,
    notes: tuple[str, ...],
) -> AnsweredRecords:
    if not pairs:
        raise NothingToReport(f"{pipeline.name} has not one answer that a report could be made from")
    records = [pipeline.codec.decode(record) for _, record in pairs]
    if (field := pipeline.learning.key_field) is not None:
        keys = [getattr(record, field) for record in records]
        shown = curves.choose_key(keys)
        pairs = [pair for pair, key in zip(pairs, keys, strict=True) if key == shown]
        records = [record for record, key in zip(records, keys, strict=True) if key == shown]
        notes = (*notes, f"They are those of one of {len(set(keys))} series: {pipeline.series_key} {shown}")
    answers = [msgspec.json.decode(answer, type=dict[str, Any]) for answer, _ in pairs]
    offsets = np.array([answer["offset"] for answer in answers], dtype=np.int64)
    if len({answer.get("partition", 0) for answer in answers}) > 1:
        offsets = np.arange(len(answers))
    return AnsweredRecords(pipeline, source, lineage, offsets, records, answers, learner, notes)
