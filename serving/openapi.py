"""The OpenAPI description of all routes, made from their types, and the page that shows it."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, jsonify, render_template
from spectree import Response as ResponseTypes
from spectree import SpecTree
from spectree.model_adapter import get_msgspec_model_adapter
from spectree.models import SecureType, SecurityScheme, SecuritySchemeData
from spectree.plugins.flask_plugin import FlaskPlugin

blueprint = Blueprint("openapi", __name__)


class Problem(msgspec.Struct, omit_defaults=True):
    """An error: a sentence for people, a stable code for programs, and the field at fault, if any."""

    error: str
    code: str
    field: str | None = None


class _Describer(FlaskPlugin):
    """Describes routes and lets them do the rest: what spectree does around each call would take 25 µs."""

    def validate(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the route; spectree's own arguments come before the route's, which all have names."""
        return func(**kwargs)


_spec = SpecTree(
    "flask",
    backend=_Describer,
    title="streamlearn",
    version=version("streamlearn"),
    description="Models that learn from a stream, served while they learn.",
    mode="strict",
    model_adapter=get_msgspec_model_adapter(),
    validation_error_status=400,
    validation_error_model=Problem,
    naming_strategy=lambda model: getattr(model, "__name__", "Any"),
    nested_naming_strategy=lambda parent, child: child,
    security_schemes=[
        SecurityScheme(name="token", data=SecuritySchemeData(type=SecureType.HTTP, scheme="bearer"))
    ],
)

_BYTES = "application/octet-stream"
_FORM = "application/x-www-form-urlencoded"

_OTHER_MEDIA_TYPES = {
    "/infer": {"request": _BYTES, "response": _BYTES},
    "/forecast": {"response": "text/csv"},
    "/summaries/{summary}": {"response": "text/csv"},
    "/file": {"response": _BYTES},
}
"""The ends of the paths whose requests or responses need not be JSON."""


def describe_route(
    answer: type[Any] | None = None,
    *,
    status: int = 200,
    errors: tuple[int, ...] = (),
    also: dict[int, type[Any]] | None = None,
    tag: str,
    **more: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Describe a route in the OpenAPI description; the route itself parses and validates its requests.

    Parameters
    ----------
    answer
        The type of the route's answer; None for anything but JSON.
    status
        The answer's status.
    errors
        The statuses of the route's errors beside 400.
    also
        The types of other answers, by status.
    tag
        The heading under which the description lists the route.
    **more
        `json`, `form`, `query` (the request's types) and `security`, as spectree takes them.
    """
    types: dict[str, Any] = {f"HTTP_{status}": answer}
    types |= {f"HTTP_{code}": Problem for code in (400, *errors)}
    types |= {f"HTTP_{code}": kind for code, kind in (also or {}).items()}
    decorate: Callable[[Callable[..., Any]], Callable[..., Any]] = _spec.validate(
        resp=ResponseTypes(**types), tags=(tag,), skip_validation=True, **more
    )
    return decorate


def register(app: Flask) -> None:
    """Add `/openapi.json` and `/docs`."""
    _spec.app = app
    app.register_blueprint(blueprint)


@blueprint.get("/openapi.json")
def description() -> Response:
    """Return the OpenAPI description of every route."""
    return jsonify(_add_media_types(_spec.spec))


@blueprint.get("/docs")
def page() -> Response:
    """Show the OpenAPI description as a page."""
    response = Response(render_template("docs.html"))
    # Swagger UI, which shows it, sets styles on single elements.
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    )
    return response


def _add_media_types(spec: dict[str, Any]) -> dict[str, Any]:
    """Add the media types beside JSON to a description."""
    binary: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
    for path, operations in spec["paths"].items():
        others = next((types for end, types in _OTHER_MEDIA_TYPES.items() if path.endswith(end)), {})
        for operation in operations.values():
            body = operation.get("requestBody", {}).get("content", {})
            if "request" in others and body:
                body[others["request"]] = binary
            if "response" in others:
                operation["responses"]["200"].setdefault("content", {})[others["response"]] = binary
            if "multipart/form-data" in body:
                body[_FORM] = body["multipart/form-data"]
    return spec
