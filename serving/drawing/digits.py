"""The tutorial's route `POST /predict`: which digit a drawing is."""

from typing import Any

import msgspec
from flask import Blueprint, Response, g, request

from serving.drawing import drawing
from serving.drawing.decoding import decode_drawing
from serving.models import call_model, find_cache, json_response, record_predictions
from serving.openapi import describe_route
from streamlearn.errors import BadDrawing, BadRecord, BadRequest
from streamlearn.pipelines import digits

blueprint = Blueprint("digits", __name__)

pipeline = digits.pipeline


class Drawing(msgspec.Struct):
    """A drawing in base64 (SVG, PNG, JPEG, WebP or GIF), with or without `data:…;base64,` before it."""

    imgStr: str  # noqa: N815 (the tutorial's name)


class DigitAnswer(msgspec.Struct):
    """The digit, its ten probabilities, the 8×8 picture that was classified, and the model's version."""

    success: bool
    predict_result: int
    probabilities: list[float]
    picture: list[float]
    model_version: int | str
    lineage: str
    id: str


@blueprint.post("/predict")
@describe_route(
    DigitAnswer, status=201, errors=(403, 408, 413, 415, 503), tag="digits", form=Drawing, json=digits.Digit
)
def predict() -> Response:
    """Classify a digit: a form whose `imgStr` is a drawing in base64, or JSON with 64 numbers."""
    if request.is_json:
        record = _parse_record(request.get_data())
    else:
        record = pipeline.record(x=_read_picture(request.form.get("imgStr")))
    served = find_cache(pipeline.name).current()
    outputs = call_model(lambda: served.learner.outputs([record]), "x")
    record_predictions(pipeline.name, g.request_id, served, [record])
    answer = DigitAnswer(
        success=True,
        predict_result=outputs["predict_y"].tolist()[0],
        probabilities=outputs["probabilities"][0].tolist(),
        picture=record.x,
        model_version=served.head.label,
        lineage=served.head.lineage,
        id=g.request_id,
    )
    return json_response(answer, 201)


def _parse_record(body: bytes) -> Any:
    try:
        return pipeline.codec.decode(body)
    except BadRecord as error:
        raise BadRequest(f'the body is not {{"x": [64 numbers, 0 to 16]}}: {error}', field="x") from error


def _read_picture(text: str | None) -> list[float]:
    if not text:
        raise BadDrawing("the form has no field imgStr: put the drawing there, as SVG in base64")
    picture: list[float] = drawing.make_picture(decode_drawing(text)).tolist()
    return picture
