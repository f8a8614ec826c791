"""The routes that list models: V2's list of names, and Triton's index of the model repository.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

import msgspec
from flask import Blueprint, Response, current_app, request

from serving.models import find_cache, json_response
from serving.openapi import describe_route
from serving.protocol.tensors import decode_body
from serving.protocol.v2 import is_ready
from streamlearn.errors import BadRequest, NoModel

blueprint = Blueprint("repository", __name__, url_prefix="/v2")


class ModelNames(msgspec.Struct):
    """The names of all models."""

    models: list[str]


class IndexRequest(msgspec.Struct):
    """`ready`: whether to leave out what is not ready."""

    ready: bool | None = None


class IndexEntry(msgspec.Struct, omit_defaults=True):
    """A model and the version that is served; `state` is READY or UNAVAILABLE, and `reason` says why."""

    name: str
    version: str
    state: str
    reason: str = ""


@blueprint.get("/models")
@describe_route(ModelNames, tag="models")
def list_models() -> Response:
    """List the models."""
    return json_response(ModelNames(sorted(current_app.extensions["models"])))


@blueprint.post("/repository/index")
@describe_route(list[IndexEntry], errors=(403, 408, 413, 415), tag="models", json=IndexRequest)
def list_repository() -> Response:
    """List the models, each with the version that is served and its state, as Triton's clients ask."""
    body = decode_body(request.get_data() or b"{}", IndexRequest, 'like {"ready": true}')
    entries = [_describe(name) for name in sorted(current_app.extensions["models"])]
    return json_response([entry for entry in entries if entry.state == "READY" or not body.ready])


@blueprint.post("/repository/models/<name>/<any(load, unload):action>")
@describe_route(errors=(403, 404, 408, 413, 415), tag="models")
def refuse_to_load(name: str, action: str) -> Response:
    """Refuse to load or unload a model: the newest version is always loaded; a pin keeps another."""
    find_cache(name)
    raise BadRequest(
        f"models are loaded as they are learned, so {name} cannot be told to {action};"
        f" POST /v2/models/{name}/versions/VERSION/pin serves one of its versions"
    )


def _describe(name: str) -> IndexEntry:
    try:
        version = find_cache(name).current().head.name
    except NoModel as error:
        return IndexEntry(name, "", "UNAVAILABLE", str(error))
    if not is_ready(name):
        return IndexEntry(
            name, version, "UNAVAILABLE", "the model is older than STREAMLEARN_READY_AGE_S allows"
        )
    return IndexEntry(name, version, "READY")
