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
        entry = msgspec.structs.replace(last, epoch=last.epoch + 1, claim=mine)
    _append(settings, entry)
    winner = current(settings, pipeline)
    if winner is None or winner.claim != mine:
        raise LineageError(f"another submission of {pipeline.name} was quicker; it has the job now")
    return entry


def end(settings: Settings, pipeline: Pipeline) -> Lineage | None:
    """End the open lineage; return it, or None if none was open."""
    last = current(settings, pipeline)
    if last is None or last.ended:
        return None
    _append(settings, msgspec.structs.replace(last, ended=True, claim=uuid.uuid4().hex))
    return last


def _entries(settings: Settings, pipeline: Pipeline) -> list[Lineage]:
    decode = msgspec.json.Decoder(Lineage).decode
    wanted = pipeline.name.encode()
    return [decode(record.value) for record in records.read(settings, LINEAGES) if record.key == wanted]


def _winner(entries: list[Lineage]) -> Lineage | None:
    """Of the entries with the highest epoch, the first that took it and what it wrote since."""
    if not entries:
        return None
    newest = max(entry.epoch for entry in entries)
    claims = [entry for entry in entries if entry.epoch == newest]
    ended = [entry for entry in claims if entry.ended]
    return ended[-1] if ended else claims[0]


def _append(settings: Settings, entry: Lineage) -> None:
    with producer(settings) as client:
        client.send(LINEAGES, key=entry.pipeline.encode(), value=msgspec.json.encode(entry), partition=0).get(
            timeout=30
        )
