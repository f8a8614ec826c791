"""What every route asks: which model is to answer, what it answers, and that it was asked."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, current_app

from serving import telemetry
from serving.model_cache import ModelCache, Served
from serving.recent import Recent
from streamlearn.errors import BadRequest, UnknownPipeline, UnknownVersion
from streamlearn.settings import Settings
from streamlearn.stream.records import encode

T = TypeVar("T")


def find_cache(name: str) -> ModelCache:
    """Return the cache of a registered pipeline.

    Raises
    ------
    UnknownPipeline
        There is no such pipeline.
    """
    caches: dict[str, ModelCache] = current_app.extensions["models"]
    if name not in caches:
        raise UnknownPipeline(f"no model is called {name!r}; there are: {', '.join(sorted(caches))}")
    return caches[name]


def server_settings() -> Settings:
    """Return the server's settings."""
    settings: Settings = current_app.extensions["settings"]
    return settings


def resolve_model(name: str, version: str | None = None) -> Served:
    """Return the model that is to answer: the one that is served, or the version that is named."""
    cache = find_cache(name)
    return cache.current() if version is None else cache.at(_parse_version(name, version))


def call_model(call: Callable[[], T]) -> T:
    """Return what a model answers when `call` asks it.

    Raises
    ------
    BadRequest
        It cannot answer such records, though they are valid.
    """
    try:
        return call()
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"the model cannot answer this: {error}", field="inputs") from error


def _parse_version(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UnknownVersion(f"{text[:40]!r} is not a version of {name}")
    return int(text)


def json_response(answer: Any, status: int = 200) -> Response:
    """Return a struct as JSON."""
    return Response(encode(answer), status, content_type="application/json")


def remember(name: str, identity: str, served: Served, records: list[Any]) -> None:
    """Keep what was asked, for feedback, and count it."""
    recent: Recent = current_app.extensions["recent"]
    recent.remember(name, identity, records)
    telemetry.count_predictions(name, served, max(1, len(records)))
