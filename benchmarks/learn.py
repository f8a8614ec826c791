"""What it costs to learn a backlog of digits from Kafka to Kafka. `scripts/bench learn`.

Starts a stack of its own. In every round all contenders answer the same records, one after the other:

streamlearn     the job of the pipeline `digits`: exactly once, snapshots, the server beside it
pass_through    the same job with a pandas function that returns what it is given
copy            the same job without Python: INSERT INTO … SELECT
river           River's one-vs-rest logistic regression, record by record, with kafka-python
sklearn         scikit-learn's SGDClassifier in chunks of 256, with kafka-python
sklearn_crc32c  the same with crc32c, which computes kafka-python's checksums in C, if it is installed
row_by_row      a job that calls predict and partial_fit for each row, as tutorials do
estimator       bare predict and partial_fit in chunks of 256, on arrays that are there already
json            bare msgspec: decode each record and encode it again

The floor is pass_through, estimator and json of the same round together. CPU time is that of all processes
of the stack, or of the program and the broker, so it holds on a busy machine, too. A job is measured from a
tenth of its records on: what it takes to start is in `scripts/bench start`. The slow ones get fewer records.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click
import numpy as np
from kafka import TopicPartition
from kafka.admin import OffsetSpec

from benchmarks.engine import decode_and_encode, predict_and_learn
from benchmarks.measuring import (
    Meter,
    Results,
    Usage,
    compare,
    describe_disturbance,
    spread,
    take_turns,
    takes_output,
)
from benchmarks.peers import loops
from benchmarks.peers.copies import name_pipeline
from benchmarks.servers import list_parts, running_stack
from flink_jobs.reset import cancel_live_job
from flink_jobs.submit import run_program, submit
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import group_id
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import StackError
from streamlearn.learning.process import pin_blas_threads
from streamlearn.local.supervisor import Supervisor
from streamlearn.operations.job_state import describe_trouble
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load, load_all
from streamlearn.settings import ONE_BLAS_THREAD, Settings, inherit_env
from streamlearn.stream.ports import Input
from streamlearn.stream.records import MAX_RECORD_BYTES, encode
from streamlearn.waiting import wait_until

JOBS = ("pass_through", "copy", "row_by_row")
SHARES = {
    "river": 0.02,
    "sklearn": 0.1,
    "sklearn_crc32c": 0.1,
    "row_by_row": 0.01,
    "estimator": 0.02,
    "json": 0.02,
}
"""The share of the records that a slow contender gets, or one whose cost does not depend on their number."""

_LEAST = 10_000
_UNMEASURED_SHARE = 0.1
_POLL_S = 0.05
_TIMEOUT_S = 1800.0
_LOOK_S = 10.0
"""How long no goal may be reached before Flink is asked what keeps the job."""
_PROGRAM = Path(__file__).parent / "peers" / "flink_program.py"


@dataclass(frozen=True)
class Outcome:
    """What a contender has taken in one round."""

    records: int
    usage: Usage

    @property
    def wall_us(self) -> float:
        """Wall clock in microseconds a record."""
        return 1e6 * self.usage.wall_s / self.records

    @property
    def cpu_us(self) -> float:
        """CPU time of all processes in microseconds a record."""
        return 1e6 * sum(self.usage.cpu_s.values()) / self.records


class Backlog:
    """The records of a round in the input topic: all contenders answer them, from the same offset on."""

    def __init__(self, broker: Broker, pipeline: Pipeline) -> None:
        assert pipeline.dataset is not None
        pipeline.dataset.prepare()
        self._broker = broker
        self._topic = pipeline.topic
        self._values = [encode(record) for record in pipeline.dataset.records(seed=0, passes=1)]
        self.start = self.end = 0

    def append(self, records: int) -> None:
        """Send the records of the next round."""
        self.start = self._broker.stable_end(self._topic)
        with self._broker.bulk_writer(MAX_RECORD_BYTES) as writer:
            for value in islice(cycle(self._values), records):
                writer.send(self._topic, value, check_delivery)
        self.end = self._broker.stable_end(self._topic)

    def read(self, count: int) -> list[Input]:
        """Return the first records, without Kafka."""
        return [Input(0, number, value) for number, value in enumerate(islice(cycle(self._values), count))]


def check_delivery(error: BaseException | None) -> None:
    """Raise the error with which a record could not be sent, if there is one."""
    if error:
        raise error


def run_learning(settings: Settings, broker: Broker, pipeline: Pipeline, backlog: Backlog) -> Outcome:
    """Have a new lineage of a pipeline learn the backlog, as `streamlearn train --fresh` does."""
    records = backlog.end - backlog.start

    def start_job() -> None:
        submit(settings, pipeline, fresh=True, echo=lambda line: None)

    return follow(settings, broker, pipeline, start_job, backlog.start, records)


def follow(
    settings: Settings,
    broker: Broker,
    pipeline: Pipeline,
    start_job: Callable[[], None],
    start: int,
    records: int,
) -> Outcome:
    """Start a job, and measure it from a tenth of its records to the last; then cancel it.

    `start` is where the records begin; of several partitions, the sum of their offsets.
    """
    partitions = broker.count_partitions(pipeline.prediction_topic)
    before = find_end(broker, pipeline.prediction_topic, partitions)

    def count_answers() -> int:
        return find_end(broker, pipeline.prediction_topic, partitions) - before

    def wait_for(answers: float) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                wait_until(
                    lambda: count_answers() >= answers, _LOOK_S, f"{pipeline.name} to answer", every_s=_POLL_S
                )
            except StackError:
                trouble = describe_trouble(settings, pipeline.name)
                if trouble and trouble.lasts:
                    raise click.ClickException(f"{pipeline.name}: {trouble.reason}") from None
                if time.monotonic() >= deadline:
                    raise
            else:
                return

    start_job()
    wait_for(records * _UNMEASURED_SHARE)
    meter, first = Meter(partial(list_parts, settings)), count_answers()
    wait_for(records)
    usage = meter.stop()
    if first >= records:
        raise click.ClickException(f"{records} records are too few to measure {pipeline.name}")

    def is_committed() -> bool:
        committed = broker.committed_offsets(group_id(pipeline), pipeline.topic)
        return sum(committed.values()) >= start + records

    wait_until(is_committed, 60, f"{pipeline.name} to commit its answers")
    cancel_live_job(settings, pipeline, force=False)
    return Outcome(records - first, usage)


def find_end(broker: Broker, topic: str, partitions: int = 1) -> int:
    """Return the end of a topic, with what is not committed yet: the sum over its partitions."""
    wanted = {TopicPartition(topic, number): OffsetSpec.LATEST for number in range(partitions)}
    offsets = broker.ask_admin(lambda admin: admin.list_partition_offsets(wanted))
    return sum(int(offsets[partition].offset) for partition in wanted)


class Contenders:
    """Whoever answers the backlog; each method answers it once."""

    def __init__(self, settings: Settings, broker: Broker, backlog: Backlog, records: int) -> None:
        self._settings = settings
        self._broker = broker
        self._backlog = backlog
        self._records = records

    def list_calls(self) -> dict[str, Callable[[], Outcome]]:
        """Return all that can run here, by name."""
        calls: dict[str, Callable[[], Outcome]] = {
            "streamlearn": partial(run_learning, self._settings, self._broker, load("digits"), self._backlog)
        }
        calls |= {kind: partial(self._run_job, kind) for kind in ("pass_through", "copy")}
        calls |= {name: partial(self._run_peer, name) for name in loops.PEERS if name not in find_missing()}
        calls["row_by_row"] = partial(self._run_job, "row_by_row")
        calls["estimator"] = partial(self._run_bare, predict_and_learn)
        calls["json"] = partial(self._run_bare, decode_and_encode)
        return {name: partial(self._announce, name, call) for name, call in calls.items()}

    def _announce(self, name: str, call: Callable[[], Outcome]) -> Outcome:
        outcome = call()
        click.echo(f"{name}: {outcome.cpu_us:.0f} µs of CPU a record, {outcome.wall_us:.0f} by the clock")
        return outcome

    def _count(self, name: str) -> int:
        return min(self._records, max(_LEAST, round(self._records * SHARES.get(name, 1))))

    def _run_job(self, kind: str) -> Outcome:
        pipeline, records = name_pipeline(kind), self._count(kind)
        ensure_topics(self._broker, pipeline)
        start = self._backlog.end - records
        arguments = ["--kind", kind, "--start", str(start)]
        outcome = follow(
            self._settings,
            self._broker,
            pipeline,
            lambda: run_program(self._settings, _PROGRAM, arguments, echo=lambda line: None),
            start,
            records,
        )
        # What nobody reads any more would fill the disk, round after round.
        self._broker.ask_admin(lambda admin: admin.delete_topics([pipeline.prediction_topic]))
        return outcome

    def _run_peer(self, name: str) -> Outcome:
        ensure_topics(self._broker, name_pipeline("peer"))
        records = self._count(name)
        command = [sys.executable, "-m", "benchmarks.peers.loops", name, "--kafka", self._settings.kafka]
        command += ["--start", str(self._backlog.end - records), "--records", str(records)]
        meter = Meter(lambda: {"kafka": list_parts(self._settings)["kafka"]})
        process = subprocess.run(
            command, env=inherit_env(ONE_BLAS_THREAD), check=True, capture_output=True, text=True
        )
        usage = meter.stop()
        taken = json.loads(process.stdout)
        cpu_s = {"program": taken["cpu_s"], **usage.cpu_s}
        return Outcome(records, Usage(taken["wall_s"], cpu_s, usage.foreign_share))

    def _run_bare(self, call: Callable[[Pipeline, list[Input]], Callable[[], object]]) -> Outcome:
        rows = self._backlog.read(self._count("estimator"))
        run = call(digits.pipeline, rows)
        meter, cpu_s = Meter(dict), time.process_time()
        run()
        usage = meter.stop()
        own = {"program": time.process_time() - cpu_s}
        return Outcome(len(rows), Usage(usage.wall_s, own, usage.foreign_share))


def find_missing() -> list[str]:
    """Return the peers that are not installed."""
    return [name for name in ("river",) if find_spec(name) is None]


def stop_jobs(settings: Settings) -> None:
    """Cancel the stack's own jobs, and keep them from being submitted again."""
    Supervisor(settings).stop_service("submit")
    for pipeline in load_all(settings):
        cancel_live_job(settings, pipeline, force=False)


