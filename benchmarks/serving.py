"""How fast the server answers: `infer` beside a Flask route that returns a constant, under the same server.

`scripts/bench serve --help` tells what is measured and how to read it. Where the time goes, and what has been
tried, is in `docs/performance.md`.
"""

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import psutil
from flask import Flask, Response

from benchmarks.http_load import Outcome, build_request, measure
from benchmarks.measuring import Results, compare, spread, take_turns, takes_output
from benchmarks.peers import mlserver
from benchmarks.servers import find_free_port, running_redis, running_server
from serving import files, launch
from serving.api.feedback import Sender
from serving.state.recent import RecentPredictions
from serving.telemetry import Telemetry
from streamlearn.errors import StackError
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo
from streamlearn.storage.writer import Writer
from streamlearn.stream.records import encode

CONNECTIONS = 8
ROWS = (1, 16, 256)
CONSTANT = "constant"

_LINEAGE = "bench"
_RECORDS = 1797
_REPLACE_EVERY_S = 0.2


@dataclass(frozen=True)
class Contender:
    """One kind of request, and the server that answers it."""

    name: str
    server: psutil.Process
    port: int
    request: bytes
    is_replacing: bool = False
    """Whether the served model is replaced meanwhile."""


def create_constant_app() -> Flask:
    """Build the application to compare with: one route that returns a constant, and nothing else."""
    app = Flask(__name__)
    answer = _make_constant_answer()

    @app.post("/constant")
    def constant() -> Response:
        return Response(answer, content_type="application/json")

    # What the server's processes close when they end; the route uses none of it.
    settings = Settings.load()
    app.extensions.update(models={}, live={}, feedback=Sender(settings), telemetry=Telemetry())
    app.extensions["recent"] = RecentPredictions(files.recent_path(settings))
    return app


def _make_constant_answer() -> bytes:
    """Return as many bytes as `infer` answers one row with."""
    return encode(
        {"model_name": "digits", "outputs": [{"name": "probabilities", "data": [0.0123456789] * 30}]}
    )


def learn_digits(version: int) -> Learner:
    """Return a model of the digits that has learned their whole data set."""
    pipeline = digits.pipeline
    assert pipeline.dataset is not None
    learner = pipeline.new_learner(version=version - _RECORDS)
    records = [pipeline.codec.decode(encode(record)) for record in pipeline.dataset.records(seed=0, passes=1)]
    predict_then_learn(learner, records, version)
    return learner


def save(writer: Writer, pipeline: Pipeline, learner: Learner) -> None:
    """Write a version as the job does."""
    data = snapshot.dumps(learner, pipeline, _LINEAGE)
    writer.save(learner.version, data, VersionInfo(snapshot.digest(data), learner.score.samples, {}))


@contextmanager
def replacing(writer: Writer, learner: Learner) -> Iterator[None]:
    """Write another version five times a second meanwhile."""
    stopped = threading.Event()

    def replace() -> None:
        while not stopped.wait(_REPLACE_EVERY_S):
            learner.version += 1
            save(writer, digits.pipeline, learner)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def build_infer_request(rows: int) -> bytes:
    """Return an `infer` request with so many digits."""
    assert digits.pipeline.dataset is not None
    records = digits.pipeline.dataset.records(seed=1, passes=1)
    x = np.array([record["x"] for _, record in zip(range(rows), records, strict=False)], dtype=np.float64)
    tensor = {"name": "x", "shape": list(x.shape), "datatype": "FP64", "data": x.ravel().tolist()}
    return build_request("/v2/models/digits/infer", encode({"inputs": [tensor]}))


@contextmanager
def contending(home: Path, workers: int) -> Iterator[tuple[list[Contender], Writer, Learner]]:
    """Start what is needed; yield the contenders, and what replaces the served model."""
    with ExitStack() as running:
        redis = running.enter_context(running_redis(home))
        store = Store(redis)
        running.callback(store.close)
        writer, learner = store.admit("digits", _LINEAGE, 1), learn_digits(1_000_000)
        save(writer, digits.pipeline, learner)

        def start(application: str = launch.APPLICATION) -> tuple[psutil.Process, int]:
            port = find_free_port()
            settings = Settings(home=home, redis=redis, http_port=port, http_workers=workers)
            return running.enter_context(running_server(settings, application)), port

        ours = start()
        constant = start("benchmarks.serving:create_constant_app()")
        others = [
            Contender(_name_other(kind), server, port, build_infer_request(1))
            for kind in mlserver.KINDS
            for server, port in _start_mlserver(running, home, kind)
        ]
        body = build_infer_request(1).partition(b"\r\n\r\n")[2]
        yield (
            [
                Contender(CONSTANT, *constant, build_request("/constant", body)),
                *(Contender(_name(rows), *ours, build_infer_request(rows)) for rows in ROWS),
                Contender(f"{_name(1)}, replaced", *ours, build_infer_request(1), is_replacing=True),
                *others,
            ],
            writer,
            learner,
        )


