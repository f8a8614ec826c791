"""`scripts/bench all`: what it runs, what it leaves out the next time, and the page of results."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from stacks import ROOT

from benchmarks import everything
from benchmarks.__main__ import main
from benchmarks.everything import QUESTIONS, Progress


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The questions that were asked; `serve` fails the first time, the others are answered."""
    asked: list[str] = []

    def answer(name: str, *, quick: bool, limit_s: float) -> str:
        assert limit_s > 600
        asked.append(name)
        return "failed (1)" if name == "serve" and asked.count(name) == 1 else ""

    monkeypatch.setattr(everything, "answer", answer)
    monkeypatch.setattr(everything, "RESULTS", tmp_path)
    monkeypatch.setenv("STREAMLEARN_HOME", str(tmp_path))
    return asked


def test_one_that_fails_stops_no_other_and_is_asked_again(answered: list[str]) -> None:
    first = CliRunner().invoke(main, ["all"])
    assert first.exit_code == 1
    assert "serve failed (1)" in first.output
    speed = [name for name, question in QUESTIONS.items() if not question.is_study]
    assert answered == speed
    again = CliRunner().invoke(main, ["all", "--resume"])
    assert again.exit_code == 0, again.output
    assert answered == [*speed, "serve"]
    assert "1 of 1: serve" in again.output


def test_a_first_look_is_not_taken_for_an_answer(answered: list[str]) -> None:
    CliRunner().invoke(main, ["all", "--quick"])
    assert Progress.read(quick=True).seconds
    assert not Progress.read(quick=False).seconds
    count = len(answered)
    CliRunner().invoke(main, ["all", "--resume", "--studies"])
    assert answered[count:] == list(QUESTIONS)


def test_what_takes_too_long_is_given_up() -> None:
    assert "was given up" in everything.answer("engine", quick=True, limit_s=0.01)


def test_figures_of_a_first_look_replace_no_others() -> None:
    done = CliRunner().invoke(main, ["engine", "--help"])
    assert "results/quick/engine.json" in " ".join(done.output.split())


def test_a_page_shows_each_table_and_plot(tmp_path: Path) -> None:
    rows = [{"name": "a", "median_us": 1234.5, "ratio": None}, {"name": "b", "median_us": 2.0, "failed": 3}]
    text = {"title": "Learning", "rounds": 2, "notes": ["c is not installed"], "rows": rows}
    (tmp_path / "learn.json").write_text(json.dumps(text))
    (tmp_path / "learn.svg").write_text("<svg/>")
    everything.write_tables(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "| name | median us | ratio | failed |\n|---|---|---|---|\n| a | 1234 |  |  |\n" in page
    assert "`scripts/bench learn`; rounds: 2\n" in page
    assert "! c is not installed\n\n![learn](learn.svg)\n" in page


def test_the_page_in_the_repository_is_that_of_its_figures() -> None:
    folder = ROOT / "benchmarks" / "results"
    assert (folder / "README.md").read_text() == "\n".join(everything.list_tables(folder)) + "\n"
