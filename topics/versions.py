"""The versions of a model: which are kept, which is served, a file of one, and going back to one."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from streamlearn import checkpoint, control
from streamlearn.errors import BadSetting, LineageError, SnapshotRefused, UnknownVersion
from streamlearn.lineage import Lineage
from streamlearn.pipeline import Pipeline
from streamlearn.recovery import Recovery
from streamlearn.settings import Settings
from streamlearn.store import Store
from streamlearn.versions import About, Head
from topics import lineages
from topics.client import producer
from topics.stream import KafkaStream


class Kept(msgspec.Struct):
    """One version in Redis."""

    lineage: str
    version: int
    about: About
    served: bool
    pinned: bool


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
    found = store.to_serve(pipeline.name)
    head = found[0] if found else None
    kept = {
        (lineage.id, version): about for version, about in store.versions(pipeline.name, lineage.id).items()
    }
    if head and head.pinned:
        kept.setdefault((head.lineage, head.version), About(head.digest, head.samples, {}, head.time_s))
    return [
        Kept(
            *named,
            about,
            served=head is not None and named == (head.lineage, head.version),
            pinned=head is not None and head.pinned and named == (head.lineage, head.version),
        )
        for named, about in kept.items()
    ]


def pin(settings: Settings, pipeline: Pipeline, version: int) -> Iterator[str]:
    """Serve a version of the newest lineage, whatever is learned meanwhile; say so.

    Raises
    ------
    UnknownVersion
        It is not kept.
    SnapshotRefused
        It cannot be read, or has learned nothing.
    """
    data, about = _snapshot(settings, pipeline, version)
    _pin(settings, pipeline, data, about.time_s)
    yield f"version {version} of {pipeline.name} is served until `streamlearn models {pipeline.name} unpin`"


def unpin(settings: Settings, pipeline: Pipeline) -> Iterator[str]:
    """Serve the newest version again; say so."""
    if Store.of(settings).unpin(pipeline.name):
        yield f"the newest version of {pipeline.name} is served again"
    else:
        yield f"no version of {pipeline.name} was pinned"


def export(settings: Settings, pipeline: Pipeline, version: int, file: Path) -> Iterator[str]:
    """Write a version into a file; say where.

    Raises
    ------
    UnknownVersion
        It is not kept.
    BadSetting
        The file cannot be written.
    """
    data, _ = _snapshot(settings, pipeline, version)
    try:
        file.write_bytes(data)
    except OSError as error:
        raise BadSetting(f"{file} cannot be written: {error.strerror}") from error
    digest = checkpoint.digest(data)
    yield f"version {version} of {pipeline.name} is in {file}: {len(data)} bytes, digest {digest}"


def import_(settings: Settings, pipeline: Pipeline, file: Path) -> Iterator[str]:
    """Serve the version in a file; say which.

    Raises
    ------
    SnapshotRefused
        It is no snapshot of this pipeline, is altered, or is not signed with the key that is set.
    BadSetting
        The file cannot be read.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadSetting(f"{file} cannot be read: {error.strerror}") from error
    head = _pin(settings, pipeline, data, int(time.time()))
    yield (
        f"version {head.version} of lineage {head.lineage} is served"
        f" until `streamlearn models {pipeline.name} unpin`"
    )


def _snapshot(settings: Settings, pipeline: Pipeline, version: int) -> tuple[bytes, About]:
    lineage, store = lineages.current(settings, pipeline), Store.of(settings)
    data = store.snapshot(pipeline.name, lineage.id, version) if lineage else None
    about = store.about(pipeline.name, lineage.id, version) if lineage else None
    if data is None or about is None:
        raise UnknownVersion(
            f"version {version} of {pipeline.name} is not kept;"
            f" `streamlearn models {pipeline.name} list` tells which are"
        )
    return data, about


def _pin(settings: Settings, pipeline: Pipeline, data: bytes, time_s: int) -> Head:
    lineage = checkpoint.lineage_of(data, settings.checkpoint_key)
    learner = checkpoint.loads(data, pipeline, lineage, settings.checkpoint_key)
    if not learner.trained:
        raise SnapshotRefused(f"version {learner.version} of {pipeline.name} has learned nothing yet")
    digest, samples = checkpoint.digest(data), learner.score.samples
    head = Head(lineage, learner.version, digest, samples, time_s, pinned=True)
    Store.of(settings).pin(pipeline.name, head, data)
    return head


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
