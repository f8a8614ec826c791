"""Every error as JSON of one shape: a sentence, a stable code, and the field at fault where there is one.

{"error": "the drawing is empty", "code": "bad_drawing", "field": "imgStr"}
"""

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException

from streamlearn.errors import (
    BadRecord,
    BadRequest,
    BrokerUnavailable,
    NoModel,
    NotAllowed,
    NotSupported,
    SnapshotRefused,
    StoreUnavailable,
    StreamlearnError,
    TopicRefused,
    UnknownPipeline,
    UnknownVersion,
)

_SHAPES: dict[type[StreamlearnError], tuple[int, str]] = {
    BadRecord: (400, "bad_request"),
    NoModel: (503, "no_model"),
    UnknownPipeline: (404, "unknown_model"),
    NotSupported: (404, "not_supported"),
    UnknownVersion: (404, "unknown_version"),
    SnapshotRefused: (503, "snapshot_refused"),
    StoreUnavailable: (503, "store_unavailable"),
    BrokerUnavailable: (503, "broker_unavailable"),
    TopicRefused: (503, "topic_refused"),
}


def register(app: Flask) -> None:
    """Teach the application to answer errors in JSON."""
    app.register_error_handler(BadRequest, _bad_request)
    app.register_error_handler(NotAllowed, _not_allowed)
    for kind in _SHAPES:
        app.register_error_handler(kind, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def shape(status: int, code: str, sentence: str, field: str | None = None) -> tuple[Response, int]:
    """Return an error response."""
    body = {"error": sentence, "code": code, **({"field": field} if field else {})}
    return jsonify(body), status


def _bad_request(error: BadRequest) -> tuple[Response, int]:
    return shape(400, error.code, str(error), error.field)


def _not_allowed(error: NotAllowed) -> tuple[Response, int]:
    response, status = shape(error.status, error.code, str(error))
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response, status


def _known(error: Exception) -> tuple[Response, int]:
    status, code = next(found for kind, found in _SHAPES.items() if isinstance(error, kind))
    return shape(status, code, str(error))


def _http(error: HTTPException) -> tuple[Response, int]:
    status = error.code or 500
    response, _ = shape(status, error.name.lower().replace(" ", "_"), error.description or error.name)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response, status


def _unexpected(error: Exception) -> tuple[Response, int]:
    current_app.logger.exception("unexpected error in %s", request.path)
    return shape(500, "internal_error", "the server has failed; its log says why")
