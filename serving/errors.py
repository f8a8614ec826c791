"""Every error as JSON of one shape: a sentence, a stable code, and the field at fault where there is one.

{"error": "the drawing is empty", "code": "bad_drawing", "field": "imgStr"}
"""

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from streamlearn.errors import BadRequest, NoModel, UnknownPipeline

_DRAIN_BYTES = 64 << 20


def register(app: Flask) -> None:
    """Teach the application to answer errors in JSON."""
    app.register_error_handler(BadRequest, _bad_request)
    app.register_error_handler(NoModel, lambda error: shape(503, "no_model", str(error)))
    app.register_error_handler(UnknownPipeline, lambda error: shape(404, "unknown_model", str(error)))
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def shape(status: int, code: str, sentence: str, field: str | None = None) -> tuple[Response, int]:
    """Return an error response."""
    body = {"error": sentence, "code": code, **({"field": field} if field else {})}
    return jsonify(body), status


def _bad_request(error: BadRequest) -> tuple[Response, int]:
    return shape(400, error.code, str(error), error.field)


def _http(error: HTTPException) -> tuple[Response, int]:
    status = error.code or 500
    if status == 413:
        _drain()
    return shape(status, error.name.lower().replace(" ", "_"), error.description or error.name)


def _unexpected(error: Exception) -> tuple[Response, int]:
    from flask import current_app

    current_app.logger.exception("unexpected error in %s", request.path)
    return shape(500, "internal_error", "the server has failed; its log says why")


def _drain() -> None:
    """Read what is left of a body that was refused: a client that is still sending would see no answer."""
    left = min(request.content_length or 0, _DRAIN_BYTES)
    while left > 0 and (part := request.environ["wsgi.input"].read(min(left, 1 << 16))):
        left -= len(part)
