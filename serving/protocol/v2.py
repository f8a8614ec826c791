"""The Open Inference Protocol (V2) over HTTP: health, readiness, what is served, and predictions.

https://github.com/kserve/open-inference-protocol
"""

from importlib.metadata import version as installed
from typing import Any, TypeVar

import msgspec
from flask import Blueprint, Response, current_app, g, request

from serving.model_cache import ModelCache, Served
from serving.models import call_model, find_cache, json_response, remember, resolve_model, server_settings
from serving.openapi import describe_route
from serving.protocol import signature, tensors
from serving.protocol.signature import Tensor
from serving.protocol.tensors import InferRequest, InferResponse
from streamlearn.errors import NoModel, StoreUnavailable

T = TypeVar("T")

blueprint = Blueprint("inference", __name__, url_prefix="/v2")

HEADER_LENGTH = "Inference-Header-Content-Length"


class ServerMetadata(msgspec.Struct):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class Live(msgspec.Struct):
    """The server runs."""

    live: bool


class Ready(msgspec.Struct):
    """Whether predictions are served: by which pipelines, and which have begun to learn but are not."""

    ready: bool
    serving: list[str]
    waiting_for: list[str]


class ModelReady(msgspec.Struct):
    """Whether one pipeline has a trained model that is not too old."""

    name: str
    ready: bool


class ModelMetadata(msgspec.Struct):
    """A model: its tensors, the versions that can be asked, and what is known of the one that is served."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    parameters: dict[str, Any]


@blueprint.get("")
@describe_route(ServerMetadata, tag="health")
def server() -> Response:
    """Describe the server."""
    return json_response(ServerMetadata("streamlearn", installed("streamlearn"), ["binary_tensor_data"]))


@blueprint.get("/health/live")
@describe_route(Live, tag="health")
def live() -> Response:
    """Say that the server runs."""
    return json_response(Live(True))


@blueprint.get("/health/ready")
@describe_route(Ready, also={503: Ready}, tag="health")
def ready() -> Response:
    """Say whether predictions are served: by every pipeline that has begun to learn, and by one at least."""
    caches: dict[str, ModelCache] = current_app.extensions["models"]
    serving = [name for name in sorted(caches) if _is_ready(name)]
    waiting = [name for name in sorted(caches) if caches[name].begun and name not in serving]
    found = bool(serving) and not waiting
    return json_response(Ready(found, serving, waiting), 200 if found else 503)


@blueprint.get("/models/<name>/ready")
@blueprint.get("/models/<name>/versions/<version>/ready")
@describe_route(ModelReady, errors=(404,), also={503: ModelReady}, tag="health")
def model_ready(name: str, version: str | None = None) -> Response:
    """Say whether a pipeline has a trained model that is not too old."""
    found = _is_ready(name, version)
    return json_response(ModelReady(name, found), 200 if found else 503)


@blueprint.get("/models/<name>")
@blueprint.get("/models/<name>/versions/<version>")
@describe_route(ModelMetadata, errors=(404, 503), tag="models")
def model(name: str, version: str | None = None) -> Response:
    """Describe a model: its tensors, its versions, and the served one's lineage, age and prequential score.

    Before there is one, `versions` is empty and `parameters` has nothing in it.
    """
    found = find_cache(name)
    answer = ModelMetadata(
        name, [], "scikit-learn", signature.inputs(found.pipeline), signature.outputs(found.pipeline), {}
    )
    try:
        served = resolve_model(name, version)
    except NoModel:
        return json_response(answer)
    answer.versions = [str(served.head.version)] if version else _versions(found, served)
    score = served.learner.score
    answer.parameters = {
        "version": served.head.version,
        "lineage": served.head.lineage,
        "digest": served.head.digest,
        "pinned": served.head.pinned,
        "age_s": served.age_s(),
        "samples": score.samples,
        **score.summary(),
    }
    return json_response(answer)


@blueprint.post("/models/<name>/infer")
@blueprint.post("/models/<name>/versions/<version>/infer")
@describe_route(InferResponse, errors=(403, 404, 408, 413, 415, 503), tag="models", json=InferRequest)
def infer(name: str, version: str | None = None) -> Response:
    """Predict.

    Inputs are JSON tensors, or binary ones after the JSON. A pipeline that forecasts takes its hours as one
    window, or no input at all: then it forecasts from the stream's newest record.
    """
    pipeline = find_cache(name).pipeline
    asking, arrays = tensors.request(request.get_data(), request.headers.get(HEADER_LENGTH))
    records = []
    if arrays or not signature.is_windowed(pipeline):
        records = signature.records(pipeline, arrays, server_settings().http_rows)
    served = resolve_model(name, version)
    outputs = call_model(lambda: served.learner.outputs(records))
    identity = asking.id or g.request_id
    answer = InferResponse(
        model_name=name,
        model_version=str(served.head.version),
        id=identity,
        parameters={
            **{
                name: value
                for name, value in tensors.parameters(asking).items()
                if name != tensors.ALL_BINARY
            },
            "lineage": served.head.lineage,
        },
        outputs=[],
    )
    body, head = tensors.response(answer, outputs, asking)
    remember(name, identity, served, records)
    response = Response(body, content_type="application/json" if head is None else "application/octet-stream")
    if head is not None:
        response.headers[HEADER_LENGTH] = str(head)
    return response


def _versions(found: ModelCache, served: Served) -> list[str]:
    """The versions that can be asked; where Redis is away, the one that is served."""
    if not found.trouble:
        try:
            return [str(one) for one in sorted({*found.versions(), served.head.version})]
        except StoreUnavailable:
            pass
    return [str(served.head.version)]


def _is_ready(name: str, wanted: str | None = None) -> bool:
    try:
        served = resolve_model(name, wanted)
    except (NoModel, StoreUnavailable):
        return False
    limit = server_settings().ready_age_s
    return wanted is not None or served.head.pinned or not limit or served.age_s() <= limit
