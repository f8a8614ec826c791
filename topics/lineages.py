"""The register of lineages, in a Kafka topic of its own: outside of everything that a reset deletes.

A lineage (`streamlearn/lineage.py`) stays open until a reset ends it, and what ends it stands here. So a
learner that is *new*, one whose snapshots were *lost*, and one that was *reset* never look alike.

Each submission of a pipeline's job takes the next epoch. Two at once append the same epoch; the one that
stands first in the topic has it, the other is told so.
"""

import uuid

import msgspec

from streamlearn.errors import Fenced, LineageError
from streamlearn.lineage import Lineage
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings
from topics import journal, records
from topics.client import producer
from topics.layout import LINEAGES


def group_id(pipeline: Pipeline) -> str:
    """Return the consumer group whose committed offset tells how far a pipeline's job has come."""
    return f"streamlearn-{pipeline.name}"


def current(settings: Settings, pipeline: Pipeline) -> Lineage | None:
    """Return the pipeline's newest lineage, open or ended; None if there has been none."""
    return _winner(_entries(settings, pipeline))


def order(settings: Settings, pipeline: Pipeline) -> dict[str, int]:
    """Return the pipeline's lineages, numbered as they came."""
    return {
        found: number
        for number, found in enumerate(dict.fromkeys(e.id for e in _entries(settings, pipeline)))
    }


def claim(settings: Settings, pipeline: Pipeline, *, fresh: bool = False) -> Lineage:
    """Take the next epoch of the open lineage, or open a new one.

    A new one begins behind the last record that an earlier lineage has answered, else at the oldest record.
    `fresh` ends the open lineage first.

    Raises
    ------
    LineageError
        The pipeline's parameters have changed, or another submission was quicker.
    """
    last = current(settings, pipeline)
    mine = uuid.uuid4().hex
    if last is None or last.ended or fresh:
        entry = Lineage(
            pipeline=pipeline.name,
            reference=pipeline.reference,
            id=uuid.uuid4().hex[:12],
            parameters=dict(pipeline.parameters),
            settled=pipeline.settled,
            start=_start(settings, pipeline, last),
            epoch=1 if last is None else last.epoch + 1,
            claim=mine,
        )
    else:
        _check_same(pipeline, last)
        entry = msgspec.structs.replace(last, reference=pipeline.reference, epoch=last.epoch + 1, claim=mine)
    return _won(settings, pipeline, entry)


def check_open(settings: Settings, pipeline: Pipeline, lineage: Lineage) -> None:
    """Make sure that a submission is the newest; Redis knows as well, unless it was emptied.

    Raises
    ------
    Fenced
        The lineage was ended, or its job submitted again.
    """
    newest = current(settings, pipeline)
    if newest is not None and newest.epoch > lineage.epoch:
        raise Fenced(
            f"submission {lineage.epoch} of {pipeline.name} is over:"
            f" lineage {newest.id} {'was ended' if newest.ended else 'went on'} with {newest.epoch}"
        )


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


def resume_at(settings: Settings, pipeline: Pipeline, lineage: Lineage) -> int:
    """Return the offset of the first record that a lineage has no committed answer to."""
    answered = journal.last_answered(settings, pipeline, lineage.id)
    return lineage.start if answered is None else max(lineage.start, answered + 1)


def _check_same(pipeline: Pipeline, last: Lineage) -> None:
    """Make sure that a learner can go on: nothing that it is fixed to has changed."""
    now = pipeline.settled
    changed = [
        f"{name} was {last.settled.get(name)!r} and is {now.get(name)!r}"
        for name in {**last.settled, **now}
        if last.settled.get(name) != now.get(name)
    ]
    if changed:
        raise LineageError(
            f"{pipeline.name} is not what its lineage {last.id} began with: {'; '.join(changed)}."
            f" `streamlearn train {pipeline.name} --fresh` opens a new one"
        )


def _start(settings: Settings, pipeline: Pipeline, last: Lineage | None) -> int:
    """Return where a new lineage begins: where the last one's answers end, or at the oldest record.

    The committed offset may be a transaction ahead of the answers, or behind; it counts where there are none.
    """
    oldest = records.oldest(settings, pipeline.topic)
    if last is None:
        return oldest
    answered = journal.last_answered(settings, pipeline, last.id)
    if answered is not None:
        return max(oldest, answered + 1)
    committed = records.committed_offset(settings, group_id(pipeline), pipeline.topic)
    return max(oldest, last.start, committed or 0)


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
