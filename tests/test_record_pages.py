"""The pages of records and the forms for one: what they show, and of what there is to choose."""

import json
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from flats import FLATS
from helpers import MakeApp
from reading import create_topic, drop_records, send
from stacks import free_port

from serving.pages.forms import make_form
from serving.pages.records import ROWS, Filter, RecordReader, find_row, select_rows
from serving.pages.watch import Watch
from streamlearn.operations.flow import DeadLetterPreview
from streamlearn.pipelines import digits, pm25
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app(kafka=f"localhost:{free_port()}", flink=f"http://localhost:{free_port()}").test_client()


@pytest.fixture
def watch(client: FlaskClient) -> Watch:
    """A watch of the digits that has seen 300 answers, a tenth of them wrong, and two dead letters."""
    seen: Watch = client.application.extensions["live"]["digits"].watch
    for n in range(300):
        answer: dict[str, Any] = {
            "actual_y": n % 10,
            "ts": f"second {n}",
            "predict_y": 3 if n % 10 == 4 else n % 10,
        }
        answer |= {"partition": n % 2, "offset": n, "model_version": 256, "lineage": "aaaa"}
        seen.flow.answers.append(answer)
        value = json.dumps({**answer, "x": [0, 16] * 32}).encode()
        seen.flow.values.append(None if n == 298 else value)
    for offset in (7, 299):
        seen.flow.dead_letters.append(DeadLetterPreview(offset, "JSON is malformed", "<b>broken</b>", 1))
    seen.flow.ends = [300, 300]
    seen.polled.add("kafka")
    return seen


def test_the_newest_rows_come_first_and_are_bounded(watch: Watch) -> None:
    rows = select_rows(watch, Filter())
    assert [row.offset for row in rows.rows[:4]] == [299, 299, 298, 297]
    assert len(rows.rows) == ROWS
    assert rows.partitions == [0, 1]
    assert rows.searched == 302
    first = rows.rows[3]
    assert (first.label, first.prediction, first.is_right, first.version) == ("7", "7", True, 256)
    assert first.fields["ts"] == "second 297"
    assert (first.picture or "").startswith("data:image/png;base64,")
    assert rows.rows[2].picture is None, "its bytes were too many to be kept"


def test_rows_are_chosen(watch: Watch) -> None:
    wrong = select_rows(watch, Filter("wrong"))
    assert [row.offset for row in wrong.rows] == list(range(294, 0, -10))
    assert {row.is_right for row in wrong.rows} == {False}
    dead = select_rows(watch, Filter("dead"))
    assert [(row.offset, row.reason) for row in dead.rows] == [
        (299, "JSON is malformed"),
        (7, "JSON is malformed"),
    ]
    assert {row.partition for row in select_rows(watch, Filter("all", 0)).rows} == {0}
    assert select_rows(watch, Filter("wrong", 1)).rows == []


def test_a_forecast_is_shown_by_its_horizons(client: FlaskClient) -> None:
    seen: Watch = client.application.extensions["live"]["pm25"].watch
    seen.flow.answers.append({
        "ts": "2010-01-02 00:00:00", "pollution": 129.04321, "forecast": {"1": 128.34, "3": None, "24": 90.0},
        "ranges": {"1": {"50": [1, 2]}}, "partition": 0, "offset": 5, "model_version": 5, "lineage": "aaaa",
    })  # fmt: skip
    seen.flow.values.append(None)
    (row,) = select_rows(seen, Filter()).rows
    assert row.prediction == "1 h: 128.3 · 24 h: 90.0"
    assert row.fields == {"ts": "2010-01-02 00:00:00", "pollution": "129.043"}


def test_a_row_is_found_by_its_place(watch: Watch) -> None:
    row = find_row(watch, 1, 7)
    assert row is not None
    assert row.reason == "JSON is malformed"
    row = find_row(watch, 0, 44)
    assert row is not None
    assert (row.prediction, row.label) == ("3", "4")
    assert find_row(watch, 1, 44) is None


def test_the_page_shows_rows_and_a_record_although_kafka_is_away(client: FlaskClient, watch: Watch) -> None:
    page = client.get("/records/digits?show=dead&rows=1").text
    assert "&lt;b&gt;broken&lt;/b&gt;" in page
    assert "<html" not in page
    page = client.get("/records/digits?offset=44&partition=0").text
    assert "Kafka does not answer; try again in a moment." in page
    for query in (
        "offset=-1",
        "offset=x",
        "offset=99999999999999999999",
        "partition=9",
        "show=%00",
        "rows=1&offset=3",
    ):
        assert client.get(f"/records/digits?{query}").status_code == 200, query
    assert client.get("/records").location == "/records/digits"
    assert client.get("/records/nothing").status_code == 404


def test_an_example_is_sent_where_there_is_one(client: FlaskClient) -> None:
    assert client.get("/try/digits?example=1").get_json() == []
    assert client.get("/try/nothing?example=1").status_code == 404


def describe(pipeline: Pipeline) -> dict[str, tuple[Any, ...]]:
    return {field.name: (field.kind, field.required, field.low, field.high) for field in make_form(pipeline)}


def test_a_form_has_the_fields_of_a_record_but_for_its_label() -> None:
    assert describe(digits.pipeline) == {
        "x": ("list", True, 0, 16),
        "ts": ("text", False, None, None),
    }
    picture = make_form(digits.pipeline)[0]
    assert (picture.length, picture.picture) == (64, (8, 8))
    form = describe(pm25.pipeline)
    assert form["pollution"] == ("number", True, 0, 2000)
    assert form["wnd_dir"] == ("choice", True, None, None)
    assert {field.name: field.choices for field in make_form(pm25.pipeline)}["wnd_dir"] == tuple(
        sorted(pm25.WINDS)
    )
    flat = describe(FLATS)
    assert "rent" not in flat
    assert {kind for kind, *_ in flat.values()} >= {"number", "integer", "switch"}


def test_a_record_is_read_as_it_stands_in_its_topic(broker: Settings) -> None:
    """Or what became of it is told: it is not there yet, or Kafka holds it no more."""
    pipeline = replace(digits.pipeline, topic="seen_records")
    reader, topic = RecordReader(broker), pipeline.topic
    assert reader.read(pipeline, 0, 0).state == "not_yet"
    create_topic(broker.kafka, topic)
    values = [b'{"x": [1, 2]}', b"broken \xff", json.dumps({"x": [8] * 64}).encode(), None]
    first = send(broker.kafka, topic, values)
    plain, broken, picture, null = (reader.read(pipeline, 0, first + n) for n in range(4))
    assert (plain.state, plain.picture) == ("here", None)
    assert json.loads(plain.body) == {"x": [1, 2]}
    assert broken.body == "broken \ufffd"
    assert (picture.picture or "").startswith("data:image/png")
    assert (null.state, null.body) == ("here", "")
    assert reader.read_newest(pipeline, 0, first + 4, 2) == [{"x": [8] * 64}]
    assert reader.read(pipeline, 0, first + 4).state == "not_yet"
    assert reader.read(pipeline, 5, 0).state == "not_yet"
    drop_records(broker.kafka, topic, first + 4)
    assert RecordReader(broker).read(pipeline, 0, first).state == "gone"
    assert reader.read(pipeline, 0, first) == plain, "what was read before is kept"
