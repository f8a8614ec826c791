"""The register of lineages, in a Kafka topic of its own: outside of everything that a reset deletes.

A lineage (`streamlearn/lineage.py`) stays open until a reset ends it, and what ends it stands here. So a
learner that is *new*, one whose snapshots were *lost*, and one that was *reset* never look alike.

Each submission of a pipeline's job takes the next epoch. Two at once append the same epoch; the one that
stands first in the topic has it, the other is told so.
"""

import uuid

import msgspec

from streamlearn.errors import LineageError
from streamlearn.lineage import Lineage
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings
from topics import records
from topics.client import producer
from topics.layout import LINEAGES


def group_id(pipeline: Pipeline) -> str:
    """Return the consumer group whose committed offset tells how far a pipeline's job has come."""
    return f"streamlearn-{pipeline.name}"


def current(settings: Settings, pipeline: Pipeline) -> Lineage | None:
    """Return the pipeline's newest lineage, open or ended; None if there has been none."""
    return _winner(_entries(settings, pipeline))


def claim(settings: Settings, pipeline: Pipeline, *, fresh: bool = False) -> Lineage:
    """Take the next epoch of the open lineage, or open a new one.

    A new one begins at the committed offset where an earlier lineage came that far, else at the oldest
    record. `fresh` ends the open lineage first.

    Raises
    ------
    LineageError
        The pipeline's parameters have changed, or another submission was quicker.
    """
    last = current(settings, pipeline)
    mine = uuid.uuid4().hex
    if last is None or last.ended or fresh:
        committed = records.committed_offset(settings, group_id(pipeline), pipeline.topic)
        entry = Lineage(
            pipeline=pipeline.name,
            reference=pipeline.reference,
            id=uuid.uuid4().hex[:12],
            parameters=dict(pipeline.parameters),
            start=records.oldest(settings, pipeline.topic)
            if last is None or committed is None
            else committed,
            epoch=1 if last is None else last.epoch + 1,
            claim=mine,
        )
    else:
        if last.parameters != msgspec.json.decode(msgspec.json.encode(pipeline.parameters)):
            raise LineageError(
                f"{pipeline.name} has other parameters than its lineage {last.id} began with;"
                f" `streamlearn train {pipeline.name} --fresh` opens a new one"
            )
        entry = msgspec.structs.replace(last, reference=pipeline.reference, epoch=last.epoch + 1, claim=mine)
    return _won(settings, pipeline, entry)


def end(settings: Settings, pipeline: Pipeline) -> Lineage | None:
    """End the open lineage, so that no submission of it counts any more; return it, or None.

    Raises
    ------
    LineageError
        A submission was quicker.
    """
    last = current(settings, pipeline)
    if last is None or last.ended:
        return None
    entry = msgspec.structs.replace(last, ended=True, epoch=last.epoch + 1, claim=uuid.uuid4().hex)
    return _won(settings, pipeline, entry)


def _won(settings: Settings, pipeline: Pipeline, entry: Lineage) -> Lineage:
    """Append an entry, and make sure that it is the one that took its epoch."""
    _append(settings, entry)
    winner = current(settings, pipeline)
    if winner is None or winner.claim != entry.claim:
        raise LineageError(f"another submission of {pipeline.name} was quicker; it has the job now")
    return entry


def _entries(settings: Settings, pipeline: Pipeline) -> list[Lineage]:
    decode = msgspec.json.Decoder(Lineage).decode
    wanted = pipeline.name.encode()
    return [decode(record.value) for record in records.read(settings, LINEAGES) if record.key == wanted]


def _winner(entries: list[Lineage]) -> Lineage | None:
    """Of the entries with the highest epoch, the one that took it first."""
    return max(entries, key=lambda entry: entry.epoch, default=None)  # of equals, the first


def _append(settings: Settings, entry: Lineage) -> None:
    with producer(settings) as client:
        client.send(LINEAGES, key=entry.pipeline.encode(), value=msgspec.json.encode(entry), partition=0).get(
            timeout=30
        )
