"""What a report is made of: a pipeline's answers, each beside its record, and the newest model.

`live` takes the committed answers of the open lineage from Kafka and the newest snapshot from Redis;
`offline` lets the data set go through the learner once, with no stack around it. Both answer the same way
(`streamlearn/answers.py`), so the same records, cut at the same places, make the same report.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
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
    DataUnavailable,
    NothingToReport,
    SnapshotRefused,
    StoreUnavailable,
)
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Entry

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
    pairs: list[tuple[bytes, bytes]] = []
    learner = None
    for chunk in run_offline(pipeline, passes=passes):
        learner = chunk.learner
        for row, output in zip(chunk.rows, chunk.outputs, strict=True):
            if output.topic == pipeline.prediction_topic and row.value is not None:
                pairs.append((output.value, row.value))
        assert pipeline.dataset is not None
        show(learner.version, passes * pipeline.dataset.size)
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
        broker = Broker(settings)
        lineage = LineageRegister(broker, pipeline).current()
        if lineage is None or lineage.ended:
            raise NothingToReport(
                f"{pipeline.name} has no open lineage; `streamlearn train {pipeline.name}` begins one,"
                " `--offline` makes the report from the data set"
            )
        found = _committed(broker, pipeline, lineage, last)
        pairs = list(_paired(broker, pipeline, found, show))
        broker.close()
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


def _committed(broker: Broker, pipeline: Pipeline, lineage: Lineage, last: int | None) -> list[Entry]:
    order = LineageRegister(broker, pipeline).order()
    with broker.consumer() as client:
        part = Part(client, pipeline.prediction_topic)
        if last is not None:
            ours = (one for one in part.backwards() if one.lineage == lineage.id)
            return list(islice(ours, last))[::-1]
        first = part.first((order[lineage.id], lineage.start), order)
        return [one for _, one in part.answers(first, part.end) if one and one.lineage == lineage.id]


def _paired(
    broker: Broker, pipeline: Pipeline, found: list[Entry], show: Show
) -> Iterator[tuple[bytes, bytes]]:
    """Yield each answer beside its record, by offset; one that repeats all of its record is its own."""
    fields = {field.encode_name for field in msgspec.structs.fields(pipeline.record)}
    if not found or fields <= set(pipeline.passthrough_fields):
        yield from ((one.output.value, one.output.value) for one in found)
        return
    start = max(broker.oldest(pipeline.topic), found[0].offset)
    answers = {one.offset: one.output.value for one in found}
    for number, row in enumerate(broker.read(pipeline.topic, start, found[-1].offset + 1)):
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
        return snapshot.loads(data, pipeline, lineage.id, settings.checkpoint_key), ()
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
        raise NothingToReport(f"{pipeline.name} has not one answer that a report could be made of")
    answers = [msgspec.json.decode(answer, type=dict[str, Any]) for answer, _ in pairs]
    offsets = np.array([answer["offset"] for answer in answers], dtype=np.int64)
    found = [pipeline.codec.decode(record) for _, record in pairs]
    return Answered(pipeline, source, lineage, offsets, found, answers, learner, notes)
