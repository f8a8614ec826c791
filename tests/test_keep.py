"""What keeps jobs running: one that is refused holds up no other, and those it is told of come and go."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flink_jobs import keep
from streamlearn.errors import FlinkUnavailable, JobError
from streamlearn.pipelines.announced import announce, withdraw
from streamlearn.pipelines.digits import pipeline
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until

MODULE = """
from dataclasses import replace
from streamlearn.pipelines import digits
pipeline = replace(digits.pipeline, name="mine", topic="{topic}")
"""


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count how often each job is looked after; `refused` is refused, for `away` Flink is first away."""
    looks: Counter[str] = Counter()
    keepers: list[keep._Keeper] = []

    def look(keeper: keep._Keeper) -> tuple[str, float]:
        keepers.append(keeper)
        name = keeper._pipeline.name
        looks[name, keeper._pipeline.topic] += 1  # type: ignore[index]
        looks[name] += 1
        if name == "refused":
            raise JobError("Flink refused the job")
        if name == "away" and looks[name] == 1:
            raise FlinkUnavailable("Flink does not answer")
        return f"{name}: learn is running", 0.001

    monkeypatch.setattr(keep._Keeper, "_submit_if_missing", look)
    monkeypatch.setattr(keep, "_RETRY_S", 0.001)
    monkeypatch.setattr(keep, "_POLL_S", 0.01)
    yield looks
    for keeper in keepers:
        keeper.stop()


def keep_in_background(settings: Settings, *names: str, announced: bool = False) -> list[str]:
    """Keep the jobs of some pipelines running; return the lines that are said."""
    lines: list[str] = []
    pipelines = [replace(pipeline, name=name) for name in names]
    options = {"announced": announced}
    threading.Thread(
        target=keep.keep_running, args=(settings, pipelines, lines.append), kwargs=options, daemon=True
    ).start()
    return lines


def test_a_job_that_is_refused_does_not_hold_up_the_others(looks: Counter[str], tmp_path: Path) -> None:
    lines = keep_in_background(Settings(home=tmp_path), "refused", "away")
    wait_until(lambda: looks["away"] >= 5, 10, "the other job to be looked after", every_s=0.01)
    assert looks["refused"] == 1
    assert sorted(lines) == [
        "Flink does not answer",
        "away: learn is running",
        "refused: learn was not submitted: Flink refused the job (tried again every 10 s)",
    ]


def test_a_refusal_that_repeats_is_told_once(
    looks: Counter[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(keep, "_BACKOFF_S", 0.001)
    lines = keep_in_background(Settings(home=tmp_path), "refused")
    wait_until(lambda: looks["refused"] >= 4, 10, "four refusals", every_s=0.01)
    assert len(lines) == 1


def test_what_is_announced_is_kept_until_it_is_taken_back(looks: Counter[str], folder: Path) -> None:
    settings = Settings(home=folder)
    keep_in_background(settings, "known", announced=True)
    (folder / "mine.py").write_text(MODULE.format(topic="first"))
    announce(settings, load("mine"))
    wait_until(lambda: looks["mine"] > 1, 10, "the new job to be looked after", every_s=0.01)
    (folder / "mine.py").write_text(MODULE.format(topic="second"))
    announce(settings, load("mine"))
    wait_until(lambda: looks["mine", "second"], 10, "the edited module to be loaded", every_s=0.01)  # type: ignore[index]
    withdraw(settings, load("mine"))
    known = looks["known"]

    def is_left_alone() -> bool:
        """Whether it is not looked after while the other job is, many times."""
        before = looks["mine"], looks["known"]
        wait_until(lambda: looks["known"] > before[1] + 20, 10, "the known job", every_s=0.01)
        return looks["mine"] == before[0]

    wait_until(is_left_alone, 10, "the job to be left alone", every_s=0.01)
    assert looks["known"] > known
