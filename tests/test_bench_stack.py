"""The benchmarks that start a stack: what they make of their figures, and that they run."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from benchmarks import fresh, learn, scaling, verifying
from benchmarks.__main__ import main
from benchmarks.everything import QUESTIONS
from benchmarks.fresh import Watcher
from benchmarks.learn import Outcome
from benchmarks.measuring import Meter, Results, Usage
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until

BURN = "import time\nwhile time.process_time() < {}: pass\nprint('burnt', flush=True)\ninput()"


def outcome(cpu_us: float, wall_us: float = 1.0) -> Outcome:
    return Outcome(100, Usage(wall_us / 1e4, {"worker": cpu_us / 2e4, "kafka": cpu_us / 2e4}, 0.0))


def test_a_meter_counts_each_part_since_it_was_made_and_what_others_use() -> None:
    """What a process has used before does not count; what nobody claims is foreign."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", BURN.format(0.5)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    ]
    try:
        assert children[0].stdout is not None
        children[0].stdout.readline()
        processes = {"old": [psutil.Process(children[0].pid)], "new": []}
        meter = Meter(lambda: processes)
        children.append(
            subprocess.Popen(
                [sys.executable, "-c", BURN.format(0.3)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
        assert children[1].stdout is not None
        children[1].stdout.readline()
        unclaimed = meter.stop()
        processes["new"].append(psutil.Process(children[1].pid))
        claimed = meter.stop()
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert claimed.cpu_s["old"] < 0.2
    assert claimed.cpu_s["new"] > 0.25
    assert unclaimed.cpu_s == {"old": claimed.cpu_s["old"]}
    assert unclaimed.foreign_share * unclaimed.wall_s * psutil.cpu_count() > 0.2


def test_the_floor_is_that_of_the_same_round() -> None:
    outcomes = {
        "streamlearn": [outcome(60, 50), outcome(120, 100)],
        "pass_through": [outcome(30, 20), outcome(60, 40)],
        "estimator": [outcome(15, 15), outcome(30, 30)],
        "json": [outcome(5, 5), outcome(10, 10)],
        "river": [outcome(800, 800), outcome(1600, 1600)],
    }
    rows = {row["name"]: row for row in learn.summarize(outcomes)}
    assert rows["floor"]["median_cpu_us"] == pytest.approx(75)
    assert rows["streamlearn"]["cpu_to_floor"] == pytest.approx(1.2)
    assert rows["river"]["wall_to_streamlearn"] == pytest.approx(16)
    assert learn.break_down(outcomes)["streamlearn"] == {"kafka": 45, "worker": 45}


def test_a_rate_is_compared_with_the_live_job_of_the_same_round() -> None:
    outcomes = {
        "digits: live": [outcome(1, 50), outcome(1, 100)],
        "digits: verify": [outcome(1, 40), outcome(1, 80)],
    }
    rows = {row["name"]: row for row in verifying.summarize(outcomes)}
    assert rows["digits: verify"]["rate_to_live"] == pytest.approx(1.25)


def test_four_partitions_are_compared_with_one_of_the_same_round() -> None:
    outcomes = {
        scaling.ALONE: [outcome(20, 30), outcome(40, 60)],
        "4 partitions, 2 workers": [outcome(22, 20), outcome(44, 40)],
    }
    rows = {row["name"]: row for row in scaling.summarize(outcomes)}
    four = rows["4 partitions, 2 workers"]
    assert (four["rate_to_one"], four["cpu_to_one"]) == pytest.approx((1.5, 1.1))


def test_a_record_has_reached_its_goal_once_and_for_all() -> None:
    watcher = Watcher(Settings(), start=10, count=3)
    watcher.note(9)
    assert np.isnan(watcher.reached_s).all()
    watcher.note(12)
    first = watcher.reached_s.copy()
    assert np.isnan(first).tolist() == [False, False, True]
    time.sleep(0.001)
    watcher.note(100)
    assert watcher.is_done
    assert watcher.reached_s[:2].tolist() == first[:2].tolist()
    assert watcher.reached_s[2] > first[1]


def test_freshness_is_told_in_percentiles_of_each_round() -> None:
    rounds = [{"served": np.linspace(0, 0.1, 101)}, {"served": np.linspace(0, 0.2, 101)}]
    [row] = fresh.summarize({"10 a second": rounds})
    assert (row["name"], row["lowest_p95_ms"], row["highest_p95_ms"]) == pytest.approx(
        ("served, 10 a second", 95, 190)
    )
    assert row["longest_ms"] == pytest.approx(200)


def test_results_are_a_table_json_and_a_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"name": "a", "median_us": 1.0, "lowest_us": 0.5, "highest_us": 2.0}, {"name": "b"}]
    results = Results("A title", rows, {"rounds": 2}, ["c is not installed"])
    results.print()
    results.write(tmp_path / "x" / "r.json", {"more": 1})
    results.draw(tmp_path / "r.svg", "us", "µs")
    assert "c is not installed" in capsys.readouterr().out
    written = json.loads((tmp_path / "x" / "r.json").read_text())
    assert (written["rows"], written["rounds"], written["more"]) == (rows, 2, 1)
    assert "A title" in (tmp_path / "r.svg").read_text()


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_every_benchmark_tells_what_it_measures(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert "--quick" in done.output


def test_data_that_cannot_be_had_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STREAMLEARN_PM25_CSV", str(tmp_path / "nowhere.csv"))
    done = CliRunner().invoke(main, ["engine", "--quick", "--output", str(tmp_path / "e.json")])
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert "nowhere.csv" in done.output


@pytest.mark.release
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("learn", ["--records", "20000"]),
        ("scaling", ["--records", "20000"]),
        ("verify", ["--records", "20000"]),
        ("fresh", ["--rate", "100", "--seconds", "3"]),
        ("recovery", ["--part", "worker"]),
        ("start", []),
        ("idle", ["--seconds", "2"]),
        ("memory", ["--records", "300000"]),
    ],
)
def test_it_runs_and_cleans_up(tmp_path: Path, name: str, options: list[str]) -> None:
    output = tmp_path / f"{name}.json"
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--rounds", "1", "--output", str(output)]
    if name == "memory":
        command.remove("--rounds")
        command.remove("1")
    before = {process.pid for process in psutil.process_iter()}
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(output.read_text())["rows"]
    assert rows
    assert output.with_suffix(".svg").exists()

    def list_left_behind() -> list[str]:
        started = [process for process in psutil.process_iter(["cmdline"]) if process.pid not in before]
        return [
            line
            for process in started
            if "streamlearn-bench-" in (line := " ".join(process.info["cmdline"] or ()))
        ]

    wait_until(lambda: not list_left_behind(), 30, "all processes of the stack to end")
