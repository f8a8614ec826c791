"""What it costs that a topic has four partitions, and what a second worker brings. `scripts/bench scaling`.

Starts a stack of its own. In every round the job of the digits answers as many records from

1 partition             one learner, one worker
4 partitions, 1 worker  four learners, which share a worker
4 partitions, 2 workers four learners on two workers

CPU time is that of all processes of the stack; no server serves the models. A job is measured from a tenth of
its records on. The ratios are to one partition of the same round: records by the clock (more is better), and
CPU a record (less is better).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click

from benchmarks.learn import Outcome, check_delivery, find_end, follow, report_rates, stop_jobs
from benchmarks.measuring import compare, spread, take_turns, takes_output
from benchmarks.peers.copies import PARTITIONS
from benchmarks.servers import running_stack
from flink_jobs.submit import submit
from streamlearn.broker.broker import Broker
from streamlearn.broker.topics import ensure_topics
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.stream.records import MAX_RECORD_BYTES, encode

ALONE = "1 partition"
CONTENDERS = {
    ALONE: ("one", 1),
    "4 partitions, 1 worker": ("four", 1),
    "4 partitions, 2 workers": ("four", 2),
}
"""Name → the pipeline of `peers/copies.py`, and how many workers it has."""


def run(settings: Settings, name: str, records: int) -> Outcome:
    """Send the records of a round, and have a new lineage answer them."""
    kind, workers = CONTENDERS[name]
    pipeline, partitions = load(f"benchmarks.peers.copies:{kind}"), PARTITIONS[kind]
    settings = replace(settings, partitions=partitions, parallelism=workers)
    with Broker(settings) as broker:
        ensure_topics(broker, pipeline)
        start = find_end(broker, pipeline.topic, partitions)
        send(broker, pipeline, partitions, records)

        def start_job() -> None:
            submit(settings, pipeline, fresh=True, parallelism=workers, echo=lambda line: None)

        outcome = follow(settings, broker, pipeline, start_job, start, records)
    click.echo(f"{name}: {outcome.cpu_us:.0f} µs of CPU a record, {outcome.wall_us:.0f} by the clock")
    return outcome


def send(broker: Broker, pipeline: Pipeline, partitions: int, records: int) -> None:
    """Deal out records to the partitions in turn."""
    assert pipeline.dataset is not None
    values = [encode(record) for record in pipeline.dataset.records(seed=0, passes=1)]
    with broker.bulk_writer(MAX_RECORD_BYTES) as writer:
        for number, value in enumerate(islice(cycle(values), records)):
            writer.send(pipeline.topic, value, check_delivery, number % partitions)


def summarize(outcomes: dict[str, list[Outcome]]) -> list[dict[str, Any]]:
    """Return a row for each contender."""
    cpu = {name: [outcome.cpu_us for outcome in rounds] for name, rounds in outcomes.items()}
    wall = {name: [outcome.wall_us for outcome in rounds] for name, rounds in outcomes.items()}
    return [
        {
            "name": name,
            "records": outcomes[name][0].records,
            **spread(wall[name], "wall_us"),
            "rate_to_one": compare(wall[ALONE], wall[name]),
            **spread(cpu[name], "cpu_us"),
            "cpu_to_one": compare(cpu[name], cpu[ALONE]),
        }
        for name in outcomes
    ]


@click.command(help=__doc__.replace("\n\n1 partition", "\n\n\b\n1 partition"))
@click.option("--quick", is_flag=True, help="One round of 60,000 records.")
@click.option("--records", type=click.IntRange(min=20_000), help="500,000, or 60,000 if quick.")
@click.option("--rounds", type=click.IntRange(min=1), help="How often each runs; 5, or 1 if quick.")
@takes_output("scaling")
def main(quick: bool, records: int | None, rounds: int | None, output: Path) -> None:
    """Measure and print."""
    records, rounds = records or (60_000 if quick else 500_000), rounds or (1 if quick else 5)
    with running_stack() as settings:
        stop_jobs(settings)
        calls: dict[str, Callable[[], Outcome]] = {
            name: partial(run, settings, name, records) for name in CONTENDERS
        }
        outcomes = take_turns(calls, rounds)
    about = {"records": records, "rounds": rounds}
    report_rates("Four partitions beside one", summarize(outcomes), outcomes, about, output)


if __name__ == "__main__":
    main()
