"""The page to draw a digit on, and what answers it: the tutorial's `POST /predict`."""

import base64
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, render_template, request

from serving import drawing
from serving.inference import cache
from streamlearn.errors import BadDrawing, BadRecord, BadRequest, NoModel
from streamlearn.forecast import Forecast
from streamlearn.pipelines.digits import pipeline

blueprint = Blueprint("digits", __name__)


@blueprint.get("/")
def page() -> str:
    """Show the page."""
    caches = current_app.extensions["models"]
    others = [
        {"name": name, "forecasts": isinstance(found.pipeline.learning, Forecast)}
        for name, found in sorted(caches.items())
        if name != pipeline.name
    ]
    return render_template("digits.html", pipeline=pipeline.name, others=others, status=_status())


def _status() -> str:
    """A sentence about the model that is served."""
    try:
        served = cache(pipeline.name).current()
    except NoModel as missing:
        return str(missing)
    score = served.learner.score
    accuracy = score.summary()["accuracy"]
    share = "not scored yet" if accuracy is None else f"{accuracy:.1%} right before learning them"
    return (
        f"Version {served.head.version} is served, written {served.age_s():.0f} s ago:"
        f" {score.samples} records scored, {share}."
    )


@blueprint.post("/predict")
def predict() -> tuple[Response, int]:
    """Answer a form whose `imgStr` is an SVG drawing in base64, or JSON whose `x` is 64 numbers, 0–16."""
    if request.is_json:
        record = _record(request.get_data())
    else:
        record = pipeline.record(x=drawing.picture(_svg(request.form.get("imgStr"))).tolist())
    served = cache(pipeline.name).current()
    body = {
        "success": True,
        "predict_result": served.learner.answer([record])[0]["predict_y"],
        "model_version": served.head.version,
        "lineage": served.head.lineage,
        "picture": record.x,
    }
    return jsonify(body), 201


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
