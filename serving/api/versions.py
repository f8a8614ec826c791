"""The routes for versions: which are kept, what they have learned, pinning, going back, downloading one."""

from collections.abc import Generator
from typing import Annotated

import msgspec
from flask import Blueprint, Response, current_app
from msgspec import Meta

from serving.access import require_token
from serving.models import find_cache, json_response, parse_query, resolve_model, server_settings
from serving.openapi import describe_route
from serving.state.model_cache import ModelCache
from streamlearn.errors import UnknownVersion
from streamlearn.operations import lineage_changes
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Head, VersionInfo, format_name, parse_name

blueprint = Blueprint("versions", __name__, url_prefix="/v2/models/<name>")

MAX_WAIT_S = 10


class Version(msgspec.Struct):
    """A kept version: when it was written (seconds since 1970), and the score of `samples` predictions."""

    lineage: str
    version: int
    time_s: int
    samples: int
    score: dict[str, float | None]
    digest: str
    served: bool
    """Whether it is the one that is served or, of several partitions, a part of that."""
    pinned: bool
    partition: int = 0


class Learned(msgspec.Struct):
    """Whether the served version has learned the record at an offset of a partition."""

    offset: int
    learned: bool
    version: int | str | None
    partition: int = 0


class Versions(msgspec.Struct):
    """The kept versions, ascending in each partition, and the answer to the query's `learned`."""

    name: str
    versions: list[Version]
    learned: Learned | None = None


class VersionsQuery(msgspec.Struct):
    """`learned`: an offset in a `partition` of the input topic; `wait`: the seconds to wait until it is."""

    learned: Annotated[int, Meta(ge=0, lt=1 << 62)] | None = None
    partition: Annotated[int, Meta(ge=0, lt=1 << 31)] = 0
    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)] = 0.0


class Pinned(msgspec.Struct):
    """The served version, and whether it is pinned."""

    name: str
    lineage: str
    version: int | str
    pinned: bool


class RolledBack(msgspec.Struct):
    """The version that learning goes on from, and the one that is the same again: None while none is yet."""

    name: str
    version: str
    again: str | None


@blueprint.get("/versions")
@describe_route(Versions, errors=(404, 503), tag="versions", query=VersionsQuery)
def list_versions(name: str) -> Response:
    """List the kept versions, and tell whether the served one has learned a record.

    With `wait`, the answer comes as soon as the record has been learned, or after so many seconds.
    """
    cache, query = find_cache(name), parse_query(VersionsQuery)
    learned = None
    if query.learned is not None:
        served = cache.wait_for_offset(query.learned, query.partition, query.wait)
        version = served.head.label if served else None
        learned = Learned(query.learned, served is not None, version, query.partition)
    return json_response(Versions(name, _list_versions(cache), learned))


def _list_versions(cache: ModelCache) -> list[Version]:
    if not cache.has_begun:
        return []
    served = cache.current()
    head, score = served.head, served.learner.score.summary()
    if head.parts:
        return [
            Version(
                cache.lineage,
                version,
                info.time_s,
                info.samples,
                info.score,
                info.digest,
                served=(is_served := (cache.lineage, version) == (head.lineage, part)),
                pinned=head.pinned and is_served,
                partition=partition,
            )
            for partition, part in enumerate(head.parts)
            for version, info in cache.versions(partition).items()
        ]
    infos = {(cache.lineage, version): info for version, info in cache.versions().items()}
    # A pinned version has a copy of its own: it may be of another lineage, or no longer kept otherwise.
    infos.setdefault((head.lineage, head.version), VersionInfo(head.digest, head.samples, score, head.time_s))
    return [
        Version(
            lineage,
            version,
            info.time_s,
            info.samples,
            info.score,
            info.digest,
            served=(lineage, version) == (head.lineage, head.version),
            pinned=head.pinned and (lineage, version) == (head.lineage, head.version),
        )
        for (lineage, version), info in sorted(infos.items(), key=lambda item: item[0][1])
    ]


@blueprint.post("/versions/<version>/pin")
@describe_route(Pinned, errors=(401, 403, 404, 503), tag="versions", security={"token": []})
@require_token
def pin(name: str, version: str) -> Response:
    """Serve this version until it is unpinned, whatever is learned meanwhile."""
    served = resolve_model(name, version)
    if not served.head.pinned:
        _store().pin(name, served.head, _read_snapshot(name, served.head))
        find_cache(name).refresh()
    return json_response(Pinned(name, served.head.lineage, served.head.label, True))


@blueprint.delete("/pin")
@describe_route(Pinned, errors=(401, 403, 404, 503), tag="versions", security={"token": []})
@require_token
def unpin(name: str) -> Response:
    """Serve the newest version again."""
    cache = find_cache(name)
    _store().unpin(name)
    cache.refresh()
    head = cache.current().head
    return json_response(Pinned(name, head.lineage, head.label, False))


@blueprint.post("/versions/<version>/rollback")
@describe_route(RolledBack, errors=(401, 403, 404, 409, 503), tag="versions", security={"token": []})
@require_token
def roll_back(name: str, version: str) -> Response:
    """Let learning go on from this version, by a control record in the input topic of each partition.

    What has been answered stays. The answer comes once the job has obeyed, or after a while.
    """
    pipeline, parts = find_cache(name).pipeline, parse_name(version)
    if parts is None:
        raise UnknownVersion(f"{version[:40]!r} is not a version of {name}")
    again = [
        part
        if part is None
        else _drain(
            lineage_changes.roll_back(
                server_settings(), pipeline, part, partition if len(parts) > 1 else None, wait_s=MAX_WAIT_S
            )
        )
        for partition, part in enumerate(parts)
    ]
    has_obeyed = all((part is None) == (version is None) for part, version in zip(parts, again, strict=True))
    return json_response(RolledBack(name, version, format_name(again) if has_obeyed else None))


def _drain(lines: Generator[str, None, int | None]) -> int | None:
    """Return what a generator returns; its lines are for a terminal."""
    while True:
        try:
            next(lines)
        except StopIteration as end:
            version: int | None = end.value
            return version


@blueprint.get("/versions/<version>/file")
@describe_route(None, errors=(404, 503), tag="versions")
def download(name: str, version: str) -> Response:
    """Return a version as a file, which `streamlearn models … import` reads."""
    data = _read_snapshot(name, resolve_model(name, version).head)
    response = Response(data, content_type="application/octet-stream")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-{version}.slsnap"'
    return response


def _read_snapshot(name: str, head: Head) -> bytes:
    """Return a version's bytes; a pinned one's from its copy, those of several partitions as a bundle.

    Raises
    ------
    UnknownVersion
        It is not kept.
    """
    store = _store()
    if head.pinned:
        data = store.pinned_snapshot(name)
    else:
        data = store.named_snapshot(name, head.lineage, head.parts or (head.version,))
    if data is None:
        raise UnknownVersion(f"version {head.name} of {name} is not kept")
    return data


def _store() -> Store:
    store: Store = current_app.extensions["store"]
    return store
