"""What a stack holds while it learns, and what it uses while little happens.

`scripts/bench memory` lets the digits' job learn millions of records, and looks at the memory of every
process and at the disk. `scripts/bench idle` replays both streams at their ordinary pace, and measures the
processors.
"""

import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil

from benchmarks.learn import Backlog, stop_jobs
from benchmarks.measuring import Meter, Results, describe_disturbance, spread, take_turns, takes_output
from benchmarks.servers import list_parts, running_stack
from flink_jobs.submit import submit
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import group_id
from streamlearn.pipelines.registry import load
from streamlearn.reports.figures.style import WIDE, choose_line_styles, drop_marker, save_figure
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until

FOLDERS = ("kafka", "redis", "flink", "log")
"""What is looked at under a stack's home."""

_PORTION = 100_000
_LOOK_EVERY_S = 2.0
_TIMEOUT_S = 600.0
_MIB = 1 << 20
_SETTLED_SHARE = 0.2
_EDGE_SHARE = 0.1


class Sampler(threading.Thread):
    """Looks at the memory of each part of a stack, and at its disk, every other second, until stopped."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self.records = 0
        """How many records are answered; set by whoever knows."""
        self.samples: list[dict[str, float]] = []
        """For each look: `records`, the memory of each part, and `disk: FOLDER`, in MiB."""
        self.stopped = threading.Event()

    def run(self) -> None:
        """Look again and again."""
        while not self.stopped.wait(_LOOK_EVERY_S):
            memory = {
                part: sum(map(_read_rss_mib, processes))
                for part, processes in list_parts(self._settings).items()
            }
            disk = {f"disk: {folder}": _read_size_mib(self._settings.home / folder) for folder in FOLDERS}
            self.samples.append({"records": float(self.records), **memory, **disk})


def _read_rss_mib(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / _MIB
    except psutil.Error:
        return 0.0


def _read_size_mib(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except FileNotFoundError:
            continue  # it was deleted meanwhile
    return total / _MIB


def learn_in_portions(settings: Settings, broker: Broker, records: int, sampler: Sampler) -> None:
    """Have the digits' job learn so many records, sent in portions, so that the backlog stays short."""
    pipeline = load("digits")
    backlog = Backlog(broker, pipeline)
    submit(settings, pipeline, echo=lambda line: None)

    def count_answered() -> int:
        sampler.records = broker.committed_offset(group_id(pipeline), pipeline.topic) or 0
        return sampler.records

    for sent in range(0, records, _PORTION):
        backlog.append(min(_PORTION, records - sent))
        # The next portion is sent while the job still learns this one.
        wait_until(
            lambda goal=backlog.end - _PORTION // 2: count_answered() >= goal,  # type: ignore[misc]
            _TIMEOUT_S,
            "the job to learn",
        )
    wait_until(lambda: count_answered() >= backlog.end, _TIMEOUT_S, "the job to end")
    click.echo(f"{backlog.end} records are learned")


def summarize_growth(samples: list[dict[str, float]], records: int) -> list[dict[str, Any]]:
    """Return a row for each part and folder: in MiB when a fifth is learned and at the end, and what grew.

    Each end is a mean over a tenth of the records, so that a collector's saw teeth do not count as growth.

    >>> samples = [{"records": at, "worker": 100 + at / 10, "disk: kafka": at} for at in range(0, 1001, 10)]
    >>> worker, kafka = summarize_growth(samples, 1000)
    >>> worker["name"], round(worker["after_a_fifth_mib"]), round(worker["growth_percent"])
    ('worker', 125, 56)
    >>> round(kafka["mib_a_million"] / 1e6, 2)
    1.0
    """
    at = np.array([sample["records"] for sample in samples]) / records
    begins = (at >= _SETTLED_SHARE) & (at < _SETTLED_SHARE + _EDGE_SHARE)
    ends = at > 1 - _EDGE_SHARE
    rows = []
    for part in dict.fromkeys(name for sample in samples for name in sample if name != "records"):
        values = np.array([sample.get(part, 0.0) for sample in samples])
        if not begins.any() or not ends.any():
            raise click.ClickException("too few records to tell what grows: give more")
        first, last = float(values[begins].mean()), float(values[ends].mean())
        learned = float(at[ends].mean() - at[begins].mean()) * records / 1e6
        rows.append(
            {
                "name": part,
                "after_a_fifth_mib": first,
                "at_the_end_mib": last,
                "growth_percent": 100 * (last - first) / first if first else 0.0,
                "mib_a_million": (last - first) / learned,
            }
        )
    return rows


