"""The benchmark of the server: what it measures, and that it runs."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.http_load import Outcome
from benchmarks.peers import mlserver
from benchmarks.serving import CONSTANT, main, summarize


def test_a_contender_is_compared_with_the_constant_of_its_own_round() -> None:
    """In the second round the machine was half as fast, for both."""
    rounds = {
        CONSTANT: [Outcome([0.001] * 100, 0, 0.02, 1.0), Outcome([0.002] * 100, 0, 0.04, 1.0)],
        "slow": [Outcome([0.003] * 99 + [1.0], 1, 0.04, 1.0), Outcome([0.006] * 50, 2, 0.04, 1.0)],
    }
    constant, slow = summarize(rounds)
    assert constant["requests_a_cpu_second_to_constant"] == 1
    assert slow["requests_a_cpu_second_to_constant"] == pytest.approx(0.5)
    assert (slow["lowest_cpu_us"], slow["highest_cpu_us"]) == pytest.approx((400, 800))
    assert slow["p50_ms"] == pytest.approx(4.5)
    assert slow["failed"] == 3


def test_it_runs_and_no_request_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlserver, "FOLDER", tmp_path / "nowhere")
    output = tmp_path / "serving.json"
    arguments = ["--rounds", "1", "--seconds", "0.2", "--workers", "1", "--output", str(output)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "MLServer, tuned is not installed" in done.output
    contenders = json.loads(output.read_text())["rows"]
    assert [row["name"] for row in contenders] == [
        *("constant", "infer, 1 row", "infer, 16 rows", "infer, 256 rows", "infer, 1 row, replaced"),
    ]
    assert {row["failed"] for row in contenders} == {0}
    assert all(row["median_cpu_us"] > 0 for row in contenders)


@pytest.mark.release
def test_mlserver_answers_the_same_request_both_ways(tmp_path: Path) -> None:
    if not mlserver.is_installed():
        pytest.skip("`scripts/bench serve --quick` installs MLServer")
    output = tmp_path / "serve.json"
    arguments = ["--rounds", "1", "--seconds", "0.5", "--output", str(output)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(output.read_text())["rows"]}
    for kind in mlserver.KINDS:
        assert rows[f"MLServer, {kind}"]["failed"] == 0
        assert rows[f"MLServer, {kind}"]["median_cpu_us"] > 0
