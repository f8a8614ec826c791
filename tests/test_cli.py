"""The command line itself: help, and what is missing."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from streamlearn.cli import models
from streamlearn.cli.main import _make_placeholder, main
from streamlearn.cli.targets import takes_pipeline
from streamlearn.cli.terminal import progress
from streamlearn.errors import UnknownPipeline
from streamlearn.extras import describe_missing
from streamlearn.operations.lag_choice import evaluate_with_lags
from streamlearn.operations.model_versions import KeptVersion
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.storage.versions import VersionInfo
from streamlearn.waiting import wait_until


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
    commands += ["check", "evaluate", "verify", "models", "chaos"]
    commands += ["backtest", "promote", "backfill", "repair"]
    commands += [f"rules {name}".strip() for name in ("", "add", "remove", "list", "history", "run", "stop")]
    commands += [
        "topics",
        "topics list",
        "topics show",
        "topics check",
        "sql",
        "sql run",
        "sql stop",
        "sql list",
        "accept",
    ]
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


@pytest.mark.parametrize("group", ["", "models", "baseline"])
def test_help_names_every_command_by_its_whole_sentence(group: str) -> None:
    command = main.commands[group] if group else main
    assert isinstance(command, click.Group)
    result = CliRunner().invoke(main, [*group.split(), "--help"], terminal_width=80)
    assert "..." not in re.sub(r"\[ARGS\]\.\.\.", "", result.output)
    assert max(map(len, result.output.splitlines())) <= 80
    words = " ".join(re.sub(r"-\n +", "-", result.output).split())
    for name, listed in command.commands.items():
        if not listed.hidden:
            sentence = (listed.help or "").split("\n\n")[0].partition(". ")[0].rstrip(".")
            assert f" {name} {' '.join(sentence.split())}" in words, name


def test_help_imports_nothing_that_only_work_needs() -> None:
    """Numpy, scikit-learn, Kafka's client and rich take seconds where a disk is slow."""
    code = "import sys, streamlearn.cli.main; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "click" in loaded
    assert not loaded & {"numpy", "sklearn", "kafka", "confluent_kafka", "rich", "flask", "pyflink", "redis"}


def test_what_becomes_the_server_imports_nothing_that_only_the_server_needs() -> None:
    """Gunicorn, which replaces it, imports all of that anyway."""
    code = "import sys, serving.launch; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "serving" in loaded
    assert not loaded & {"numpy", "scipy", "sklearn", "threadpoolctl", "kafka", "redis", "flask"}


@click.command()
@takes_pipeline
def name_it(pipeline: Pipeline) -> None:
    """Print the pipeline's name."""
    click.echo(pipeline.name)


@pytest.mark.parametrize(
    "words",
    [
        ["digits"],
        ["streamlearn.pipelines.digits:pipeline"],
        ["--pipeline", "digits"],
        ["--pipeline=streamlearn.pipelines.digits:pipeline"],
    ],
)
def test_a_pipeline_is_named_alike_everywhere(words: list[str]) -> None:
    assert CliRunner().invoke(name_it, words).output == "digits\n"
    # `lags` takes files, too; this pipeline has no series, and `models` lacks a command.
    done = CliRunner().invoke(main, ["models", *words])
    assert f"streamlearn models {words[-1].removeprefix('--pipeline=')} list" in done.output


@pytest.mark.parametrize("words", [[], ["digits", "--pipeline", "pm25"]])
def test_no_pipeline_and_two_are_refused_with_how_to_name_one(words: list[str]) -> None:
    done = CliRunner().invoke(name_it, words, prog_name="streamlearn train")
    assert done.exit_code == 2
    assert "streamlearn train PIPELINE. PIPELINE is digits, pm25" in done.output


def complete(words: list[str], begun: str) -> list[str]:
    shell = ShellComplete(main, {}, "streamlearn", "_STREAMLEARN_COMPLETE")
    return [item.value for item in shell.get_completions(words, begun) if item.type == "plain"]


def test_a_shell_completes_commands_and_pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flowers.py").write_text('"""Mine."""\npipeline: Pipeline = Pipeline()\n')
    (tmp_path / "flows.py").write_text("no_pipeline = 3\n")
    monkeypatch.chdir(tmp_path)
    assert complete([], "ver") == ["verify"]
    assert complete(["train"], "dig") == ["digits", "digits_sgd"]
    assert complete(["verify"], "flow") == ["flowers"]
    assert complete(["models"], "pm25") == ["pm25", "pm25_gru"]
    assert complete(["models", "pm25"], "un") == ["unpin"]
    assert complete(["lags"], "fl") == ["flowers"]


def test_bash_takes_the_completion() -> None:
    """Bash itself asks the command, as it does when somebody presses Tab."""
    program = Path(sys.executable).parent / "streamlearn"
    script = f"""
    eval "$({program} completion bash)"
    complete -p streamlearn
    COMP_WORDS=({program} verify pm25_) COMP_CWORD=2
    _streamlearn_completion {program}
    echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert "_streamlearn_completion streamlearn" in done.stdout
    assert done.stdout.splitlines()[-1] == "pm25_gru"


def test_versions_are_a_table_with_headings_the_newest_first() -> None:
    def keep(version: int, accuracy: float | None, **others: bool) -> KeptVersion:
        info = VersionInfo("d", version - 1, {"accuracy": accuracy}, 0)
        return KeptVersion("abc", version, info, **{"served": False, "pinned": False, **others})

    listed = [keep(9, None), keep(120, 0.5, served=True, pinned=True)]
    heading, newest, oldest = models._format_versions(listed)
    assert heading.split() == ["VERSION", "SCORED", "ACCURACY", "WRITTEN", "LINEAGE"]
    assert newest.split()[:3] == ["120", "119", "0.5"]
    assert newest.endswith("abc      ← served (pinned)")
    assert oldest.split()[:2] == ["9", "8"]
    assert heading.index("VERSION") + len("VERSION") == newest.index("120") + 3
    several = list(models._format_versions([*listed, KeptVersion("abc", 7, listed[0].about, True, False, 1)]))
    assert [line.split()[:2] for line in several[1:]] == [["0", "120"], ["0", "9"], ["1", "7"]]


def test_a_command_that_waits_says_so_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.StringIO()
    monkeypatch.setattr(sys, "stderr", lines)
    monkeypatch.setattr(progress, "_FIRST_LINE_S", 0.001)
    monkeypatch.setattr(progress, "_LINE_S", 0.001)
    with progress.Activity("submitting digits") as activity:
        wait_until(lambda: "submitting digits: for 0 s" in lines.getvalue(), 10, "a line")
        activity.describe("waiting for digits")
        wait_until(lambda: "waiting for digits: for 0 s" in lines.getvalue(), 10, "another line")
    assert not activity._thread.is_alive()


def test_an_evaluation_tells_how_far_it_is() -> None:
    calls: list[tuple[int, int]] = []
    evaluate_with_lags(load("digits"), show_progress=lambda at, end: calls.append((at, end)))
    assert calls[0] == (256, 1797)
    assert calls[-1] == (1797, 1797)
