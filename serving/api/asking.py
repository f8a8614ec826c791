"""Predictions whose labels come later: answered at once, and sent to the stream, where they wait by their id.

The record goes to the pipeline's input topic with the answer that was given. The job predicts it as any
other, and keeps its features. When its label comes, as feedback with its id, these are learned, and the label
is scored against the answer that was given here.
"""

from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, request

from serving import telemetry
from serving.access import limiter, require_token
from serving.api.feedback import Sender, limit_rate, refuse_where_off
from serving.models import call_model, find_cache, json_response, resolve_model
from serving.openapi import describe_route
from serving.protocol import signature, tensors
from streamlearn.errors import BadRequest, NoModel, NotSupported
from streamlearn.learning.labels_later import ANSWER_GIVEN, GivenAnswer
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.records import encode

blueprint = Blueprint("asking", __name__, url_prefix="/v2/models")

_HEADERS = [("source", b"ask")]


class AskRequest(msgspec.Struct):
    """A `record` without its label, and with the id by which the label will come."""

    record: dict[str, Any]


class AskAnswer(msgspec.Struct):
    """The prediction, and where the record stands in the stream."""

    model_name: str
    model_version: str
    lineage: str
    id: str | int
    predict_y: Any
    topic: str
    partition: int
    offset: int


@blueprint.post("/<name>/ask")
@describe_route(
    AskAnswer,
    status=201,
    errors=(401, 403, 404, 408, 413, 415, 429, 503),
    tag="feedback",
    json=AskRequest,
    security={"token": []},
)
@limiter.limit(limit_rate)
@require_token
def ask(name: str) -> Response:
    """Predict a record, and let it wait in the stream for its label, which comes later as feedback.

    Before there is a model `predict_y` is null; the record waits all the same.
    """
    refuse_where_off()
    pipeline = find_cache(name).pipeline
    body = tensors.decode_body(request.get_data(), AskRequest, "question")
    record, identity = _parse_record(pipeline, body.record)
    given, lineage = _answer(name, record)
    value = encode({**msgspec.to_builtins(record), ANSWER_GIVEN: given})
    pipeline.codec.decode(value)  # what the job would refuse is not sent
    sender: Sender = current_app.extensions["feedback"]
    ((partition, offset),) = sender.send(pipeline, [value], _HEADERS)
    place = pipeline.topic, partition, offset
    answer = AskAnswer(name, given.model_version, lineage, identity, given.predict_y, *place)
    return json_response(answer, 201)


def _answer(name: str, record: Any) -> tuple[GivenAnswer, str]:
    """Return the served model's answer and its lineage; before there is a model, an empty answer."""
    try:
        served = resolve_model(name)
    except NoModel:
        return GivenAnswer(), ""
    (answer,) = call_model(lambda: served.learner.answer([record]), "record")
    telemetry.count_predictions(name, served, 1)
    return GivenAnswer(answer["predict_y"], served.head.name), served.head.lineage


def _parse_record(pipeline: Pipeline, value: dict[str, Any]) -> tuple[Any, str | int]:
    """Return a request's record, and its id.

    Raises
    ------
    NotSupported
        The pipeline's labels come with their records.
    BadRequest
        It does not fit the record type, has no id, or has its label already.
    """
    late_label = pipeline.learning.late_label(pipeline.record)
    if late_label is None:
        raise NotSupported(
            f"labels of {pipeline.name} come with their records: declare `labels_later` in its learning,"
            " or send feedback"
        )
    id_field, label_field = msgspec.structs.fields(late_label)
    (record,) = signature.convert_objects(pipeline, [value], "record")
    if getattr(record, label_field.name) is not None:
        raise BadRequest(
            f"the record has its label, {label_field.encode_name}, already: send it as feedback",
            field=label_field.encode_name,
        )
    identity = getattr(record, id_field.name)
    if identity is None:
        raise BadRequest(
            f"the record needs an id by which its label can come: set its field {id_field.encode_name!r}",
            field=id_field.encode_name,
        )
    return record, identity
