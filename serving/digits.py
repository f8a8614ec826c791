"""The page to draw a digit on, and what answers it: the tutorial's `POST /predict`."""

import base64
import binascii

from flask import Blueprint, Response, jsonify, render_template, request

from serving import drawing
from serving.inference import cache
from streamlearn.errors import BadDrawing
from streamlearn.pipelines.digits import pipeline

blueprint = Blueprint("digits", __name__)


@blueprint.get("/")
def page() -> str:
    """Show the page."""
    return render_template("digits.html", pipeline=pipeline.name)


@blueprint.post("/predict")
def predict() -> tuple[Response, int]:
    """Answer a form whose `imgStr` is an SVG drawing in base64, as a data URL or bare."""
    picture = drawing.picture(_svg(request.form.get("imgStr")))
    served = cache(pipeline.name).current()
    record = pipeline.record(x=picture.tolist())
    predicted = served.learner.predict(pipeline.features([record]))[0]
    body = {
        "success": True,
        "predict_result": predicted,
        "model_version": served.head.version,
        "lineage": served.head.lineage,
        "picture": record.x,
    }
    return jsonify(body), 201


def _svg(text: str | None) -> bytes:
    if not text:
        raise BadDrawing("the form has no field imgStr with the drawing in it")
    bare = text.rpartition("base64,")[2]
    try:
        # A form turns + into a space where the sender has not escaped it.
        return base64.b64decode(bare.replace(" ", "+"), validate=True)
    except binascii.Error as error:
        raise BadDrawing(f"imgStr is not base64: {error}") from error
