"""The page on your own pipeline, followed to the letter: its code, through Kafka and Flink."""

import json
import re
import shlex
import subprocess
import urllib.error
import urllib.request
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from reading import Topic
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from stacks import ROOT, Stack

from streamlearn.cli.main import main
from streamlearn.engine import check
from streamlearn.pipelines.registry import load
from streamlearn.stream.records import encode
from streamlearn.waiting import wait_until

PAGE = (ROOT / "docs" / "your-own-pipeline.md").read_text()
MODULE = re.search(r"```python\n(\"\"\"tumours.*?)```", PAGE, re.DOTALL)[1]  # type: ignore[index]
COMMANDS: list[str] = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]


def find_command(word: str) -> list[str]:
    """Return the page's first command line of this word on the tumours, without the program."""
    program, *words = next(line for line in COMMANDS if f" {word} tumours:pipeline" in line).split()
    assert program == ".venv/bin/streamlearn"
    return words


def test_the_check_on_the_page_passes(folder: Path) -> None:
    (folder / "tumours.py").write_text(MODULE)
    done = CliRunner().invoke(main, find_command("check"))
    assert done.exit_code == 0, done.output
    assert done.stdout.count("✓") == 13


def test_the_file_on_the_page_becomes_the_module_on_the_page(folder: Path) -> None:
    (folder / "orders.csv").write_text(re.search(r"```csv\n(.*?)```", PAGE, re.DOTALL)[1])  # type: ignore[index]
    for word in ("init", "check"):
        program, *words = shlex.split(next(line for line in COMMANDS if f" {word} orders" in line))
        assert program == ".venv/bin/streamlearn"
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        assert "✗" not in done.output
    assert re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1] in (folder / "orders.py").read_text()  # type: ignore[index]
    request = re.search(r"orders:predict --data '(.*?)'", PAGE, re.DOTALL)[1]  # type: ignore[index]
    (instance,) = json.loads(request)["instances"]
    assert load("orders").codec.decode(encode(instance)).distance_km == 9.4


def test_the_page_runs_on_the_real_stack(stack: Stack, tmp_path: Path) -> None:
    """No process of the stack can import the module from where it is: it must be sent along."""
    (tmp_path / "tumours.py").write_text(MODULE)
    run_command(stack, tmp_path, find_command("train"))
    try:
        run_command(stack, tmp_path, find_command("replay"))
        predictions = Topic(stack.settings.kafka, "tumours_predict")
        records = Topic(stack.settings.kafka, "tumours").read()
        wait_until(lambda: len(predictions.read().values) >= 1138, 120, "1138 predictions", every_s=0.5)
        # The server was running before there was such a module.
        wait_until(lambda: fetch(stack, "/v2/models/tumours/ready") == 200, 60, "the server to take it up")
        assert fetch(stack, "/pipelines/tumours") == 200
    finally:
        run_command(stack, tmp_path, ["reset", "--pipeline", "tumours:pipeline", "--force"])
    wait_until(lambda: fetch(stack, "/v2/models/tumours") == 404, 30, "the server to let it go")
    answers, sent = predictions.json(), records.json()
    for topic in (predictions, records):
        topic.close()
    assert [answer["offset"] for answer in answers] == list(range(1138))
    assert [answer["predict_y"] for answer in answers] == replay(answers, sent)


def fetch(stack: Stack, path: str) -> int:
    """Return the status of the server's answer."""
    try:
        with urllib.request.urlopen(stack.url + path, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def run_command(stack: Stack, folder: Path, words: list[str]) -> None:
    """Run a command line in a folder, with the settings of the stack."""
    process = subprocess.run(
        [ROOT / ".venv" / "bin" / "streamlearn", *words],
        cwd=folder,
        env=stack.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def replay(answers: list[dict[str, object]], sent: list[dict[str, object]]) -> list[int | None]:
    """Return the predictions of plain scikit-learn, which learns the same chunks."""
    model, expected, start = SGDClassifier(loss="log_loss", random_state=1), [], 0
    for _, run in groupby(answers, key=lambda answer: answer["model_version"]):
        chunk = sent[start : start + len(list(run))]
        x = np.array([record["x"] for record in chunk]) / load_breast_cancer().data.mean(axis=0) - 1
        expected += model.predict(x).tolist() if start else [None] * len(chunk)
        model.partial_fit(x, [record["diagnosis"] for record in chunk], classes=[0, 1])
        start += len(chunk)
    return expected


@pytest.mark.parametrize(("name", "independent"), [("digits", False), ("pm25", True)])
def test_the_built_in_pipelines_pass(name: str, independent: bool, request: pytest.FixtureRequest) -> None:
    if name == "pm25":
        request.getfixturevalue("pm25_csv")
    findings = list(check.check(load(name), check.sample(load(name), 300)))
    assert [finding for finding in findings if not finding.passed] == []
    on_arrival = "results do not depend" if independent else "results depend"
    assert any(finding.what.startswith(on_arrival) for finding in findings)


BROKEN = {
    "record 0": MODULE.replace("max_length=30", "max_length=29"),
    "✗ learning repeats exactly": MODULE.replace("estimator=SGDClassifier", "estimator=Unsteady")
    + """
import time
class Unsteady(SGDClassifier):
    def partial_fit(self, X, y, classes=None):
        return super().partial_fit(X * (1 + time.time() % 1), y, classes=classes)
""",
    "list these in trusted_types": MODULE.replace(
        "estimator=SGDClassifier", "estimator=lambda **them: Own(**them)"
    )
    + """
class Own(SGDClassifier):
    pass
""",
    "cannot be loaded": "import nothing_like_it\n",
    "cannot be loaded: invalid syntax, in ": "clas Row:\n",
    "spoiled.py, line 1: clas Row:": "clas Row:\n",
    "cannot be loaded: ZeroDivisionError: division by zero, in ": "x = 1\ny = x / 0\n",
    "spoiled.py, line 2: y = x / 0": "x = 1\ny = x / 0\n",
    "Biopsy has no field 'diagnosi', which is to be read; is it 'diagnosis'?": MODULE.replace(
        'label="diagnosis"', 'label="diagnosi"'
    ),
    "not a Pipeline": "pipeline = 3\n",
}


@pytest.mark.parametrize("message", list(BROKEN))
def test_what_is_wrong_with_a_pipeline_is_named(folder: Path, message: str) -> None:
    text = BROKEN[message].replace("estimator=Unsteady", "estimator=lambda **them: Unsteady(**them)")
    if "Unsteady" in text:
        text = text.replace("passthrough_fields=", 'trusted_types=("spoiled.Unsteady",), passthrough_fields=')
    (folder / "spoiled.py").write_text(text)
    done = CliRunner().invoke(main, ["check", "--pipeline", "spoiled:pipeline"])
    assert done.exit_code == 1, done.output
    assert message in done.output
    assert isinstance(done.exception, SystemExit)
