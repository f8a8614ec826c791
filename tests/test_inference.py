"""The Open Inference Protocol, V1, versions and pins: the application on a real Redis."""

import base64
import gzip
import json
import logging
import struct
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from flask.testing import FlaskClient
from flats import FLATS, Flat
from helpers import LINEAGE, MakeApp, learner, put
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDRegressor

from serving import access
from serving.api import feedback
from serving.protocol import signature
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.learning.tabular import Tabular
from streamlearn.pipelines import digits, pm25
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Head
from streamlearn.waiting import wait_until

X, Y = load_digits(return_X_y=True)


@pytest.fixture
def client(store: Store, make_app: MakeApp) -> FlaskClient:
    """A server with one version of the digits, that of 1797 records."""
    put(store, digits.pipeline, learner(1797, cuts=range(256, 1797, 256)))
    return make_app().test_client()


def tensor(rows: Any = None, **more: Any) -> dict[str, Any]:
    x = X[:3] if rows is None else np.asarray(rows)
    return {"name": "x", "shape": list(x.shape), "datatype": "FP64", "data": x.tolist(), **more}


def infer(client: FlaskClient, *inputs: dict[str, Any], path: str = "models/digits", **more: Any) -> Any:
    return client.post(f"/v2/{path}/infer", data=json.dumps({"inputs": list(inputs), **more}))


