"""The OpenAPI description, made from the routes' own types, and a page to browse it."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, jsonify, render_template
from spectree import Response as Answers
from spectree import SpecTree
from spectree.model_adapter import get_msgspec_model_adapter
from spectree.models import SecureType, SecurityScheme, SecuritySchemeData

blueprint = Blueprint("openapi", __name__)


class Problem(msgspec.Struct, omit_defaults=True):
    """Every error: a sentence for people, a stable code for programs, and perhaps the field at fault."""

    error: str
    code: str
    field: str | None = None


_spec = SpecTree(
    "flask",
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

_BESIDE_JSON = {
    "/infer": {"takes": _BYTES, "gives": _BYTES},
    "/forecast": {"gives": "text/csv"},
    "/file": {"gives": _BYTES},
}
"""How paths end whose requests or answers need not be JSON."""


def describe_route(
    answer: type[Any] | None = None,
    *,
    status: int = 200,
    errors: tuple[int, ...] = (),
    also: dict[int, type[Any]] | None = None,
    tag: str,
    **more: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Describe a route: the type of its answer and its status, its errors beside 400, other answers.

    Types are only told here; what comes in is read, and refused, by the routes themselves.
    """
    found: dict[str, Any] = {f"HTTP_{status}": answer}
    found |= {f"HTTP_{code}": Problem for code in (400, *errors)}
    found |= {f"HTTP_{code}": kind for code, kind in (also or {}).items()}
    decorate: Callable[[Callable[..., Any]], Callable[..., Any]] = _spec.validate(
        resp=Answers(**found), tags=(tag,), skip_validation=True, **more
    )
    return decorate


def register(app: Flask) -> None:
    """Add `/openapi.json` and `/docs`."""
    _spec.app = app
    app.register_blueprint(blueprint)


@blueprint.get("/openapi.json")
def description() -> Response:
    """Describe every route."""
    return jsonify(_completed(_spec.spec))


@blueprint.get("/docs")
def page() -> Response:
    """Show the description."""
    response = Response(render_template("docs.html"))
    # The library that shows it styles elements one by one.
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    )
    return response


def _completed(spec: dict[str, Any]) -> dict[str, Any]:
    """Add the media types beside JSON."""
    bare: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
    for path, operations in spec["paths"].items():
        beside = next((how for end, how in _BESIDE_JSON.items() if path.endswith(end)), {})
        for operation in operations.values():
            body = operation.get("requestBody", {}).get("content", {})
            if "takes" in beside and body:
                body[beside["takes"]] = bare
            if "gives" in beside:
                operation["responses"]["200"].setdefault("content", {})[beside["gives"]] = bare
            if "multipart/form-data" in body:
                body[_FORM] = body["multipart/form-data"]
    return spec
