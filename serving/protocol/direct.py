"""Answers plain inference requests without Flask, whose share of a small prediction is as large as its own.

Only valid, plain requests are answered here; every other goes on to Flask unchanged. So every check, every
error and every route stands in one place, and an answer has the same bytes on both ways; a test compares
them.
"""

import time
from collections.abc import Iterable
from typing import Any

from flask import Flask

from serving import telemetry
from serving.access import is_own_name
from serving.bodies import REFUSAL
from serving.protocol import inference
from serving.state.model_cache import ModelCache
from serving.telemetry import Finished

_ROUTE = "/v2/models/<name>/infer"
_BEFORE_NAME, _AFTER_NAME = _ROUTE.split("<name>")
_LENGTH_KEY = "HTTP_" + inference.HEADER_LENGTH.upper().replace("-", "_")


class DirectInference:
    """WSGI middleware that answers inference requests by the served version; it stands behind `BodyReader`.

    Parameters
    ----------
    application
        Answers all other requests.
    app
        The application whose settings and models these are.
    """

    def __init__(self, application: Any, app: Flask) -> None:
        self._application = application
        self._hosts = app.config["HOSTS"]
        self._telemetry: telemetry.Telemetry = app.extensions["telemetry"]
        self._max_rows = app.extensions["settings"].http_rows
        self._recent = app.extensions["recent"] if app.config["FEEDBACK"] else None
        self._models: dict[str, ModelCache] = app.extensions["models"]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"]
        is_inference = path.startswith(_BEFORE_NAME) and path.endswith(_AFTER_NAME)
        cache = self._models.get(path[len(_BEFORE_NAME) : -len(_AFTER_NAME)]) if is_inference else None
        if cache is not None and self._is_plain(environ):
            started = time.perf_counter()
            request_id = telemetry.make_request_id(environ)
            try:
                answer = self._infer(cache, environ, request_id)
            except Exception:  # Flask's turn: it fails in the same way, and tells of it
                return self._pass_on(environ, start_response)
            name = cache.pipeline.name
            if self._recent is not None:
                self._recent.remember(name, answer.identity, answer.records)
            self._telemetry.note(
                Finished(
                    time_s=time.time(),
                    seconds=time.perf_counter() - started,
                    method="POST",
                    route=_ROUTE,
                    path=environ["PATH_INFO"],
                    client=environ.get("REMOTE_ADDR"),
                    status=200,
                    request_id=request_id,
                    model=name,
                    version=answer.served.head.name,
                    predicted=max(1, len(answer.records)),
                )
            )
            length = ("Content-Length", str(len(answer.body)))
            start_response("200 OK", [*answer.headers, length, ("X-Request-ID", request_id)])
            return [answer.body]
        return self._pass_on(environ, start_response)

    def _is_plain(self, environ: dict[str, Any]) -> bool:
        """Return whether a request is one that every client may send."""
        return (
            environ["REQUEST_METHOD"] == "POST"
            and "HTTP_ORIGIN" not in environ
            and REFUSAL not in environ
            and not environ.get("QUERY_STRING")
            and is_own_name(environ.get("HTTP_HOST", ""), self._hosts)
        )

    def _infer(self, cache: ModelCache, environ: dict[str, Any], request_id: str) -> inference.Answer:
        body = environ["wsgi.input"].getvalue()
        request = inference.Request(body, environ.get(_LENGTH_KEY), request_id, self._max_rows)
        return inference.infer(cache.pipeline, cache.current, request)

    def _pass_on(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer
