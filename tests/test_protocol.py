"""The Open Inference Protocol to the letter: what is asked for is answered, what is odd is a clear 400."""

import gzip
import json
from dataclasses import replace
from typing import Any

import hours
import msgspec
import numpy as np
import pytest
from flask.testing import FlaskClient
from helpers import MakeApp, learner, put
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.naive_bayes import GaussianNB

from serving.protocol.tensors import DTYPES
from streamlearn.errors import BadRecord
from streamlearn.learning.learner import predict_then_learn
from streamlearn.learning.tabular import Tabular
from streamlearn.pipelines import digits, pm25
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage.store import Store

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Train(msgspec.Struct):
    """A train, and whether it will be late."""

    speed: float
    stops: int
    platform: int | None = None
    express: bool = False
    outcome: str | None = None


TRAINS = Pipeline(
    name="trains",
    topic="trains",
    prediction_topic="trains_outcome",
    record=Train,
    learning=Tabular(
        features=lambda trains: np.array([[train.speed, train.stops] for train in trains], dtype=float),
        label="outcome",
        estimator=GaussianNB,
        classes=("late", "early"),
    ),
    parameters={},
    reference="test_protocol:TRAINS",
)


class Switch(msgspec.Struct):
    """A switch with a label of any kind."""

    load: float
    state: Any = None


def switches(name: str, *classes: Any) -> Pipeline:
    return Pipeline(
        name=name,
        topic=name,
        prediction_topic=f"{name}_state",
        record=Switch,
        learning=Tabular(
            features=lambda rows: np.array([[row.load] for row in rows], dtype=float),
            label="state",
            estimator=GaussianNB,
            classes=classes,
        ),
        parameters={},
        reference=f"test_protocol:{name.upper()}",
    )


BOOLS = switches("bools", True, False)
ONES = switches("ones", 1, 0)
FLOATS = switches("floats", 2.0, 1.0)
TEXTS = switches("texts", "on", "off")


class Rounded:
    """Predicts what it has learned last, as an integer of 32 bits."""

    last = 0.0

    def partial_fit(self, x: Any, y: Any) -> None:
        self.last = float(y[-1])

    def predict(self, x: Any) -> Any:
        return np.full(len(x), self.last).astype(np.int32)


ROUNDED = replace(
    switches("rounded"),
    learning=Tabular(features=ONES.learning.features, label="state", estimator=Rounded),  # type: ignore[attr-defined]
    trusted_types=("test_protocol.Rounded",),
)

OWN = (TRAINS, BOOLS, ONES, FLOATS, TEXTS)


@pytest.fixture
def client(store: Store, make_app: MakeApp) -> FlaskClient:
    """A server with a model of every kind."""
    put(store, digits.pipeline, learner(300))
    put(store, pm25.pipeline, hours.learned(hours.series(60))[0])
    for pipeline in OWN:
        put(store, pipeline, learn_own(pipeline))
    names = ",".join(pipeline.reference for pipeline in OWN)
    return make_app(pipelines=names, kafka="localhost:1").test_client()


def learn_own(pipeline: Pipeline) -> Any:
    model, labels = pipeline.new_learner(), pipeline.learning.classes
    assert labels is not None
    if pipeline is TRAINS:
        records: list[Any] = [Train(50.0 + n, n % 5, outcome=labels[n % 2]) for n in range(40)]
    else:
        records = [Switch(float(n % 7), labels[n % 2]) for n in range(40)]
    predict_then_learn(model, records, 40)
    return model


