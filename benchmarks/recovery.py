"""How long a part's death is felt, and how long everything takes to start.

`scripts/bench recovery` kills each part of a stack with `kill -9`, under load, and waits for the first
committed answer to a record that was sent after that. `scripts/bench start` starts a stack with everything
cached, and times commands that need none.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import click

from benchmarks.measuring import Results, spread, take_turns, takes_output
from benchmarks.servers import choose_settings, run_command, running_stack
from streamlearn.broker import kafka_journal
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.errors import StackError, StreamlearnError
from streamlearn.local import chaos, health
from streamlearn.local.up import interrupt_on_signals
from streamlearn.pipelines import digits
from streamlearn.settings import Settings, inherit_env
from streamlearn.waiting import wait_until

PARTS = (chaos.WORKER, "taskmanager", "jobmanager", "kafka", "redis")
COMMANDS = ("--help", "train --help", "models digits --help")
"""Commands that need no stack."""

_RATE = 200.0
_TIMEOUT_S = 300.0
_POLL_S = 0.1


@contextmanager
def replaying(settings: Settings, rate: float) -> Iterator[None]:
    """Replay the digits for the length of a `with`."""
    command = [sys.executable, "-m", "streamlearn", "replay", "digits", "--loop", "--rate", f"{rate:g}"]
    log = (settings.home / "log" / "replay.log").open("wb")
    process = subprocess.Popen(
        command, env=inherit_env(settings.environment()), stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        log.close()


def measure_recovery(settings: Settings, part: str) -> float:
    """Kill a part; return the seconds until a record that is sent after that has its committed answer.

    Raises
    ------
    StackError
        The part does not run, or no answer comes in time.
    """
    with Broker(settings) as broker:
        end = broker.stable_end(digits.pipeline.topic)
        # Whatever the kill before has left is over once this is answered.
        wait_until(lambda: _answered_to(settings) >= end, _TIMEOUT_S, "the job to work", every_s=_POLL_S)
        end = broker.stable_end(digits.pipeline.topic)
    if not chaos.kill(settings, part):
        raise StackError(f"{part} does not run")
    started = time.monotonic()
    wait_until(
        lambda: _answered_to(settings) >= end, _TIMEOUT_S, f"an answer after {part} died", every_s=_POLL_S
    )
    seconds = time.monotonic() - started
    click.echo(f"{part}: {seconds:.1f} s")
    return seconds


def _answered_to(settings: Settings) -> int:
    """Return the offset of the last record with a committed answer; -1 while nobody can tell."""
    with suppress(StreamlearnError), Broker(settings, connect_ms=2000) as broker:
        lineage = LineageRegister(broker, digits.pipeline).current()
        if lineage is not None:
            answered = kafka_journal.last_answered(broker, digits.pipeline, lineage.id)
            return -1 if answered is None else answered
    return -1


@click.command()
@click.option("--quick", is_flag=True, help="One round: some three minutes.")
@click.option("--rounds", type=click.IntRange(min=1), help="How often each part is killed; 3, or 1 if quick.")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only this one.")
@takes_output("recovery")
def recover(quick: bool, rounds: int | None, parts: tuple[str, ...], output: Path) -> None:
    """Measure how long no answer comes after `kill -9` of each part.

    Starts a stack of its own and replays 200 digits a second. The time is from the kill to the first
    committed answer to a record that was sent after it.
    """
    with running_stack() as settings, replaying(settings, _RATE):
        kills = {part: partial(measure_recovery, settings, part) for part in parts or PARTS}
        seconds = take_turns(kills, rounds or (1 if quick else 3))
    rows = [{"name": part, "kills": len(times), **spread(times, "s")} for part, times in seconds.items()]
    results = Results("From kill -9 to the first new committed answer", rows, {"rate": _RATE})
    results.print()
    results.write(output)
    results.draw(output.with_suffix(".svg"), "s", "seconds")


def measure_start() -> dict[str, float]:
    """Start a stack, and stop it; return the seconds until each step and the first served prediction."""
    with interrupt_on_signals(), tempfile.TemporaryDirectory(prefix="streamlearn-bench-") as folder:
        settings = choose_settings(Path(folder))
        command = [sys.executable, "-m", "streamlearn", "up", "--detach"]
        seconds: dict[str, float] = {}
        started = time.monotonic()
        try:
            environment = inherit_env({**settings.environment(), "PYTHONUNBUFFERED": "1"})
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
                for line in process.stdout or ():
                    if line.startswith("✓ "):
                        seconds[line[2:].strip()] = time.monotonic() - started
            if process.returncode:
                raise StackError(f"`streamlearn up` fails with {process.returncode}")
            seconds["up returns"] = time.monotonic() - started
            wait_until(lambda: _predict(settings), 60, "a prediction", every_s=_POLL_S)
            seconds["a prediction is served"] = time.monotonic() - started
        finally:
            run_command(settings, "down", check=False)
    return seconds


def _predict(settings: Settings) -> bool:
    tensor = {"name": "x", "shape": [1, 64], "datatype": "FP64", "data": [8.0] * 64}
    request = urllib.request.Request(  # noqa: S310 (our own server)
        health.server_url(settings) + "/v2/models/digits/infer",
        json.dumps({"inputs": [tensor]}).encode(),
        {"Content-Type": "application/json"},
    )
    with suppress(OSError), urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return bool(response.status == 200)
    return False


def time_command(arguments: str) -> float:
    """Return the seconds that a command takes."""
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "streamlearn", *arguments.split()], check=True, stdout=subprocess.DEVNULL
    )
    return time.monotonic() - started


@click.command()
@click.option("--quick", is_flag=True, help="One round: some two minutes.")
@click.option("--rounds", type=click.IntRange(min=1), help="How often everything starts; 3, or 1 if quick.")
@takes_output("start")
def start(quick: bool, rounds: int | None, output: Path) -> None:
    """Measure how long a start takes, with everything downloaded before, and commands that need no stack.

    A stack starts in a folder of its own, with its replays, as `scripts/up --detach` does: when each step is
    reached, when the command returns, and when the first prediction is served over HTTP.
    """
    rounds = rounds or (1 if quick else 3)
    starts = take_turns({"start": measure_start}, rounds)["start"]
    calls = {f"streamlearn {arguments}": partial(time_command, arguments) for arguments in COMMANDS}
    commands = take_turns(calls, 1 + rounds)
    times = {step: [seconds[step] for seconds in starts] for step in starts[0]}
    # The first call of each reads the files that the later ones find in memory.
    times |= {name: seconds[1:] for name, seconds in commands.items()}
    rows = [{"name": name, **spread(seconds, "s")} for name, seconds in times.items()]
    results = Results("From `up --detach` to the first served prediction, and commands", rows)
    results.print()
    results.write(output)
    results.draw(output.with_suffix(".svg"), "s", "seconds")
