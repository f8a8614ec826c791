"""What the pages say must be so: the tests, files and links that they name exist, and their pipelines run."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from sklearn.datasets import load_breast_cancer
from stacks import ROOT

from streamlearn.cli.main import main
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines.registry import load
from streamlearn.stream.records import encode

PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md"))
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def defined_tests() -> set[str]:
    files = (ROOT / "tests").glob("test_*.py")
    return {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@each_page
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", page.read_text()))
    assert named <= defined_tests(), named - defined_tests()


def test_every_promise_names_what_holds_it() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    assert len(set(re.findall(r"`(test_\w+)`", page))) > 25
    promises = page.split("## What is not promised")[0]
    for item in re.findall(r"^- (.*?)(?=^- |^\n|^#|^\|)", promises, re.MULTILINE | re.DOTALL):
        assert re.search(r"`(test_\w+|tests/\w+\.py)`", item), item


@each_page
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        pytest.skip("it tells of what was")
    named = set(re.findall(r"`((?:[\w.*-]+/)+[\w.*-]*)(?: [^`]*)?`", without_code(page.read_text())))
    ours = {name for name in named if name.split("/")[0] in FOLDERS and "NAME" not in name}
    assert [name for name in sorted(ours) if not list(ROOT.glob(name.rstrip("/")))] == []


@each_page
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", without_code(page.read_text())):
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_the_api_page_is_what_the_docstrings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["api-reference", "--check"])
    runpy.run_path(str(ROOT / "scripts" / "api-reference"), run_name="__main__")


def test_the_kind_of_learning_on_the_page_passes_its_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "levels.py").write_text(python_blocks("docs/your-own-pipeline.md")[-1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for command, line in (("check", "✓ a snapshot goes on exactly"), ("evaluate", "| rmse | 1.")):
        done = CliRunner().invoke(main, [command, "--pipeline", "levels:pipeline"])
        assert done.exit_code == 0, done.output
        assert line in done.output
        assert "✗" not in done.output
    definition = load("levels:pipeline").definition
    assert [part for part, value in definition.items() if str(value).startswith("code ")] == [
        *("record", "predict", "learn"),
    ]


def test_the_forecast_of_many_series_on_the_page_passes_its_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = (text for text in python_blocks("docs/your-own-pipeline.md") if text.startswith('"""loads'))
    (tmp_path / "loads.py").write_text(block)
    records = [
        {"hour": hour, "meter": meter, "load": size * (2 + hour % 24)}
        for hour in range(60)
        for meter, size in (("M-1", 1.5), ("M-2", 7.0))
    ]
    (tmp_path / "loads.jsonl").write_bytes(b"\n".join(encode(record) for record in records))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    done = CliRunner().invoke(main, ["check", "--pipeline", "loads:pipeline", "--records", "loads.jsonl"])
    assert done.exit_code == 0, done.output
    assert "✗" not in done.output
    assert "120 predictions" in done.output


def test_the_pipeline_on_the_first_page_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = python_blocks("README.md")
    (tmp_path / "readme_tumours.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    pipeline = load("readme_tumours:pipeline")
    typical = load_breast_cancer().data.mean(axis=0)
    records = [
        {"x": (typical * size).tolist(), "diagnosis": label} for size, label in ((0.5, 1), (1.5, 0)) * 2
    ]
    chunk = [pipeline.codec.decode(encode(record)) for record in records]
    learner, answers = pipeline.new_learner(), []
    for step in range(1, 31):
        answers = predict_then_learn(learner, chunk, 4 * step)
    assert [answer["predict_y"] for answer in answers] == [1, 0, 1, 0]