def outputs(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.get_json()
    return {output["name"]: output for output in answer.get_json()["outputs"]}


def test_rows_are_answered_as_the_model_itself_would(client: FlaskClient) -> None:
    """JSON with no Content-Type, as some clients send it."""
    answer = infer(client, tensor(), id="my id", parameters={"who": "me", "n": 3})
    model = learner(1797, cuts=range(256, 1797, 256)).model  # type: ignore[attr-defined]
    arrays = outputs(answer)
    assert arrays["predict_y"] == {
        "name": "predict_y", "shape": [3], "datatype": "INT64", "data": model.predict(X[:3]).tolist(),
    }  # fmt: skip
    assert arrays["probabilities"]["shape"] == [3, 10]
    assert arrays["probabilities"]["data"] == model.predict_proba(X[:3]).ravel().tolist()
    body = answer.get_json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("digits", "1797", "my id")
    assert body["parameters"] == {"who": "me", "n": 3, "lineage": LINEAGE.id}


REQUESTS: list[dict[str, Any]] = [
    {"inputs": [tensor()]},
    {"inputs": [tensor(X[0])], "id": "mine"},
    {"inputs": [tensor(X[:2].ravel(), shape=[2, 64])], "parameters": {"a": [1, None]}},
    {"inputs": [tensor()], "outputs": [{"name": "predict_y"}]},
    {"inputs": [tensor()], "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]},
    {"inputs": [tensor()], "parameters": {"binary_data_output": True}},
    {"inputs": [tensor(name="y")]},
    {"inputs": [tensor()], "outputs": [{"name": "other"}]},
]


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_a_plain_request_is_answered_without_flask_and_no_other_way(
    client: FlaskClient, make_app: MakeApp, request_: dict[str, Any]
) -> None:
    """What comes from a page goes through Flask: the same bytes, and the same headers but for the page's."""
    app, seen = make_app(), list[str]()
    app.before_request(lambda: seen.append("Flask"))
    sent = {"data": json.dumps(request_), "headers": {"X-Request-ID": "q"}}
    direct = app.test_client().post("/v2/models/digits/infer", **sent)
    assert seen == ([] if direct.status_code == 200 else ["Flask"])
    sent["headers"]["Origin"] = "http://localhost:5000"
    flask = app.test_client().post("/v2/models/digits/infer", **sent)
    assert seen[-1:] == ["Flask"]
    assert (direct.status_code, direct.data) == (flask.status_code, flask.data)
    of_pages = {"access-control-allow-origin", "access-control-expose-headers", "vary"}
    assert set(direct.headers.to_wsgi_list()) == {
        (name, value) for name, value in flask.headers.to_wsgi_list() if name.lower() not in of_pages
    }
    remembered = app.extensions["recent"].find("digits", request_.get("id", "q"))
    assert (remembered is not None) == (direct.status_code == 200)


def test_an_id_is_made_where_none_is_sent(client: FlaskClient) -> None:
    answer = infer(client, tensor())
    assert answer.get_json()["id"] == answer.headers["X-Request-ID"]
    kept = client.get("/v2", headers={"X-Request-ID": "mine-1"})
    assert kept.headers["X-Request-ID"] == "mine-1"
    spoiled = client.get("/v2", headers={"X-Request-ID": "no spaces"})
    assert spoiled.headers["X-Request-ID"] != "no spaces"


@pytest.mark.parametrize(
    "input_",
    [
        tensor(X[:2].ravel(), shape=[2, 64]),
        tensor(X[0]),
        tensor(X[:2].reshape(2, 8, 8)),
        tensor(X[:2].astype(int), datatype="UINT8"),
        tensor(X[:2], datatype="FP32"),
        tensor(X[:2].astype(int), datatype="INT64", parameters={"content_type": "np"}),
    ],
    ids=["flat", "one row", "8×8", "UINT8", "FP32", "INT64"],
)
def test_a_tensor_may_come_in_many_ways(client: FlaskClient, input_: dict[str, Any]) -> None:
    assert outputs(infer(client, input_))["predict_y"]["data"][0] == 0


def test_names_may_be_in_capitals_and_the_version_latest(client: FlaskClient) -> None:
    """As Flink's SQL writes them."""
    expected = outputs(infer(client, tensor()))["predict_y"]
    asked = infer(
        client, tensor(name="X"), path="models/digits/versions/latest", outputs=[{"name": "PREDICT_Y"}]
    )
    assert outputs(asked) == {"predict_y": expected}
    assert client.get("/v2/models/digits/versions/latest/ready").status_code == 200
    both = infer(client, tensor(), tensor(name="X"))
    assert "two of the inputs x, X differ by capitals alone" in both.get_json()["error"]


def test_a_record_may_come_whole_as_a_text(client: FlaskClient) -> None:
    """For a client that has one input alone, whatever the record's fields are."""
    rows = [json.dumps({"x": row.tolist()}) for row in X[:3]]
    expected = outputs(infer(client, tensor()))["predict_y"]
    whole = {"name": "RECORD", "datatype": "BYTES"}
    assert outputs(infer(client, {**whole, "shape": [3], "data": rows}))["predict_y"] == expected
    as_list = {**whole, "shape": [1], "data": [f"[{','.join(rows)}]"]}
    assert outputs(infer(client, as_list))["predict_y"] == expected
    wrong = {
        "{": "element 0 of 'record' is not JSON",
        "{}": "missing required field `x`",
        "7": "record, record 0",
        "[]": "there must be 1 to 10000 records, not 0",
    }
    for text, message in wrong.items():
        answer = infer(client, {**whole, "shape": [1], "data": [text]})
        assert answer.status_code == 400
        assert message in answer.get_json()["error"]
    numbers = infer(client, {"name": "record", "shape": [1], "datatype": "FP64", "data": [1.0]})
    assert "'record' is not BYTES" in numbers.get_json()["error"]


def test_what_a_client_leaves_open_may_be_null(client: FlaskClient) -> None:
    body = {"inputs": [tensor(parameters=None)], "id": None, "parameters": None, "outputs": None}
    assert client.post("/v2/models/digits/infer", json=body).status_code == 200
    named = {**body, "outputs": [{"name": "predict_y", "parameters": None}]}
    assert list(outputs(client.post("/v2/models/digits/infer", json=named))) == ["predict_y"]


def test_binary_tensors_go_both_ways(client: FlaskClient) -> None:
    data = X[:3].astype("<f4").tobytes()
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": [3, 64],
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": len(data)},
                }
            ],
            "outputs": [
                {"name": "probabilities", "parameters": {"binary_data": True}},
                {"name": "predict_y", "parameters": {"binary_data": False}},
            ],
        }
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = client.post("/v2/models/digits/infer", data=head + data, headers=headers)
    assert answer.status_code == 200
    length = int(answer.headers["Inference-Header-Content-Length"])
    described = json.loads(answer.data[:length])["outputs"]
    assert described[0]["parameters"] == {"classes": list(range(10)), "binary_data_size": 3 * 10 * 8}
    assert described[1]["data"] == Y[:3].tolist()
    probabilities = np.frombuffer(answer.data[length:], "<f8").reshape(3, 10)
    assert probabilities.argmax(axis=1).tolist() == Y[:3].tolist()
    for spoiled in (head + data[:-1], head + data + b"x", head[:-5]):
        refused = client.post("/v2/models/digits/infer", data=spoiled, headers=headers)
        assert (refused.status_code, refused.get_json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("length", ["-1", "x", "99999999", "", "1e3", "١"])
def test_a_wrong_header_length_is_refused(client: FlaskClient, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length.encode("utf-8").decode("latin-1")}
    answer = client.post("/v2/models/digits/infer", data=b"{}", headers=headers)
    assert answer.status_code == 400


BAD = [
    (b"", None),
    (b"[]", None),
    (b"\xff\xfe", None),
    (b'{"inputs": 5}', None),
    (b"[" * 100_000, None),
    (json.dumps({"inputs": []}), "inputs"),
    (json.dumps({"inputs": [tensor(), tensor()]}), "inputs[1]"),
    (json.dumps({"inputs": [tensor(name="y")]}), "inputs"),
    (json.dumps({"inputs": [tensor(shape=[3, 63])]}), "inputs[0].shape"),
    (json.dumps({"inputs": [tensor(shape=[1 << 30, 1 << 30])]}), "inputs[0].shape"),
    (json.dumps({"inputs": [tensor(X[:3, :60])]}), "x"),
    (json.dumps({"inputs": [tensor(np.zeros((0, 64)))]}), "inputs"),
    (json.dumps({"inputs": [tensor([[17.0] * 64])]}), "inputs[0]"),
    (json.dumps({"inputs": [tensor([[5.0]], shape=[], data=[5])]}), "x"),
    (json.dumps({"inputs": [tensor(datatype="FP128")]}), "inputs[0].datatype"),
    (json.dumps({"inputs": [tensor(datatype="BYTES")]}), "inputs[0].data"),
    (json.dumps({"inputs": [tensor(data=["a"] * 192)]}), "inputs[0].data"),
    (json.dumps({"inputs": [tensor(data=[[1], [1, 2]])]}), "inputs[0].data"),
    (json.dumps({"inputs": [tensor(data=[["a" * 50_000], *["b"] * 50_000])]}), "inputs[0].data"),
    (json.dumps({"inputs": [tensor(data=[], shape=[0, 1 << 30, 1 << 30])]}), "inputs"),
    (json.dumps({"inputs": [tensor(data=[None] * 192)]}), "x"),
    (json.dumps({"inputs": [tensor(data=[1e39] * 192, datatype="FP32")]}), "x"),
    (json.dumps({"inputs": [tensor(data=[300] * 192, datatype="UINT8")]}), "inputs[0].data"),
    (json.dumps({"inputs": [tensor(data=[1.5] * 192, datatype="INT8")]}), "inputs[0].data"),
    (json.dumps({"inputs": [tensor(data=[True] * 192)]}), "inputs[0].data"),
    (json.dumps({"inputs": [{"name": "x", "shape": [1, 64], "datatype": "FP64"}]}), "inputs[0].data"),
]


@pytest.mark.parametrize(("body", "field"), BAD, ids=range(len(BAD)))
def test_what_cannot_be_read_is_refused_and_named(client: FlaskClient, body: Any, field: str | None) -> None:
    answer = client.post("/v2/models/digits/infer", data=body)
    assert answer.status_code == 400
    problem = answer.get_json()
    assert (problem["code"], problem.get("field")) == ("bad_request", field)
    assert problem["error"]


def test_more_rows_than_the_settings_allow_are_refused(client: FlaskClient, make_app: MakeApp) -> None:
    small = make_app(http_rows=2).test_client()
    assert infer(small, tensor(X[:2])).status_code == 200
    assert "1 to 2 rows" in infer(small, tensor(X[:3])).get_json()["error"]
    refused = small.post("/v1/models/digits:predict", json={"instances": X[:3].tolist()})
    assert refused.status_code == 400


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", None)])
def test_a_body_may_be_compressed(client: FlaskClient, encoding: str, pack: Any) -> None:
    import zlib

    body = (pack or zlib.compress)(json.dumps({"inputs": [tensor()]}).encode())
    path, headers = "/v2/models/digits/infer", {"Content-Encoding": encoding}
    assert client.post(path, data=body, headers=headers).status_code == 200
    assert client.post(path, data=body[:-9], headers=headers).status_code == 400
    assert client.post(path, data=b"plain", headers=headers).status_code == 400
    assert client.post(path, data=body, headers={"Content-Encoding": "br"}).status_code == 415
    bomb = (pack or zlib.compress)(bytes(64 << 20))
    assert client.post(path, data=bomb, headers=headers).status_code == 413
    assert client.post(path, data=body + b"more", headers=headers).status_code == 400


def test_a_gzip_body_may_have_several_members(client: FlaskClient) -> None:
    body = json.dumps({"inputs": [tensor()]}).encode()
    path, headers = "/v2/models/digits/infer", {"Content-Encoding": "gzip"}
    members = gzip.compress(body[:50]) + gzip.compress(b"") + gzip.compress(body[50:])
    assert client.post(path, data=members, headers=headers).status_code == 200
    assert client.post(path, data=members[:-3], headers=headers).status_code == 400
    bomb = b"".join(gzip.compress(bytes(8 << 20)) for _ in range(3))
    assert client.post(path, data=bomb, headers=headers).status_code == 413


def test_models_are_described_by_their_tensors(client: FlaskClient) -> None:
    assert client.get("/v2").get_json()["extensions"] == ["binary_tensor_data", "model_repository"]
    model = client.get("/v2/models/digits").get_json()
    assert model["inputs"] == [{"name": "x", "datatype": "FP64", "shape": [-1, 64]}]
    assert [tensor["name"] for tensor in model["outputs"]] == ["predict_y", "probabilities"]
    hours = client.get("/v2/models/pm25").get_json()
    assert {tensor["name"]: tensor["datatype"] for tensor in hours["inputs"]}["wnd_dir"] == "BYTES"
    assert [tensor["name"] for tensor in hours["outputs"]] == ["h1", "h3", "h6", "h12", "h24"]


def test_v1_takes_rows_and_records(client: FlaskClient) -> None:
    assert client.get("/v1/models").get_json() == {"models": ["digits", "pm25"]}
    assert client.get("/v1/models/digits").get_json() == {"name": "digits", "ready": True}
    assert client.get("/v1/models/pm25").status_code == 503
    body = {"instances": [X[0].tolist(), {"x": X[1].tolist()}]}
    answer = client.post("/v1/models/digits:predict", data=json.dumps(body)).get_json()
    assert (answer["predictions"], answer["model_version"]) == ([0, 1], "1797")
    for bad in ({}, {"instances": []}, {"instances": 1}, {"instances": [1]}, {"instances": [{"x": []}]}):
        refused = client.post("/v1/models/digits:predict", data=json.dumps(bad))
        assert (refused.status_code, refused.get_json()["field"].split("[")[0]) == (400, "instances")


def learn_hours(pm25_csv: str, count: int = 200) -> tuple[Learner, list[dict[str, Any]]]:
    assert pm25.pipeline.dataset is not None
    learner = pm25.pipeline.new_learner()
    records = []
    for number, record in zip(range(count), pm25.pipeline.dataset.records(seed=0, passes=1), strict=False):
        predict_then_learn(learner, [msgspec.convert(record, pm25.Hour)], number + 1)
        records.append(record)
    return learner, records


def test_pm25_takes_a_window_or_none(client: FlaskClient, store: Store, pm25_csv: str) -> None:
    model, hours = learn_hours(pm25_csv)
    put(store, pm25.pipeline, model)
    wait_until(lambda: client.get("/v2/models/pm25/ready").status_code == 200, 5, "pm25", every_s=0.01)
    none = outputs(client.post("/v2/models/pm25/infer", data=b"{}"))
    latest = client.get("/v2/models/pm25/forecast").get_json()
    assert {f"h{step}": [value] for step, value in latest["forecast"].items()} == {
        name: output["data"] for name, output in none.items()
    }
    columns = {name: [record[name] for record in hours[-25:]] for name in hours[0]}
    window = [
        {
            "name": name,
            "shape": [25],
            "datatype": "BYTES" if isinstance(values[0], str) else "FP64",
            "data": values,
        }
        for name, values in columns.items()
    ]
    # The stream's own forecast was made before its newest hour was learned; a client's is made after that.
    expected = model.answer([msgspec.convert(record, pm25.Hour) for record in hours[-25:]])[0]["forecast"]
    named = {f"h{step}": [value] for step, value in expected.items()}
    reordered = [{**column, "data": column["data"][::-1]} for column in window]
    for sent in (window, reordered):
        answer = outputs(infer(client, *sent, path="models/pm25"))
        assert {name: output["data"] for name, output in answer.items()} == named
    v1 = client.post("/v1/models/pm25:predict", json={"instances": [hours[-25:], []]}).get_json()
    assert v1["predictions"] == [expected, latest["forecast"]]
    row = [{**column, "shape": [1], "data": column["data"][:1]} for column in window[:-1]]
    short = infer(client, *row, path="models/pm25")
    assert (short.status_code, short.get_json()["error"]) == (400, "input 'rain' is missing")
    lines = client.get("/v2/models/pm25/forecast?format=csv")
    assert lines.content_type == "text/csv; charset=utf-8"
    head, *rows = lines.get_data(as_text=True).splitlines()
    ends = "low_50,high_50,low_80,high_80,low_95,high_95"
    assert head == f"ts,horizon,forecast,model_version,lineage,{ends}"
    first = dict(zip(head.split(","), rows[0].split(","), strict=True))
    assert [float(first["low_80"]), float(first["high_80"])] == latest["ranges"]["1"]["80"]
    assert [row.split(",")[1] for row in rows] == ["1", "3", "6", "12", "24"]
    assert client.get("/v2/models/pm25/forecast?format=xml").get_json()["field"] == "format"


def test_a_pipeline_of_ones_own_is_served_alike(store: Store, make_app: MakeApp) -> None:
    learner = FLATS.new_learner()
    records = [Flat(50.0 + n, n % 5, "x" * (n % 7), n % 2 == 0, 500.0 + 10 * n) for n in range(50)]
    predict_then_learn(learner, records, 50)
    put(store, FLATS, learner)
    client = make_app(pipelines="flats:FLATS").test_client()
    model = client.get("/v2/models/flats").get_json()
    assert [(tensor["name"], tensor["datatype"]) for tensor in model["inputs"]] == [
        ("area", "FP64"), ("rooms", "INT64"), ("street", "BYTES"), ("balcony", "BOOL"),
    ]  # fmt: skip
    assert model["outputs"] == [{"name": "predict_y", "datatype": "FP64", "shape": [-1]}]
    inputs = [
        {"name": "area", "shape": [2], "datatype": "FP32", "data": [60, 70.5]},
        {"name": "rooms", "shape": [2, 1], "datatype": "INT32", "data": [[2], [3]]},
        {"name": "street", "shape": [2], "datatype": "BYTES", "data": ["Main", "Side"]},
        {"name": "balcony", "shape": [2], "datatype": "BOOL", "data": [True, False]},
    ]
    expected = learner.answer([Flat(60.0, 2, "Main", True), Flat(70.5, 3, "Side", False)])
    answer = infer(client, *inputs, path="models/flats")
    assert outputs(answer)["predict_y"]["data"] == [flat["predict_y"] for flat in expected]
    unlike = [*inputs[:3], {"name": "balcony", "shape": [1], "datatype": "BOOL", "data": [True]}]
    assert infer(client, *unlike, path="models/flats").get_json()["field"] == "inputs"
    assert signature.find_label_field(FLATS) == "rent"


def test_a_label_that_is_no_field_is_not_guessed() -> None:
    twice = replace(FLATS, learning=replace(FLATS.learning, label=lambda record: record.rent * 2))  # type: ignore[type-var]
    assert signature.find_label_field(twice) is None


class Odd(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A record whose JSON has other names, whose label is required, and that takes no other field."""

    floor_area: int | float
    street_names: Annotated[list[str], msgspec.Meta(min_length=2, max_length=2)]
    monthly_rent: float


ODD = replace(
    FLATS,
    name="odd",
    record=Odd,
    learning=Tabular(
        features=lambda records: np.array([[flat.floor_area, len(flat.street_names[0])] for flat in records]),
        label="monthly_rent",
        estimator=SGDRegressor,
    ),
    reference="test_inference:ODD",
)


def test_a_record_with_other_names_and_a_required_label_is_served(store: Store, make_app: MakeApp) -> None:
    learner = ODD.new_learner()
    predict_then_learn(learner, [Odd(50.0, ["x", "y"], 500.0)], 1)
    put(store, ODD, learner)
    client = make_app(pipelines="test_inference:ODD").test_client()
    described = client.get("/v2/models/odd").get_json()["inputs"]
    assert described == [
        {"name": "floorArea", "datatype": "FP64", "shape": [-1]},
        {"name": "streetNames", "datatype": "BYTES", "shape": [-1, 2]},
    ]
    inputs = [
        {"name": "floorArea", "shape": [2], "datatype": "FP64", "data": [60, 70]},
        {"name": "streetNames", "shape": [2, 2], "datatype": "BYTES", "data": ["a", "b", "c", "d"]},
    ]
    assert outputs(infer(client, *inputs, path="models/odd"))["predict_y"]["shape"] == [2]
    flat = {"floorArea": 60, "streetNames": ["a", "b"]}
    assert client.post("/v1/models/odd:predict", json={"instances": [flat]}).status_code == 200
    square = {**inputs[0], "shape": [2, 2], "data": [1, 2, 3, 4]}
    assert infer(client, square, inputs[1], path="models/odd").get_json()["field"] == "floorArea"
    assert signature.find_label_field(ODD) == "monthlyRent"
    # The job would refuse a record with an unknown field, so `source` is left out.
    let = {**flat, "monthlyRent": 5.0}
    assert json.loads(feedback._encode_record(ODD, let)) == let
    digit = json.loads(feedback._encode_record(digits.pipeline, {"x": X[0].tolist(), "actual_y": 0}))
    assert digit["source"] == "feedback"


def test_texts_in_binary_form_are_read(store: Store, make_app: MakeApp) -> None:
    put(store, FLATS, _learn_flats())
    client = make_app(pipelines="flats:FLATS").test_client()
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"Main", "Süd".encode()))
    inputs: list[dict[str, Any]] = [
        {"name": "area", "shape": [2], "datatype": "FP64", "data": [60, 70]},
        {"name": "rooms", "shape": [2], "datatype": "INT64", "data": [2, 3]},
        {"name": "balcony", "shape": [2], "datatype": "BOOL", "data": [True, False]},
        {"name": "street", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(texts)}},
    ]
    head = json.dumps({"inputs": inputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    path = "/v2/models/flats/infer"
    assert client.post(path, data=head + texts, headers=headers).status_code == 200
    for spoiled in (texts[:-1] + b"\xff", b"\xff\xff\xff\xff" + texts[4:]):
        assert client.post(path, data=head + spoiled, headers=headers).status_code == 400


def _learn_flats() -> Learner:
    learner = FLATS.new_learner()
    predict_then_learn(learner, [Flat(50.0, 2, "x", True, 500.0)], 1)
    return learner


def test_any_kept_version_can_be_asked_and_one_be_pinned(client: FlaskClient, store: Store) -> None:
    writer = put(store, digits.pipeline, learner(100))
    put(store, digits.pipeline, learner(1797, cuts=range(256, 1797, 256)), writer)
    wait_until(lambda: served_version(client) == 1797, 5, "the newest version", every_s=0.01)
    assert client.get("/v2/models/digits").get_json()["versions"] == ["100", "1797"]
    listed = client.get("/v2/models/digits/versions").get_json()["versions"]
    assert [(entry["version"], entry["served"], entry["pinned"]) for entry in listed] == [
        (100, False, False), (1797, True, False),
    ]  # fmt: skip
    assert listed[0]["lineage"] == LINEAGE.id
    assert listed[1]["score"]["accuracy"] == pytest.approx(0.9, abs=0.05)
    old = infer(client, tensor(X), path="models/digits/versions/100")
    assert old.get_json()["model_version"] == "100"
    expected = learner(100).model.predict(X).tolist()  # type: ignore[attr-defined]
    assert outputs(old)["predict_y"]["data"] == expected
    assert client.get("/v2/models/digits/versions/100/ready").status_code == 200
    assert client.get("/v2/models/digits/versions/100").get_json()["parameters"]["version"] == 100
    for unknown in ("99", "x", "-1", "9" * 30, "1.5"):
        for path in ("ready", "infer", "pin", "file"):
            method = client.post if path in ("infer", "pin") else client.get
            body = json.dumps({"inputs": [tensor()]}) if path == "infer" else None
            answer = method(f"/v2/models/digits/versions/{unknown}/{path}", data=body)
            assert (answer.status_code, answer.get_json()["code"]) == (404, "unknown_version")
    pinned = client.post("/v2/models/digits/versions/100/pin")
    assert (pinned.status_code, pinned.get_json()["version"]) == (200, 100)
    assert infer(client, tensor()).get_json()["model_version"] == "100"
    # What is learned, trimmed or rolled back meanwhile changes nothing.
    writer.delete([100])
    put(store, digits.pipeline, learner(300), writer)
    writer.roll_back(50)
    wait_until(lambda: client.post("/v2/models/digits/versions/100/pin").status_code == 200, 5, "the pin")
    assert infer(client, tensor()).get_json()["model_version"] == "100"
    put(store, digits.pipeline, learner(400), writer)
    assert client.delete("/v2/models/digits/pin").get_json()["version"] == 400
    assert client.delete("/v2/models/digits/pin").status_code == 200
    assert infer(client, tensor()).get_json()["model_version"] == "400"


def test_a_pinned_version_of_another_lineage_hides_nothing(client: FlaskClient, store: Store) -> None:
    other = snapshot.dumps(learner(5000, cuts=range(256, 5000, 256)), digits.pipeline, "bbbb")
    store.pin("digits", Head("bbbb", 5000, snapshot.digest(other), 1, 1, pinned=True), other)
    wait_until(lambda: served_version(client) == 5000, 5, "the pin", every_s=0.01)
    listed = client.get("/v2/models/digits/versions?learned=3").get_json()
    assert listed["learned"]["learned"] is False, "that version is of another stream"
    assert [(entry["lineage"], entry["version"], entry["pinned"]) for entry in listed["versions"]] == [
        (LINEAGE.id, 1797, False), ("bbbb", 5000, True),
    ]  # fmt: skip
    assert infer(client, tensor(), path="models/digits/versions/1797").status_code == 200
    assert client.get("/v2/models/digits/versions/5000/file").data == other
    assert client.delete("/v2/models/digits/pin").get_json()["version"] == 1797


def test_a_prediction_that_cannot_be_remembered_is_answered(client: FlaskClient) -> None:
    recent = client.application.extensions["recent"]
    assert infer(client, tensor(), id="x" * 300).status_code == 200
    assert recent.find("digits", "x" * 300) is None
    recent.close()
    assert infer(client, tensor(), id="mine").status_code == 200


def test_without_redis_only_feedback_is_limited(make_app: MakeApp) -> None:
    lonely = make_app(redis="redis://localhost:1/0", feedback_per_minute=2).test_client()
    codes = [lonely.post("/v2/models/digits/feedback", json={}).status_code for _ in range(4)]
    assert codes == [400, 400, 429, 429]
    assert {lonely.get("/v2/health/live").status_code for _ in range(10)} == {200}


def test_a_refused_body_is_answered_and_logged_like_any_other(client: FlaskClient) -> None:
    answer = client.post(
        "/v2/models/digits/infer", data=b"x", headers={"Content-Encoding": "br", "X-Request-ID": "q"}
    )
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (415, "q")
    assert "Content-Security-Policy" in answer.headers


def served_version(client: FlaskClient) -> int | None:
    version: int | None = client.get("/v2/models/digits").get_json()["parameters"].get("version")
    return version


def test_a_version_as_a_file_is_the_snapshot(client: FlaskClient, store: Store) -> None:
    answer = client.get("/v2/models/digits/versions/1797/file")
    assert answer.data == store.snapshot("digits", LINEAGE.id, 1797)
    assert "digits-1797.slsnap" in answer.headers["Content-Disposition"]


def test_learned_is_told_by_the_offset_and_waited_for(client: FlaskClient, store: Store) -> None:
    def learned(query: str) -> Any:
        return client.get(f"/v2/models/digits/versions?{query}").get_json()["learned"]

    def told(offset: int, version: int | None) -> dict[str, Any]:
        return {"offset": offset, "learned": version is not None, "version": version, "partition": 0}

    assert learned("learned=1796") == told(1796, 1797)
    assert learned("learned=1797") == told(1797, None)
    writer = store.admit("digits", LINEAGE.id, 1)
    put(store, digits.pipeline, learner(1900), writer)
    assert learned("learned=1899&wait=5") == told(1899, 1900)
    for bad in ("learned=x", "learned=-1", "learned=1&wait=1000", "wait=nan"):
        refused = client.get(f"/v2/models/digits/versions?{bad}")
        assert refused.status_code == 400, bad


def test_a_model_that_is_too_old_is_not_ready(client: FlaskClient, make_app: MakeApp) -> None:
    assert make_app(ready_age_s=3600.0).test_client().get("/v2/health/ready").status_code == 200
    late = make_app(ready_age_s=0.001).test_client()
    wait_until(lambda: late.get("/v2/health/ready").status_code == 503, 5, "the model to grow old")
    expected = {"ready": False, "serving": [], "waiting_for": ["digits"]}
    assert late.get("/v2/health/ready").get_json().items() >= expected.items()
    assert infer(late, tensor()).status_code == 200


CHANGES = [("POST", "versions/1797/pin"), ("DELETE", "pin"), ("POST", "feedback")]


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_changes_need_the_token_where_one_is_set(
    client: FlaskClient, make_app: MakeApp, method: str, path: str
) -> None:
    guarded = make_app(api_token="s3cret").test_client()
    for sent in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}):
        answer = guarded.open(f"/v2/models/digits/{path}", method=method, headers=sent)
        assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    sent = {"Authorization": "Bearer s3cret"}
    assert guarded.open(f"/v2/models/digits/{path}", method=method, headers=sent).status_code in (200, 400)
    assert infer(guarded, tensor()).status_code == 200


@pytest.mark.parametrize(("method", "path"), [*CHANGES, ("POST", "infer")])
def test_pages_of_other_sites_change_nothing(client: FlaskClient, method: str, path: str) -> None:
    for origin in (
        "https://example.org",
        "null",
        "http://[",
        "http://localhost.example.org",
        "http://127.0.0.1.evil",
    ):
        answer = client.open(f"/v2/models/digits/{path}", method=method, headers={"Origin": origin})
        assert (answer.status_code, answer.get_json()["code"]) == (403, "foreign_origin")
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("origin", ["http://localhost:5000", "http://127.0.0.1:3000", "https://[::1]:8443"])
def test_pages_on_this_machine_may_ask_and_read(client: FlaskClient, origin: str) -> None:
    form = {"imgStr": base64.b64encode(b"<svg/>").decode()}
    answer = client.post("/predict", data=form, headers={"Origin": origin})
    assert answer.status_code == 400
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST",
               "Access-Control-Request-Headers": "content-type"}  # fmt: skip
    preflight = client.options("/v2/models/digits/infer", headers=headers)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == origin
    assert "content-type" in preflight.headers["Access-Control-Allow-Headers"].lower()


def test_the_server_answers_to_its_own_names_only(client: FlaskClient, make_app: MakeApp) -> None:
    for host in ("localhost:8066", "127.0.0.1", "[::1]:8066"):
        assert client.get("/v2/health/live", headers={"Host": host}).status_code == 200, host
    assert client.get("/v2/health/live", headers={"Host": "evil.example"}).status_code == 400
    foreign = {"data": json.dumps({"inputs": [tensor()]}), "headers": {"Host": "evil.example"}}
    assert client.post("/v2/models/digits/infer", **foreign).get_json()["code"] == "unknown_host"
    named = make_app(http_hosts="models.example.org, localhost").test_client()
    assert named.get("/v2", headers={"Host": "models.example.org:8066"}).status_code == 200
    assert named.get("/v2", headers={"Host": "127.0.0.1"}).status_code == 400
    open_ = make_app(http_host="0.0.0.0").test_client()
    assert open_.get("/v2", headers={"Host": "any.example"}).status_code == 200


def test_feedback_that_is_switched_off_or_cannot_be_read_is_refused(
    client: FlaskClient, make_app: MakeApp
) -> None:
    off = make_app(feedback="off").test_client()
    refused = off.post("/v2/models/digits/feedback", json={"inputs": {"x": X[0].tolist()}, "label": 0})
    assert (refused.status_code, refused.get_json()["code"]) == (403, "feedback_off")
    bodies: list[tuple[Any, str | None]] = [
        ([], None),
        ({}, "inputs"),
        ({"inputs": {"x": X[0].tolist()}}, "label"),
        ({"inputs": {"x": X[0].tolist()}, "label": 10}, "record[0]"),
        ({"inputs": {"x": [1]}, "label": 1}, "record[0]"),
        ({"inputs": [tensor()], "label": 1}, "label"),
        ({"inputs": [tensor()], "labels": [1, 2]}, "label"),
        ({"id": "never asked", "label": 1}, "id"),
        ({"record": {"x": "?", "actual_y": 1}}, "record[0]"),
        ({"record": {"x": X[0].tolist()}}, "actual_y"),
        ({"record": {"x": X[0].tolist(), "actual_y": 1, "ts": "0" * (2 << 20)}}, None),
    ]
    for body, field in bodies:
        answer = client.post("/v2/models/digits/feedback", json=body)
        assert (answer.status_code, answer.get_json().get("field")) == (400, field), body


def test_feedback_is_limited_in_rate(
    client: FlaskClient, store: Store, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One for all applications of a process: since a test that took Redis away, it may count by itself.
    monkeypatch.setattr(access.limiter, "_storage_dead", False)
    strict = make_app(feedback_per_minute=3).test_client()
    codes = [strict.post("/v2/models/digits/feedback", json={}).status_code for _ in range(5)]
    assert codes == [400, 400, 400, 429, 429]
    refused = strict.post("/v2/models/digits/feedback", json={})
    assert refused.get_json()["code"] == "too_many_requests"
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    # It is counted in Redis, so over all processes, and below our own prefix.
    assert make_app(feedback_per_minute=3).test_client().post("/v2/models/digits/feedback").status_code == 429
    assert store.clear("limit") >= 1


def test_the_log_names_what_was_answered_and_no_secret(
    client: FlaskClient, make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("streamlearn.access")
    log.addHandler(caplog.handler)
    try:
        guarded = make_app(api_token="s3cret").test_client()
        infer(guarded, tensor(), id="x")
        guarded.get("/v2/a%0Ab?token=s3cret", headers={"Authorization": "Bearer s3cret"})
        guarded.application.extensions["telemetry"].write()
    finally:
        log.removeHandler(caplog.handler)
    prediction, odd = (record.getMessage() for record in caplog.records if record.name == log.name)
    assert "POST /v2/models/digits/infer 200" in prediction
    assert "model=digits version=1797" in prediction
    assert "id=" in prediction
    assert "/v2/a%0Ab 404" in odd
    assert "s3cret" not in caplog.text
    assert len(odd.splitlines()) == 1


def test_metrics_tell_what_is_served(client: FlaskClient) -> None:
    infer(client, tensor())
    text = client.get("/metrics").get_data(as_text=True)
    assert 'streamlearn_model_version{model="digits"} 1797.0' in text
    assert 'streamlearn_model_score{figure="accuracy",model="digits"}' in text
    assert 'streamlearn_predictions_total{model="digits"}' in text
    assert 'streamlearn_requests_total{method="POST",route="/v2/models/<name>/infer",status="200"}' in text
