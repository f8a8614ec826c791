"""Feedback on the real stack, learned and served at once; versions by command; the examples of the page."""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from built_in import call, settle, teach
from click.testing import CliRunner
from hours import START, hour
from kafka import KafkaConsumer, TopicPartition
from reading import Topic
from sklearn.datasets import load_digits
from stacks import ROOT, Stack

from streamlearn.cli.main import main
from streamlearn.pipelines import digits
from streamlearn.settings import inherit_env
from streamlearn.waiting import wait_until

X, Y = load_digits(return_X_y=True)
PAGE = (ROOT / "docs" / "serving.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL)

ReadRecord = Callable[[int], dict[str, Any]]


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
    teach(stack.settings, digits=1797, pm25=200)
    return stack


@pytest.fixture
def unpinned(learned: Stack) -> Iterator[Stack]:
    """The stack with all digits learned; whatever a test pins is unpinned."""
    settle(learned.settings, "digits")
    yield learned
    post(learned, "/v2/models/digits/pin", {}, method="DELETE")


@pytest.fixture
def read_record(learned: Stack) -> Iterator[ReadRecord]:
    """Read the record at an offset of the digits' topic, as plain JSON."""
    partition = TopicPartition("handwritten_digit", 0)
    consumer = KafkaConsumer(bootstrap_servers=learned.settings.kafka, enable_auto_commit=False)
    consumer.assign([partition])

    def read(offset: int) -> dict[str, Any]:
        consumer.seek(partition, offset)
        (record,) = consumer.poll(timeout_ms=30_000, max_records=1)[partition]
        assert record.offset == offset
        value: dict[str, Any] = json.loads(record.value)
        return value

    yield read
    consumer.close(autocommit=False)


def feed_back(stack: Stack, name: str, feedback: Any) -> dict[str, Any]:
    """Send feedback, wait until a served version has learned it; return the answer to the feedback."""
    sent: dict[str, Any] = post(stack, f"/v2/models/{name}/feedback", feedback)
    answer = get(stack, f"/v2/models/{name}/versions?learned={sent['offset']}&wait=10")["learned"]
    assert answer["learned"] is True
    assert answer["version"] > sent["offset"]
    return sent


def feed_back_digit(stack: Stack, number: int) -> dict[str, Any]:
    return feed_back(stack, "digits", {"inputs": {"x": X[number].tolist()}, "label": int(Y[number])})


def make_next_hour(stack: Stack) -> dict[str, Any]:
    """Return the hour that follows the newest one of the stream."""
    newest = datetime.fromisoformat(get(stack, "/v2/models/pm25/forecast")["ts"])
    return hour((newest - START) // timedelta(hours=1) + 1)


def test_feedback_is_learned_and_served(learned: Stack, read_record: ReadRecord) -> None:
    for number in range(7):
        sent = feed_back_digit(learned, number)
        record = read_record(sent["offset"])
        expected = ("feedback", int(Y[number]), X[number].tolist())
        assert (record["source"], record["actual_y"], record["x"]) == expected


@pytest.mark.release
def test_feedback_is_learned_and_served_within_a_second(learned: Stack) -> None:
    durations_s = []
    for number in range(7):
        start = time.monotonic()
        feed_back_digit(learned, number)
        durations_s.append(time.monotonic() - start)
    assert median(durations_s) < 1, durations_s


def test_feedback_by_the_id_of_a_prediction_of_any_process(learned: Stack, read_record: ReadRecord) -> None:
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
        records = [read_record(offset) for offset in sent["offsets"]]
        assert [(record["x"], record["actual_y"]) for record in records] == expected


def test_an_hour_is_fed_back_as_a_record(learned: Stack) -> None:
    record = make_next_hour(learned)
    feed_back(learned, "pm25", {"record": record})
    assert get(learned, "/v2/models/pm25/forecast")["ts"] == record["ts"]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        post(learned, "/v2/models/pm25/feedback", {"inputs": record, "id": "x", "label": 5})


def test_a_rollback_is_followed_by_the_server(learned: Stack) -> None:
    """Learning goes on from an earlier version: the model is that one's again."""
    settle(learned.settings, "digits")
    before = infer(learned)
    feed_back(learned, "digits", {"inputs": {"x": X[9].tolist()}, "label": 3})
    again = roll_back(learned, before["model_version"])
    answer = infer(learned)
    assert (answer["model_version"], answer["outputs"]) == (str(again), before["outputs"])


def test_a_version_at_which_no_step_ended_is_refused(learned: Stack) -> None:
    settle(learned.settings, "digits")
    answers = Topic(learned.settings.kafka, digits.pipeline.prediction_topic).read()
    steps = {answer["model_version"] for answer in answers.json()}
    between = next(version for version in range(min(steps), max(steps)) if version not in steps)
    done = CliRunner().invoke(
        main, ["models", "digits", "rollback", str(between)], env=learned.settings.environment()
    )
    assert done.exit_code == 1
    assert "no step ended there" in done.stderr
    answers.close()


def infer(stack: Stack) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [50, 64], "datatype": "FP64", "data": X[:50].tolist()}
    answer: dict[str, Any] = post(stack, "/v2/models/digits/infer", {"inputs": [tensor]})
    return answer


def roll_back(stack: Stack, version: str) -> int:
    """Go back to a version of the digits; return the one that it is now, once that is served."""
    again = int(post(stack, f"/v2/models/digits/versions/{version}/rollback", {})["again"])
    answer = get(stack, f"/v2/models/digits/versions?learned={again - 1}&wait=10")["learned"]
    assert answer["learned"] is True
    return again


def test_versions_are_pinned_exported_and_imported_by_command(unpinned: Stack, tmp_path: Path) -> None:
    def models(*arguments: str) -> str:
        return call(unpinned.settings, "models", "digits", *arguments)

    def is_served(version: int) -> bool:
        return bool(get(unpinned, "/v2/models/digits")["parameters"]["version"] == version)

    kept = json.loads(models("list", "--json"))
    first, last = kept[0]["version"], kept[-1]["version"]
    assert first < last
    file = tmp_path / "digits.slsnap"
    models("export", str(first), "-o", str(file))
    for command in (["pin", str(first)], ["import", str(file)]):
        assert f"version {first} of" in models(*command)
        wait_until(lambda: is_served(first), 30, "the pinned version")
        assert "← served (pinned)" in models("list")
        models("unpin")
        wait_until(lambda: is_served(last), 30, "the newest version")
    assert "no version of digits was pinned" in models("unpin")
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
        refused = runner.invoke(main, ["models", "digits", *command], env=unpinned.settings.environment())
        assert (refused.exit_code, message in refused.stderr) == (code, True), (command, refused.output)
        assert isinstance(refused.exception, SystemExit)


def test_the_examples_of_the_page_work(unpinned: Stack, tmp_path: Path) -> None:
    """Every block of `docs/serving.md`, in its order, in one shell; KServe has a test of its own."""
    assert shutil.which("curl"), "curl is not installed: install the package curl"
    # What the examples write must not land in the checkout, whose .venv they call.
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    address = unpinned.url.removeprefix("http://")
    script = ["set -euo pipefail", 'curl() { command curl --fail-with-body --show-error "$@"; echo; }']
    for number, (language, block) in enumerate(BLOCKS):
        if "# needs: kserve" in block:
            continue
        local = block.replace("localhost:8066", address)
        run = f"{sys.executable} - <<'PYTHON'\n{local}PYTHON" if language == "python" else local
        script += [f"echo '=== {number}'", run]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=inherit_env(unpinned.settings.environment()),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("=== ") == len(BLOCKS) - 1
    assert '"id":"my-request"' in done.stdout
    assert '"success":true,"predict_result":1' in done.stdout
    assert '"learned":true' in done.stdout
    assert re.search(r"right: (0.[5-9]|1.0)", done.stdout)


def test_what_came_by_the_server_verifies(learned: Stack) -> None:
    """Feedback and a rollback are learned again offline as they were learned in the stream."""
    for name in ("digits", "pm25"):
        settle(learned.settings, name)
    before = infer(learned)
    digits = feed_back(learned, "digits", {"id": before["id"], "labels": Y[:50].tolist()})["offsets"]
    roll_back(learned, before["model_version"])
    digits += feed_back_digit(learned, 0)["offsets"]
    hours = feed_back(learned, "pm25", {"record": make_next_hour(learned)})["offsets"]
    for name, offsets in (("digits", digits), ("pm25", hours)):
        settle(learned.settings, name)
        report = json.loads(call(learned.settings, "verify", name, "--last", "100", "--json"))
        assert (report["exit_code"], report["different"]) == (0, 0)
        assert report["start"] <= min(offsets)
        assert max(offsets) < report["end"]
        assert report["snapshots"] > 0
