"""The routes of the older protocol (V1): instances in, predictions out.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, g, request
from werkzeug.exceptions import MethodNotAllowed

from serving.models import (
    call_model,
    find_cache,
    json_response,
    record_predictions,
    resolve_model,
    server_settings,
)
from serving.openapi import describe_route
from serving.protocol import signature
from serving.protocol.tensors import decode_body
from serving.protocol.v2 import ModelReady
from streamlearn.errors import BadRequest, NoModel
from streamlearn.pipelines.base import Pipeline

blueprint = Blueprint("v1", __name__, url_prefix="/v1")


class Models(msgspec.Struct):
    """The names of all models."""

    models: list[str]


class PredictRequest(msgspec.Struct):
    """Instances: each is a record or, where a record has only one input, that input.

    For a pipeline that forecasts, each is a window: a list of records. An empty list asks for the stream's
    own forecast.
    """

    instances: list[Any]


class PredictResponse(msgspec.Struct):
    """A prediction for each instance, and the version that made them."""

    predictions: list[Any]
    model_name: str
    model_version: str
    lineage: str
    id: str


@blueprint.get("/models")
@describe_route(Models, tag="V1")
def list_models() -> Response:
    """List the models."""
    return json_response(Models(sorted(current_app.extensions["models"])))


@blueprint.get("/models/<name>")
@describe_route(ModelReady, errors=(404,), also={503: ModelReady}, tag="V1")
def check_model_ready(name: str) -> Response:
    """Return whether a model is ready."""
    if name.endswith(":predict"):
        raise MethodNotAllowed(valid_methods=["POST"])
    try:
        find_cache(name).current()
    except NoModel:
        return json_response(ModelReady(name, False), 503)
    return json_response(ModelReady(name, True))


@blueprint.post("/models/<name>:predict")
@describe_route(PredictResponse, errors=(403, 404, 408, 413, 415, 503), tag="V1", json=PredictRequest)
def predict(name: str) -> Response:
    """Predict each instance."""
    pipeline = find_cache(name).pipeline
    body = decode_body(request.get_data(), PredictRequest, '{"instances": [...]}', field="instances")
    if not 0 < len(body.instances) <= server_settings().http_rows:
        raise BadRequest(f"there must be 1 to {server_settings().http_rows} instances", field="instances")
    unpack = _unpack_window if signature.is_windowed(pipeline) else _make_record_unpacker(pipeline)
    windows = []
    for number, instance in enumerate(body.instances):
        field = f"instances[{number}]"
        windows.append(signature.convert_objects(pipeline, unpack(instance, field), field))
    if sum(map(len, windows)) > server_settings().http_rows:
        raise BadRequest(
            f"there must be at most {server_settings().http_rows} records in all", field="instances"
        )
    served = resolve_model(name)
    records = [record for window in windows for record in window]
    if signature.is_windowed(pipeline):
        answers = []
        for number, window in enumerate(windows):
            answers += call_model(partial(served.learner.answer, window), f"instances[{number}]")
    else:
        answers = call_model(lambda: served.learner.answer(records), "instances")
    record_predictions(name, g.request_id, served, records)
    fields = pipeline.learning.answer_fields
    only_field = fields[0] if len(fields) == 1 or signature.is_windowed(pipeline) else None
    return json_response(
        PredictResponse(
            predictions=[answer[only_field] if only_field else answer for answer in answers],
            model_name=name,
            model_version=served.head.name,
            lineage=served.head.lineage,
            id=g.request_id,
        )
    )


def _unpack_window(instance: Any, field: str) -> list[Any]:
    """Return the records of a window, as JSON objects."""
    records = instance.get("records", [instance]) if isinstance(instance, dict) else instance
    if not isinstance(records, list):
        raise BadRequest("an instance must be a list of records", field=field)
    return records


def _make_record_unpacker(pipeline: Pipeline) -> Callable[[Any, str], list[Any]]:
    """Return a function that makes a list of one JSON object of an instance: a record, or its only input."""
    inputs, placeholder = signature.describe_inputs(pipeline), signature.make_placeholder_label(pipeline)

    def unpack_record(instance: Any, _: str) -> list[Any]:
        if isinstance(instance, dict):
            return [{**placeholder, **instance}]
        return [{**placeholder, inputs[0].name: instance} if len(inputs) == 1 else instance]

    return unpack_record