def draw_memory(samples: list[dict[str, float]], path: Path) -> None:
    """Draw the memory of each part over the records learned."""
    parts = [part for part in samples[-1] if part != "records" and not part.startswith("disk")]

    def fill(axes: Any) -> None:
        for part, style in zip(parts, choose_line_styles(len(parts)), strict=True):
            values = [sample.get(part, np.nan) for sample in samples]
            axes.plot(
                [sample["records"] / 1e6 for sample in samples], values, **drop_marker(style), label=part
            )
        axes.set_xlabel("million records")
        axes.set_ylabel("resident memory, MiB")
        axes.set_ylim(0, None)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    save_figure(fill, WIDE, path)


@click.command()
@click.option("--quick", is_flag=True, help="500,000 records: some two minutes.")
@click.option("--records", type=click.IntRange(min=1000), help="5,000,000, or 500,000 if quick.")
@takes_output("memory")
def memory(quick: bool, records: int | None, output: Path) -> None:
    """Measure what each process and folder grows by while millions of digits are learned.

    Growth is counted over the last four fifths: by then every buffer has been filled. Kafka keeps every
    record and answer until its retention (seven days, or what the topic says); Redis keeps some dozens of
    versions.
    """
    records = records or (500_000 if quick else 5_000_000)
    with running_stack() as settings, Broker(settings) as broker:
        stop_jobs(settings)
        sampler = Sampler(settings)
        sampler.start()
        learn_in_portions(settings, broker, records, sampler)
        sampler.stopped.set()
        sampler.join()
    results = Results(
        "Memory and disk while digits are learned",
        summarize_growth(sampler.samples, records),
        {"records": records},
    )
    results.print()
    results.write(output, {"samples": sampler.samples})
    draw_memory(sampler.samples, output.with_suffix(".svg"))


@click.command()
@click.option("--quick", is_flag=True, help="One round of 20 seconds.")
@click.option("--rounds", type=click.IntRange(min=1), help="3, or 1 if quick.")
@click.option("--seconds", type=click.FloatRange(min=1), help="How long each is; 60, or 20 if quick.")
@takes_output("idle")
def idle(quick: bool, rounds: int | None, seconds: float | None, output: Path) -> None:
    """Measure how much of one core each part uses, while both streams come at ten records a second."""
    seconds = seconds or (20.0 if quick else 60.0)
    with running_stack(replay=True) as settings:
        time.sleep(seconds / 2)

        def look() -> Any:
            meter = Meter(partial(list_parts, settings))
            time.sleep(seconds)
            return meter.stop()

        usages = take_turns({"idle": look}, rounds or (1 if quick else 3))
    cores = [{part: cpu / usage.wall_s for part, cpu in usage.cpu_s.items()} for usage in usages["idle"]]
    results = Results(
        "Processor time while both streams come at ten a second, in cores",
        [*_list_cores(cores), {"name": "all", **spread([sum(parts.values()) for parts in cores], "cores")}],
        {"seconds": seconds, "rounds": len(cores)},
        describe_disturbance(usages),
    )
    results.print()
    results.write(output)
    results.draw(output.with_suffix(".svg"), "cores", "of one core")


def _list_cores(cores: list[dict[str, float]]) -> list[dict[str, Any]]:
    parts = sorted({part for round_ in cores for part in round_})
    return [{"name": part, **spread([round_.get(part, 0.0) for round_ in cores], "cores")} for part in parts]