def _start_mlserver(running: ExitStack, home: Path, kind: str) -> list[tuple[psutil.Process, int]]:
    """Return MLServer and its port; nothing where it is not installed, or does not start."""
    if not mlserver.is_installed():
        return []
    try:
        return [running.enter_context(mlserver.running_mlserver(home, kind))]
    except (click.ClickException, StackError, OSError, subprocess.SubprocessError) as error:
        click.echo(f"{_name_other(kind)}: {error}", err=True)
        return []


def _name_other(kind: str) -> str:
    return f"MLServer, {kind}"


def _name(rows: int) -> str:
    return f"infer, {rows} row{'s' if rows > 1 else ''}"


def run_rounds(home: Path, workers: int, rounds: int, seconds: float) -> dict[str, list[Outcome]]:
    """Measure every contender in each round, after one that does not count."""
    with contending(home, workers) as (contenders, writer, learner):

        def load(contender: Contender) -> Outcome:
            with replacing(writer, learner) if contender.is_replacing else nullcontext():
                return measure(
                    contender.server,
                    contender.port,
                    contender.request,
                    connections=CONNECTIONS,
                    wall_s=seconds,
                )

        calls = {contender.name: partial(load, contender) for contender in contenders}
        return {name: outcomes[1:] for name, outcomes in take_turns(calls, rounds + 1).items()}


def summarize(outcomes: dict[str, list[Outcome]]) -> list[dict[str, Any]]:
    """Return a row for each contender: medians over the rounds, and how far the rounds are apart."""
    cpu_us = {
        name: [1e6 * outcome.server_cpu_s / len(outcome.seconds) for outcome in rounds]
        for name, rounds in outcomes.items()
    }
    return [
        {
            "name": name,
            **spread(cpu_us[name], "cpu_us"),
            "requests_a_cpu_second_to_constant": compare(cpu_us[CONSTANT], cpu_us[name]),
            "p50_ms": median(_percentile_ms(outcome, 50) for outcome in rounds),
            "p99_ms": median(_percentile_ms(outcome, 99) for outcome in rounds),
            "requests_a_second": median(len(outcome.seconds) / outcome.wall_s for outcome in rounds),
            "failed": sum(outcome.failed for outcome in rounds),
        }
        for name, rounds in outcomes.items()
    ]


def _percentile_ms(outcome: Outcome, percent: float) -> float:
    return 1000 * float(np.percentile(outcome.seconds, percent))


@click.command()
@click.option("--quick", is_flag=True, help="Two short rounds, to see that it runs.")
@click.option("--rounds", default=7, show_default=True, help="How often each contender is measured.")
@click.option("--seconds", default=3.0, show_default=True, help="How long each is measured in a round.")
@click.option("--workers", default=2, show_default=True, help="Processes of each server.")
@takes_output("serve")
def main(quick: bool, rounds: int, seconds: float, workers: int, output: Path) -> None:
    """Measure how fast `infer` answers, beside a Flask route that returns a constant.

    Starts a Redis with a trained model of the digits, the project's server, and the same server (gunicorn,
    gevent, as many processes) with an application of one route. Eight connections that are kept open send one
    request after the other. The contenders take turns in each round, so that what else the machine does
    disturbs all of them alike.

    CPU µs a request are those of all processes of the server, so they hold on a busy machine, too; the client
    does not count. The ratio is requests a CPU second, to those of the constant in the same round: 1 would be
    an answer that costs nothing beyond Flask and gunicorn. MLServer, as installed and tuned, answers the same
    request from scikit-learn's linear model, a simpler one, and with the label alone. p50 and p99 are what a
    client waits, and grow with what else runs. "replaced" is measured while another version is written five
    times a second; its CPU holds the loading of the versions.
    """
    if quick:
        rounds, seconds = 2, 0.5
    with tempfile.TemporaryDirectory() as home:
        outcomes = run_rounds(Path(home), workers, rounds, seconds)
    rows = summarize(outcomes)
    conditions = {"rounds": rounds, "seconds": seconds, "workers": workers}
    reason = (
        "does not start here"
        if mlserver.is_installed()
        else "is not installed: scripts/bench serve does that"
    )
    notes = [f"{name} {reason}" for name in map(_name_other, mlserver.KINDS) if name not in outcomes]
    results = Results("Answering over HTTP", rows, conditions, notes)
    results.print()
    results.write(output)
    results.draw(output.with_suffix(".svg"), "cpu_us", "CPU time of the server, µs a request")


if __name__ == "__main__":
    main()
