"""The Open Inference Protocol (V2) over HTTP: health, readiness, what is served, and predictions.

https://github.com/kserve/open-inference-protocol
"""

from collections.abc import Callable
from importlib.metadata import version as installed
from typing import Any, TypeVar

import msgspec
from flask import Blueprint, Response, current_app, g, request

from serving import signature, telemetry, tensors
from serving.model_cache import ModelCache, Served
from serving.openapi import described
from serving.recent import Recent
from serving.signature import Tensor
from serving.tensors import InferRequest, InferResponse
from streamlearn.errors import BadRequest, NoModel, StoreUnavailable, UnknownPipeline, UnknownVersion
from streamlearn.messages import encode
from streamlearn.settings import Settings

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


def cache(name: str) -> ModelCache:
    """Return the cache of a registered pipeline.

    Raises
    ------
    UnknownPipeline
        There is no such pipeline.
    """
    caches: dict[str, ModelCache] = current_app.extensions["models"]
    if name not in caches:
        raise UnknownPipeline(f"no model is called {name!r}; there are: {', '.join(sorted(caches))}")
    return caches[name]


def settings() -> Settings:
    """Return the server's settings."""
    found: Settings = current_app.extensions["settings"]
    return found


def asked(name: str, wanted: str | None) -> Served:
    """Return the model that is to answer: the one that is served, or the version that is wanted."""
    found = cache(name)
    if wanted is None:
        return found.current()
    return found.at(number(name, wanted))


def answered(answer: Callable[[], T]) -> T:
    """Return what a model answers.

    Raises
    ------
    BadRequest
        It cannot answer such records, though they are valid.
    """
    try:
        return answer()
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"the model cannot answer this: {error}", field="inputs") from error


def number(name: str, wanted: str) -> int:
    """Read a version's number."""
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 19):
        raise UnknownVersion(f"{wanted[:40]!r} is not a version of {name}")
    return int(wanted)


def said(answer: Any, status: int = 200) -> Response:
    """Return a struct as JSON."""
    return Response(encode(answer), status, content_type="application/json")


@blueprint.get("")
@described(ServerMetadata, tag="health")
def server() -> Response:
    """Describe the server."""
    return said(ServerMetadata("streamlearn", installed("streamlearn"), ["binary_tensor_data"]))


@blueprint.get("/health/live")
@described(Live, tag="health")
def live() -> Response:
    """Say that the server runs."""
    return said(Live(True))


@blueprint.get("/health/ready")
@described(Ready, also={503: Ready}, tag="health")
def ready() -> Response:
    """Say whether predictions are served: by every pipeline that has begun to learn, and by one at least."""
    caches: dict[str, ModelCache] = current_app.extensions["models"]
    serving = [name for name in sorted(caches) if _is_ready(name)]
    waiting = [name for name in sorted(caches) if caches[name].begun and name not in serving]
    found = bool(serving) and not waiting
    return said(Ready(found, serving, waiting), 200 if found else 503)


@blueprint.get("/models/<name>/ready")
@blueprint.get("/models/<name>/versions/<version>/ready")
@described(ModelReady, errors=(404,), also={503: ModelReady}, tag="health")
def model_ready(name: str, version: str | None = None) -> Response:
    """Say whether a pipeline has a trained model that is not too old."""
    found = _is_ready(name, version)
    return said(ModelReady(name, found), 200 if found else 503)


@blueprint.get("/models/<name>")
@blueprint.get("/models/<name>/versions/<version>")
@described(ModelMetadata, errors=(404, 503), tag="models")
def model(name: str, version: str | None = None) -> Response:
    """Describe a model: its tensors, its versions, and the served one's lineage, age and prequential score.

    Before there is one, `versions` is empty and `parameters` has nothing in it.
    """
    found = cache(name)
    answer = ModelMetadata(
        name, [], "scikit-learn", signature.inputs(found.pipeline), signature.outputs(found.pipeline), {}
    )
    try:
        served = asked(name, version)
    except NoModel:
        return said(answer)
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
    return said(answer)


@blueprint.post("/models/<name>/infer")
@blueprint.post("/models/<name>/versions/<version>/infer")
@described(InferResponse, errors=(403, 404, 408, 413, 415, 503), tag="models", json=InferRequest)
def infer(name: str, version: str | None = None) -> Response:
    """Predict.

    Inputs are JSON tensors, or binary ones after the JSON. A pipeline that forecasts takes its hours as one
    window, or no input at all: then it forecasts from the stream's newest record.
    """
    pipeline = cache(name).pipeline
    asking, arrays = tensors.request(request.get_data(), request.headers.get(HEADER_LENGTH))
    records = []
    if arrays or not signature.windowed(pipeline):
        records = signature.records(pipeline, arrays, settings().http_rows)
    served = asked(name, version)
    outputs = answered(lambda: served.learner.outputs(records))
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


def remember(name: str, identity: str, served: Served, records: list[Any]) -> None:
    """Keep what was asked, for feedback, and count it."""
    recent: Recent = current_app.extensions["recent"]
    recent.remember(name, identity, records)
    telemetry.answered(name, served, max(1, len(records)))


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
        served = asked(name, wanted)
    except (NoModel, StoreUnavailable):
        return False
    limit = settings().ready_age_s
    return wanted is not None or served.head.pinned or not limit or served.age_s() <= limit
