"""Feedback on the real stack, learned within a second; versions by command; the examples of the page."""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from conftest import ROOT, Stack
from reading import Topic
from sklearn.datasets import load_digits

from streamlearn.cli.main import main
from streamlearn.pipelines import pm25
from streamlearn.settings import inherit_env
from streamlearn.waiting import wait_until

X, Y = load_digits(return_X_y=True)
PAGE = (ROOT / "docs" / "serving.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL)


def post(stack: Stack, path: str, body: Any, method: str = "POST") -> Any:
    request = urllib.request.Request(stack.url + path, json.dumps(body).encode(), method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def get(stack: Stack, path: str) -> Any:
    with urllib.request.urlopen(stack.url + path, timeout=60) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def learned(stack: Stack) -> Stack:
    """The stack with models of both pipelines."""
    stack.streamlearn("replay", "digits", "--rate", "0", "--limit", "1797", "--seed", "6")
    stack.streamlearn("replay", "pm25", "--rate", "0", "--limit", "200")
    for name in ("digits", "pm25"):
        wait_until(lambda: _ready(stack, name), 120, f"a model of {name}")  # noqa: B023
    return stack


def _ready(stack: Stack, name: str) -> bool:
    try:
        return bool(get(stack, f"/v2/models/{name}/ready")["ready"])
    except urllib.error.HTTPError:
        return False


def read(stack: Stack, topic: str, offset: int) -> dict[str, Any]:
    """The record at an offset, as plain JSON."""
    reader = Topic(stack.settings.kafka, topic).read()
    try:
        value = dict(zip(reader.offsets, reader.values, strict=True))[offset]
    finally:
        reader.close()
    assert value is not None
    record: dict[str, Any] = json.loads(value)
    return record


def test_feedback_is_learned_and_served_within_a_second(learned: Stack) -> None:
    durations_s = []
    for number in range(7):
        start = time.monotonic()
        sent = post(
            learned,
            "/v2/models/digits/feedback",
            {"inputs": {"x": X[number].tolist()}, "label": int(Y[number])},
        )
        path = f"/v2/models/digits/versions?learned={sent['offset']}&wait=10"
        answer = get(learned, path)["learned"]
        durations_s.append(time.monotonic() - start)
        assert answer["learned"] is True
        assert answer["version"] > sent["offset"]
    assert median(durations_s) < 1, durations_s
    record = read(learned, "handwritten_digit", sent["offset"])
    assert (record["source"], record["actual_y"], record["x"]) == ("feedback", int(Y[6]), X[6].tolist())


def test_feedback_by_the_id_of_a_prediction_of_any_process(learned: Stack) -> None:
    for number, kind in enumerate(["own id", "drawing", "rows"] * 4):
        body = {"inputs": [{"name": "x", "shape": [2, 64], "datatype": "FP64", "data": X[:2].tolist()}]}
        if kind == "drawing":
            request = urllib.request.Request(
                learned.url + "/predict",
                json.dumps({"x": X[3].tolist()}).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request) as answer:
                feedback = {"id": json.load(answer)["id"], "label": int(Y[3])}
            expected = [(X[3].tolist(), int(Y[3]))]
        else:
            own = {"id": f"mine-{number}"} if kind == "own id" else {}
            answer = post(learned, "/v2/models/digits/infer", {**body, **own})
            feedback = {"id": answer["id"], "labels": [0, 1]}
            expected = [(X[0].tolist(), 0), (X[1].tolist(), 1)]
        sent = post(learned, "/v2/models/digits/feedback", feedback)
        records = [read(learned, "handwritten_digit", offset) for offset in sent["offsets"]]
        assert [(record["x"], record["actual_y"]) for record in records] == expected


def test_an_hour_is_fed_back_as_a_record(learned: Stack) -> None:
    assert pm25.pipeline.dataset is not None
    records = pm25.pipeline.dataset.records(seed=0, passes=1)
    hour = next(record for number, record in enumerate(records) if number == 200)
    sent = post(learned, "/v2/models/pm25/feedback", {"record": hour})
    answer = get(learned, f"/v2/models/pm25/versions?learned={sent['offset']}&wait=10")["learned"]
    assert answer["learned"] is True
    assert get(learned, "/v2/models/pm25/forecast")["ts"] == hour["ts"]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        post(learned, "/v2/models/pm25/feedback", {"inputs": hour, "id": "x", "label": 5})


def test_a_rollback_is_followed_by_the_server(learned: Stack) -> None:
    """Learning goes on from an earlier version: the model is that one's again."""
    before = get(learned, "/v2/models/digits")["parameters"]["version"]
    expected = post(learned, "/v2/models/digits/infer", _probe())["outputs"]
    post(learned, "/v2/models/digits/feedback", {"inputs": {"x": X[9].tolist()}, "label": 3})
    wait_until(
        lambda: get(learned, "/v2/models/digits")["parameters"]["version"] > before, 30, "a newer model"
    )
    done = learned.streamlearn("models", "digits", "rollback", str(before))
    again = int(re.search(r"version (\d+) is version", done.stdout)[1])  # type: ignore[index]
    get(learned, f"/v2/models/digits/versions?learned={again - 1}&wait=10")
    answer = post(learned, "/v2/models/digits/infer", _probe())
    assert (answer["model_version"], answer["outputs"]) == (str(again), expected)


def _probe() -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [50, 64], "datatype": "FP64", "data": X[:50].tolist()}]}


