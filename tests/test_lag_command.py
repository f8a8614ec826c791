"""`streamlearn lags`: what it reads, prints and draws, and what it refuses."""

import json
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from planted import list_times, plant_lag, write_csv
from stacks import ROOT

from streamlearn.cli.main import main
from streamlearn.errors import FileError
from streamlearn.reports.figures.lag_pairs import prepare_files
from streamlearn.reports.figures.style import save_figure

BLOCKS = re.findall(r"```(sh|python|text)\n(.*?)```", (ROOT / "docs" / "lags.md").read_text(), re.DOTALL)


def run_lags(*arguments: str | Path) -> Result:
    # A stack that runs on this machine is none of its business.
    return CliRunner().invoke(main, ["lags", *map(str, arguments)], env={"STREAMLEARN_HOME": "nowhere"})


def read_json(*arguments: str | Path) -> dict[str, Any]:
    result = run_lags(*arguments, "--json")
    assert result.exit_code == 0, result.output
    output: dict[str, Any] = json.loads(result.stdout)
    return output


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """a leads b by 3 rows."""
    return write_csv(tmp_path / "data.csv", ["a", "b"], zip(*plant_lag(3), strict=True))


def test_json_holds_everything_for_each_pair(tmp_path: Path) -> None:
    x, y = plant_lag(3, n=300)
    rows = zip(list_times(300), x, 0.2 * x - np.roll(y, 5), y, strict=True)
    file = write_csv(tmp_path / "data.csv", ["when", "a", "late", "b"], rows)
    output = read_json(file, "--x", "a", "--x", "late", "--y", "b", "--max-lag", "12")
    assert (output["step"], output["steps"], output["notes"]) == ("1 h", 300, ["times: column 'when'"])
    first, second = output["pairs"]
    assert (first["x"], first["y"], first["best_lag"]) == ("a", "b", 3)
    assert second["best_lag"] == -5
    assert second["r"] < -0.9
    for pair in (first, second):
        for kind in ("raw", "prewhitened"):
            correlations = pair[kind]
            assert correlations["lags"] == list(range(-12, 13))
            assert len(correlations["ccf"]) == 25
            assert correlations["ccf"][correlations["best_lag"] + 12] == correlations["r"]
            assert correlations["band"] == pytest.approx(2 / correlations["n"] ** 0.5)
        assert all(pair[key] == pair["prewhitened"][key] for key in ("best_lag", "r", "band", "n"))
        for series in ("x", "y"):
            assert set(pair["tests"][series]) >= {"adf", "kpss", "stationary", "verdict", "filled"}
            assert set(pair["tests"][series]["adf"]) == {"statistic", "p", "lags"}
        assert set(pair["granger"]) == {"x_to_y", "y_to_x", "n"}
    assert first["words"].startswith("a leads b by 3 h, r = 0.")


def test_people_get_tables_and_sentences(file: Path) -> None:
    result = run_lags(file, "--x", "a", "--y", "b")
    assert result.exit_code == 0
    assert re.search(r"^a leads b by 3 steps, r = 0\.8\d \(same way\)$", result.stdout, re.MULTILINE)
    assert re.search(r"│ a │ b │ +\+3 │ 0\.8\d │ +\+3 │ 0\.8\d │ 0\.0\d\d │", result.stdout)
    assert "no times: each row is one step, the first row the oldest" in result.stdout
    assert result.stderr == ""
    assert result.stdout == run_lags(file, "--x", "a", "--y", "b").stdout


def test_times_put_rows_in_order_and_show_what_is_missing(tmp_path: Path) -> None:
    rows = list(zip(list_times(600, timedelta(minutes=15)), *plant_lag(3), strict=True))
    del rows[300:302], rows[100]
    shuffled = [rows[number] for number in np.random.default_rng(0).permutation(len(rows))]
    output = read_json(write_csv(tmp_path / "a.csv", ["ts", "a", "b"], shuffled), "--x", "a", "--y", "b")
    assert (output["step"], output["steps"]) == ("15 min", 600)
    assert "3 of 600 steps have no row: they count as missing" in output["notes"]
    assert output["pairs"][0]["raw"]["n"] == 597
    assert output["pairs"][0]["best_lag"] == 3
    assert "a leads b by 3 × 15 min" in output["pairs"][0]["words"]
    assert output["pairs"][0]["tests"]["x"]["filled"] == 3


