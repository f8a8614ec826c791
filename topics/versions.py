"""The versions of a model: which are kept, which is served, and a file of one."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from streamlearn import checkpoint
from streamlearn.errors import BadSetting, SnapshotRefused, UnknownVersion
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings
from streamlearn.store import Store
from streamlearn.versions import About, Head
from topics import lineages


class Kept(msgspec.Struct):
    """One version in Redis."""

    lineage: str
    version: int
    about: About
    served: bool
    pinned: bool


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