def tensor(name: str, data: Any, datatype: str = "FP64", **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": list(np.shape(data)), "datatype": datatype, "data": data, **more}


SPEED, STOPS = tensor("speed", [50.0, 61.5]), tensor("stops", [3, 4], "INT64")


def infer(client: FlaskClient, *inputs: Any, model: str = "trains", **more: Any) -> Any:
    return client.post(f"/v2/models/{model}/infer", json={"inputs": list(inputs), **more})


def outputs(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {output["name"]: output for output in answer.get_json()["outputs"]}


def problem(answer: Any) -> tuple[str, str | None]:
    """Return what a refused request's answer says, and of which field."""
    body = answer.get_json()
    assert (answer.status_code, body["code"]) == (400, "bad_request"), answer.text
    return body["error"], body.get("field")


def test_the_outputs_asked_for_are_answered_in_their_order_and_no_others(client: FlaskClient) -> None:
    for names in (["probabilities"], ["predict_y"], ["probabilities", "predict_y"]):
        outputs_wanted = [{"name": name, "parameters": {"content_type": "np"}} for name in names]
        assert list(outputs(infer(client, SPEED, STOPS, outputs=outputs_wanted))) == names
    for nothing in ([], None):
        assert list(outputs(infer(client, SPEED, STOPS, outputs=nothing))) == ["predict_y", "probabilities"]


@pytest.mark.parametrize(
    ("outputs_wanted", "words", "field"),
    [
        ([{"name": "prob"}], "no output 'prob'; the outputs are: predict_y, probabilities", "outputs[0]"),
        ([{"name": "predict_y"}, {"name": ""}], "no output ''", "outputs[1]"),
        ([{"name": ["predict_y"]}], "Expected `str`, got `array` - at `$.outputs[0].name`", None),
        ([{}], "missing required field `name`", None),
        (["predict_y"], "Expected `object`, got `str`", None),
        ("predict_y", "Expected `array | null`, got `str`", None),
        ([{"name": "predict_y"}] * 2, "two outputs called 'predict_y'", "outputs[1]"),
        ([{"name": "predict_y", "parameters": 1}], "got `int` - at `$.outputs[0].parameters`", None),
        ([{"name": "predict_y", "parameters": {"classification": 2}}], "classification", "outputs[0]"),
        ([{"name": "predict_y", "parameters": {"binary_data": "yes"}}], "true or false", "outputs[0]"),
        ([{"name": "predict_y", "parameters": {"shared_memory_region": "r"}}], "shared memory", "outputs[0]"),
    ],
)
def test_an_output_that_there_is_not_is_refused_by_name(
    client: FlaskClient, outputs_wanted: Any, words: str, field: str | None
) -> None:
    message, at = problem(infer(client, SPEED, STOPS, outputs=outputs_wanted))
    assert words in message
    assert at == field


def test_classes_are_answered_in_the_pipelines_order_and_named(client: FlaskClient) -> None:
    described = client.get("/v2/models/trains").get_json()["outputs"]
    assert described[1]["parameters"] == {"classes": ["late", "early"]}
    answer = outputs(infer(client, SPEED, STOPS))
    assert answer["probabilities"]["parameters"] == {"classes": ["late", "early"]}
    model = learn_own(TRAINS).model
    assert model.classes_.tolist() == ["early", "late"]
    sorted_ = model.predict_proba([[50.0, 3], [61.5, 4]])
    assert answer["probabilities"]["data"] == sorted_[:, ::-1].ravel().tolist()
    likeliest = np.reshape(answer["probabilities"]["data"], (2, 2)).argmax(axis=1)
    assert answer["predict_y"]["data"] == [("late", "early")[column] for column in likeliest]


@pytest.mark.parametrize(
    ("name", "datatype", "classes"),
    [
        ("bools", "BOOL", [True, False]),
        ("ones", "INT64", [1, 0]),
        ("floats", "FP64", [2.0, 1.0]),
        ("texts", "BYTES", ["on", "off"]),
    ],
)
def test_classes_of_every_kind_have_their_datatype(
    client: FlaskClient, name: str, datatype: str, classes: list[Any]
) -> None:
    answer = outputs(infer(client, tensor("load", [0.0, 3.0, 6.0]), model=name))
    assert answer["predict_y"]["datatype"] == datatype
    named = answer["probabilities"]["parameters"]["classes"]
    assert (named, list(map(type, named))) == (classes, list(map(type, classes)))
    likeliest = np.reshape(answer["probabilities"]["data"], (3, 2)).argmax(axis=1)
    assert answer["predict_y"]["data"] == [classes[column] for column in likeliest]


def test_metadata_and_answers_agree(client: FlaskClient) -> None:
    inputs = {
        "digits": [tensor("x", [[8.0] * 64] * 2)],
        "pm25": make_window(hours.series(30)),
        "trains": [SPEED, STOPS],
        **{pipeline.name: [tensor("load", [1.0, 2.0])] for pipeline in OWN[1:]},
    }
    assert sorted(inputs) == client.get("/v2/models").get_json()["models"]
    for model, sent in inputs.items():
        described = client.get(f"/v2/models/{model}").get_json()
        answer = outputs(infer(client, *sent, model=model))
        assert list(answer) == [entry["name"] for entry in described["outputs"]]
        for entry in described["outputs"]:
            output = answer[entry["name"]]
            assert output["datatype"] == entry["datatype"]
            assert output.get("parameters") == entry.get("parameters")
            rows = 1 if model == "pm25" else 2
            assert output["shape"] == [rows if side == -1 else side for side in entry["shape"]]


def test_an_estimator_of_another_precision_is_answered_as_described(store: Store, make_app: MakeApp) -> None:
    model = ROUNDED.new_learner()
    predict_then_learn(model, [Switch(float(n), float(n)) for n in range(8)], 8)
    put(store, ROUNDED, model)
    client = make_app(pipelines=ROUNDED.reference).test_client()
    described = client.get("/v2/models/rounded").get_json()["outputs"]
    answer = outputs(infer(client, tensor("load", [3.0]), model="rounded"))["predict_y"]
    assert answer["datatype"] == described[0]["datatype"] == "FP64"
    assert answer["data"] == [7.0]


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "UINT16", "INT64"])
def test_whole_numbers_are_integers(client: FlaskClient, datatype: str) -> None:
    expected = outputs(infer(client, SPEED, STOPS))
    assert outputs(infer(client, SPEED, tensor("stops", [3.0, 4.0], datatype))) == expected
    shape = {**SPEED, "shape": [2.0]}
    assert outputs(infer(client, shape, STOPS)) == expected
    platforms = tensor("platform", [1.0, None], "FP64")
    assert outputs(infer(client, SPEED, STOPS, platforms)) == expected


