"""What a report is made of: a pipeline's answers, each beside its record, and the newest model.

`live` takes the committed answers of the open lineage from Kafka and the newest snapshot from Redis;
`offline` lets the data set go through the learner once, with no stack around it. Both answer the same way
(`streamlearn/answers.py`), so the same records, cut at the same places, make the same report.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlearn import checkpoint
from streamlearn.answers import Answering, chunks
from streamlearn.errors import (
    BrokerUnavailable,
    DataUnavailable,
    LineageError,
    SnapshotRefused,
    StoreUnavailable,
)
from streamlearn.learner import Learner
from streamlearn.lineage import Lineage
from streamlearn.messages import encode
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings
from streamlearn.store import Store
from streamlearn.stream import Entry, Input
from topics import lineages, records
from topics.client import consumer
from topics.journal import Part

Show = Callable[[int, int], None]
"""Is told how many records are done, and of how many."""

_CHUNK = 256
_EVERY = 1000
"""Answers between two looks at the progress."""


@dataclass(frozen=True)
class Answered:
    """Answers in the order of their records."""

    pipeline: Pipeline
    source: str
    """Where they come from, for people."""
    lineage: str
    """Empty where there is none: offline."""
    offsets: NDArray[np.int64]
    """Shape (n,): where the records stand in the input topic, or in the data set."""
    records: list[Any]
    """The records, as the pipeline's struct."""
    answers: list[dict[str, Any]]
    """What the prediction topic holds of each, such as `{"predict_y": 7, "model_version": 12, …}`."""
    learner: Learner | None
    """The newest model; None where it cannot be had."""
    notes: tuple[str, ...] = ()
    """What a reader should know of them."""


def offline(pipeline: Pipeline, *, passes: int, last: int | None, show: Show) -> Answered:
    """Predict, then learn `passes` passes of the data set; keep the newest `last` answers.

    Raises
    ------
    DataUnavailable
        The pipeline has no data set, or it cannot be had.
    """
    if pipeline.data is None:
        raise DataUnavailable(f"{pipeline.name} has no data set that a report could be made of offline")
    pipeline.data.prepare()
    answering = Answering(pipeline, "offline", "", _no_version)
    learner, total = pipeline.new_learner(), passes * pipeline.data.size
    wire = enumerate(pipeline.data.records(seed=0, passes=passes))
    rows: Iterable[Input] = (Input(0, number, encode(record)) for number, record in wire)
    pairs: list[tuple[bytes, bytes]] = []
    for chunk in chunks(list(rows), pipeline.rows_a_step(_CHUNK)):
        learner, outputs = answering.step(learner, chunk)
        for row, output in zip(chunk, outputs, strict=True):
            if output.topic == pipeline.prediction_topic and row.value is not None:
                pairs.append((output.value, row.value))
        show(chunk[-1].offset + 1, total)
    source = "one quiet pass" if passes == 1 else f"{passes} quiet passes"
    return _answered(
        pipeline, f"{source} over the data set", "", pairs[-last:] if last else pairs, learner, ()
    )


def live(settings: Settings, pipeline: Pipeline, *, last: int | None, show: Show) -> Answered:
    """Read the committed answers of the open lineage, or the newest `last` of them, and the newest model.

    Raises
    ------
    DataUnavailable
        The stack does not answer, or there is not one answer.
    """
    try:
        lineage = lineages.current(settings, pipeline)
        if lineage is None or lineage.ended:
            raise DataUnavailable(
                f"{pipeline.name} has no open lineage; `streamlearn train {pipeline.name}` begins one,"
                " `--offline` makes the report from the data set"
            )
        found = _committed(settings, pipeline, lineage, last)
        pairs = list(_paired(settings, pipeline, found, show))
        learner, notes = _newest(settings, pipeline, lineage)
    except (BrokerUnavailable, StoreUnavailable) as away:
        raise DataUnavailable(
            f"{away}. `scripts/up` starts the stack;"
            " `--offline` makes the report from the data set without it"
        ) from away
    if len(pairs) < len(found):
        lost = len(found) - len(pairs)
        notes = (*notes, f"{lost} answers are left out: Kafka no longer holds their records")
    source = f"the committed answers in {pipeline.prediction_topic}"
    return _answered(pipeline, source, lineage.id, pairs, learner, notes)


def _no_version(version: int) -> Learner:
    raise LineageError(f"there is no version {version} offline")


def _committed(settings: Settings, pipeline: Pipeline, lineage: Lineage, last: int | None) -> list[Entry]:
    order = lineages.order(settings, pipeline)
    with consumer(settings) as client:
        part = Part(client, pipeline.prediction_topic)
        if last is not None:
            ours = (one for one in part.backwards() if one.lineage == lineage.id)
            return list(islice(ours, last))[::-1]
        first = part.first((order[lineage.id], lineage.start), order)
        return [one for _, one in part.answers(first, part.end) if one and one.lineage == lineage.id]


def _paired(
    settings: Settings, pipeline: Pipeline, found: list[Entry], show: Show
) -> Iterator[tuple[bytes, bytes]]:
    """Yield each answer beside its record, by offset; one that repeats all of its record is its own."""
    fields = {field.encode_name for field in msgspec.structs.fields(pipeline.record)}
    if not found or fields <= set(pipeline.echo):
        yield from ((one.output.value, one.output.value) for one in found)
        return
    start = max(records.oldest(settings, pipeline.topic), found[0].offset)
    answers = {one.offset: one.output.value for one in found}
    for number, row in enumerate(records.read(settings, pipeline.topic, start, found[-1].offset + 1)):
        if row.offset in answers and row.value is not None:
            yield answers[row.offset], row.value
        if number % _EVERY == 0:
            show(number, len(found))


def _newest(
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
        return checkpoint.loads(data, pipeline, lineage.id, settings.checkpoint_key), ()
    except SnapshotRefused as refused:
        return None, (f"the newest model is not shown: {refused}",)


def _answered(
    pipeline: Pipeline,
    source: str,
    lineage: str,
    pairs: list[tuple[bytes, bytes]],
    learner: Learner | None,
    notes: tuple[str, ...],
) -> Answered:
    if not pairs:
        raise DataUnavailable(f"{pipeline.name} has not one answer that a report could be made of")
    answers = [msgspec.json.decode(answer, type=dict[str, Any]) for answer, _ in pairs]
    offsets = np.array([answer["offset"] for answer in answers], dtype=np.int64)
    found = [pipeline.codec.decode(record) for _, record in pairs]
    return Answered(pipeline, source, lineage, offsets, found, answers, learner, notes)