def test_months_semicolons_and_marks_of_missing_values_are_read(tmp_path: Path) -> None:
    x, y = plant_lag(2, n=120)
    rows = [f"{2010 + n // 12}-{n % 12 + 1:02d}-01;{x[n]};{y[n]}" for n in range(120)]
    rows[40] = f"2013-05-01;NA;{y[40]}"
    path = tmp_path / "months.csv"
    path.write_text("\ufeffmonth;a;b\n" + "\n".join(rows) + "\n\n")
    output = read_json(path, "--x", "a", "--y", "b")
    assert (output["step"], output["steps"], output["pairs"][0]["best_lag"]) == ("1 month", 120, 2)
    assert output["pairs"][0]["raw"]["n"] == 119
    assert len(output["pairs"][0]["raw"]["lags"]) == 61


def test_the_column_of_times_can_be_named(tmp_path: Path) -> None:
    rows = zip(["2026-01-01"] * 60, list_times(60), *plant_lag(1, n=60), strict=True)
    file = write_csv(tmp_path / "a.csv", ["made", "ts", "a", "b"], rows)
    assert read_json(file, "--x", "a", "--y", "b", "--time", "ts")["step"] == "1 h"
    result = run_lags(file, "--x", "a", "--y", "b")
    assert "every row has the same time" in result.stderr


def test_the_pm25_data_brings_its_own_series(pm25_csv: str, tmp_path: Path) -> None:
    assert pm25_csv
    output = read_json("pm25", "--x", "wnd_dir=NW", "--x", "rain", "--figure", tmp_path / "drawn")
    assert (output["step"], output["steps"]) == ("1 h", 43_800)
    wind, rain = output["pairs"]
    assert (wind["x"], wind["y"]) == ("wnd_dir=NW", "pollution")
    assert wind["raw"]["lags"][-1] == 48
    assert wind["words"] == "wind from NW leads PM2.5 by 4 h, r = −0.10 (opposite way)"
    assert rain["raw"]["n"] == wind["raw"]["n"] == 43_800 - 2043
    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == ["rain-pollution.png", "wnd_dir_NW-pollution.png"]


@pytest.mark.parametrize(
    ("name", "begins"), [("f.png", b"\x89PNG"), ("f.svg", b"<?xml"), ("new/f.pdf", b"%PDF")]
)
def test_a_figure_is_drawn_the_same_each_time(file: Path, tmp_path: Path, name: str, begins: bytes) -> None:
    target = tmp_path / name
    result = run_lags(file, "--x", "a", "--y", "b", "--figure", target)
    assert f"drawn: {target}" in result.stdout
    once = target.read_bytes()
    assert once.startswith(begins)
    assert run_lags(file, "--x", "a", "--y", "b", "--figure", target).exit_code == 0
    assert target.read_bytes() == once


def test_a_figure_has_the_words_and_units_on_it(pm25_csv: str, tmp_path: Path) -> None:
    assert pm25_csv
    result = run_lags("pm25", "--x", "temp", "--figure", tmp_path / "f.svg")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "f.svg").read_text()
    for words in ("°C", "µg/m³", "r, raw", "r, pre-whitened", "temperature leads PM2.5 by 2 h", "±2/√n"):
        assert words in text
    assert "lag k in steps of 1 h; k &gt; 0: temperature leads PM2.5" in text


def test_a_figure_that_cannot_be_written_is_an_error_about_its_file(file: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"data\.csv cannot be made: "):
        prepare_files(file / "f.png", [("a", "b")])
    with pytest.raises(FileError, match=r"f\.svg cannot be written: No such file"):
        save_figure(lambda axes: None, (2, 2), tmp_path / "missing" / "f.svg")
    assert_refused([str(file), "--x", "a", "--y", "b", "--figure", str(file / "f.png")], "cannot be made")


NOISE = [list(map(str, row)) for row in zip(list_times(60), *plant_lag(3, n=60), strict=True)]


