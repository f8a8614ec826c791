"""The versions of a model: which are kept, and going back to one of them."""

from collections.abc import Iterator

import msgspec

from streamlearn import control
from streamlearn.errors import LineageError
from streamlearn.lineage import Lineage
from streamlearn.pipeline import Pipeline
from streamlearn.recovery import Recovery
from streamlearn.settings import Settings
from streamlearn.store import About, Store
from topics import lineages
from topics.client import producer
from topics.stream import KafkaStream


class Kept(msgspec.Struct):
    """One version in Redis."""

    lineage: str
    version: int
    about: About
    served: bool


class _Snapshots:
    """The store as recovery reads it."""

    def __init__(self, store: Store, pipeline: str, lineage: str) -> None:
        self._store, self._pipeline, self._lineage = store, pipeline, lineage

    def versions(self) -> list[int]:
        """Return the versions that are kept, ascending."""
        return list(self._store.versions(self._pipeline, self._lineage))

    def read(self, version: int) -> bytes | None:
        """Return a snapshot's bytes, or None."""
        return self._store.snapshot(self._pipeline, self._lineage, version)


def kept(settings: Settings, pipeline: Pipeline) -> list[Kept]:
    """Return the versions of the newest lineage that Redis keeps, ascending."""
    lineage = lineages.current(settings, pipeline)
    if lineage is None:
        return []
    store = Store.of(settings)
    found = store.newer(pipeline.name, None)
    head = (found[0].lineage, found[0].version) if found else None
    return [
        Kept(lineage.id, version, about, (lineage.id, version) == head)
        for version, about in store.versions(pipeline.name, lineage.id).items()
    ]


def roll_back(settings: Settings, pipeline: Pipeline, version: int, *, wait_s: float) -> Iterator[str]:
    """Send the control record that lets learning go on from `version`; say how it went.

    Raises
    ------
    LineageError
        There is no such version, or the job has refused.
    BadSetting
        There is no key to sign with.
    """
    lineage = lineages.current(settings, pipeline)
    if lineage is None or lineage.ended:
        raise LineageError(f"{pipeline.name} has no open lineage to roll back")
    value = control.sign(control.Rollback(lineage.id, version), settings.checkpoint_key)
    stream = KafkaStream(settings, pipeline)
    _check_there(settings, pipeline, lineage, stream, version)
    with producer(settings) as client:
        offset = client.send(pipeline.topic, value=value, partition=0).get(timeout=30).offset
    yield f"asked at offset {offset} to go on from version {version}"
    with stream.journal(lineage.id, offset) as journal:
        answer = journal.take(offset, wait_s)
    if answer is None:
        yield f"no answer within {wait_s:.0f} s: it will be obeyed when the job gets there"
    elif answer.output.topic != pipeline.control_topic:
        reason = msgspec.json.decode(answer.output.value)["reason"]
        raise LineageError(f"the job of {pipeline.name} has refused: {reason}")
    else:
        yield f"version {offset + 1} is version {version} again"


def _check_there(
    settings: Settings, pipeline: Pipeline, lineage: Lineage, stream: KafkaStream, version: int
) -> None:
    snapshots = _Snapshots(Store.of(settings), pipeline.name, lineage.id)
    recovery = Recovery(
        pipeline, lineage, snapshots, stream, key=settings.checkpoint_key, wait_s=settings.journal_wait_s
    )
    recovery.state_at(version)
