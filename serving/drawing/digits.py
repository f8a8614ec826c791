"""What digit a drawing is: the tutorial's `POST /predict`."""

import base64
from typing import Any

import msgspec
from flask import Blueprint, Response, g, request

from serving.drawing import drawing
from serving.models import find_cache, json_response, remember
from serving.openapi import describe_route
from streamlearn.errors import BadDrawing, BadRecord, BadRequest
from streamlearn.pipelines import digits

blueprint = Blueprint("digits", __name__)

pipeline = digits.pipeline


class Drawing(msgspec.Struct):
    """A drawing as SVG, in base64; `data:image/svg+xml;base64,` may stand before it."""

    imgStr: str  # noqa: N815 (the tutorial's client calls it so)


class Answer(msgspec.Struct):
    """The digit; beside it the ten probabilities, the 8×8 picture that was judged, and by which version."""

    success: bool
    predict_result: int
    probabilities: list[float]
    picture: list[float]
    model_version: int
    lineage: str
    id: str


@blueprint.post("/predict")
@describe_route(
    Answer, status=201, errors=(403, 408, 413, 415, 503), tag="digits", form=Drawing, json=digits.Digit
)
def predict() -> Response:
    """Say which digit this is: a form whose `imgStr` is an SVG drawing in base64, or JSON with 64 numbers."""
    if request.is_json:
        record = _record(request.get_data())
    else:
        record = pipeline.record(x=drawing.picture(_svg(request.form.get("imgStr"))).tolist())
    served = find_cache(pipeline.name).current()
    outputs = served.learner.outputs([record])
    remember(pipeline.name, g.request_id, served, [record])
    answer = Answer(
        success=True,
        predict_result=outputs["predict_y"].tolist()[0],
        probabilities=outputs["probabilities"][0].tolist(),
        picture=record.x,
        model_version=served.head.version,
        lineage=served.head.lineage,
        id=g.request_id,
    )
    return json_response(answer, 201)


def _record(body: bytes) -> Any:
    try:
        return pipeline.codec.decode(body)
    except BadRecord as error:
        raise BadRequest(f'the body is not {{"x": [64 numbers, 0 to 16]}}: {error}', field="x") from error


def _svg(text: str | None) -> bytes:
    if not text:
        raise BadDrawing("the form has no field imgStr with the drawing in it")
    bare = text.rpartition("base64,")[2]
    try:
        # A form turns + into a space where the sender has not escaped it.
        return base64.b64decode(bare.replace(" ", "+"), validate=True)
    except ValueError as error:
        raise BadDrawing(f"imgStr is not base64: {error}") from error
