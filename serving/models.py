"""What routes share: parse a query, find the model that answers, call it, encode its answer, keep records."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import numpy as np
from flask import Response, current_app, request

from serving import telemetry
from serving.state.model_cache import ModelCache, Served
from serving.state.recent import RecentPredictions
from streamlearn.errors import BadRecord, BadRequest, UnknownPipeline
from streamlearn.settings import Settings
from streamlearn.stream.records import encode

T = TypeVar("T")

LATEST = "latest"
"""What some clients call the version that is served, in a path."""


def find_cache(name: str) -> ModelCache:
    """Return the cache of a registered pipeline.

    Raises
    ------
    UnknownPipeline
        There is no such pipeline.
    """
    caches: dict[str, ModelCache] = current_app.extensions["models"]
    if name not in caches:
        raise UnknownPipeline(f"no model is called {name!r}; the models are: {', '.join(sorted(caches))}")
    return caches[name]


def server_settings() -> Settings:
    """Return the server's settings."""
    settings: Settings = current_app.extensions["settings"]
    return settings


def resolve_model(name: str, version: str | None = None) -> Served:
    """Return the model that answers: a given version; without one, or by `latest`, the one that is served.

    Raises
    ------
    UnknownPipeline, UnknownVersion
        There is no such model, or the version is not kept.
    NoModel
        Nothing has been learned yet.
    SnapshotRefused, StoreUnavailable
        The version is not in memory, and cannot be read from Redis.
    """
    cache = find_cache(name)
    return cache.current() if version is None or version == LATEST else cache.load_version(version)


def call_model(call: Callable[[], T], field: str = "inputs") -> T:
    """Return what `call`, which calls a model, returns; `field` of the request holds the records.

    Raises
    ------
    BadRequest
        The records are valid, but the model cannot predict them.
    """
    try:
        # What overflows is not finite, and refused: a warning in the log would help nobody.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return call()
    except BadRecord as error:
        raise BadRequest(str(error), field=field) from error
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"the model cannot predict these records: {error}", field=field) from error
    except (TypeError, ArithmeticError, LookupError, AttributeError) as error:
        # Code of the pipeline's own may not have expected them, in the stream such records are set aside.
        reason = f"the model cannot predict these records: {type(error).__name__}: {error}"
        raise BadRequest(reason, field=field) from error


def parse_query(kind: type[T]) -> T:
    """Return the request's query as a struct; what the struct does not name is let pass.

    Raises
    ------
    BadRequest
        A value is not one that its field takes.
    """
    try:
        return msgspec.convert(request.args.to_dict(), kind, strict=False)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].rstrip("`") if "$." in str(error) else None
        raise BadRequest(f"the query is not valid: {error}", field=field) from error


def json_response(answer: Any, status: int = 200) -> Response:
    """Return a struct as a JSON response."""
    return Response(encode(answer), status, content_type="application/json")


def record_predictions(name: str, identity: str, served: Served, records: list[Any]) -> None:
    """Keep a request's records under its id, for feedback, and count them as predicted."""
    if current_app.config["FEEDBACK"]:
        recent: RecentPredictions = current_app.extensions["recent"]
        recent.remember(name, identity, records)
    telemetry.count_predictions(name, served, max(1, len(records)))
