"""What the benchmarks share: taking turns, the CPU time of processes, tables, JSON and plots."""

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import click
import psutil
from rich.console import Console
from rich.table import Table

from streamlearn.reports.figures.style import BLUE, GREY, WIDE, save_figure

T = TypeVar("T")
_Decorator = Callable[[Callable[..., None]], Callable[..., None]]

RESULTS = Path(__file__).parent / "results"

DISTURBED_SHARE = 0.1
"""From this share of the machine's CPU time, what others use makes a round a disturbed one."""

_FILE_COLUMNS = 160


def take_turns(
    contenders: Mapping[str, Callable[[], T]], rounds: int, prepare: Callable[[], object] = lambda: None
) -> dict[str, list[T]]:
    """Call `prepare`, then every contender, in each round; return what each has returned, by round.

    What else the machine does then meets all of them alike.

    >>> take_turns({"one": lambda: 1, "two": lambda: 2}, rounds=2)
    {'one': [1, 1], 'two': [2, 2]}
    """
    outcomes: dict[str, list[T]] = {name: [] for name in contenders}
    for _ in range(rounds):
        prepare()
        for name, contender in contenders.items():
            outcomes[name].append(contender())
    return outcomes


@dataclass(frozen=True)
class Usage:
    """What a stretch of time has taken."""

    wall_s: float
    cpu_s: dict[str, float]
    """CPU seconds, by the name of the part that has used them."""
    foreign_share: float
    """The share of the machine's CPU time that neither the parts nor this program have used."""

    @property
    def is_disturbed(self) -> bool:
        """Whether others have used so much that the wall clock says little."""
        return self.foreign_share > DISTURBED_SHARE


class Meter:
    """Measures from its making to `stop`.

    A process that ends meanwhile is not counted as a part, unless this program has started it and waited for
    it; then it counts as this program's own.

    Parameters
    ----------
    list_parts
        Returns the processes to measure, by the name of their part.
    """

    def __init__(self, list_parts: Callable[[], Mapping[str, Sequence[psutil.Process]]]) -> None:
        self._list_parts = list_parts
        self._own_s = _read_own_cpu()
        self._before = self._read_parts()
        self._busy_s = _read_busy()
        self._started = time.perf_counter()

    def stop(self) -> Usage:
        """Return what has been used; it may be called again, for the time until then."""
        wall_s = time.perf_counter() - self._started
        busy_s = _read_busy() - self._busy_s
        cpu_s: dict[str, float] = {}
        for (part, process), seconds in self._read_parts().items():
            cpu_s[part] = cpu_s.get(part, 0.0) + seconds - self._before.get((part, process), 0.0)
        foreign_s = busy_s - sum(cpu_s.values()) - (_read_own_cpu() - self._own_s)
        capacity_s = max(wall_s, 1e-9) * (os.cpu_count() or 1)
        return Usage(wall_s, cpu_s, max(0.0, foreign_s / capacity_s))

    def _read_parts(self) -> dict[tuple[str, psutil.Process], float]:
        seconds = {}
        for part, processes in self._list_parts().items():
            for process in processes:
                with suppress(psutil.Error):
                    seconds[part, process] = sum(process.cpu_times()[:2])
        return seconds


def _read_own_cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _read_busy() -> float:
    """Return how many seconds the machine's processors have worked."""
    times = psutil.cpu_times()
    # A guest's time is part of `user` already.
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def spread(values: Sequence[float], unit: str) -> dict[str, float]:
    """Return the median, the lowest and the highest of the rounds, under names with their unit.

    >>> spread([3.0, 1.0, 2.0], "ms")
    {'median_ms': 2.0, 'lowest_ms': 1.0, 'highest_ms': 3.0}
    """
    return {f"median_{unit}": median(values), f"lowest_{unit}": min(values), f"highest_{unit}": max(values)}


