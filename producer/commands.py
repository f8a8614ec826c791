"""The command of this program: replay."""

import sys
import time

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from producer.replay import Progress
from producer.replay import replay as run
from streamlearn.choosing import choosing
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings

_SHOW_S = 0.2
_LINE_S = 10.0


@click.command()
@choosing
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    help="Records a second; 0: as fast as possible. [default: STREAMLEARN_REPLAY_RATE or 10]",
)
@click.option("--limit", type=click.IntRange(min=1), help="Send exactly so many records.")
@click.option("--loop", is_flag=True, help="Go on, pass after pass, until interrupted.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Shuffles each pass; the same seed sends the same."
)
def replay(pipeline: Pipeline, rate: float | None, limit: int | None, loop: bool, seed: int) -> None:
    """Send a pipeline's data set into its topic; what has no order is freshly shuffled at each pass.

    Example: streamlearn replay digits --rate 0 --limit 17970 sends ten passes as fast as it goes.
    """
    settings = Settings.load()
    with Display(pipeline.name) as display:
        done = run(
            settings,
            pipeline,
            rate=settings.replay_rate if rate is None else rate,
            limit=limit,
            loop=loop,
            seed=seed,
            show=display.show,
        )
    click.echo(f"{done.acknowledged} records sent and acknowledged")


class Display:
    """A progress bar on a terminal, a line now and then elsewhere."""

    def __init__(self, title: str) -> None:
        self._bar = Bar(
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.0f} records/s"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None
        self._start = self._shown = time.monotonic()

    def __enter__(self) -> "Display":
        if sys.stderr.isatty():
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.live.is_started:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show where the replay stands, at most a few times a second."""
        now = time.monotonic()
        live = self._bar.live.is_started
        if now - self._shown < (_SHOW_S if live else _LINE_S) and progress.acknowledged != progress.total:
            return
        self._shown = now
        rate = progress.acknowledged / max(now - self._start, 1e-9)
        if not live:
            click.echo(
                f"{progress.acknowledged} of {progress.total or '∞'} acknowledged, {rate:.0f}/s", err=True
            )
        elif self._task is None:
            self._task = self._bar.add_task(
                "", total=progress.total, completed=progress.acknowledged, rate=rate
            )
        else:
            self._bar.update(self._task, completed=progress.acknowledged, rate=rate)


commands = [replay]