def summarize(outcomes: dict[str, list[Outcome]]) -> list[dict[str, Any]]:
    """Return a row for each contender, and one for the floor."""
    cpu = {name: [outcome.cpu_us for outcome in rounds] for name, rounds in outcomes.items()}
    wall = {name: [outcome.wall_us for outcome in rounds] for name, rounds in outcomes.items()}
    for values in (cpu, wall):
        parts = zip(values["pass_through"], values["estimator"], values["json"], strict=True)
        values["floor"] = [sum(part) for part in parts]
    return [
        {
            "name": name,
            "records": outcomes[name][0].records if name in outcomes else None,
            **spread(cpu[name], "cpu_us"),
            "cpu_to_floor": compare(cpu[name], cpu["floor"]),
            **spread(wall[name], "wall_us"),
            "wall_to_streamlearn": compare(wall[name], wall["streamlearn"]),
        }
        for name in cpu
    ]


def report_rates(
    title: str,
    rows: list[dict[str, Any]],
    outcomes: dict[str, list[Outcome]],
    about: dict[str, Any],
    output: Path,
) -> None:
    """Print and write what rounds by the clock have shown, and draw it; `about` tells how it was measured."""
    usages = {name: [outcome.usage for outcome in rounds] for name, rounds in outcomes.items()}
    results = Results(title, rows, {**about, "unit": "µs a record"}, describe_disturbance(usages))
    results.print()
    results.write(output)
    results.draw(output.with_suffix(".svg"), "wall_us", "wall clock, µs a record")


