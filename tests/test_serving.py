"""The server with a real Redis and models written by the real store, without Flink."""

import base64
import io
import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from drawn import SVG
from flask.testing import FlaskClient
from helpers import MakeApp, serve, version, write
from PIL import Image, ImageDraw
from redis.connection import AbstractConnection

from serving.state import model_cache
from serving.state.model_cache import ModelCache
from streamlearn.learning.learner import Learner
from streamlearn.pipelines import digits
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo
from streamlearn.waiting import wait_until

ZERO = '<ellipse cx="100" cy="100" rx="40" ry="70" fill="none" stroke="black" stroke-width="8"/>'
DRAWING = base64.b64encode(SVG.format(ZERO).encode()).decode()


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


def test_without_a_model_nothing_is_served(client: FlaskClient) -> None:
    assert client.get("/v2/health/live").get_json() == {"live": True}
    ready = client.get("/v2/health/ready")
    troubles = dict.fromkeys(("digits", "pm25"), "Flink at http://localhost:1 does not answer")
    assert ready.status_code == 503
    assert ready.get_json().items() >= {"ready": False, "serving": [], "waiting_for": []}.items()
    assert {name: text[:43] for name, text in ready.get_json()["troubles"].items()} == troubles
    assert client.get("/v2/models/digits").get_json()["versions"] == []
    assert client.get("/v2/models/digits/ready").status_code == 503
    assert client.get("/v2/models/pm25/forecast").status_code == 503
    answer = client.post("/predict", data={"imgStr": DRAWING})
    assert answer.status_code == 503
    assert answer.get_json()["code"] == "no_model"


def test_a_model_without_training_is_not_served(client: FlaskClient, store: Store) -> None:
    write(store, 0)
    for cache in client.application.extensions["models"].values():
        cache.refresh()
    assert client.get("/v2/health/ready").status_code == 503