def test_what_is_not_whole_is_no_integer(client: FlaskClient) -> None:
    for value in (3.5, 1e300, 2.0**60):
        message, field = problem(infer(client, SPEED, tensor("stops", [value, 4.0])))
        assert str(value) in message
        assert field == "stops"
    assert "null" in problem(infer(client, SPEED, tensor("stops", [None, 4.0])))[0]
    message, field = problem(infer(client, SPEED, tensor("stops", [3.5, 4], "INT64")))
    assert (message, field) == ("3.5 does not fit INT64", "inputs[1].data")


def test_v1_and_feedback_take_whole_numbers_too(client: FlaskClient) -> None:
    def predict(instance: Any) -> Any:
        return client.post("/v1/models/trains:predict", json={"instances": [instance]})

    whole = predict({"speed": 50, "stops": 3.0}).get_json()
    assert whole["predictions"] == predict({"speed": 50, "stops": 3}).get_json()["predictions"]
    message, field = problem(predict({"speed": 50, "stops": 3.5}))
    assert "Expected `int`, got `float` - at `$.stops`" in message
    assert field == "instances[0][0]"
    # The record is right: only Kafka is away.
    for label, status in ((7.0, 503), (7.5, 400)):
        body = {"inputs": {"x": [8] * 64}, "label": label}
        assert client.post("/v2/models/digits/feedback", json=body).status_code == status


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"datatype": "fp64"}, "no datatype 'fp64'"),
        ({"datatype": "BF16"}, "no datatype 'BF16'"),
        ({"datatype": 64}, "got `int` - at `$.inputs[0].datatype`"),
        ({"shape": [-1]}, "Expected `int` >= 0"),
        ({"shape": [3]}, "2 elements do not make a tensor of shape [3]"),
        ({"shape": ["2"]}, "Expected `int`, got `str`"),
        ({"shape": [1 << 70]}, "Expected `int`"),
        ({"shape": [1, 2]}, "has shape [1, 2], not [-1]"),
        ({"shape": [], "data": []}, "0 elements do not make a tensor of shape []"),
        ({"shape": [0], "data": []}, "different numbers of rows"),
        ({"shape": [3, 2], "data": [[1, 2, 3], [4, 5, 6]]}, "nested as [2, 3], not as the shape [3, 2]"),
        ({"shape": [3], "data": [[1], [2, 3]]}, "not of equal length and depth"),
        ({"shape": [2], "data": [1, [2]]}, "not of equal length and depth"),
        ({"data": 5}, "Expected `array`, got `int`"),
        ({"data": None}, "Expected `array`, got `null`"),
        ({"data": [1, "2"]}, "the data is not FP64"),
        ({"data": [1, {}]}, "the data is not FP64"),
        ({"data": [True, False]}, "the data is not FP64"),
        ({"data": [10**400, 1]}, "does not fit FP64"),
        ({"data": [1, None]}, "got `null` - at `$.speed`"),
        ({"data": [70_000, 1], "datatype": "FP16"}, "infinite"),
        ({"data": [256, 1], "datatype": "UINT8"}, "256 does not fit UINT8"),
        ({"data": [1, -1], "datatype": "UINT64"}, "-1 does not fit UINT64"),
        ({"data": [1 << 64, 1], "datatype": "UINT64"}, "does not fit UINT64"),
        ({"data": [1 << 63, 1], "datatype": "INT64"}, "does not fit INT64"),
        ({"data": [True, 2], "datatype": "INT64"}, "the data is not INT64"),
        ({"data": [1, 0], "datatype": "BOOL"}, "the data is not BOOL"),
        ({"data": ["1", "2"], "datatype": "BYTES"}, "input 'speed' is not FP64"),
        ({"data": [True, False], "datatype": "BOOL"}, "input 'speed' is not FP64"),
        ({"name": "stops"}, "two inputs called 'stops'"),
        ({"name": "Speeds"}, "no input 'Speeds'"),
        ({"parameters": []}, "got `array` - at `$.inputs[0].parameters`"),
        ({"parameters": {"shared_memory_region": "r"}}, "shared memory"),
        ({"parameters": {"binary_data_size": 16}}, "both data and binary_data_size"),
    ],
)
def test_a_tensor_that_is_not_what_it_says_is_refused(
    client: FlaskClient, change: dict[str, Any], words: str
) -> None:
    assert words in problem(infer(client, {**SPEED, **change}, STOPS))[0]


