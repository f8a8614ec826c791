"""`scripts/setup` says in a few lines what pip says in hundreds, and keeps those."""

import os
import subprocess
from pathlib import Path

import pytest
from stacks import ROOT

PIP = """#!/bin/sh
i=0
while [ $i -lt 100 ]; do i=$((i + 1)); echo "Collecting package-$i"; echo "  Downloading package-$i.whl"; done
echo "ERROR: on the standard error" >&2
echo "Installing collected packages: $(seq -s ', ' 100)"
exit ${PIP_STATUS:-0}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script, and a Python whose pip installs nothing."""
    for name in ("scripts", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("scripts/setup", "pyproject.toml", "requirements.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv" / "bin" / "python").write_text(PIP)
    for name in ("scripts/setup", ".venv/bin/python"):
        (tmp_path / name).chmod(0o755)
    return tmp_path


def run_setup(checkout: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [checkout / "scripts" / "setup", "lags"]
    environment = {**os.environ, "PIP_STATUS": str(status)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_progress_is_a_few_lines_and_the_log_is_kept(checkout: Path) -> None:
    done = run_setup(checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "installing streamlearn[lags] into .venv (a few minutes the first time);"
        " pip's log: .venv/setup-lags.log",
        "  40 packages found",
        "  80 packages found",
        "  installing 100 packages",
    ]
    log = (checkout / ".venv" / "setup-lags.log").read_text()
    assert log.count("Downloading") == 100
    assert "on the standard error" in log
    assert run_setup(checkout).stdout == "", "what is installed is not installed again"


def test_a_failure_shows_the_end_of_the_log_and_is_tried_again(checkout: Path) -> None:
    failed = run_setup(checkout, status=2)
    assert failed.returncode == 1
    assert "ERROR: on the standard error" in failed.stderr
    assert failed.stderr.splitlines()[-1] == (
        "streamlearn[lags] could not be installed; all that pip said is in .venv/setup-lags.log"
    )
    assert len(failed.stderr.splitlines()) == 21
    assert run_setup(checkout).returncode == 0
