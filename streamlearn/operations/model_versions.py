"""The versions of a model: list them, choose which is served, write one into a file and read it."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.errors import FileError, SnapshotRefused, UnknownVersion
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Head, VersionInfo
from streamlearn.stream.lineage import Lineage


class KeptVersion(msgspec.Struct):
    """One version in Redis."""

    lineage: str
    version: int
    about: VersionInfo
    served: bool
    pinned: bool
    partition: int = 0


def list_versions(settings: Settings, pipeline: Pipeline) -> list[KeptVersion]:
    """Return the versions of the newest lineage that Redis keeps, ascending in each partition."""
    lineage = _current_lineage(settings, pipeline)
    if lineage is None:
        return []
    store = Store.of(settings)
    served = store.served(pipeline.name)
    head = served[0] if served else None
    pinned = head is not None and head.pinned
    infos = {
        (lineage.id, version): info for version, info in store.versions(pipeline.name, lineage.id).items()
    }
    if head and pinned:
        infos.setdefault(
            (head.lineage, head.version), VersionInfo(head.digest, head.samples, {}, head.time_s)
        )
    kept = []
    for place, info in infos.items():
        is_served = head is not None and place == (head.lineage, head.version)
        kept.append(KeptVersion(*place, info, served=is_served, pinned=pinned and is_served))
    for partition in lineage.partitions[1:]:
        newest = store.newest(pipeline.name, partition)
        for version, info in store.versions(pipeline.name, lineage.id, partition).items():
            is_served = not pinned and newest is not None and newest.version == version
            kept.append(KeptVersion(lineage.id, version, info, is_served, False, partition))
    return kept


def pin_version(settings: Settings, pipeline: Pipeline, version: int) -> Iterator[str]:
    """Serve a version of the newest lineage until it is unpinned; yield lines about what was done.

    Raises
    ------
    UnknownVersion
        Redis does not keep it.
    SnapshotRefused
        It cannot be read, or has learned nothing.
    """
    data, info = _read_snapshot(settings, pipeline, version)
    _pin(settings, pipeline, data, info.time_s)
    yield f"version {version} of {pipeline.name} is served until `streamlearn models {pipeline.name} unpin`"


def unpin_version(settings: Settings, pipeline: Pipeline) -> Iterator[str]:
    """Serve the newest version again; yield lines about what was done."""
    if Store.of(settings).unpin(pipeline.name):
        yield f"the newest version of {pipeline.name} is served again"
    else:
        yield f"no version of {pipeline.name} was pinned"


def export_version(settings: Settings, pipeline: Pipeline, version: int, file: Path) -> Iterator[str]:
    """Write a version of the newest lineage into a file; yield lines about what was done.

    Raises
    ------
    UnknownVersion
        Redis does not keep it.
    FileError
        The file cannot be written.
    """
    data, _ = _read_snapshot(settings, pipeline, version)
    try:
        file.write_bytes(data)
    except OSError as error:
        raise FileError(f"{file} cannot be written: {error.strerror}") from error
    digest = snapshot.digest(data)
    yield f"version {version} of {pipeline.name} is in {file}: {len(data)} bytes, digest {digest}"


def import_version(settings: Settings, pipeline: Pipeline, file: Path) -> Iterator[str]:
    """Serve the version in a file until it is unpinned; yield lines about what was done.

    Raises
    ------
    SnapshotRefused
        It is no snapshot of this pipeline, was altered, is not signed with the present key, or has learned
        nothing.
    FileError
        The file cannot be read.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise FileError(f"{file} cannot be read: {error.strerror}") from error
    head = _pin(settings, pipeline, data, int(time.time()))
    yield (
        f"version {head.version} of lineage {head.lineage} is served"
        f" until `streamlearn models {pipeline.name} unpin`"
    )


def _read_snapshot(settings: Settings, pipeline: Pipeline, version: int) -> tuple[bytes, VersionInfo]:
    lineage, store = _current_lineage(settings, pipeline), Store.of(settings)
    data = store.snapshot(pipeline.name, lineage.id, version) if lineage else None
    info = store.version_info(pipeline.name, lineage.id, version) if lineage else None
    if data is None or info is None:
        raise UnknownVersion(
            f"version {version} of {pipeline.name} is not kept;"
            f" `streamlearn models {pipeline.name} list` tells which are"
        )
    return data, info


def _current_lineage(settings: Settings, pipeline: Pipeline) -> Lineage | None:
    with Broker(settings) as broker:
        return LineageRegister(broker, pipeline).current()


def _pin(settings: Settings, pipeline: Pipeline, data: bytes, time_s: int) -> Head:
    lineage = snapshot.lineage_of(data, settings.checkpoint_key)
    learner = snapshot.loads(data, pipeline, lineage, settings.checkpoint_key)
    if not learner.trained:
        raise SnapshotRefused(f"version {learner.version} of {pipeline.name} has learned nothing yet")
    digest, samples = snapshot.digest(data), learner.score.samples
    head = Head(lineage, learner.version, digest, samples, time_s, pinned=True)
    Store.of(settings).pin(pipeline.name, head, data)
    return head
