"""The server with a real Redis and models written by the real store, without Flink."""

import base64

import pytest
from flask.testing import FlaskClient
from helpers import learner
from test_drawing import ring

from serving.app import create_app
from streamlearn import checkpoint
from streamlearn.settings import Settings
from streamlearn.store import Store, Writer
from streamlearn.waiting import wait_until

DRAWING = base64.b64encode(ring().encode()).decode()


@pytest.fixture
def client(store: Store, redis_url: str) -> FlaskClient:
    return create_app(Settings(redis=redis_url, model_poll_ms=20)).test_client()


def serve(store: Store, count: int, writer: Writer | None = None) -> Writer:
    writer = writer or store.admit("digits", "aaaa", 1)
    data = checkpoint.dumps(learner(count), "aaaa")
    writer.save(count, data, checkpoint.digest(data), count)
    return writer


def test_without_a_model_nothing_is_served(client: FlaskClient) -> None:
    assert client.get("/v2/health/live").get_json() == {"live": True}
    ready = client.get("/v2/health/ready")
    assert (ready.status_code, ready.get_json()) == (503, {"ready": False, "waiting_for": ["digits"]})
    answer = client.post("/predict", data={"imgStr": DRAWING})
    assert answer.status_code == 503
    assert answer.get_json()["code"] == "no_model"


def test_a_model_without_training_is_not_served(client: FlaskClient, store: Store) -> None:
    serve(store, 0)
    assert client.get("/v2/health/ready").status_code == 503


@pytest.mark.parametrize("prefix", ["", "data:image/svg+xml;base64,", "image/svg+xml;base64,"])
def test_a_drawing_is_answered_as_the_tutorial_expects(
    client: FlaskClient, store: Store, prefix: str
) -> None:
    serve(store, 1797)
    answer = client.post("/predict", data={"imgStr": prefix + DRAWING})
    assert answer.status_code == 201
    body = answer.get_json()
    assert body["success"] is True
    assert body["predict_result"] == 0
    assert (body["model_version"], body["lineage"], len(body["picture"])) == (1797, "aaaa", 64)
    assert client.get("/v2/health/ready").status_code == 200
    assert client.get("/v2/models/digits/ready").status_code == 200


def version(client: FlaskClient) -> int:
    found: int = client.get("/v2/models/digits").get_json()["parameters"]["version"]
    return found


def test_a_newer_version_is_taken_over_and_an_older_head_followed(client: FlaskClient, store: Store) -> None:
    writer = serve(store, 100)
    assert version(client) == 100
    serve(store, 200, writer)
    wait_until(lambda: version(client) == 200, 5, "the newer version", every_s=0.01)
    writer.drop_after(150)
    serve(store, 150, writer)
    wait_until(lambda: version(client) == 150, 5, "the head to move back", every_s=0.01)


def test_the_last_good_model_stays_when_redis_is_emptied_or_the_snapshot_is_spoiled(
    client: FlaskClient, store: Store
) -> None:
    writer = serve(store, 100)
    assert version(client) == 100
    store.clear()
    assert client.post("/predict", data={"imgStr": DRAWING}).status_code == 201
    writer.save(120, b"spoiled", "d", 120)
    serve(store, 0, writer)
    assert version(client) == 100
    serve(store, 140, writer)
    wait_until(lambda: version(client) == 140, 5, "a good version", every_s=0.01)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 400),
        ({"imgStr": ""}, 400),
        ({"imgStr": "%%%"}, 400),
        ({"imgStr": base64.b64encode(b"no svg").decode()}, 400),
        ({"imgStr": base64.b64encode(b"<svg/>").decode()}, 400),
        ({"imgStr": "A" * (20 << 20)}, 413),
    ],
)
def test_what_is_no_drawing_is_refused_in_one_shape(
    client: FlaskClient, store: Store, form: dict[str, str], status: int
) -> None:
    serve(store, 100)
    answer = client.post("/predict", data=form)
    assert answer.status_code == status
    assert set(answer.get_json()) in ({"error", "code"}, {"error", "code", "field"})


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nowhere", 404, "not_found"),
        ("/predict", 405, "method_not_allowed"),
        ("/v2/models/nothing", 404, "unknown_model"),
        ("/v2/models/nothing/ready", 404, "unknown_model"),
    ],
)
def test_other_errors_have_the_same_shape(client: FlaskClient, path: str, status: int, code: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)


def test_the_page_runs_only_its_own_scripts(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert b"http://" not in page.data
    assert b"https://" not in page.data
