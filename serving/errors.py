"""Every error as JSON of one shape: a sentence, a stable code, and the field at fault where there is one.

{"error": "the drawing is empty", "code": "bad_drawing", "field": "imgStr"}

Only a browser that asks for a missing page gets an HTML error page.
"""

from functools import partial

from flask import Flask, Response, current_app, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from streamlearn.errors import (
    BadRecord,
    BadRequest,
    BadSetting,
    BrokerUnavailable,
    LineageError,
    NoModel,
    NotAllowed,
    NothingWritten,
    NotSupported,
    SnapshotRefused,
    StoreUnavailable,
    StreamlearnError,
    TopicRefused,
    UnknownPipeline,
    UnknownSummary,
    UnknownVersion,
)

_STATUS_AND_CODE: dict[type[StreamlearnError], tuple[int, str]] = {
    BadRecord: (400, "bad_request"),
    UnknownPipeline: (404, "unknown_model"),
    UnknownVersion: (404, "unknown_version"),
    UnknownSummary: (404, "unknown_summary"),
    NotSupported: (404, "not_supported"),
    LineageError: (409, "lineage"),
    BadSetting: (503, "bad_setting"),
    NoModel: (503, "no_model"),
    NothingWritten: (503, "nothing_written"),
    SnapshotRefused: (503, "snapshot_refused"),
    StoreUnavailable: (503, "store_unavailable"),
    BrokerUnavailable: (503, "broker_unavailable"),
    TopicRefused: (503, "topic_refused"),
}


_PROTOCOLS = ("/v1", "/v2")
"""The beginnings of paths that programs ask for, whatever they accept."""


def register(app: Flask) -> None:
    """Make the application answer errors in JSON; Flask picks the handler of the nearest base class."""
    for kind, (status, code) in _STATUS_AND_CODE.items():
        app.register_error_handler(kind, partial(_answer, status, code))
    app.register_error_handler(BadRequest, _answer_bad_request)
    app.register_error_handler(NotAllowed, _answer_not_allowed)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_unexpected)


def _answer(status: int, code: str, error: object, field: str | None = None) -> tuple[Response, int]:
    body = {"error": str(error), "code": code, **({"field": field} if field else {})}
    return jsonify(body), status


def _answer_bad_request(error: BadRequest) -> tuple[Response, int]:
    return _answer(400, error.code, error, error.field)


def _answer_not_allowed(error: NotAllowed) -> tuple[Response, int]:
    response, status = _answer(error.status, error.code, error)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response, status


def _answer_http_error(error: HTTPException) -> tuple[Response, int]:
    code = error.name.lower().replace(" ", "_")
    if _wants_page():
        status = error.code or 500
        response = Response(
            render_template(
                "error.html",
                status=status,
                name=error.name,
                error=None if status == 404 else error.description,
            )
        )
    else:
        response, status = _answer(error.code or 500, code, error.description or error.name)
    response.vary.add("Accept")
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response, status


def _wants_page() -> bool:
    """Whether a person looks for a page: a browser says that it prefers HTML."""
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    path = request.path.removesuffix("/")
    return (
        request.method in ("GET", "HEAD")
        and best == "text/html"
        and not any(path == prefix or path.startswith(f"{prefix}/") for prefix in _PROTOCOLS)
    )


def _answer_unexpected(error: Exception) -> tuple[Response, int]:
    current_app.logger.exception("unexpected error in %s", request.path)
    return _answer(500, "internal_error", "the server failed; its log says why")