def spoil(row: int, column: int, value: str) -> list[list[str]]:
    rows = [list(fields) for fields in NOISE]
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([[t, "5", b] for t, _, b in NOISE], [], "a is 5 at every step: a constant has no lag"),
        (NOISE[:10], [], "a has at most 10 known values in a row; 30 are needed"),
        ([[t, "NA", b] for t, _, b in NOISE], [], "a is missing at every step"),
        (spoil(7, 1, "warm"), [], "line 9 of data.csv: a is 'warm', not a number"),
        (spoil(7, 1, "inf"), [], "line 9 of data.csv: a is 'inf', not a finite number"),
        (spoil(7, 0, "later"), [], "line 9 of data.csv: ts is 'later', not a time"),
        (spoil(7, 0, "2026-01-01 00:00:00"), [], "2026-01-01 00:00:00 comes twice, in line 2 and line 9"),
        (spoil(7, 0, "2026-01-01 07:20:00"), [], "2026-01-01 07:20:00 is off that grid"),
        (spoil(7, 0, "9999-01-01 00:00:00"), [], "60 rows are too few for"),
        (spoil(7, 0, "2026-01-01 07:00:00Z"), [], "some times have a time zone and others have none"),
        ([*NOISE[:5], ["2026-01-01 05:00:00", "1"]], [], "line 7 of data.csv has 2 fields and the header 3"),
        (NOISE, ["--x", "wind"], "data.csv has no column 'wind'; it has: ts, a, b"),
        (NOISE, ["--time", "when"], "data.csv has no column 'when'; it has: ts, a, b"),
        (NOISE, ["--max-lag", "31"], "a lag of 31 is too large for 60 steps: at most 30"),
        (NOISE, ["--figure", "f.jpg"], "f.jpg: a figure is a .png, .svg, .pdf file, or a folder"),
        (NOISE, ["--x", "ts", "--figure", "f.png"], "name a folder"),
        ([], [], "there are no rows of data"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Sequence[Any], options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "name a folder" in message:
        rows = [[b, a, b] for _, a, b in rows]
    write_csv(tmp_path / "data.csv", ["ts", "a", "b"], rows)
    assert_refused(["data.csv", "--x", "a", "--y", "b", *options], message)


def test_a_file_that_is_not_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "bytes.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    columns = ["--x", "a", "--y", "b"]
    assert_refused([str(tmp_path / "empty.csv"), *columns], "is empty")
    assert_refused([str(tmp_path / "bytes.csv"), *columns], "cannot be read")
    assert_refused([str(tmp_path), *columns], "cannot be read: Is a directory")
    assert_refused(
        ["no.csv", *columns], "there is no file no.csv, and no pipeline of that name (digits, pm25)"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name a CSV file, a pipeline (digits, pm25), or a topic with --topic"),
        (["a.csv", "--topic", "t"], 2, "name a CSV file"),
        (["a.csv"], 2, "name the columns"),
        (["a.csv", "--x", "a"], 2, "name the columns"),
        (["a.csv", "--x", "a", "--y", "a"], 2, "name each column once"),
        (["a.csv", "--x", "a", "--y", "b", "--last", "5"], 2, "--last is for a topic"),
        (["a.csv", "--x", "a", "--y", "b", "--max-lag", "0"], 2, "'--max-lag'"),
        (["pm25", "--y", "rain"], 2, "a pipeline has its own --y"),
        (["pm25", "--missing", "-999"], 2, "a pipeline has its own --y, times and missing values"),
        (["pm25", "--x", "moon"], 1, "pm25 has no series 'moon' that may lead; it has: dew,"),
        (["digits"], 1, "digits has no series whose lags could be looked for"),
    ],
)
def test_what_was_not_asked_clearly_is_refused(
    pm25_csv: str, arguments: list[str], code: int, message: str
) -> None:
    assert pm25_csv
    assert_refused(arguments, message, code)


def assert_refused(arguments: list[str], message: str, code: int = 1) -> None:
    result = run_lags(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert code == 2 or result.stderr.count("\n") == 1


@pytest.mark.parametrize("package", ["statsmodels", "matplotlib"])
def test_without_its_packages_it_says_what_to_install(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    arguments = [str(file), "--x", "a", "--y", "b", "--figure", str(tmp_path / "f.png")]
    assert_refused(arguments, "pip install 'streamlearn[lags]'")


def test_the_help_teaches_by_examples() -> None:
    text = run_lags("--help").stdout
    assert len(re.findall(r"^  streamlearn lags ", text, re.MULTILINE)) == 5, "one a line"
    assert "--topic pm25 --x wnd_spd --y pollution --last 5000" in text
    assert "positive where x leads y" in text


def test_the_examples_of_the_page_give_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each block of `docs/lags.md` that runs, and below it what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    output, compared = "", 0
    for language, block in BLOCKS:
        if language == "text":
            assert [line.rstrip() for line in output.splitlines()] == block.splitlines()
            compared += 1
        elif language == "python":
            exec(compile(block, "docs/lags.md", "exec"), {})
            output = capsys.readouterr().out
        else:
            program, command, *arguments = shlex.split(block)
            assert (program, command) == ("streamlearn", "lags")
            result = run_lags(*arguments)
            assert (result.exit_code, result.stderr) == (0, "")
            output = result.stdout
    assert compared == 2
