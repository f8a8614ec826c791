"""Show the progress of slow commands: a bar on a terminal; elsewhere a line after 2 s, then every ten.

Commands import this module when they run: its libraries would slow down every `--help`.
"""

import sys
import threading
import time
from typing import Protocol, Self

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

_FIRST_LINE_S = 2.0
_LINE_S = 10.0


class ProgressDisplay:
    """A bar on standard error, shown for the length of a `with`; subclasses fill it.

    Parameters
    ----------
    columns
        What the bar shows, before the time elapsed.
    every_s
        Least seconds between two updates of the bar.
    """

    def __init__(self, *columns: ProgressColumn, every_s: float = 0.2) -> None:
        self.bar = Progress(
            *columns,
            TimeElapsedColumn(),
            console=Console(stderr=True),
            # What is printed meanwhile stands above the bar; into a pipe it goes as ever.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._every_s = every_s
        self._line_s = _FIRST_LINE_S
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.bar.stop()

    @property
    def live(self) -> bool:
        """Whether the bar is shown: standard error is a terminal."""
        return self.bar.live.is_started

    def due(self, always: bool = False) -> bool:
        """Return whether it is time for an update, or `always`; if so, the time counts from now again."""
        now = time.monotonic()
        if now - self._shown < (self._every_s if self.live else self._line_s) and not always:
            return False
        self._shown, self._line_s = now, _LINE_S
        return True


class Activity(ProgressDisplay):
    """Shows what goes on and for how long already, where nobody knows how long it will take."""

    def __init__(self, title: str) -> None:
        super().__init__(SpinnerColumn(), TextColumn("{task.description}", markup=False))
        self._title = title
        self._task = self.bar.add_task(title, total=None)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._print_lines, daemon=True)

    def __enter__(self) -> Self:
        super().__enter__()
        if not self.live:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        super().__exit__()

    def describe(self, title: str) -> None:
        """Show from now on that something else goes on."""
        self._title = title
        self.bar.update(self._task, description=title)

    def _print_lines(self) -> None:
        start, pause_s = time.monotonic(), _FIRST_LINE_S
        while not self._over.wait(pause_s):
            click.echo(f"{self._title}: for {time.monotonic() - start:.0f} s", err=True)
            pause_s = _LINE_S


class CountProgress(ProgressDisplay):
    """Shows how many of several things are done, then which steps follow.

    Parameters
    ----------
    title
        What is being done.
    unit
        One of the things, such as "answer".
    """

    def __init__(self, title: str, unit: str) -> None:
        super().__init__(TextColumn(f"{title}: {{task.description}}", markup=False), BarColumn())
        self._title = title
        self._unit = unit
        self._task = self.bar.add_task(f"{unit}s", total=None)

    def show(self, at: int, end: int) -> None:
        """Show, now and then, that `at` of `end` are done."""
        if not self.due():
            return
        if self.live:
            self.bar.update(self._task, completed=at, total=end)
        else:
            click.echo(f"{self._title}: {self._unit} {at} of {end}", err=True)

    def show_step(self, step: str) -> None:
        """Show what has just been done."""
        if self.live:
            self.bar.update(self._task, description=step, total=None)
        else:
            click.echo(f"{self._title}: {step}", err=True)


class OffsetProgress(ProgressDisplay):
    """A bar of the offset reached, out of the last one."""

    def __init__(self, title: str) -> None:
        offsets = TextColumn("{task.fields[where]}offset {task.completed:.0f} of {task.total:.0f}")
        super().__init__(TextColumn(title), BarColumn(), offsets, every_s=0.5)
        self._title = title
        self._task = self.bar.add_task("", total=1, where="")

    def show(self, partition: int, offset: int, end: int) -> None:
        """Show all three, twice a second at most; partition 0 goes without saying."""
        if not self.due():
            return
        where = f"partition {partition}, " if partition else ""
        if self.live:
            self.bar.update(self._task, completed=offset, total=end, where=where)
        else:
            click.echo(f"{self._title}: {where}offset {offset} of {end}", err=True)


class Acknowledged(Protocol):
    """How far sending has come; `producer/replay.py` counts it."""

    total: int | None
    acknowledged: int


class AcknowledgedProgress(ProgressDisplay):
    """A bar of the acknowledged records, and their rate."""

    def __init__(self, title: str) -> None:
        rate = TextColumn("{task.fields[rate]:.0f} records/s")
        super().__init__(TextColumn(title), BarColumn(), MofNCompleteColumn(), rate)
        self._task: TaskID | None = None
        self._start = time.monotonic()

    def show(self, progress: Acknowledged) -> None:
        """Show how far sending has come, at most a few times a second."""
        if not self.due(always=progress.acknowledged == progress.total):
            return
        rate = progress.acknowledged / max(time.monotonic() - self._start, 1e-9)
        if not self.live:
            click.echo(
                f"{progress.acknowledged} of {progress.total or '∞'} acknowledged, {rate:.0f}/s", err=True
            )
        elif self._task is None:
            self._task = self.bar.add_task(
                "", total=progress.total, completed=progress.acknowledged, rate=rate
            )
        else:
            self.bar.update(self._task, completed=progress.acknowledged, rate=rate)