def test_integers_of_64_bits_stay_exact(client: FlaskClient) -> None:
    for value, datatype in (((1 << 64) - 1, "UINT64"), (-(1 << 63), "INT64"), ((1 << 62) + 1, "INT64")):
        answer = infer(client, SPEED, tensor("stops", [value, 1], datatype), id="big")
        assert answer.status_code == 200
        remembered = client.application.extensions["recent"].find("trains", "big")
        assert [record["stops"] for record in remembered] == [value, 1]


def test_nested_data_may_leave_out_levels_but_not_contradict_the_shape(client: FlaskClient) -> None:
    picture = np.arange(128).reshape(2, 8, 8) % 17
    expected = outputs(infer(client, tensor("x", picture.tolist()), model="digits"))
    for data in (picture.ravel(), picture.reshape(2, 64), picture.reshape(2, 1, 8, 8)):
        sent = {**tensor("x", picture.tolist()), "data": data.tolist()}
        assert outputs(infer(client, sent, model="digits")) == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"null", "got `null`"),
        (b"", "truncated"),
        (b"{}", "input 'speed' is missing"),
        (b'{"inputs": null}', "input 'speed' is missing"),
        (b'{"inputs": {}}', "got `object` - at `$.inputs`"),
        (b'{"inputs": [null]}', "got `null` - at `$.inputs[0]`"),
        (b'{"inputs": [], "id": 5}', "got `int` - at `$.id`"),
        (b'{"inputs": [], "parameters": "x"}', "got `str` - at `$.parameters`"),
        (b'{"inputs": [{"name": "speed", "shape": [1], "datatype": "FP64", "data": [NaN]}]}', "no NaN"),
        (b'{"inputs": [{"name": "speed", "shape": [1], "datatype": "FP64", "data": [-Infinity]}]}', "null"),
        (json.dumps({"inputs": [SPEED]}), "input 'stops' is missing"),
        (json.dumps({"inputs": [SPEED, STOPS], "parameters": {"binary_data_output": 1}}), "true or false"),
    ],
)
def test_a_body_that_is_no_request_is_refused(client: FlaskClient, body: Any, words: str) -> None:
    assert words in problem(client.post("/v2/models/trains/infer", data=body))[0]


