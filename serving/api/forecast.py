"""The routes for forecasts, as JSON or CSV: from the stream's newest record, or from a client's records."""

import csv
import io
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, g, request
from msgspec import Meta

from serving.models import (
    call_model,
    find_cache,
    json_response,
    record_predictions,
    resolve_model,
    server_settings,
)
from serving.openapi import describe_route
from serving.protocol.tensors import decode_body
from serving.state.model_cache import Served
from streamlearn.errors import BadRecord, BadRequest, NotSupported
from streamlearn.learning.learner import Learner
from streamlearn.stream.records import encode

blueprint = Blueprint("forecast", __name__, url_prefix="/v2/models")


class ForecastRequest(msgspec.Struct):
    """Recent records of the pipeline's input topic, in any order."""

    records: list[dict[str, Any]]


class _RawForecastRequest(msgspec.Struct):
    """The same with undecoded records: the pipeline's codec decodes them, and says what is wrong."""

    records: list[msgspec.Raw]


class ForecastAnswer(msgspec.Struct):
    """The value at each horizon, in steps after `ts`; null where no forecast can be made yet."""

    model_name: str
    model_version: int | str
    lineage: str
    ts: str
    forecast: dict[str, float | None]
    ranges: dict[str, dict[str, list[float]] | None] | msgspec.UnsetType = msgspec.UNSET
    """Horizon → share of truths in percent → the range made to hold it; null where too few truths have come.
    Absent where the lineage's forecasts have no ranges."""


class FormatQuery(msgspec.Struct):
    """`format=csv` asks for a table with one line for each horizon."""

    format: Annotated[str, Meta(pattern="^(json|csv)$")] = "json"


class LatestQuery(FormatQuery):
    """`key` names one of several series; without it the forecast is from the newest record of all."""

    key: str = ""


@blueprint.get("/<name>/forecast", endpoint="latest")
@describe_route(ForecastAnswer, errors=(404, 503), tag="forecasts", query=LatestQuery)
def forecast_from_stream(name: str) -> Response:
    """Forecast from the newest record of the stream; with `key`, from the newest of that series."""
    served, learner = resolve_forecaster(name)
    if key := request.args.get("key"):
        latest = learner.latest_of(key)
        if latest is None:
            raise BadRequest(f"no record with the key {key[:40]!r} has come, or none lately", field="key")
        answer: Mapping[str, Any] = latest
    else:
        answer, latest = learner.answer([])[0], learner.latest
        assert latest is not None
    record_predictions(name, g.request_id, served, [])
    return _make_response(name, served, _name_time(name, latest["ts"]), answer)


@blueprint.post("/<name>/forecast")
@describe_route(
    ForecastAnswer,
    errors=(403, 404, 408, 413, 415, 503),
    tag="forecasts",
    json=ForecastRequest,
    query=FormatQuery,
)
def forecast_from_records(name: str) -> Response:
    """Forecast from the records in the body: `{"records": [{"ts": …, "pollution": …, …}, …]}`."""
    pipeline = find_cache(name).pipeline
    series = pipeline.learning.series
    if series is None:
        raise NotSupported(f"{name} does not forecast")
    records = _parse_records(name)
    served, learner = resolve_forecaster(name)
    answer = call_model(lambda: learner.answer(records)[0], "records")
    newest = max(records, key=series.step)
    record_predictions(name, g.request_id, served, records)
    time = _name_time(name, str(getattr(newest, "ts", series.step(newest))))
    return _make_response(name, served, time, answer)


def _name_time(name: str, ts: str) -> str:
    """Return a time as people read it: where records have no `ts`, it is the number of a step."""
    pipeline = find_cache(name).pipeline
    return ts if hasattr(pipeline.record, "ts") else pipeline.display.name_step(int(ts))


def resolve_forecaster(name: str) -> tuple[Served, Learner]:
    """Return the served version of a pipeline that forecasts, and its learner.

    Raises
    ------
    UnknownPipeline, NotSupported, NoModel
        There is no such pipeline, it does not forecast, or it has learned nothing yet.
    """
    if find_cache(name).pipeline.learning.series is None:
        raise NotSupported(f"{name} does not forecast")
    served = resolve_model(name)
    return served, served.learner


def _parse_records(name: str) -> list[Any]:
    body = decode_body(request.get_data(), _RawForecastRequest, '{"records": [...]}', field="records")
    max_rows = server_settings().http_rows
    if not 0 < len(body.records) <= max_rows:
        raise BadRequest(f"there must be 1 to {max_rows} records", field="records")
    records, codec = [], find_cache(name).pipeline.codec
    for number, record in enumerate(body.records):
        try:
            records.append(codec.decode(encode(record)))
        except BadRecord as error:
            raise BadRequest(f"record {number}: {error}", field=f"records[{number}]") from error
    return records


def _make_response(name: str, served: Served, ts: str, answer: Mapping[str, Any]) -> Response:
    wanted = request.args.get("format", "json")
    if wanted not in ("json", "csv"):
        raise BadRequest(f"format must be json or csv, not {wanted[:40]!r}", field="format")
    head, forecast = served.head, answer["forecast"]
    if wanted == "json":
        ranges = answer.get("ranges", msgspec.UNSET)
        return json_response(ForecastAnswer(name, head.label, head.lineage, ts, forecast, ranges))
    table = io.StringIO()
    writer = csv.writer(table)
    shares = _name_shares(name) if "ranges" in answer else []
    ends = [f"{end}_{share}" for share in shares for end in ("low", "high")]
    writer.writerow(["ts", "horizon", "forecast", "model_version", "lineage", *ends])
    for horizon, value in forecast.items():
        ranges = (answer.get("ranges") or {}).get(horizon) or {}
        cells = [end for share in shares for end in ranges.get(share, [None, None])]
        writer.writerow([ts, horizon, value, head.label, head.lineage, *cells])
    return Response(table.getvalue(), content_type="text/csv; charset=utf-8")


def _name_shares(name: str) -> list[str]:
    """Return the shares of truths that a pipeline's ranges are made to hold, in percent."""
    series = find_cache(name).pipeline.learning.series
    return [] if series is None else list(series.ranges.names)
