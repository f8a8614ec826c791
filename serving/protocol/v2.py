"""The routes of the Open Inference Protocol (V2): health, readiness, the models, and predictions.

https://github.com/kserve/open-inference-protocol
"""

from importlib.metadata import version as installed_version
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, g, request

from serving.models import (
    find_cache,
    json_response,
    record_predictions,
    resolve_model,
    server_settings,
)
from serving.openapi import describe_route
from serving.protocol import inference, signature
from serving.protocol.inference import HEADER_LENGTH
from serving.protocol.outputs import InferResponse
from serving.protocol.signature import Tensor
from serving.protocol.tensors import InferRequest
from serving.state.backlog import Backlog, BacklogMonitor
from serving.state.jobs import JobMonitor
from serving.state.model_cache import ModelCache, Served
from streamlearn.errors import NoModel, StoreUnavailable

blueprint = Blueprint("inference", __name__, url_prefix="/v2")

EXTENSIONS = ["binary_tensor_data", "model_repository"]
"""Triton's names of the extensions that there are."""


class ServerMetadata(msgspec.Struct):
    """The server's name, version and extensions of the protocol."""

    name: str
    version: str
    extensions: list[str]


class Live(msgspec.Struct):
    """The server runs."""

    live: bool


class Ready(msgspec.Struct):
    """Whether the server is ready; which pipelines are served, and which learn but are not served yet.

    `troubles` tells why a pipeline's job in Flink does not learn: its last good model is served all the same.
    `behind` tells by how many records, and for how many seconds, each served model is behind its stream.
    """

    ready: bool
    serving: list[str]
    waiting_for: list[str]
    troubles: dict[str, str]
    behind: dict[str, Backlog]


class ModelReady(msgspec.Struct):
    """Whether one pipeline has a trained model that is not too old."""

    name: str
    ready: bool


class ModelMetadata(msgspec.Struct):
    """A model: its tensors, the versions that can predict, and facts about the served one."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    parameters: dict[str, Any]


@blueprint.get("")
@describe_route(ServerMetadata, tag="health")
def describe_server() -> Response:
    """Describe the server."""
    return json_response(ServerMetadata("streamlearn", installed_version("streamlearn"), EXTENSIONS))


@blueprint.get("/health/live")
@describe_route(Live, tag="health")
def check_live() -> Response:
    """Answer, which shows that the server runs."""
    return json_response(Live(True))


@blueprint.get("/health/ready")
@describe_route(Ready, also={503: Ready}, tag="health")
def check_ready() -> Response:
    """Return whether the server is ready: at least one pipeline is served, and all that learn are."""
    caches: dict[str, ModelCache] = current_app.extensions["models"]
    served_names = [name for name in sorted(caches) if is_ready(name)]
    waiting_names = [name for name in sorted(caches) if caches[name].has_begun and name not in served_names]
    ready = bool(served_names) and not waiting_names
    jobs: JobMonitor = current_app.extensions["jobs"]
    answer = Ready(ready, served_names, waiting_names, jobs.list_troubles(), _list_backlogs())
    return json_response(answer, 200 if ready else 503)


@blueprint.get("/models/<name>/ready")
@blueprint.get("/models/<name>/versions/<version>/ready")
@describe_route(ModelReady, errors=(404,), also={503: ModelReady}, tag="health")
def check_model_ready(name: str, version: str | None = None) -> Response:
    """Return whether a pipeline has a trained model that is not too old."""
    ready = is_ready(name, version)
    return json_response(ModelReady(name, ready), 200 if ready else 503)


@blueprint.get("/models/<name>")
@blueprint.get("/models/<name>/versions/<version>")
@describe_route(ModelMetadata, errors=(404, 503), tag="models")
def describe_model(name: str, version: str | None = None) -> Response:
    """Describe a model: its tensors, its versions, and the served one's lineage, age and prequential score.

    Before anything has been learned, `versions` and `parameters` are empty.
    """
    cache = find_cache(name)
    metadata = ModelMetadata(
        name=name,
        versions=[],
        platform="streamlearn",
        inputs=signature.describe_inputs(cache.pipeline),
        outputs=signature.describe_outputs(cache.pipeline),
        parameters={},
    )
    try:
        served = resolve_model(name, version)
    except NoModel:
        return json_response(metadata)
    metadata.outputs = signature.describe_outputs(cache.pipeline, served.learner)
    metadata.versions = [served.head.name] if version else _list_versions(cache, served)
    score = served.learner.score
    metadata.parameters = {
        "version": served.head.label,
        "lineage": served.head.lineage,
        "digest": served.head.digest,
        "pinned": served.head.pinned,
        "age_s": served.age_s(),
        "samples": score.samples,
        **score.summary(),
    }
    if optional := signature.describe_optional_inputs(cache.pipeline):
        metadata.parameters["optional_inputs"] = msgspec.to_builtins(optional)
    waiting = served.learner.count_waiting()
    if waiting is not None:
        metadata.parameters |= {"waiting_for_labels": waiting.waiting, "let_go": waiting.let_go}
    if version is None and (backlog := _list_backlogs().get(name)):
        metadata.parameters |= {"behind_records": backlog.records, "behind_s": backlog.seconds}
    keys = served.learner.count_keys()
    if keys is not None:
        metadata.parameters |= {"keys": keys.kept, "keys_let_go": keys.let_go}
    return json_response(metadata)


@blueprint.post("/models/<name>/infer")
@blueprint.post("/models/<name>/versions/<version>/infer")
@describe_route(InferResponse, errors=(403, 404, 408, 413, 415, 503), tag="models", json=InferRequest)
def infer(name: str, version: str | None = None) -> Response:
    """Predict.

    Inputs are JSON tensors, or binary ones after the JSON. A pipeline that forecasts takes its hours as one
    window, or no input at all: then it forecasts from the stream's newest record.
    """
    pipeline = find_cache(name).pipeline
    answer = inference.infer(
        pipeline,
        lambda: resolve_model(name, version),
        inference.Request(
            request.get_data(), request.headers.get(HEADER_LENGTH), g.request_id, server_settings().http_rows
        ),
    )
    record_predictions(name, answer.identity, answer.served, answer.records)
    return Response(answer.body, headers=answer.headers)


def _list_backlogs() -> dict[str, Backlog]:
    monitor: BacklogMonitor = current_app.extensions["backlogs"]
    return monitor.list_backlogs()


def _list_versions(cache: ModelCache, served: Served) -> list[str]:
    """Return the versions that can predict; while Redis is away, only the served one."""
    if not cache.trouble and not served.head.parts:
        try:
            return [str(version) for version in sorted({*cache.versions(), served.head.version})]
        except StoreUnavailable:
            pass
    return [served.head.name]


def is_ready(name: str, version: str | None = None) -> bool:
    """Return whether a pipeline has a trained model that is not too old, or this version of it."""
    try:
        served = resolve_model(name, version)
    except (NoModel, StoreUnavailable):
        return False
    limit = server_settings().ready_age_s
    return version is not None or served.head.pinned or not limit or served.age_s() <= limit