def compare(values: Sequence[float], reference: Sequence[float]) -> float:
    """Return the median of the ratios of values to those of the same round.

    >>> compare([3.0, 30.0, 5.0], [2.0, 20.0, 2.0])
    1.5
    """
    return median(value / other for value, other in zip(values, reference, strict=True))


@dataclass
class Results:
    """What a benchmark has found: a table, JSON, and one plot."""

    title: str
    rows: list[dict[str, Any]]
    """A row for each contender, under `name`, with the same columns."""
    conditions: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What a reader must know beside the figures, such as a peer that is not installed."""

    def print(self) -> None:
        """Print the table and the notes."""
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        table = Table(*(column.replace("_", " ") for column in columns), title=self.title)
        for row in self.rows:
            table.add_row(*(format_cell(row.get(column)) for column in columns))
        # Where nobody looks at it yet, as in a file, no column is cut.
        Console(width=None if sys.stdout.isatty() else _FILE_COLUMNS).print(table)
        for note in self.notes:
            click.echo(f"! {note}")

    def write(self, path: Path, details: Mapping[str, Any] | None = None) -> None:
        """Write everything, and `details` beside it, as JSON."""
        machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
        text = {
            "title": self.title,
            "machine": machine,
            **self.conditions,
            "notes": self.notes,
            "rows": self.rows,
            **(details or {}),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(text, indent=2) + "\n")
        click.echo(f"written to {path}")

    def draw(self, path: Path, unit: str, label: str) -> None:
        """Draw the median of each row as a bar, and from the lowest to the highest as a line."""
        rows = [row for row in self.rows if row.get(f"median_{unit}") is not None]

        def fill(axes: Any) -> None:
            medians = [row[f"median_{unit}"] for row in rows]
            below = [row[f"median_{unit}"] - row[f"lowest_{unit}"] for row in rows]
            above = [row[f"highest_{unit}"] - row[f"median_{unit}"] for row in rows]
            axes.barh(range(len(rows)), medians, xerr=(below, above), color=BLUE, ecolor=GREY, height=0.6)
            axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
            axes.set_ylim(len(rows) - 0.4, -0.6)
            if max(medians) > 30 * min(medians) > 0:
                axes.set_xscale("log")
            axes.set_xlabel(label)
            axes.set_title(self.title)

        save_figure(fill, (WIDE[0], 1.2 + 0.4 * len(rows)), path)
        click.echo(f"written to {path}")


def format_cell(value: Any) -> str:
    """Write a cell of a table: three figures of a number.

    >>> format_cell(1234.5), format_cell(12.34), format_cell(0.1234), format_cell(3), format_cell(None)
    ('1234', '12.3', '0.12', '3', '')
    """
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def describe_disturbance(usages: Mapping[str, Iterable[Usage]]) -> list[str]:
    """Return a sentence for each contender that others have disturbed.

    >>> describe_disturbance({"quiet": [Usage(1, {}, 0.01)], "loud": [Usage(1, {}, 0.4), Usage(1, {}, 0.0)]})
    ['loud: 1 of 2 rounds disturbed, by others that used up to 40 % of the machine']
    """
    sentences = []
    for name, rounds in usages.items():
        shares = [usage.foreign_share for usage in rounds]
        disturbed = [usage for usage in rounds if usage.is_disturbed]
        if disturbed:
            sentences.append(
                f"{name}: {len(disturbed)} of {len(shares)} rounds disturbed, by others that used up to"
                f" {100 * max(shares):.0f} % of the machine"
            )
    return sentences


def takes_output(name: str, written: str = "the figures are written; a plot goes beside them") -> _Decorator:
    """Add the option --output: where the JSON goes. What --quick finds must not replace figures that hold."""

    def choose(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path:
        return path or (RESULTS / "quick" if ctx.params.get("quick") else RESULTS) / f"{name}.json"

    return click.option(
        "--output",
        type=click.Path(path_type=Path, dir_okay=False),
        callback=choose,
        show_default=f"benchmarks/results/{name}.json, or results/quick/{name}.json",
        help=f"Where {written}.",
    )
