"""The versions of a model over HTTP: which are kept, what they have learned, pinning, a file of one."""

from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, current_app, request
from msgspec import Meta

from serving.access import require_token
from serving.models import find_cache, json_response, resolve_model
from serving.openapi import describe_route
from streamlearn.errors import BadRequest, UnknownVersion
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo

blueprint = Blueprint("versions", __name__, url_prefix="/v2/models/<name>")

MOST_WAIT_S = 10


class Version(msgspec.Struct):
    """A version that is kept: when it was written (seconds since 1970), how much it has learned, how well."""

    lineage: str
    version: int
    time_s: int
    samples: int
    score: dict[str, float | None]
    digest: str
    served: bool
    pinned: bool


class Learned(msgspec.Struct):
    """Whether the version that is served has learned the record at an offset."""

    offset: int
    learned: bool
    version: int | None


class Versions(msgspec.Struct):
    """The versions that are kept, ascending, and the answer to `learned`."""

    name: str
    versions: list[Version]
    learned: Learned | None = None


class VersionsQuery(msgspec.Struct):
    """`learned`: an offset of the input topic; `wait`: how many seconds to wait for it."""

    learned: Annotated[int, Meta(ge=0, lt=1 << 62)] | None = None
    wait: Annotated[float, Meta(ge=0, le=MOST_WAIT_S)] = 0.0


class Pinned(msgspec.Struct):
    """What is pinned now."""

    name: str
    lineage: str
    version: int
    pinned: bool


@blueprint.get("/versions")
@describe_route(Versions, errors=(404, 503), tag="versions", query=VersionsQuery)
def versions(name: str) -> Response:
    """List the versions that are kept, and tell whether the served one has learned a record.

    With `wait`, the answer to `learned` comes as soon as it is yes.
    """
    found, query = find_cache(name), _query()
    learned = None
    if query.learned is not None:
        served = found.wait_until_learned(query.learned, query.wait)
        learned = Learned(query.learned, served is not None, served.head.version if served else None)
    return json_response(Versions(name, _listed(name), learned))


def _listed(name: str) -> list[Version]:
    found = find_cache(name)
    if not found.begun:
        return []
    served = found.current()
    now = served.head
    kept = {(found.lineage, version): about for version, about in found.versions().items()}
    # A pin holds its own copy; the version itself may have been trimmed since, or be of another lineage.
    score = served.learner.score.summary()
    kept.setdefault((now.lineage, now.version), VersionInfo(now.digest, now.samples, score, now.time_s))
    return [
        Version(
            lineage,
            version,
            about.time_s,
            about.samples,
            about.score,
            about.digest,
            served=(lineage, version) == (now.lineage, now.version),
            pinned=now.pinned and (lineage, version) == (now.lineage, now.version),
        )
        for (lineage, version), about in sorted(kept.items(), key=lambda one: one[0][1])
    ]


def _query() -> VersionsQuery:
    try:
        return msgspec.convert(request.args.to_dict(), VersionsQuery, strict=False)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].rstrip("`") if "$." in str(error) else None
        raise BadRequest(f"the query cannot be understood: {error}", field=field) from error


@blueprint.post("/versions/<version>/pin")
@describe_route(Pinned, errors=(401, 403, 404, 503), tag="versions", security={"token": []})
@require_token
def pin(name: str, version: str) -> Response:
    """Serve this version, whatever is learned meanwhile, until it is unpinned."""
    served = resolve_model(name, version)
    if not served.head.pinned:
        data = _store().snapshot(name, served.head.lineage, served.head.version)
        if data is None:
            raise UnknownVersion(f"version {version} of {name} is not kept")
        _store().pin(name, served.head, data)
        find_cache(name).look()
    return json_response(Pinned(name, served.head.lineage, served.head.version, True))


@blueprint.delete("/pin")
@describe_route(Pinned, errors=(401, 403, 404, 503), tag="versions", security={"token": []})
@require_token
def unpin(name: str) -> Response:
    """Serve the newest version again."""
    found = find_cache(name)
    _store().unpin(name)
    found.look()
    head = found.current().head
    return json_response(Pinned(name, head.lineage, head.version, False))


@blueprint.get("/versions/<version>/file")
@describe_route(None, errors=(404, 503), tag="versions")
def file(name: str, version: str) -> Response:
    """Give a version as a file, which `streamlearn models … import` reads."""
    head = resolve_model(name, version).head
    data: Any = (
        _store().pinned_snapshot(name) if head.pinned else _store().snapshot(name, head.lineage, head.version)
    )
    if data is None:
        raise UnknownVersion(f"version {version} of {name} is not kept")
    response = Response(data, content_type="application/octet-stream")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-{version}.slsnap"'
    return response


def _store() -> Store:
    found: Store = current_app.extensions["store"]
    return found
