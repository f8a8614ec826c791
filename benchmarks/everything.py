"""`scripts/bench all`: each question in a process of its own, in turn, and a page of all results."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from benchmarks.measuring import RESULTS, format_cell
from streamlearn.settings import Settings


@dataclass(frozen=True)
class Question:
    """One thing to measure."""

    command: str
    """`module:attribute` below `benchmarks`."""
    minutes: float
    """About how long it takes on two quick cores."""
    quick_minutes: float
    """The same with --quick."""
    is_study: bool = False
    """Whether it is about how well something learns; `all` runs these only when asked."""


QUESTIONS = {
    "engine": Question("engine:main", 1.5, 0.3),
    "serve": Question("serving:main", 4, 0.7),
    "start": Question("recovery:start", 3, 1.5),
    "fresh": Question("fresh:main", 6, 1.5),
    "recovery": Question("recovery:recover", 6, 2.5),
    "idle": Question("resources:idle", 4.5, 1.5),
    "learn": Question("learn:main", 9, 3),
    "scaling": Question("scaling:main", 13, 2.5),
    "verify": Question("verifying:main", 9, 2),
    "memory": Question("resources:memory", 5, 1.5),
    "partitions": Question("studies.partitions:main", 3, 1, is_study=True),
    "stations": Question("studies.stations:main", 10, 0.5, is_study=True),
    "estimators": Question("studies.estimators:main", 10, 2, is_study=True),
    "drafts": Question("studies.drafts:main", 5, 0.5, is_study=True),
    "corrections": Question("studies.corrections:main", 15, 1, is_study=True),
}
"""In the order in which `all` runs them: what is short, and tells most, comes first."""

_STOP_S = 180.0
_GRACE_MINUTES = 10.0
_PATIENCE = 4.0
"""A question that takes this many times as long as it should, and ten minutes, is given up."""


class Progress(msgspec.Struct):
    """What of a run has been answered; kept in a file, so that a run can be taken up again."""

    quick: bool
    seconds: dict[str, float] = {}
    """How long each question has taken."""

    @staticmethod
    def locate() -> Path:
        """Return where it is kept."""
        return Settings.load().home / "benchmarks.json"

    @classmethod
    def read(cls, *, quick: bool) -> "Progress":
        """Return that of the run before, if there was one of the same kind; else an empty one."""
        try:
            kept = msgspec.json.decode(cls.locate().read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return cls(quick)
        return kept if kept.quick == quick else cls(quick)

    def write(self) -> None:
        """Keep it."""
        path = self.locate()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(self))


def estimate_seconds(names: Sequence[str], progress: Progress) -> float:
    """Return about how long some questions take, at the pace of those that are answered.

    >>> estimate_seconds(["serve"], Progress(quick=False))
    240.0
    >>> estimate_seconds(["serve"], Progress(quick=False, seconds={"engine": 180.0}))
    480.0
    """

    def expect(names: Sequence[str]) -> float:
        questions = [QUESTIONS[name] for name in names]
        return 60 * sum(q.quick_minutes if progress.quick else q.minutes for q in questions)

    done = [name for name in progress.seconds if name in QUESTIONS]
    pace = sum(progress.seconds[name] for name in done) / expect(done) if done else 1.0
    return pace * expect(names)


def answer(name: str, *, quick: bool, limit_s: float) -> str:
    """Run one question; return what kept it from being answered, or nothing.

    It has a process group of its own: Ctrl-C reaches it once, from here, and it stops what it has started.
    """
    command = [sys.executable, "-m", "benchmarks", name, *(["--quick"] if quick else [])]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            _interrupt(process)
            return f"was given up after {limit_s / 60:.0f} minutes"
        except BaseException:
            _interrupt(process)
            raise
    return f"failed ({code})" if code else ""


def _interrupt(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()


def list_tables(folder: Path) -> Iterator[str]:
    """Yield the lines of a page, in Markdown: each table of the results in a folder, and its plot."""
    yield "# Results"
    yield ""
    yield "Written by `scripts/bench tables`. What each shows: [performance.md](../../docs/performance.md)."
    for name, question in QUESTIONS.items():
        path = folder / f"{name}.json"
        if question.is_study or not path.exists():
            continue
        results = json.loads(path.read_text())
        rows: list[dict[str, Any]] = results.pop("rows")
        columns = list(dict.fromkeys(column for row in rows for column in row))
        yield from ("", f"## {results.pop('title')}", "", f"`scripts/bench {name}`; {_describe(results)}", "")
        yield "| " + " | ".join(column.replace("_", " ") for column in columns) + " |"
        yield "|---" * len(columns) + "|"
        for row in rows:
            yield "| " + " | ".join(format_cell(row.get(column)) for column in columns) + " |"
        for note in results.get("notes", []):
            yield from ("", f"! {note}")
        if path.with_suffix(".svg").exists():
            yield from ("", f"![{name}]({name}.svg)")


def _describe(results: dict[str, Any]) -> str:
    """Return under which conditions results were found."""
    plain = {key: value for key, value in results.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in plain.items())


def write_tables(folder: Path) -> None:
    """Write the page of the results beside them."""
    path = folder / "README.md"
    path.write_text("\n".join(list_tables(folder)) + "\n")
    click.echo(f"written to {path}")


@click.command()
def tables() -> None:
    """Write benchmarks/results/README.md: every table and plot, from the figures beside it."""
    write_tables(RESULTS)


def _explain() -> str:
    lines = [
        f"{name:<12}{question.minutes:>5g} min{question.quick_minutes:>7g} min"
        for name, question in QUESTIONS.items()
        if not question.is_study
    ]
    questions = [question for question in QUESTIONS.values() if not question.is_study]
    total = sum(question.minutes for question in questions)
    quick = sum(question.quick_minutes for question in questions)
    return "\n".join(
        [
            "Answer every question, one after the other, and write a page of the results.",
            "",
            "One that fails does not stop the others; `--resume` then answers what is missing. On two quick"
            " cores that do nothing else they take about as long as this, and with --quick:",
            "",
            "\b",
            *lines,
            f"{'all':<12}{total:>5g} min{quick:>7g} min",
            "",
            "How long the rest takes is said before each question, at the pace of those before.",
        ]
    )


@click.command(help=_explain())
@click.option("--quick", is_flag=True, help="A first look at each; figures go to benchmarks/results/quick.")
@click.option("--resume", is_flag=True, help="Leave out what the run before has answered.")
@click.option(
    "--studies", is_flag=True, help="Also what is about learning well, not fast: partitions, stations, …"
)
def run_all(quick: bool, resume: bool, studies: bool) -> None:
    """Answer every question."""
    progress = Progress.read(quick=quick) if resume else Progress(quick)
    names = [name for name, question in QUESTIONS.items() if studies or not question.is_study]
    missing = [name for name in names if name not in progress.seconds]
    failed = []
    for number, name in enumerate(missing):
        left_s = estimate_seconds(missing[number:], progress)
        expected_s = estimate_seconds([name], progress)
        click.echo(
            f"\n=== {number + 1} of {len(missing)}: {name}, about {expected_s / 60:.0f} min; all of"
            f" the rest: {left_s / 60:.0f} min, until {datetime.now() + timedelta(seconds=left_s):%H:%M}"
        )
        started = time.monotonic()
        trouble = answer(name, quick=quick, limit_s=_PATIENCE * expected_s + 60 * _GRACE_MINUTES)
        if trouble:
            click.echo(f"{name} {trouble}", err=True)
            failed.append(f"{name} {trouble}")
            continue
        progress.seconds[name] = time.monotonic() - started
        progress.write()
    folder = RESULTS / "quick" if quick else RESULTS
    if folder.exists():
        write_tables(folder)
    click.echo(f"{sum(progress.seconds.values()) / 60:.0f} minutes for {', '.join(progress.seconds)}")
    if failed:
        raise click.ClickException(f"{'; '.join(failed)}. --resume tries these again")
