"""The command line itself: help, and what is missing."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from streamlearn.cli.main import _make_placeholder, main
from streamlearn.extras import describe_missing


@pytest.mark.parametrize("command", ["list", "digits"])
def test_models_without_a_pipeline_or_a_command_says_what_is_missing(command: str) -> None:
    result = CliRunner().invoke(main, ["models", command])
    assert result.exit_code == 2
    assert f"streamlearn models {'PIPELINE list' if command == 'list' else 'digits list'}" in result.output


def test_a_command_whose_package_is_missing_says_what_to_install() -> None:
    reason = describe_missing(ModuleNotFoundError(name="flink_jobs"))
    group = click.Group("streamlearn", commands=[_make_placeholder("train", reason)])
    assert "pip install" in CliRunner().invoke(group, ["--help"]).output
    for arguments in (["train", "--help"], ["train", "digits", "--fresh"]):
        result = CliRunner().invoke(group, arguments)
        assert "streamlearn[flink]" in result.output + str(result.exception)


def test_commands_explain_themselves() -> None:
    commands = ["up", "down", "status", "replay", "train", "serve", "reset"]
    commands += ["check", "evaluate", "verify", "models", "chaos"]
    for command in ("", *commands):
        result = CliRunner().invoke(main, [*command.split(), "--help"], prog_name="streamlearn")
        assert result.output.startswith("Usage: streamlearn"), command
        assert len(result.output.splitlines()) > 5


def test_the_installed_command_starts() -> None:
    command = Path(sys.executable).parent / "streamlearn"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: streamlearn")
