"""Forecasts as JSON or CSV: from the stream's own state, or from recent records that a client sends."""

import csv
import io
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, g, request
from msgspec import Meta

from serving.model_cache import Served
from serving.models import find_cache, json_response, remember, resolve_model, server_settings
from serving.openapi import describe_route
from serving.protocol.tensors import decode_body
from streamlearn.errors import BadRecord, BadRequest, NotSupported
from streamlearn.learning.learner import Learner
from streamlearn.stream.records import encode

blueprint = Blueprint("forecast", __name__, url_prefix="/v2/models")


class Recent(msgspec.Struct):
    """What a client may send: records of the pipeline's topic, in any order."""

    records: list[msgspec.Raw]


class RecentAsDescribed(msgspec.Struct):
    """What a client may send: records of the pipeline's topic, in any order."""

    records: list[dict[str, Any]]


class ForecastAnswer(msgspec.Struct):
    """The value at each horizon, in steps after `ts`; null where it cannot be said yet."""

    model_name: str
    model_version: int
    lineage: str
    ts: str
    forecast: dict[str, float | None]


class FormatQuery(msgspec.Struct):
    """`format=csv` gives a table, a line a horizon."""

    format: Annotated[str, Meta(pattern="^(json|csv)$")] = "json"


@blueprint.get("/<name>/forecast")
@describe_route(ForecastAnswer, errors=(404, 503), tag="forecasts", query=FormatQuery)
def latest(name: str) -> Response:
    """Forecast from the newest record that the stream has learned."""
    served, learner = resolve_forecaster(name)
    answer = learner.answer([])[0]
    assert learner.latest is not None
    remember(name, g.request_id, served, [])
    return _response(name, served, learner.latest["ts"], answer)


@blueprint.post("/<name>/forecast")
@describe_route(
    ForecastAnswer,
    errors=(403, 404, 408, 413, 415, 503),
    tag="forecasts",
    json=RecentAsDescribed,
    query=FormatQuery,
)
def own(name: str) -> Response:
    """Forecast from the records in the body: `{"records": [{"ts": …, "pollution": …, …}, …]}`."""
    pipeline = find_cache(name).pipeline
    series = pipeline.learning.series
    if series is None:
        raise NotSupported(f"{name} does not forecast")
    records = _records(name)
    served, learner = resolve_forecaster(name)
    answer = learner.answer(records)[0]
    newest = max(records, key=series.step)
    remember(name, g.request_id, served, records)
    return _response(name, served, getattr(newest, "ts", ""), answer)


def resolve_forecaster(name: str) -> tuple[Served, Learner]:
    """Return the served version of a pipeline that forecasts."""
    if find_cache(name).pipeline.learning.series is None:
        raise NotSupported(f"{name} does not forecast")
    served = resolve_model(name, None)
    return served, served.learner


def _records(name: str) -> list[Any]:
    body = decode_body(request.get_data(), Recent, '{"records": [...]}', field="records")
    most = server_settings().http_rows
    if not 0 < len(body.records) <= most:
        raise BadRequest(f"there must be 1 to {most} records", field="records")
    found, codec = [], find_cache(name).pipeline.codec
    for number, record in enumerate(body.records):
        try:
            found.append(codec.decode(encode(record)))
        except BadRecord as error:
            raise BadRequest(f"record {number}: {error}", field=f"records[{number}]") from error
    return found


def _response(name: str, served: Served, ts: str, answer: dict[str, Any]) -> Response:
    wanted = request.args.get("format", "json")
    if wanted not in ("json", "csv"):
        raise BadRequest(f"format is json or csv, not {wanted[:40]!r}", field="format")
    if wanted == "json":
        return json_response(
            ForecastAnswer(name, served.head.version, served.head.lineage, ts, answer["forecast"])
        )
    table = io.StringIO()
    lines = csv.writer(table)
    lines.writerow(["ts", "horizon", "forecast", "model_version", "lineage"])
    for horizon, value in answer["forecast"].items():
        lines.writerow([ts, horizon, value, served.head.version, served.head.lineage])
    return Response(table.getvalue(), content_type="text/csv; charset=utf-8")
