"""The offline benchmark runs, and its own stream verifies."""

import gc
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import engine
from benchmarks.engine import summarize


@pytest.fixture
def collector() -> object:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_the_engines_benchmark_prints_and_writes_every_contender(tmp_path: Path) -> None:
    output = tmp_path / "engine.json"
    options = ["--quick", "--rounds", "1", "--pipeline", "digits", "--output", str(output)]
    done = CliRunner().invoke(engine.main, options, catch_exceptions=False)
    contenders = json.loads(output.read_text())["digits"]["contenders"]
    assert {"estimator", "json", "bare", "engine", "snapshots", "verify"} <= contenders.keys()
    assert all(name in done.stdout for name in contenders)
    assert gc.get_freeze_count() > 1000


def test_a_ratio_is_one_of_the_same_round() -> None:
    times = {"estimator": [1.0, 10.0, 1.0], "json": [1.0, 10.0, 1.0], "engine": [3.0, 30.0, 5.0]}
    summary = summarize(times)
    assert summary["bare"] == {"median_us": 2.0, "lowest_us": 2.0, "highest_us": 20.0, "ratio": 1.0}
    assert summary["engine"]["ratio"] == 1.5
