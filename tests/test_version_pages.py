"""Versions and lineages side by side: their page, and the route that goes back; without Kafka and Flink."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import MakeApp, learner, put, serve
from stacks import free_port

from serving.pages import versions
from serving.pages.versions import combine_versions, list_figures
from streamlearn.pipelines.digits import pipeline
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app(kafka=f"localhost:{free_port()}", flink=f"http://localhost:{free_port()}").test_client()


def read_rows(client: FlaskClient) -> list[tuple[str, str]]:
    """Return the name of each version of the table, and the text of its row."""
    page = client.get("/versions/digits?rows=1").text
    assert "<html" not in page
    rows = re.findall(r"<tr[^>]*>\s*<th scope=\"row\"><label>(.*?)</tr>", page, re.DOTALL)
    return [
        (re.search(r'value="([^"]+)"', row)[1], re.sub(r"<[^>]+>|\s+", " ", row))  # type: ignore[index]
        for row in rows
    ]


def test_versions_stand_side_by_side_with_what_each_was_worth(client: FlaskClient, store: Store) -> None:
    writer = serve(client, store, 256)
    put(store, pipeline, learner(512, cuts=[256]), writer)
    rows = read_rows(client)
    assert [name for name, _ in rows] == ["512", "256"]
    assert re.search(r"512 .*ago .*256 .*\d\d\.\d\d % ", rows[0][1])
    assert "–" in rows[1][1], "the first one has no score yet"


def test_the_served_version_is_in_the_table_though_it_is_pinned_and_old(
    client: FlaskClient, store: Store
) -> None:
    writer = serve(client, store, 256)
    assert client.post("/v2/models/digits/versions/256/pin").status_code == 200
    put(store, pipeline, learner(512, cuts=[256]), writer)
    writer.delete([256])
    pinned = [text for name, text in read_rows(client) if name == "256"]
    assert len(pinned) == 1
    assert "served, pinned" in pinned[0]
    assert "the newest, not served" in dict(read_rows(client))["512"]


def test_what_was_served_of_several_partitions_is_named_at_each_moment() -> None:
    def describe(time_s: int, samples: int) -> VersionInfo:
        return VersionInfo(f"{time_s}", samples, {"accuracy": samples / 100}, time_s)

    infos = [{40: describe(10, 40), 80: describe(30, 80)}, {}, {50: describe(20, 50), 60: describe(30, 60)}]
    combined = list(combine_versions("aaaa", infos))
    assert [head.name for head, _ in combined] == ["40.-.-", "40.-.50", "80.-.60"]
    assert [head.samples for head, _ in combined] == [40, 90, 140]
    assert combined[-1][1]["accuracy"] == pytest.approx((80 * 0.8 + 60 * 0.6) / 140)
    alone = list(combine_versions("aaaa", infos[:1]))
    assert [(head.name, score) for head, score in alone] == [
        ("40", {"accuracy": 0.4}),
        ("80", {"accuracy": 0.8}),
    ]


def test_figures_are_compared_without_their_baselines() -> None:
    score: Any = {"h1_rmse": 1.0, "h1_persistence_rmse": 2.0}
    assert list_figures([score, {"h3_rmse": None}]) == ["h1_rmse", "h3_rmse"]
    assert list_figures([{"baseline": 1.0}]) == ["baseline"]


def test_old_versions_grow_sparse_in_the_table() -> None:
    rows = list(range(100, 0, -1))
    assert versions.thin_rows(rows, lambda row: row == 50) == [100, 99, 98, 97, 96, 92, 84, 68, 50, 36]


def test_to_go_back_needs_the_token_kafka_and_a_version(make_app: MakeApp, store: Store) -> None:
    away_at = f"localhost:{free_port()}"
    client = make_app(kafka=away_at, kafka_wait_s=0.3, api_token="secret").test_client()
    serve(client, store, 256)
    path, headers = "/v2/models/digits/versions/256/rollback", {"Authorization": "Bearer secret"}
    assert client.post(path).status_code == 401
    refused = client.post(path.replace("256", "x"), headers=headers)
    assert (refused.status_code, refused.get_json()["code"]) == (404, "unknown_version")
    away = client.post(path, headers=headers)
    assert (away.status_code, away.get_json()["code"]) == (503, "broker_unavailable")