def test_ids_and_parameters_come_back(client: FlaskClient) -> None:
    sent = {"n": 1 << 80, "deep": [{"a": None}], "priority": 1}
    for identity in ("a", "", "日本"):
        body = infer(client, SPEED, STOPS, id=identity, parameters=sent).get_json()
        assert body["id"] == identity
        assert body["parameters"] == {**sent, "lineage": "aaaa"}


@pytest.mark.parametrize("value", [1e200, -1.7e308])
def test_what_is_not_finite_is_never_answered(client: FlaskClient, value: float) -> None:
    """GaussianNB squares it: every probability is NaN."""
    message, _ = problem(infer(client, tensor("speed", [value, 50.0]), STOPS))
    assert message == "the model predicts a number that is not finite"
    with pytest.raises(BadRecord, match="not finite"), np.errstate(all="ignore"):
        learn_own(TRAINS).outputs([Train(value, 1)])


def make_window(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return hours as one tensor for each field."""
    return [
        tensor(name, values, "BYTES" if isinstance(values[0], str) else "FP64")
        for name in records[0]
        for values in [[record[name] for record in records]]
    ]


def test_the_same_hour_twice_in_a_window_is_refused_by_name(client: FlaskClient) -> None:
    window = hours.series(30)
    repeated = [*window, {**window[20], "pollution": 7.0}]
    expected = "the time '2010-01-02 20:00:00' is there twice: send one record for each"
    answer = infer(client, *make_window(repeated), model="pm25")
    assert problem(answer) == (expected, "inputs")
    answer = client.post("/v2/models/pm25/forecast", json={"records": repeated})
    assert problem(answer) == (expected, "records")
    answer = client.post("/v1/models/pm25:predict", json={"instances": [window, repeated]})
    assert problem(answer) == (expected, "instances[1]")
    written_otherwise = [*window, {**window[20], "ts": "2010-01-02T20:00:00"}]
    message, _ = problem(client.post("/v2/models/pm25/forecast", json={"records": written_otherwise}))
    assert "the step of '2010-01-02 20:00:00' and '2010-01-02T20:00:00' is there twice" in message
    assert infer(client, *make_window(window), model="pm25").status_code == 200


def test_the_models_are_listed_as_clients_ask(client: FlaskClient, make_app: MakeApp) -> None:
    names = ["bools", "digits", "floats", "ones", "pm25", "texts", "trains"]
    assert client.get("/v2/models").get_json() == {"models": names}
    index = client.post("/v2/repository/index").get_json()
    assert [entry["name"] for entry in index] == names
    assert index[1] == {"name": "digits", "version": "300", "state": "READY"}
    late = make_app(ready_age_s=1e-9).test_client()
    assert {entry["state"] for entry in late.post("/v2/repository/index", json={}).get_json()} == {
        "UNAVAILABLE"
    }
    assert late.post("/v2/repository/index", json={"ready": True}).get_json() == []
    for body in (b"[]", b'{"ready": "yes"}', b"null", b"x"):
        assert "ready" in problem(client.post("/v2/repository/index", data=body))[0]
    assert "cannot be told to load" in problem(client.post("/v2/repository/models/digits/load"))[0]
    assert client.post("/v2/repository/models/nothing/unload").status_code == 404


def test_what_has_not_been_learned_is_listed_as_unavailable(store: Store, make_app: MakeApp) -> None:
    client = make_app().test_client()
    index = client.post("/v2/repository/index", json={"ready": False}).get_json()
    assert [(entry["name"], entry["version"], entry["state"]) for entry in index] == [
        ("digits", "", "UNAVAILABLE"), ("pm25", "", "UNAVAILABLE"),
    ]  # fmt: skip
    assert "no model of digits has been learned yet" in index[0]["reason"]


PATHS = [
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models",
    "/v2/models/digits",
    "/v2/models/digits/ready",
    "/v2/models/digits/versions/300",
    "/v2/models/digits/versions/300/ready",
    "/v1/models",
    "/v1/models/digits",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_may_end_with_a_slash_and_be_asked_by_head(client: FlaskClient, path: str) -> None:
    answers = [client.get(path), client.get(f"{path}/"), client.head(path)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[2].data == b""
    refused = client.post(path)
    assert (refused.status_code, refused.get_json()["code"]) == (405, "method_not_allowed")
    assert "GET" in refused.headers["Allow"]


@pytest.mark.parametrize(
    "path",
    ["/v2/models/digits/infer", "/v2/models/digits/versions/300/infer", "/v1/models/digits:predict",
     "/v2/repository/index"],
)  # fmt: skip
def test_what_takes_a_body_says_so(client: FlaskClient, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        refused = client.open(path, method=method)
        assert (refused.status_code, refused.get_json()["code"]) == (405, "method_not_allowed")
        assert "POST" in refused.headers["Allow"]


def test_a_browser_is_shown_a_page_and_a_program_is_sent_json(client: FlaskClient) -> None:
    page = client.get("/nope", headers=BROWSER)
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "<h1>Not found</h1>" in page.text
    assert "There is no page at this address." in page.text
    assert "Accept" in page.headers["Vary"]
    assert "此地址没有页面。" in client.get("/nope?lang=zh", headers=BROWSER).text
    assert "Method Not Allowed" in client.get("/predict", headers=BROWSER).text
    for path, accepted in (
        ("/nope", "*/*"),
        ("/nope", "application/json"),
        ("/nope", "application/json, text/plain, */*"),
        ("/v2/nope", BROWSER["Accept"]),
        ("/v1/models/nope", BROWSER["Accept"]),
    ):
        answer = client.get(path, headers={"Accept": accepted})
        assert (answer.status_code, answer.mimetype) == (404, "application/json")
        assert answer.get_json()["error"]
    assert client.post("/nope", headers=BROWSER).mimetype == "application/json"


BODY = json.dumps({"inputs": [SPEED, STOPS]}).encode()
INFER, PREDICT = "/v2/models/trains/infer", "/v1/models/trains:predict"


HEADERS: list[tuple[dict[str, str], bytes, int]] = [
    ({"Content-Type": "text/plain"}, BODY, 200),
    ({"Content-Type": "application/x-www-form-urlencoded"}, BODY, 200),
    ({"Content-Type": "multipart/form-data"}, BODY, 200),
    ({"Content-Type": "application/json; charset=utf-16"}, BODY, 200),
    ({"Content-Type": "a/b/c;;;"}, BODY, 200),
    ({}, BODY.decode().encode("utf-16"), 400),
    ({}, b"\xef\xbb\xbf" + BODY, 400),
    ({}, BODY.replace(b"speed", b"sp\xfced"), 400),
    ({}, gzip.compress(BODY), 400),
    ({}, b"inputs=x", 400),
    ({}, b"", 400),
    ({"Content-Encoding": "GZIP"}, gzip.compress(BODY), 200),
    ({"Content-Encoding": "gzip, gzip"}, gzip.compress(gzip.compress(BODY)), 415),
    ({"Content-Encoding": "zstd"}, BODY, 415),
    ({"Content-Encoding": "gzip"}, BODY, 400),
    ({"Content-Encoding": "gzip"}, b"", 400),
    ({"Content-Encoding": "gzip"}, gzip.compress(b"") * 40 + gzip.compress(BODY), 400),
    *(({"Inference-Header-Content-Length": length}, BODY, 400) for length in ("", "-1", "1.0", "9" * 30)),
    ({"Inference-Header-Content-Length": str(len(BODY))}, BODY, 200),
]
PATHS = [
    ("/v2/models/%00", 404),
    ("/v2/models/..%2f..", 404),
    (f"/v2/models/{'x' * 5000}", 404),
    ("/v2/models/trains/versions/-1", 404),
    ("/v2/models/trains/versions/\u0664\u0660", 404),
    (f"/v2/models/trains/versions/{'9' * 30}", 404),
    ("/v2/models/trains/stats", 404),
    ("/v2/HEALTH/live", 404),
    ("/v1/models/trains/versions/40:predict", 404),
    (f"{INFER}?x=%ff", 405),
    ("/v1/models/trains:explain", 404),
]
DATATYPES: list[tuple[str, list[Any], int]] = [
    ("FP16", [50.5, 61], 200),
    ("FP16", [1e6, 1], 400),
    ("BF16", [50, 61], 400),
    ("FP8", [50, 61], 400),
    ("UINT64", [2**64 - 1, 0], 200),
    ("UINT64", [2**64, 0], 400),
    ("INT8", [-128, 127], 200),
    ("INT8", [128, 0], 400),
    ("BOOL", [True, False], 400),
    ("BYTES", ["50", "61"], 400),
    ("FP64", [True, False], 400),
    ("FP64", ["50", "61"], 400),
    ("FP64", [None, 1], 400),
]


def test_no_method_makes_the_server_fail(client: FlaskClient) -> None:
    for path in (INFER, PREDICT, "/v2", "/v2/health/live", "/metrics"):
        takes_a_body = path in (INFER, PREDICT)
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "FOO", "OPTIONS", "HEAD", "GET"):
            answer = client.open(path, method=method)
            is_read = method in ("HEAD", "GET") and not takes_a_body
            assert answer.status_code == (200 if is_read or method == "OPTIONS" else 405), (method, path)
            if method == "OPTIONS":
                assert ("POST" if takes_a_body else "GET") in answer.headers["Allow"]


def test_no_header_makes_the_server_fail(client: FlaskClient) -> None:
    for headers, body, status in HEADERS:
        answer = client.post(INFER, data=body, headers=headers)
        assert answer.status_code == status, (headers, body[:20], answer.text)
        if status != 200:
            assert len(answer.get_json()["error"].splitlines()) == 1


def test_no_path_makes_the_server_fail(client: FlaskClient) -> None:
    for path, status in PATHS:
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (status, "application/json"), path


def test_a_datatype_is_converted_or_refused(client: FlaskClient) -> None:
    for datatype, data, status in DATATYPES:
        answer = infer(client, tensor("speed", data, datatype), STOPS)
        assert answer.status_code == status, (datatype, data, answer.text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["speed", "stops", "platform", "express", "outcome", "x", "load", "ts", "h1"])
sides = st.integers(0, 3) | st.just(64) | st.just(2.0)
parameters = st.dictionaries(
    st.sampled_from(["binary_data", "binary_data_size", "binary_data_output", "classification", "a"]),
    anything,
)
numbers = st.integers() | st.floats(allow_nan=False) | st.none() | st.booleans() | st.just(8)
odd_tensors = st.fixed_dictionaries(
    {
        "name": names,
        "shape": st.lists(sides, max_size=3),
        "datatype": st.sampled_from([*DTYPES, "BYTES", "fp64"]),
    },
    optional={
        "data": st.lists(numbers | st.text(max_size=3), max_size=4) | anything,
        "parameters": parameters,
    },
)
rows = st.lists(numbers, min_size=2, max_size=2)
good_tensors = st.tuples(
    rows.map(lambda data: tensor("speed", data)), rows.map(lambda data: tensor("stops", data, "INT64"))
).map(list)
odd_outputs = st.fixed_dictionaries(
    {"name": st.sampled_from(["predict_y", "probabilities", "h1"]) | anything},
    optional={"parameters": parameters | anything},
)
requests = st.fixed_dictionaries(
    {"inputs": good_tensors | st.lists(odd_tensors, max_size=3) | anything},
    optional={
        "outputs": st.lists(odd_outputs, max_size=2) | anything,
        "parameters": parameters | anything,
        "id": st.text(max_size=5) | anything,
    },
)
instances = st.fixed_dictionaries(
    {"instances": st.lists(st.dictionaries(names, numbers | anything, max_size=4) | anything, max_size=3)}
)


# A thread of the server may draw random numbers meanwhile.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_body_whatever_it_holds_makes_the_server_fail(client: FlaskClient, data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(["trains", "digits", "bools", "pm25"]))
    path, bodies = data.draw(
        st.sampled_from(
            [
                (f"/v2/models/{model}/infer", requests),
                (f"/v1/models/{model}:predict", instances),
                (f"/v2/models/{model}/forecast", st.fixed_dictionaries({"records": anything})),
                ("/v2/repository/index", st.fixed_dictionaries({"ready": anything})),
            ]
        )
    )
    answer = client.post(path, data=msgspec.json.encode(data.draw(bodies)))
    assert answer.status_code in (200, 400) or (answer.status_code, path[-8:]) == (404, "forecast")
    if answer.status_code != 200:
        assert isinstance(answer.get_json()["error"], str)
    elif answer.mimetype == "application/json" and model != "pm25":
        assert b'"data":[null' not in answer.data
