"""What a report is made from: a pipeline's answers, each with its record, and the newest model.

`read_live` reads the committed answers of the open lineage from Kafka and the newest snapshot from Redis;
`answer_offline` lets the learner answer the data set, without a stack. Both answer by `engine/answering.py`,
so the same records, cut at the same places, give the same report.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

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

ShowProgress = Callable[[int, int], None]
"""Is called with the number of records that are done, and of all."""

_PROGRESS_ROWS = 1000
"""Records between two calls of it."""


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
    settings: Settings, pipeline: Pipeline, *, last: int | None, show_progress: ShowProgress
) -> AnsweredRecords:
    """Read the committed answers of the open lineage, or the newest `last` of them, and the newest model.

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
            shares = [
                _read_committed(broker, pipeline, lineage, share, partition)
                for partition, share in zip(lineage.partitions, _share(last, lineage), strict=True)
            ]
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
    except (BrokerUnavailable, StoreUnavailable) as error:
        raise type(error)(
            f"{error}. `scripts/up` starts the stack;"
            " `--offline` makes the report from the data set without it"
        ) from error
    if len(pairs) < entries:
        lost = entries - len(pairs)
        notes = (*notes, f"{lost} answers are left out: Kafka no longer holds their records")
    source = f"the committed answers in {pipeline.prediction_topic}"
    if len(lineage.partitions) > 1 and pipeline.learning.series is None:
        notes = (*notes, f"They are those of {len(lineage.partitions)} learners, one a partition, in turn")
        notes = (*notes, "The newest model is the one of partition 0")
    return _decode(pipeline, source, lineage.id, pairs, learner, notes)


def _share(last: int | None, lineage: Lineage) -> list[int | None]:
    """Return how many answers each partition contributes to the newest `last`; None: all."""
    count = len(lineage.partitions)
    return [None if last is None else -(-last // count)] * count


def _read_committed(
    broker: Broker, pipeline: Pipeline, lineage: Lineage, last: int | None, partition: int
) -> list[Entry]:
    """Return a partition's answers, the newest `last` of them or all, in order."""
    order = LineageRegister(broker, pipeline).number_lineages()
    with broker.consumer() as client:
        part = Part(client, pipeline.prediction_topic, partition)
        if last is not None:
            newest_first = (entry for entry in part.backwards() if entry.lineage == lineage.id)
            return list(islice(newest_first, last))[::-1]
        first = part.first((order[lineage.id], lineage.in_partition(partition).start), order)
        answers = part.answers(first, part.end)
        return [entry for _, entry in answers if entry and entry.lineage == lineage.id]


def _pair_with_records(
    broker: Broker, pipeline: Pipeline, entries: list[Entry], show_progress: ShowProgress
) -> Iterator[tuple[bytes, bytes]]:
    """Yield each answer of a partition and its record; an answer with all of the record's fields is both."""
    if not entries or has_whole_records(pipeline):
        yield from ((entry.output.value, entry.output.value) for entry in entries)
        return
    partition = entries[0].partition
    start = max(broker.oldest(pipeline.topic, partition), entries[0].offset)
    answers = {entry.offset: entry.output.value for entry in entries}
    rows = broker.read(pipeline.topic, start, entries[-1].offset + 1, partition)
    for number, row in enumerate(rows):
        if row.offset in answers and row.value is not None:
            yield answers[row.offset], row.value
        if number % _PROGRESS_ROWS == 0:
            show_progress(number, len(entries))


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
    store = Store.of(settings)
    try:
        head = store.newest(pipeline.name)
        data = store.snapshot(pipeline.name, head.lineage, head.version) if head else None
    finally:
        store.close()
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
