"""Forecasts as JSON: from the stream's own state, or from recent readings that a client sends."""

from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request

from serving.inference import cache
from serving.model_cache import Served
from streamlearn.errors import BadRecord, BadRequest, UnknownPipeline
from streamlearn.forecast import ForecastLearner
from streamlearn.messages import encode
from streamlearn.pipeline import Pipeline

blueprint = Blueprint("forecast", __name__, url_prefix="/v2/models")

_MAX_RECORDS = 1000


class Recent(msgspec.Struct):
    """What a client may send: records of the pipeline's topic, in any order."""

    records: list[msgspec.Raw]


@blueprint.get("/<name>/forecast")
def latest(name: str) -> Response:
    """Forecast from the newest record that the stream has learned."""
    served, learner = _forecaster(name)
    answer = learner.answer([])[0]
    assert learner.latest is not None
    return _response(name, served, learner.latest["ts"], answer)


@blueprint.post("/<name>/forecast")
def own(name: str) -> Response:
    """Forecast from the records in the body: `{"records": [{"ts": …, "pollution": …, …}, …]}`."""
    records = _records(cache(name).pipeline)
    served, learner = _forecaster(name)
    newest = max(records, key=lambda record: str(record.ts))
    return _response(name, served, newest.ts, learner.answer(records)[0])


def _forecaster(name: str) -> tuple[Served, ForecastLearner]:
    served = cache(name).current()
    if not isinstance(served.learner, ForecastLearner):
        raise UnknownPipeline(f"{name} does not forecast")
    return served, served.learner


def _records(pipeline: Pipeline) -> list[Any]:
    try:
        body = msgspec.json.decode(request.get_data(), type=Recent)
    except msgspec.DecodeError as error:
        raise BadRequest(f'the body is not {{"records": [...]}}: {error}', field="records") from error
    if not 0 < len(body.records) <= _MAX_RECORDS:
        raise BadRequest(f"there must be 1 to {_MAX_RECORDS} records", field="records")
    found = []
    for number, record in enumerate(body.records):
        try:
            found.append(pipeline.codec.decode(encode(record)))
        except BadRecord as error:
            raise BadRequest(f"record {number}: {error}", field=f"records[{number}]") from error
    return found


def _response(name: str, served: Served, ts: str, answer: dict[str, object]) -> Response:
    return jsonify(
        model_name=name,
        model_version=served.head.version,
        lineage=served.head.lineage,
        ts=ts,
        **answer,
    )