def break_down(outcomes: dict[str, list[Outcome]]) -> dict[str, dict[str, float]]:
    """Return the CPU time of each part in µs a record, the median over the rounds."""
    parts = {
        name: {part for outcome in rounds for part in outcome.usage.cpu_s}
        for name, rounds in outcomes.items()
    }
    return {
        name: {
            part: round(
                float(np.median([1e6 * o.usage.cpu_s.get(part, 0) / o.records for o in outcomes[name]])), 2
            )
            for part in sorted(parts[name])
        }
        for name in outcomes
    }


@click.command(help=__doc__.replace("\n\nstreamlearn ", "\n\n\b\nstreamlearn "))
@click.option("--quick", is_flag=True, help="One round of 100,000 records: some five minutes.")
@click.option(
    "--records", type=click.IntRange(min=1000), help="Records a round; 1,000,000, or 100,000 if quick."
)
@click.option("--rounds", type=click.IntRange(min=1), help="How often each contender runs; 3, or 1 if quick.")
@takes_output("learn")
def main(quick: bool, records: int | None, rounds: int | None, output: Path) -> None:
    """Measure and print."""
    records, rounds = records or (100_000 if quick else 1_000_000), rounds or (1 if quick else 3)
    pin_blas_threads()
    with running_stack() as settings, Broker(settings) as broker:
        stop_jobs(settings)
        backlog = Backlog(broker, digits.pipeline)
        contenders = Contenders(settings, broker, backlog, records)
        outcomes = take_turns(contenders.list_calls(), rounds, lambda: backlog.append(records))
    results = Results(
        "Learning the digits, from Kafka to Kafka",
        summarize(outcomes),
        {"records": records, "rounds": rounds, "unit": "µs a record"},
        [f"{name} is not installed: scripts/setup bench" for name in find_missing()]
        + describe_disturbance({name: [o.usage for o in rounds_] for name, rounds_ in outcomes.items()}),
    )
    results.print()
    results.write(output, {"cpu_us_by_part": break_down(outcomes)})
    results.draw(output.with_suffix(".svg"), "cpu_us", "CPU time of all processes, µs a record")


if __name__ == "__main__":
    main()
