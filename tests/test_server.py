"""The server as `streamlearn serve` starts it, on a real Redis: its clients, load and failures."""

import json
import os
import select
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import hours
import numpy as np
import psutil
import pytest
import tritonclient.http as triton
from click.testing import CliRunner
from helpers import LINEAGE, learner, put
from sklearn.datasets import load_digits
from stacks import ROOT, Server, free_port, running_server

from streamlearn.cli.main import main
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.local.services import find_redis_server
from streamlearn.pipelines import digits
from streamlearn.settings import inherit_env
from streamlearn.storage.store import Store
from streamlearn.waiting import wait_until

StartServer = Callable[..., Server]

X, Y = load_digits(return_X_y=True)
TRAINED = 1797


@pytest.fixture(scope="module")
def started(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests that leave it as it is."""
    home = tmp_path_factory.mktemp("server")
    with running_server(home, redis=redis_url, feedback="off", http_timeout_s=3600.0) as server:
        yield server


@pytest.fixture
def server(store: Store, started: Server) -> Server:
    """The server, with a model of the digits."""
    put(store, digits.pipeline, learner(TRAINED, cuts=range(256, TRAINED, 256)))
    wait_until_served(started, store, TRAINED)
    return started


def wait_until_served(server: Server, store: Store, version: int) -> None:
    """Wait for a model; the server may still have another test's, perhaps of the same number."""
    info = store.version_info("digits", LINEAGE.id, version)
    assert info
    wait_until(lambda: _serves(server, info.digest), 20, "the model")


def _serves(server: Server, digest: str) -> bool:
    """Whether every process serves this model of the digits: each question may reach another one."""
    described = [server.get("/v2/models/digits")["parameters"] for _ in range(12)]
    return all(parameters.get("digest") == digest for parameters in described)


def rows(count: int = 20, *, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput("x", [count, 64], "FP64")
    tensor.set_data_from_numpy(X[:count], binary_data=binary)
    return tensor


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_tritonclient_works_unchanged(server: Server, binary: bool) -> None:
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", str(TRAINED))
    assert not client.is_model_ready("digits", "5")
    assert not client.is_model_ready("pm25")
    assert client.get_server_metadata()["name"] == "streamlearn"
    index = {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}
    assert index == {"digits": "READY", "pm25": "UNAVAILABLE"}
    metadata = client.get_model_metadata("digits")
    assert [entry["name"] for entry in metadata["inputs"]] == ["x"]
    names = [entry["name"] for entry in metadata["outputs"]]
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    model = learner(TRAINED, cuts=range(256, TRAINED, 256)).model  # type: ignore[attr-defined]
    for outputs in (None, wanted):
        for compression in (None, "gzip", "deflate"):
            answer = client.infer(
                "digits",
                [rows(binary=binary)],
                model_version=str(TRAINED),
                outputs=outputs,
                request_id="mine",
                parameters={"a": 1, "b": "c"},
                request_compression_algorithm=compression,
                response_compression_algorithm=compression,
            )
            assert answer.as_numpy("predict_y").tolist() == model.predict(X[:20]).tolist()
            assert np.array_equal(answer.as_numpy("probabilities"), model.predict_proba(X[:20]))
            response = answer.get_response()
            assert (response["id"], response["model_version"]) == ("mine", str(TRAINED))
            assert response["parameters"] == {"a": 1, "b": "c", "lineage": LINEAGE.id}
    waiting = client.async_infer("digits", [rows(binary=binary)])
    assert waiting.get_result().as_numpy("predict_y").shape == (20,)
    with pytest.raises(triton.InferenceServerException, match="there is no input 'y'"):
        client.infer("digits", [triton.InferInput("y", [1, 64], "FP64").set_data_from_numpy(X[:1])])
    with pytest.raises(triton.InferenceServerException, match="no model is called 'other'"):
        client.infer("other", [rows()])
    with pytest.raises(triton.InferenceServerException, match="there is no output 'other'"):
        client.infer("digits", [rows()], outputs=[triton.InferRequestedOutput("other")])
    classified = triton.InferRequestedOutput("probabilities", class_count=2)
    with pytest.raises(triton.InferenceServerException, match="does not support the classification"):
        client.infer("digits", [rows()], outputs=[classified])
    with pytest.raises(triton.InferenceServerException, match="cannot be told to load"):
        client.load_model("digits")
    client.close()


KSERVE = """
import asyncio, json, sys
from kserve import InferenceRESTClient, InferRequest, InferInput
from kserve.inference_client import RESTConfig
import numpy as np

async def main(url, pixels):
    answers = {}
    v2 = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30))
    answers["live"] = await v2.is_server_live(url)
    answers["ready"] = await v2.is_server_ready(url)
    answers["model"] = await v2.is_model_ready(url, "digits")
    answers["other"] = await v2.is_model_ready(url, "pm25")
    for binary in (True, False):
        x = InferInput("x", [3, 64], "FP64")
        x.set_data_from_numpy(np.array(pixels), binary_data=binary)
        request = InferRequest(model_name="digits", infer_inputs=[x], request_id="mine")
        answer = await v2.infer(url, request, model_name="digits")
        answers[f"v2 {binary}"] = [
            output.as_numpy().tolist() for output in answer.outputs if output.name == "predict_y"
        ]
        answers["id"] = answer.id
    plain = {"inputs": [{"name": "x", "shape": [3, 64], "datatype": "FP64", "data": pixels}]}
    answers["dict"] = (await v2.infer(url, plain, model_name="digits")).outputs[0].data
    v1 = InferenceRESTClient(RESTConfig(protocol="v1", timeout=30))
    answers["v1 ready"] = await v1.is_model_ready(url, "digits")
    answers["v1"] = await v1.infer(url, {"instances": pixels}, model_name="digits")
    print(json.dumps(answers))

asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
"""


@pytest.fixture
def kserve_python() -> str:
    """A Python with KServe's SDK, in an environment of its own: its pins are not Flink's."""
    python = os.environ.get("STREAMLEARN_TEST_KSERVE")
    assert python, "set STREAMLEARN_TEST_KSERVE to the path of a Python that has kserve==0.21.0"
    return python


@pytest.mark.release
def test_kserves_client_works_unchanged(server: Server, kserve_python: str) -> None:
    done = subprocess.run(
        [kserve_python, "-c", KSERVE, server.url, json.dumps(X[:3].tolist())], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert [answers[name] for name in ("live", "ready", "model", "other")] == [True, True, True, False]
    assert answers["v2 True"] == answers["v2 False"] == [Y[:3].tolist()]
    assert answers["id"] == "mine"
    assert answers["v1 ready"] is True
    assert answers["dict"] == answers["v1"]["predictions"] == Y[:3].tolist()
    assert answers["v1"]["model_version"] == str(TRAINED)


def learn_constant(version: int) -> Learner:
    """Return a model that predicts version % 10 for every picture, so that a torn one gives itself away."""
    model = digits.pipeline.new_learner(version=version - 1)
    records = [digits.Digit(x=[float(n % 17)] * 64, actual_y=version % 10) for n in range(1, 9)]
    predict_then_learn(model, records, version)
    return model


@dataclass
class Load:
    """Clients that send requests all the time, over connections that they keep."""

    url: str
    requests: int = 0
    versions: set[int] = field(default_factory=set)
    """Those that have answered since this was last emptied."""
    wrong: list[str] = field(default_factory=list)

    def run(self, stopped: threading.Event, number: int) -> None:
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=20)
        tensor = {"name": "x", "shape": [1, 64], "datatype": "FP64", "data": [3.0] * 64}
        v2 = ("/v2/models/digits/infer", json.dumps({"inputs": [tensor]}))
        v1 = ("/v1/models/digits:predict", json.dumps({"instances": [[3.0] * 64]}))
        while not stopped.is_set():
            path, body = v1 if number % 2 else v2
            try:
                connection.request("POST", path, body)
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status != 200:
                    raise ValueError(answer)
                y = answer["predictions"][0] if number % 2 else answer["outputs"][0]["data"][0]
                self.versions.add(int(answer["model_version"]))
                if y != int(answer["model_version"]) % 10:
                    raise ValueError(f"version {answer['model_version']} predicted {y}")
            except Exception as error:
                self.wrong.append(repr(error))
            self.requests += 1

    def run_while(self, action: Callable[[], object], clients: int = 8) -> None:
        """Send requests until `action` returns."""
        stopped = threading.Event()
        threads = [threading.Thread(target=self.run, args=(stopped, n)) for n in range(clients)]
        for thread in threads:
            thread.start()
        try:
            action()
        finally:
            stopped.set()
            for thread in threads:
                thread.join()


def test_no_request_fails_and_no_model_is_torn_while_it_is_replaced(store: Store, started: Server) -> None:
    """As soon as a model has answered, also backwards, over connections that are kept."""
    writer, load = put(store, digits.pipeline, learn_constant(100)), Load(started.url)
    wait_until_served(started, store, 100)

    def replace() -> None:
        for number in range(1, 31):
            awaited = 100 + number
            load.versions.clear()
            if number % 10 == 0:
                awaited -= 5
                writer.roll_back(awaited)
            else:
                put(store, digits.pipeline, learn_constant(awaited), writer)
            wait_until(
                lambda: load.wrong or (awaited in load.versions and load.requests > 20 * number),  # noqa: B023
                60,
                f"version {awaited} to answer",
                every_s=0.01,
            )

    load.run_while(replace)
    assert load.wrong == []
    assert load.requests > 600


def test_connections_are_shared_among_the_processes(started: Server) -> None:
    """Of those that are kept open, no process has nearly all; there are so many that chance cannot do it."""
    wait_until(lambda: _count_all_connections(started) == 0, 20, "the connections of other tests to end")
    connections = [HTTPConnection(started.url.removeprefix("http://"), timeout=10) for _ in range(48)]
    for connection in connections:
        connection.request("GET", "/v2/health/live")
    for connection in connections:
        assert connection.getresponse().read()
    held = [_count_connections(started, child) for child in psutil.Process(started.process.pid).children()]
    for connection in connections:
        connection.close()
    assert sum(held) == 48
    assert len(held) == 2
    assert min(held) >= 6, held


def test_a_stop_lets_what_was_asked_be_answered_and_logged(store: Store, start_server: StartServer) -> None:
    """Requests that wait for a version are answered after the SIGTERM; streams of events end at once.

    The server then ends by itself, and no request is missing from its log, those of the last moment included.
    """
    put(store, digits.pipeline, learner(TRAINED))
    server, answers, streams = start_server(), list[Any](), list[Any]()
    wait_until(lambda: _is_ready(server), 20, "the model")
    for _ in range(6):
        streams.append(urllib.request.urlopen(f"{server.url}/live/digits", timeout=60))
        assert streams[-1].headers["Content-Type"].startswith("text/event-stream")
        assert streams[-1].readline().startswith(b"retry")
    query = f"/v2/models/digits/versions?learned={TRAINED + 5}&wait=3"
    threads = [threading.Thread(target=lambda: answers.append(server.get(query, 60))) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: _count_all_connections(server) == 10, 30, "all to be under way", every_s=0.02)
    logged = infer_by_id(server, 40)
    server.process.terminate()
    for thread in threads:
        thread.join()
    assert [answer["learned"]["learned"] for answer in answers] == [False] * 4
    for stream in streams:
        stream.read()  # raises where a stream was cut off instead of ended
        stream.close()
    assert server.process.wait(60) == 0
    lines = [line for line in server.log.read_text().splitlines() if "id=logged-" in line]
    assert sorted(line.partition("id=")[2].split()[0] for line in lines) == sorted(logged)
    assert all(f"model=digits version={TRAINED}" in line for line in lines)


def infer_by_id(server: Server, count: int) -> list[str]:
    """Send requests, of the served version and by its number; return their ids."""
    body = json.dumps({"inputs": [{"name": "x", "shape": [1, 64], "datatype": "FP64", "data": [3] * 64}]})
    ids = [f"logged-{number}" for number in range(count)]
    for identity in ids:
        path = "infer" if len(identity) % 2 else f"versions/{TRAINED}/infer"
        headers = {"X-Request-ID": identity}
        url = f"{server.url}/v2/models/digits/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers)) as answer:
            assert answer.status == 200
    return ids


def _count_connections(server: Server, process: psutil.Process) -> int:
    port = int(server.url.rpartition(":")[2])
    return sum(
        connection.laddr.port == port and connection.status == psutil.CONN_ESTABLISHED
        for connection in process.net_connections()
    )


def _count_all_connections(server: Server) -> int:
    return sum(_count_connections(server, child) for child in psutil.Process(server.process.pid).children())


def test_a_killed_process_of_the_server_is_replaced(server: Server) -> None:
    children = psutil.Process(server.process.pid).children
    victim = children()[0]
    victim.kill()
    wait_until(
        lambda: victim.pid not in {child.pid for child in children()} and server.count_listening() == 2,
        60,
        "another",
    )
    for _ in range(20):
        assert server.get("/v2/health/ready", timeout=60)["ready"]


HALF_HEAD = b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: localhost\r\n"
HALF_BODY = HALF_HEAD + b"Content-Length: 100\r\n\r\n{"


def connect_slow_clients(server: Server, count: int) -> list[socket.socket]:
    """Connect clients that send half a head and, as many, half a body."""
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    clients = []
    for sent in [HALF_HEAD, HALF_BODY] * count:
        clients.append(socket.create_connection(address, timeout=60))
        clients[-1].sendall(sent)
    return clients


def test_slow_clients_hold_up_nobody(server: Server) -> None:
    """A hundred of them: others are answered while the server still waits for every one of these."""
    slow = connect_slow_clients(server, 50)
    for _ in range(20):
        assert server.get("/v2/health/live", timeout=60)["live"]
    told = select.poll()  # `select.select` knows the first 1,024 of a process's files
    for connection in slow:
        told.register(connection, select.POLLIN)
    assert told.poll(0) == [], "nobody has told them anything"
    for connection in slow:
        connection.close()


def test_what_never_comes_is_waited_for_no_longer_than_the_settings_say(
    store: Store, start_server: StartServer
) -> None:
    """Half a body, and a Kafka that is away: both are errors that say so."""
    server = start_server(http_timeout_s=0.5, kafka=f"localhost:{free_port()}", kafka_wait_s=0.5)
    slow = connect_slow_clients(server, 5)
    for connection in slow[1::2]:
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408"), answer
        assert b"request_timeout" in answer + connection.recv(4096)
    for connection in slow:
        connection.close()
    body = json.dumps({"inputs": {"x": X[0].tolist()}, "label": 0}).encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.url}/v2/models/digits/feedback", body, timeout=60)
    answer = json.loads(refused.value.read())
    assert (refused.value.code, answer["code"]) == (503, "broker_unavailable")
    assert server.get("/v2/health/live")["live"]


def test_a_body_that_is_too_large_is_refused_unread(server: Server) -> None:
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    for head in (b"Content-Length: 99999999999", b"Transfer-Encoding: chunked"):
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(
                b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n"
            )
            threading.Thread(target=_flood, args=(connection, b"chunked" in head), daemon=True).start()
            assert connection.recv(100).startswith(b"HTTP/1.1 413")


def _flood(connection: socket.socket, chunked: bool) -> None:
    piece = bytes(1 << 20)
    try:
        for _ in range(200):
            connection.sendall(b"100000\r\n" + piece + b"\r\n" if chunked else piece)
    except OSError:
        pass  # the server has had enough


@pytest.fixture
def own_redis(tmp_path: Path) -> Any:
    """A Redis that a test may stop."""
    port = free_port()
    process = psutil.Popen(
        [find_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    store = Store(f"redis://127.0.0.1:{port}/0")
    wait_until(lambda: _pings(store), 20, "Redis")
    yield f"redis://127.0.0.1:{port}/0", process, store
    process.kill()
    process.wait()
    store.close()


def _pings(store: Store) -> bool:
    from streamlearn.errors import StoreUnavailable

    try:
        store.ping()
    except StoreUnavailable:
        return False
    return True


def test_while_redis_hangs_all_that_needs_it_not_is_answered(
    own_redis: Any, start_server: StartServer
) -> None:
    """That none of these waits for it, `test_no_answer_waits_for_redis` tells."""
    url, process, store = own_redis
    put(store, digits.pipeline, learner(TRAINED))
    server = start_server(redis=url)
    process.suspend()
    tensor = {"name": "x", "shape": [1, 64], "datatype": "FP64", "data": [3.0] * 64}
    body = json.dumps({"inputs": [tensor]}).encode()
    for _ in range(10):
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready"):
            assert server.get(path, timeout=60)
        with urllib.request.urlopen(f"{server.url}/v2/models/digits/infer", body, timeout=60) as answer:
            assert json.load(answer)["model_version"] == str(TRAINED)
    # Even one that starts now lives, though it has no model.
    late = start_server(redis=url)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        late.get("/v2/health/ready", timeout=60)
    process.resume()
    wait_until(lambda: _is_ready(late), 20, "the model")


def _is_ready(server: Server) -> bool:
    try:
        return bool(server.get("/v2/health/ready")["ready"])
    except OSError:
        return False


def test_counts_are_right_over_all_processes(server: Server) -> None:
    body = json.dumps({"instances": X[:3].tolist()}).encode()
    before = _read_counts(server)
    for _ in range(40):
        with urllib.request.urlopen(f"{server.url}/v1/models/digits:predict", body) as answer:
            assert answer.status == 200
    expected = (
        ('streamlearn_predictions_total{model="digits"}', 120),
        (
            'streamlearn_requests_total{method="POST",route="/v1/models/<name>:predict",status="200"}',
            40,
        ),
    )
    for _ in range(5):  # whichever process answers
        after = _read_counts(server)
        for name, count in expected:
            assert after[name] - before.get(name, 0) == count
        assert after['streamlearn_model_version{model="digits"}'] == TRAINED


def _read_counts(server: Server) -> dict[str, float]:
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    parts = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in parts}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"STREAMLEARN_HTTP_PORT": "many"}, "STREAMLEARN_HTTP_PORT='many' is not a whole number"),
        ({"STREAMLEARN_HTTP_WORKERS": "0"}, "STREAMLEARN_HTTP_WORKERS='0' is not at least 1"),
        ({"STREAMLEARN_FEEDBACK": "maybe"}, "is none of on, off; the default is on"),
        ({"STREAMLEARN_HTTP_HOST": "256.1.1.1"}, "STREAMLEARN_HTTP_HOST='256.1.1.1'"),
        ({"STREAMLEARN_HTTP_PORT": "99999"}, "STREAMLEARN_HTTP_PORT='99999' is more than 65535"),
        ({"STREAMLEARN_PIPELINES": "nothing:here"}, "nothing:here cannot be loaded"),
        (
            {"STREAMLEARN_HTTP_PORT": "TAKEN"},
            "Address already in use; set STREAMLEARN_HTTP_PORT to another port",
        ),
    ],
)
def test_a_mistake_in_the_settings_is_one_clear_line(
    tmp_path: Path, settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.execve", lambda *_: pytest.fail("a server has been started"))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        wrong = {name: value.replace("TAKEN", str(held.getsockname()[1])) for name, value in settings.items()}
        done = CliRunner().invoke(main, ["serve"], env={"STREAMLEARN_HOME": str(tmp_path), **wrong})
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_description_holds_against_schemathesis(
    redis_url: str, start_server: StartServer, tmp_path: Path
) -> None:
    """No 5xx and nothing undocumented, whatever is sent; feedback is off, as there is no Kafka here."""
    # In a database of its own: the other tests' server would keep serving this model of pm25.
    own = f"{redis_url.removesuffix('/0')}/1"
    store = Store(own)
    put(store, digits.pipeline, learner(TRAINED, cuts=range(256, TRAINED, 256)))
    put(store, hours.PM25, hours.learned(hours.series(60))[0])
    store.close()
    server = start_server(redis=own, feedback="off")
    wait_until(lambda: _is_ready(server), 20, "the models")
    done = subprocess.run(
        [
            ROOT / ".venv/bin/schemathesis",
            "run",
            f"{server.url}/openapi.json",
            "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--max-examples=15",
            "--seed=1",
            "--workers=2",
            "--exclude-path-regex=/(pin|rollback)$",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=inherit_env({"COLUMNS": "100"}),
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr


def test_headers_of_proxies_are_not_believed(server: Server) -> None:
    spoofed = {"SCRIPT_NAME": "/x", "X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https"}
    request = urllib.request.Request(f"{server.url}/v2", headers=spoofed)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
