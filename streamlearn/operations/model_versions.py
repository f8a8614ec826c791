"""The versions of a model: list them, choose which is served, write one into a file and read it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.errors import FileError, SnapshotRefused, UnknownVersion
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage import bundle, snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Head, VersionInfo, merge_digests, merge_heads, parse_name
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
    with Store.of(settings) as store:
        served = store.served(pipeline.name)
        head = served[0] if served else None
        pinned = head if head and head.pinned else None
        kept = []
        for partition in lineage.partitions:
            shown = pinned or store.newest(pipeline.name, partition)
            place = _find_part(shown, partition) if shown else None
            infos = store.versions(pipeline.name, lineage.id, partition)
            places = {(lineage.id, version): info for version, info in infos.items()}
            if pinned and not pinned.parts and not partition:
                # It has a copy of its own: it may be of another lineage, or no longer kept otherwise.
                info = VersionInfo(pinned.digest, pinned.samples, {}, pinned.time_s)
                places.setdefault((pinned.lineage, pinned.version), info)
            for (of, version), info in places.items():
                is_served = (of, version) == place
                is_pinned = pinned is not None and is_served
                kept.append(KeptVersion(of, version, info, is_served, is_pinned, partition))
    return kept


def _find_part(head: Head, partition: int) -> tuple[str, int] | None:
    """Return lineage and version of a partition in what is served; None if it has no part in it."""
    if head.parts:
        version = head.parts[partition] if partition < len(head.parts) else None
        return None if version is None else (head.lineage, version)
    return None if head.pinned and partition else (head.lineage, head.version)


def pin_version(settings: Settings, pipeline: Pipeline, version: str) -> Iterator[str]:
    """Serve a version of the newest lineage until it is unpinned; yield lines about what was done.

    `version` is its number, or names those of several partitions, as in `120.-.95`.

    Raises
    ------
    UnknownVersion
        Redis does not keep it.
    SnapshotRefused
        It cannot be read, or has learned nothing.
    """
    _pin(settings, pipeline, *_read_snapshot(settings, pipeline, version))
    yield f"version {version} of {pipeline.name} is served until `streamlearn models {pipeline.name} unpin`"


def unpin_version(settings: Settings, pipeline: Pipeline) -> Iterator[str]:
    """Serve the newest version again; yield lines about what was done."""
    with Store.of(settings) as store:
        was_pinned = store.unpin(pipeline.name)
    if was_pinned:
        yield f"the newest version of {pipeline.name} is served again"
    else:
        yield f"no version of {pipeline.name} was pinned"


def export_version(settings: Settings, pipeline: Pipeline, version: str, file: Path) -> Iterator[str]:
    """Write a version of the newest lineage into a file; yield lines about what was done.

    Raises
    ------
    UnknownVersion
        Redis does not keep it.
    FileError
        The file cannot be written.
    """
    data, _ = _read_snapshot(settings, pipeline, version)
    digests = [snapshot.digest(part) for part in bundle.unpack(data) if part is not None]
    try:
        file.write_bytes(data)
    except OSError as error:
        raise FileError(f"{file} cannot be written: {error.strerror}") from error
    digest = digests[0] if len(digests) == 1 else merge_digests(digests)
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
        f"version {head.name} of lineage {head.lineage} is served"
        f" until `streamlearn models {pipeline.name} unpin`"
    )


def _read_snapshot(settings: Settings, pipeline: Pipeline, name: str) -> tuple[bytes, int]:
    """Return the bytes of a version of the newest lineage, and when it was written."""
    versions, lineage = parse_name(name), _current_lineage(settings, pipeline)
    if versions is not None and lineage is not None:
        with Store.of(settings) as store:
            data = store.named_snapshot(pipeline.name, lineage.id, versions)
            infos = [
                store.version_info(pipeline.name, lineage.id, version, partition)
                for partition, version in enumerate(versions)
                if version is not None
            ]
        if data is not None:
            return data, max((info.time_s for info in infos if info is not None), default=0)
    raise UnknownVersion(
        f"version {name} of {pipeline.name} is not kept;"
        f" `streamlearn models {pipeline.name} list` tells which are"
    )


def _current_lineage(settings: Settings, pipeline: Pipeline) -> Lineage | None:
    with Broker(settings) as broker:
        return LineageRegister(broker, pipeline).current()


def _pin(settings: Settings, pipeline: Pipeline, data: bytes, time_s: int) -> Head:
    snapshots = bundle.unpack(data)
    heads = {
        partition: _describe(settings, pipeline, part, time_s)
        for partition, part in enumerate(snapshots)
        if part is not None
    }
    if len({head.lineage for head in heads.values()}) > 1:
        raise SnapshotRefused("its snapshots are of several lineages")
    head = merge_heads(heads, len(snapshots)) if len(snapshots) > 1 else heads[0]
    head = replace(head, pinned=True)
    with Store.of(settings) as store:
        store.pin(pipeline.name, head, data)
    return head


def _describe(settings: Settings, pipeline: Pipeline, data: bytes, time_s: int) -> Head:
    """Read a snapshot and describe its version; raise `SnapshotRefused` if it has learned nothing."""
    lineage = snapshot.lineage_of(data, settings.checkpoint_key)
    learner = snapshot.loads(data, pipeline, lineage, settings.checkpoint_key)
    if not learner.trained:
        raise SnapshotRefused(f"version {learner.version} of {pipeline.name} has learned nothing yet")
    return Head(lineage, learner.version, snapshot.digest(data), learner.score.samples, time_s)