def test_versions_are_pinned_exported_and_imported_by_command(learned: Stack, tmp_path: Path) -> None:
    kept = json.loads(learned.streamlearn("models", "digits", "list", "--json").stdout)
    first, last = kept[0]["version"], kept[-1]["version"]
    assert first < last
    file = tmp_path / "digits.slsnap"
    learned.streamlearn("models", "digits", "export", str(first), "-o", str(file))
    for command in (["pin", str(first)], ["import", str(file)]):
        done = learned.streamlearn("models", "digits", *command)
        assert f"version {first} of" in done.stdout
        wait_until(lambda: _served(learned) == first, 10, "the pinned version")
        assert "← served (pinned)" in learned.streamlearn("models", "digits", "list").stdout
        learned.streamlearn("models", "digits", "unpin")
        wait_until(lambda: _served(learned) == last, 10, "the newest version")
    assert "no version of digits was pinned" in learned.streamlearn("models", "digits", "unpin").stdout
    file.write_bytes(file.read_bytes()[:-1])
    wrong = [
        (["pin", "999999999"], 1, "is not kept"),
        (["pin", "x"], 2, "is not a version"),
        (["pin"], 2, "say which"),
        (["export", str(last), "-o", str(tmp_path)], 2, "directory"),
        (["export", str(last), "-o", str(tmp_path / "no" / "file")], 1, "cannot be written"),
        (["import", str(tmp_path / "nothing")], 1, "cannot be read"),
        (["import", str(file)], 1, "truncated or altered"),
    ]
    runner = CliRunner()
    for command, code, message in wrong:
        refused = runner.invoke(main, ["models", "digits", *command], env=learned.settings.environment())
        assert (refused.exit_code, message in refused.stderr) == (code, True), (command, refused.output)
        assert "Traceback" not in refused.stderr


def _served(stack: Stack) -> int:
    return int(get(stack, "/v2/models/digits")["parameters"]["version"])


def test_the_examples_of_the_page_work(learned: Stack) -> None:
    """Every block of `docs/serving.md`, in its order, in one shell; KServe has a test of its own."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    address = learned.url.removeprefix("http://")
    script = ["set -euo pipefail", 'curl() { command curl --fail-with-body --show-error "$@"; echo; }']
    for number, (language, block) in enumerate(BLOCKS):
        if "# needs: kserve" in block:
            continue
        local = block.replace("localhost:8066", address)
        run = f"{sys.executable} - <<'PYTHON'\n{local}PYTHON" if language == "python" else local
        script += [f"echo '=== {number}'", run]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=ROOT,
        env=inherit_env(learned.settings.environment()),
        capture_output=True,
        text=True,
        timeout=300,
    )
    for file in ("request.json", "digits.slsnap"):
        (ROOT / file).unlink(missing_ok=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("=== ") == len(BLOCKS) - 1
    assert '"id":"my-request"' in done.stdout
    assert '"success":true,"predict_result":1' in done.stdout
    assert '"learned":true' in done.stdout
    assert re.search(r"right: (0.[5-9]|1.0)", done.stdout)


def test_afterwards_everything_verifies(learned: Stack) -> None:
    for name in ("digits", "pm25"):
        report = msgspec.json.decode(learned.streamlearn("verify", name, "--json").stdout)
        assert (report["exit_code"], report["different"]) == (0, 0)
