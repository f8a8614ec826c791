"""The command line itself: help, and what is missing."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from streamlearn.cli.main import _make_placeholder, main
from streamlearn.errors import UnknownPipeline
from streamlearn.extras import describe_missing
from streamlearn.pipelines.registry import load


@pytest.mark.parametrize("command", ["list", "digits"])
def test_models_without_a_pipeline_or_a_command_says_what_is_missing(command: str) -> None:
    result = CliRunner().invoke(main, ["models", command])
    assert result.exit_code == 2
    assert f"streamlearn models {'PIPELINE list' if command == 'list' else 'digits list'}" in result.output


def test_check_wants_a_file_of_records_not_a_folder(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check", "--pipeline", "digits", "--records", str(tmp_path)])
    assert result.exit_code == 2, result.output
    assert "is a directory" in result.output


def test_a_command_whose_package_is_missing_says_what_to_install() -> None:
    reason = describe_missing(ModuleNotFoundError(name="flink_jobs"))
    group = click.Group("streamlearn", commands=[_make_placeholder("train", reason)])
    assert "pip install" in CliRunner().invoke(group, ["--help"]).output
    for arguments in (["train", "--help"], ["train", "digits", "--fresh"]):
        result = CliRunner().invoke(group, arguments)
        assert "streamlearn[flink]" in result.output + str(result.exception)


def test_commands_explain_themselves() -> None:
    commands = ["up", "down", "status", "replay", "train", "serve", "reset"]
    commands += ["check", "evaluate", "verify", "models", "chaos", "backtest", "backfill", "repair"]
    for command in ("", *commands):
        result = CliRunner().invoke(main, [*command.split(), "--help"], prog_name="streamlearn")
        assert result.output.startswith("Usage: streamlearn"), command
        assert len(result.output.splitlines()) > 5


def test_the_installed_command_starts() -> None:
    command = Path(sys.executable).parent / "streamlearn"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: streamlearn")


OWN = """\
from dataclasses import replace
from streamlearn.pipelines import digits
pipeline = replace(digits.pipeline, name="{}")
"""


@pytest.mark.parametrize("by", ["module", "setting", "home"])
def test_a_pipeline_of_ones_own_is_found_by_its_name(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere if by == "home" else tmp_path)
    (tmp_path / f"own_{by}.py").write_text(OWN.format(f"called_{by}"))
    monkeypatch.setenv("STREAMLEARN_HOME", str(tmp_path / ".streamlearn"))
    name = f"own_{by}"
    if by == "setting":
        name = f"called_{by}"
        monkeypatch.setenv("STREAMLEARN_PIPELINES", f"own_{by}:pipeline")
    assert load(name).name == f"called_{by}"


def test_a_pipeline_that_is_not_there_is_told_with_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownPipeline, match=rf"there are: digits, .*looked in {re.escape(str(tmp_path))}"):
        load("nobody")


def test_train_without_a_stack_says_where_one_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is claimed: the lineage would be of a job that never was."""
    monkeypatch.setenv("STREAMLEARN_HOME", str(tmp_path))
    done = CliRunner().invoke(main, ["train", "digits"])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"streamlearn: no stack was set up in {tmp_path}")
    status = CliRunner().invoke(main, ["status"])
    assert status.exit_code == 1
    assert f"looked in {tmp_path}" in status.stdout
