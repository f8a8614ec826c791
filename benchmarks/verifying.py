"""How fast `verify` and learning again are, beside the live job. `scripts/bench verify`.

Starts a stack of its own. In every round a backlog is answered by the job of a pipeline, and then:

live     the job itself, from a tenth of its records on
verify   everything learned again and compared, answers and versions, as `streamlearn verify` does
rebuild  the model learned again from Kafka, as a job does that finds no version in Redis

The ratio is that of the rates by the clock, to the live job's: 1 is as fast. A live job uses several
processes at once, the others one.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks.learn import Backlog, Outcome, report_rates, run_learning, stop_jobs
from benchmarks.measuring import (
    Meter,
    Usage,
    compare,
    spread,
    take_turns,
    takes_output,
)
from benchmarks.servers import list_parts, running_stack
from streamlearn.broker.broker import Broker
from streamlearn.engine.recovery import Recovery
from streamlearn.engine.verify import verify
from streamlearn.learning.process import pin_blas_threads, relieve_collector
from streamlearn.operations import verification
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings

SHARES = {"digits": 1.0, "pm25": 0.05}
"""The share of the records that each pipeline gets: an hour of pm25 takes several times as long as a digit,
however many there are."""

_LEAST = 4000
_WAIT_S = 60.0


class NoSnapshots:
    """The versions of a Redis that has lost everything."""

    def versions(self) -> list[int]:
        """Return none."""
        return []

    def read(self, version: int) -> bytes | None:
        """Return none."""
        return None


def _collect(broker: Broker, pipeline: Pipeline) -> verification.Subject:
    lineage = verification.require_lineage(broker, pipeline)
    return verification.collect(broker, pipeline, lineage, partition=0)


def run_verify(settings: Settings, broker: Broker, pipeline: Pipeline) -> Outcome:
    """Verify the newest lineage.

    Raises
    ------
    click.ClickException
        Something differs.
    """
    lineage, snapshots, stream = _collect(broker, pipeline)

    def run() -> int:
        report = verify(pipeline, lineage, stream, snapshots, key=settings.checkpoint_key)
        if report.exit_code:
            raise click.ClickException("\n".join(verification.format_report(report, 0)))
        return report.records

    return _measure(settings, run)


def run_rebuild(settings: Settings, broker: Broker, pipeline: Pipeline) -> Outcome:
    """Learn the newest lineage again, up to its last committed answer."""
    lineage, _, stream = _collect(broker, pipeline)
    recovery = Recovery(pipeline, lineage, NoSnapshots(), stream, key=settings.checkpoint_key, wait_s=_WAIT_S)

    def run() -> int:
        recovery.restore_before(stream.committed() or 0)
        return recovery.relearned

    return _measure(settings, run)


def _measure(settings: Settings, run: Callable[[], int]) -> Outcome:
    def list_servers() -> dict[str, Any]:
        return {part: process for part, process in list_parts(settings).items() if part in ("kafka", "redis")}

    meter, cpu_s = Meter(list_servers), time.process_time()
    records = run()
    usage = meter.stop()
    own = {"program": time.process_time() - cpu_s}
    return Outcome(records, Usage(usage.wall_s, {**usage.cpu_s, **own}, usage.foreign_share))


def summarize(outcomes: dict[str, list[Outcome]]) -> list[dict[str, Any]]:
    """Return a row for each pipeline and what was done with it."""
    rows = []
    for name, rounds in outcomes.items():
        live = outcomes[f"{name.partition(':')[0]}: live"]
        wall = [outcome.wall_us for outcome in rounds]
        rows.append(
            {
                "name": name,
                "records": rounds[0].records,
                **spread(wall, "wall_us"),
                "rate_to_live": compare([outcome.wall_us for outcome in live], wall),
                **spread([outcome.cpu_us for outcome in rounds], "cpu_us"),
            }
        )
    return rows


@click.command(help=__doc__.replace("\n\nlive ", "\n\n\b\nlive "))
@click.option("--quick", is_flag=True, help="One round of 100,000 records: some three minutes.")
@click.option("--records", type=click.IntRange(min=20_000), help="Records; 1,000,000, or 100,000 if quick.")
@click.option("--rounds", type=click.IntRange(min=1), help="3, or 1 if quick.")
@click.option("--pipeline", "names", multiple=True, type=click.Choice(list(SHARES)), help="Only this one.")
@takes_output("verify")
def main(quick: bool, records: int | None, rounds: int | None, names: tuple[str, ...], output: Path) -> None:
    """Measure and print."""
    records, rounds = records or (100_000 if quick else 1_000_000), rounds or (1 if quick else 3)
    pin_blas_threads()
    relieve_collector()
    outcomes: dict[str, list[Outcome]] = {}
    with running_stack() as settings, Broker(settings) as broker:
        stop_jobs(settings)
        for name in names or SHARES:
            pipeline, backlog = load(name), Backlog(broker, load(name))
            count = max(_LEAST, round(records * SHARES[name]))

            def run_live(
                pipeline: Pipeline = pipeline, backlog: Backlog = backlog, count: int = count
            ) -> Outcome:
                backlog.append(count)
                return run_learning(settings, broker, pipeline, backlog)

            calls: dict[str, Callable[[], Outcome]] = {
                f"{name}: live": run_live,
                f"{name}: verify": lambda p=pipeline: run_verify(settings, broker, p),  # type: ignore[misc]
                f"{name}: rebuild": lambda p=pipeline: run_rebuild(settings, broker, p),  # type: ignore[misc]
            }
            outcomes |= take_turns(calls, rounds)
    about = {"records": records, "rounds": rounds}
    report_rates(
        "Verifying and learning again, beside the live job", summarize(outcomes), outcomes, about, output
    )


if __name__ == "__main__":
    main()
