"""Summaries in Redis, and the routes that serve them; with a real Redis, without Kafka."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from helpers import MakeApp
from stacks import free_port
from summary_rows import DAY_KEY, DAYS, put_rows

from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.storage.summary_store import SummaryRow, SummaryStore
from streamlearn.warehouse.summaries import list_summaries, read_summaries


@pytest.fixture
def settings(store: Store, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, redis=redis_url)


@pytest.fixture
def summaries(settings: Settings) -> Iterator[SummaryStore]:
    summaries = SummaryStore(settings)
    yield summaries
    summaries.close()


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


def write(store: SummaryStore, rows: dict[bytes, SummaryRow], start: int, end: int, topic: str = "a") -> int:
    return store.write("pm25", "day", rows, topic=topic, partition=0, start=start, end=end)


def row(value: bytes | None, offset: int, key: bytes = b"k") -> dict[bytes, SummaryRow]:
    return {key: SummaryRow(key, value, offset, 1000 + offset)}


def test_an_older_row_never_replaces_a_newer_one(summaries: SummaryStore) -> None:
    assert write(summaries, row(b"1", 0), 0, 1) == 1
    assert write(summaries, row(b"2", 1), 1, 2) == 2
    # Another copier that was held up, or this one after a restart, comes with what has been copied.
    assert write(summaries, row(b"1", 0), 0, 1) == 2
    assert write(summaries, row(b"3", 5), 5, 6) == 2, "something is left out before it"
    assert summaries.read("pm25", "day").rows == [b"2"]
    assert summaries.reached("pm25", "day", "a") == {0: 2}
    assert summaries.read("pm25", "day").written_s == 1.001


def test_a_row_that_the_job_has_taken_away_is_gone(summaries: SummaryStore) -> None:
    write(summaries, row(b"1", 0), 0, 1)
    write(summaries, row(None, 1), 1, 2)
    assert summaries.read("pm25", "day").rows == []


def test_a_topic_that_was_made_anew_is_copied_anew(summaries: SummaryStore) -> None:
    write(summaries, row(b"1", 9), 0, 10)
    assert summaries.reached("pm25", "day", "b") == {}
    assert write(summaries, row(b"2", 0, b"other"), 0, 1, topic="b") == 1
    assert summaries.read("pm25", "day").rows == [b"2"]


def test_what_redis_has_lost_is_asked_for_from_the_beginning(summaries: SummaryStore, store: Store) -> None:
    write(summaries, row(b"1", 0), 0, 1)
    store.clear("pm25")
    assert write(summaries, row(b"2", 1), 1, 2) == 0
    assert summaries.read("pm25", "day").rows == []


def test_the_longest_unwritten_rows_make_room(summaries: SummaryStore) -> None:
    rows = {b"%d" % n: SummaryRow(b"%d" % n, b"%d" % n, n, 0) for n in range(5)}
    summaries.write("pm25", "day", rows, topic="a", partition=0, start=0, end=5, most=3)
    again = {b"2": SummaryRow(b"2", b"2", 5, 0), b"9": SummaryRow(b"9", b"9", 6, 0)}
    summaries.write("pm25", "day", again, topic="a", partition=0, start=5, end=7, most=3)
    assert sorted(summaries.read("pm25", "day").rows) == [b"2", b"4", b"9"]
    assert summaries.count_rows("pm25", ["day", "wind"]) == {"day": 3, "wind": 0}


def test_a_summary_is_served_in_the_order_of_its_keys(client: FlaskClient, settings: Settings) -> None:
    put_rows(settings, "pm25", "day", DAYS[::-1], DAY_KEY)
    answer = client.get("/v2/models/pm25/summaries/day").json
    assert answer == {"model_name": "pm25", "name": "day", "written_s": 1_700_000_000.5, "rows": DAYS}
    assert client.get("/v2/models/pm25/summaries/day?last=1").json["rows"] == DAYS[2:]
    counts = [{"actual_y": y, "predict_y": y % 3, "digits": 5} for y in range(12)]
    put_rows(settings, "digits", "confusion", counts[::-1], ("actual_y", "predict_y"))
    assert client.get("/v2/models/digits/summaries/confusion").json["rows"] == counts


@pytest.mark.parametrize(
    ("query", "accept"), [("?format=csv", "*/*"), ("", "text/csv"), ("", "text/csv, application/json;q=0.5")]
)
def test_a_summary_is_a_table_for_who_asks_for_one(
    client: FlaskClient, settings: Settings, query: str, accept: str
) -> None:
    put_rows(settings, "pm25", "day", DAYS, DAY_KEY)
    answer = client.get(f"/v2/models/pm25/summaries/day{query}", headers={"Accept": accept})
    assert answer.content_type == "text/csv; charset=utf-8"
    assert "Accept" in answer.vary or query
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows == [{name: str(value) for name, value in day.items()} for day in DAYS]


@pytest.mark.parametrize("query", ["?format=json", ""])
def test_a_summary_is_json_for_everybody_else(client: FlaskClient, settings: Settings, query: str) -> None:
    put_rows(settings, "pm25", "day", DAYS, DAY_KEY)
    assert client.get(f"/v2/models/pm25/summaries/day{query}").content_type == "application/json"


def test_the_rows_of_every_summary_that_has_any_are_read_at_once(settings: Settings) -> None:
    assert read_summaries(settings, "pm25") == {}
    put_rows(settings, "pm25", "day", DAYS[::-1], DAY_KEY)
    assert read_summaries(settings, "pm25") == {"day": DAYS}


def test_the_summaries_of_a_pipeline_are_listed(client: FlaskClient, settings: Settings) -> None:
    put_rows(settings, "pm25", "day", DAYS, DAY_KEY)
    answer = client.get("/v2/models/pm25/summaries").json
    rows = {summary["name"]: summary["rows"] for summary in answer["summaries"]}
    assert rows == {name: 3 if name == "day" else 0 for name in rows}
    day = next(summary for summary in answer["summaries"] if summary["name"] == "day")
    assert (day["topic"], day["key"]) == ("pm25.summary.day", list(DAY_KEY))
    assert {"name": "max_ugm3", "type": "DOUBLE", "unit": "µg/m³", "description": "the largest"} in day[
        "columns"
    ]
    assert client.get("/v2/models/nothing/summaries").status_code == 404


def test_the_description_has_both_forms_of_a_summary(client: FlaskClient) -> None:
    operation = client.get("/openapi.json").json["paths"]["/v2/models/{name}/summaries/{summary}"]["get"]
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/csv"}
    assert {"format", "last"} <= {parameter["name"] for parameter in operation["parameters"]}
    assert {"404", "503"} <= set(operation["responses"])


def test_what_is_not_there_is_told_with_what_is(client: FlaskClient, settings: Settings) -> None:
    unknown = client.get("/v2/models/pm25/summaries/week")
    assert (unknown.status_code, unknown.json["code"]) == (404, "unknown_summary")
    assert unknown.json["error"].startswith("pm25 has no summary 'week'; there are: day, wind, horizon")
    missing = client.get("/v2/models/pm25/summaries/day")
    assert (missing.status_code, missing.json["code"]) == (503, "nothing_written")
    assert "`streamlearn sql run pm25` starts it" in missing.json["error"]
    assert client.get("/v2/models/pm25/summaries/day?format=xml").json["field"] == "format"
    assert client.get("/v2/models/pm25/summaries/day?last=0").json["field"] == "last"


def test_without_redis_it_says_so(make_app: MakeApp) -> None:
    client = make_app(redis=f"redis://localhost:{free_port()}/0").test_client()
    for path in ("", "/day"):
        answer = client.get(f"/v2/models/pm25/summaries{path}")
        assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")


def test_a_summary_of_a_sql_file_of_ones_own_is_one_of_its_pipelines(settings: Settings) -> None:
    folder = settings.home / "warehouse"
    folder.mkdir()
    columns = 'columns = [{ name = "a", type = "BIGINT" }, { name = "b", type = "BIGINT" }]'
    (folder / "mine.toml").write_text(
        'layer = "summary"\n[[topics]]\nname = "digits.summary.mine"\nowner = "mine: warehouse"\n'
        f'description = "Mine."\nkey = ["a"]\n{columns}\n'
    )
    (folder / "broken.toml").write_text("layer =")
    names = {summary.name: summary.job for summary in list_summaries(settings, "digits")}
    assert names["mine"] == "mine"
    assert names["minute"] == "digits"
