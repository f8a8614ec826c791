"""The routes for summaries: which ones a pipeline has, and the rows of one, as JSON or CSV.

The rows are those in Redis, copied from the topics that the SQL jobs write.
"""

import csv
import io
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, current_app, request
from msgspec import Meta

from serving.models import find_cache, json_response, parse_query, server_settings
from serving.openapi import describe_route
from streamlearn.errors import NothingWritten
from streamlearn.storage.summary_store import MOST_ROWS, SummaryStore
from streamlearn.warehouse.summaries import Summary, decode_rows, find_summary, list_summaries

blueprint = Blueprint("summaries", __name__, url_prefix="/v2/models/<name>/summaries")

_CSV = "text/csv"


class SummaryColumn(msgspec.Struct):
    """A column of a summary. `type` is Flink SQL's."""

    name: str
    type: str
    unit: str
    description: str


class SummaryInfo(msgspec.Struct):
    """What a summary is, and how many rows there are now."""

    name: str
    topic: str
    description: str
    key: list[str]
    """The columns that make up a row's key: of each key there is the newest row."""
    columns: list[SummaryColumn]
    rows: int


class Summaries(msgspec.Struct):
    """The summaries of a pipeline."""

    model_name: str
    summaries: list[SummaryInfo]


class SummaryAnswer(msgspec.Struct):
    """The rows of a summary, in the order of their keys."""

    model_name: str
    name: str
    written_s: float | None
    """When the newest row was written, in seconds since 1970."""
    rows: list[dict[str, Any]]


class SummaryQuery(msgspec.Struct):
    """`format=csv` asks for a table, `last` for the last rows alone."""

    format: Annotated[str, Meta(pattern="^(json|csv)$")] | None = None
    last: Annotated[int, Meta(ge=1, le=MOST_ROWS)] = MOST_ROWS


@blueprint.get("")
@describe_route(Summaries, errors=(404, 503), tag="summaries")
def list_all(name: str) -> Response:
    """List the summaries of a pipeline: what their columns hold, and how many rows there are."""
    find_cache(name)
    summaries = list_summaries(server_settings(), name)
    counts = summary_store().count_rows(name, [summary.name for summary in summaries])
    return json_response(Summaries(name, [_describe(summary, counts) for summary in summaries]))


def _describe(summary: Summary, counts: dict[str, int]) -> SummaryInfo:
    topic = summary.topic
    return SummaryInfo(
        summary.name,
        topic.name,
        topic.description,
        list(topic.key),
        [SummaryColumn(c.name, c.type, c.unit, c.description) for c in topic.columns],
        counts[summary.name],
    )


@blueprint.get("/<summary>")
@describe_route(SummaryAnswer, errors=(404, 503), tag="summaries", query=SummaryQuery)
def read(name: str, summary: str) -> Response:
    """Return the rows of a summary in the order of their keys, as JSON or, if you ask for it, as CSV."""
    find_cache(name)
    query = parse_query(SummaryQuery)
    known = find_summary(server_settings(), name, summary)
    rows, written_s = read_rows(known)
    rows = rows[-query.last :]
    if _wants_csv(query):
        response = Response(_format_csv(known, rows), content_type=f"{_CSV}; charset=utf-8")
    else:
        response = json_response(SummaryAnswer(name, summary, written_s, rows))
    response.vary.add("Accept")
    return response


def summary_store() -> SummaryStore:
    """Return the server's store of summaries."""
    store: SummaryStore = current_app.extensions["summaries"]
    return store


def read_rows(summary: Summary) -> tuple[list[dict[str, Any]], float | None]:
    """Return the rows of a summary in the order of their keys, and when the newest was written.

    Raises
    ------
    NothingWritten
        There is none.
    StoreUnavailable
        Redis does not answer.
    """
    copy = summary_store().read(summary.pipeline, summary.name)
    if not copy.rows:
        raise NothingWritten(
            f"nothing has been written to {summary.topic.name} yet. `streamlearn sql list` shows whether its"
            f" job runs, `streamlearn sql run {summary.job}` starts it; a window has a row once it is closed"
        )
    return decode_rows(summary.topic, copy.rows), copy.written_s


def _wants_csv(query: SummaryQuery) -> bool:
    """Whether the answer is a table: the query says so, or else the client accepts that rather than JSON."""
    if query.format is not None:
        return query.format == "csv"
    return request.accept_mimetypes.best_match(["application/json", _CSV]) == _CSV


def _format_csv(summary: Summary, rows: list[dict[str, Any]]) -> str:
    table = io.StringIO()
    names = [column.name for column in summary.topic.columns]
    writer = csv.DictWriter(table, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()
