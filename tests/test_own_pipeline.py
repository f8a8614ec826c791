"""The page on your own pipeline, followed to the letter: its code, through Kafka and Flink."""

import re
import subprocess
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Stack
from reading import Topic
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier

from streamlearn.engine import check
from streamlearn.pipelines.registry import load
from streamlearn.settings import inherit_env
from streamlearn.waiting import wait_until

pytestmark = pytest.mark.stack
"""The tests share the module's file, so they must not run side by side."""

PAGE = (ROOT / "docs" / "your-own-pipeline.md").read_text()
MODULE = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]  # type: ignore[index]
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def module() -> Iterator[Path]:
    """The page's module, where the page says to put it."""
    path = ROOT / "tumours.py"
    path.write_text(MODULE)
    yield path
    path.unlink()


def test_the_check_on_the_page_passes(module: Path) -> None:
    command = next(line for line in COMMANDS if " check " in line)
    process = subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True, env=inherit_env())
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.count("✓") == 7


def test_the_page_runs_on_the_real_stack(stack: Stack, module: Path) -> None:
    for word in (" train ", " replay "):
        stack.run(*next(line for line in COMMANDS if word in line).split())
    predictions = Topic(stack.settings.kafka, "tumours_predict")
    records = Topic(stack.settings.kafka, "tumours").read()
    wait_until(lambda: len(predictions.read().values) >= 1138, 120, "1138 predictions", every_s=0.5)
    answers, sent = predictions.json(), records.json()
    for topic in (predictions, records):
        topic.close()
    assert [answer["offset"] for answer in answers] == list(range(1138))
    assert [answer["predict_y"] for answer in answers] == replay(answers, sent)


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
    assert findings[-1].what.startswith("results do not depend" if independent else "results depend")


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
    "not a Pipeline": "pipeline = 3\n",
}


@pytest.mark.parametrize("message", list(BROKEN))
def test_what_is_wrong_with_a_pipeline_is_named(tmp_path: Path, message: str) -> None:
    text = BROKEN[message].replace("estimator=Unsteady", "estimator=lambda **them: Unsteady(**them)")
    if "Unsteady" in text:
        text = text.replace("passthrough_fields=", 'trusted_types=("spoiled.Unsteady",), passthrough_fields=')
    (tmp_path / "spoiled.py").write_text(text)
    process = subprocess.run(
        [ROOT / ".venv" / "bin" / "streamlearn", "check", "--pipeline", "spoiled:pipeline"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1, process.stdout
    assert message in process.stdout + process.stderr
    assert "Traceback" not in process.stderr