def test_versions_of_a_model_that_nobody_asks_follow_at_leisure(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is asked: then the newest is served at once."""
    monkeypatch.setattr(model_cache, "_asked_s", [0.0])  # other tests have asked
    loaded: list[float] = []
    loads = snapshot.loads

    def note_and_load(*arguments: Any) -> Learner:
        loaded.append(time.monotonic())
        return loads(*arguments)

    monkeypatch.setattr(snapshot, "loads", note_and_load)
    writer = write(store, 1)
    cache = ModelCache(store, digits.pipeline, 0.02)
    newest = 1

    def write_another() -> None:
        nonlocal newest
        newest += 1
        write(store, newest, writer)

    def is_loaded_again() -> bool:
        write_another()
        return len(loaded) >= 4

    wait_until(is_loaded_again, 60, "the fourth load")
    assert min(after - before for before, after in pairwise(loaded)) >= 0.5
    write_another()
    wait_until(lambda: cache.current().head.version == newest, 60, "the newest version", every_s=0.01)
    loaded.clear()

    def is_followed() -> bool:
        write_another()
        cache.current()
        return any(after - before < 0.5 for before, after in pairwise(loaded))

    wait_until(is_followed, 60, "one version to be loaded soon after another", every_s=0.01)
    cache.stop()


@pytest.mark.parametrize("prefix", ["", "data:image/svg+xml;base64,", "image/svg+xml;base64,"])
def test_a_drawing_is_answered_as_the_tutorial_expects(
    client: FlaskClient, store: Store, prefix: str
) -> None:
    serve(client, store, 1797)
    answer = client.post("/predict", data={"imgStr": prefix + DRAWING})
    assert answer.status_code == 201
    body = answer.get_json()
    assert body["success"] is True
    assert body["predict_result"] == 0
    assert (body["model_version"], body["lineage"], len(body["picture"])) == (1797, "aaaa", 64)
    assert client.get("/v2/health/ready").status_code == 200
    assert client.get("/v2/models/digits/ready").status_code == 200


def test_a_drawing_in_lines_of_76_or_as_a_png_is_answered(client: FlaskClient, store: Store) -> None:
    serve(client, store, 1797)
    picture = Image.new("L", (200, 200), "white")
    ImageDraw.Draw(picture).ellipse((60, 30, 140, 170), outline="black", width=8)
    picture.save(png := io.BytesIO(), "PNG")
    for data in (SVG.format(ZERO).encode(), png.getvalue()):
        answer = client.post("/predict", data={"imgStr": base64.encodebytes(data).decode()})
        assert (answer.status_code, answer.get_json()["predict_result"]) == (201, 0)


def test_a_newer_version_is_taken_over_and_an_older_head_followed(client: FlaskClient, store: Store) -> None:
    writer = serve(client, store, 100)
    serve(client, store, 200, writer)
    writer.roll_back(150)
    serve(client, store, 150, writer)


def test_the_last_good_model_stays_when_redis_is_emptied_or_the_snapshot_is_spoiled(
    client: FlaskClient, store: Store
) -> None:
    writer = serve(client, store, 100)
    store.clear()
    assert client.post("/predict", data={"imgStr": DRAWING}).status_code == 201
    writer = store.admit("digits", "aaaa", 1)
    writer.save(120, b"spoiled", VersionInfo("d", 120, {}))
    write(store, 0, writer)
    for cache in client.application.extensions["models"].values():
        cache.refresh()
    assert version(client) == 100
    serve(client, store, 140, writer)


def test_a_server_that_starts_beside_a_spoiled_version_serves_the_one_before(
    store: Store, make_app: MakeApp
) -> None:
    writer = write(store, 100)
    writer.save(120, b"spoiled", VersionInfo("d", 120, {}))
    assert version(make_app().test_client()) == 100


def test_with_a_key_only_what_is_signed_is_served(store: Store, make_app: MakeApp) -> None:
    write(store, 100)
    app = make_app(checkpoint_key="mine")
    assert app.test_client().get("/v2/models/digits").get_json()["versions"] == []


def test_64_numbers_as_json_are_answered_alike(client: FlaskClient, store: Store) -> None:
    serve(client, store, 1797)
    expected = client.post("/predict", data={"imgStr": DRAWING}).get_json()
    answer = client.post("/predict", json={"x": expected["picture"]})
    assert (answer.status_code, {**answer.get_json(), "id": expected["id"]}) == (201, expected)
    for bad in ([0] * 63, [17] * 64, "x", None):
        refused = client.post("/predict", json={"x": bad})
        assert (refused.status_code, refused.get_json()["field"]) == (400, "x")
    assert client.post("/predict", data=b"{", content_type="application/json").status_code == 400


def test_no_answer_waits_for_redis(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even while Redis is well: other threads fetch the models."""
    serve(client, store, 100)
    commands: list[object] = []
    send = AbstractConnection.send_packed_command

    def note(connection: AbstractConnection, *arguments: Any, **options: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            commands.append(arguments[0])
        send(connection, *arguments, **options)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", note)
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready"):
        assert client.get(path).status_code == 200
    tensor = {"name": "x", "shape": [1, 64], "datatype": "FP64", "data": [3.0] * 64}
    assert client.post("/v2/models/digits/infer", json={"inputs": [tensor]}).status_code == 200
    assert client.post("/v1/models/digits:predict", json={"instances": [[3.0] * 64]}).status_code == 200
    assert client.post("/predict", data={"imgStr": DRAWING}).status_code == 201
    assert commands == []
    assert client.get("/v2/models/digits/versions").status_code == 200
    assert commands, "this one asks for what is kept"


def test_a_version_is_taken_over_when_redis_announces_it(store: Store, make_app: MakeApp) -> None:
    serve(make_app(model_poll_ms=60_000).test_client(), store, 100)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 400),
        ({"imgStr": ""}, 400),
        ({"imgStr": "%%%"}, 400),
        ({"imgStr": "é"}, 400),
        ({"imgStr": base64.b64encode(b"no svg").decode()}, 400),
        ({"imgStr": base64.b64encode(b"<svg/>").decode()}, 400),
        ({"imgStr": "A" * (20 << 20)}, 413),
    ],
)
def test_what_is_no_drawing_is_refused_in_one_shape(
    client: FlaskClient, form: dict[str, str], status: int
) -> None:
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


def test_forecasts_are_for_those_who_forecast(client: FlaskClient, store: Store) -> None:
    serve(client, store, 100)
    assert client.get("/v2/models/digits/forecast").status_code == 404
    assert client.get("/v2/models/nothing/forecast").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "records"),
        (b"{}", "records"),
        (b'{"records": []}', "records"),
        (b'{"records": [1]}', "records[0]"),
        (b'{"records": [{"ts": "2010-01-02 00:00:00"}]}', "records[0]"),
    ],
)
def test_hours_that_cannot_be_read_are_named(client: FlaskClient, body: bytes, field: str) -> None:
    answer = client.post("/v2/models/pm25/forecast", data=body)
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)
