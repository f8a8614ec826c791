"""The command `report`."""

import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streamlearn.choosing import choosing
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings

_SHOW_S = 0.2
_LINE_S = 10.0


@click.command()
@choosing
@click.option("--offline", is_flag=True, help="No stack: the data set once more through the learner.")
@click.option(
    "--passes",
    type=click.IntRange(min=1),
    help="How often to go through the data set, with --offline.  [default: 10, of a series 1]",
)
@click.option("--last", metavar="N", type=click.IntRange(min=1), help="Only the newest N answers.")
@click.option(
    "--skip",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Leave the first N of these answers out of every score.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page to write.  [default: PIPELINE-report.html]",
)
def report(
    pipeline: Pipeline, offline: bool, passes: int | None, last: int | None, skip: int, output: Path | None
) -> None:
    """Write a page of figures of how a pipeline has fared: one HTML file, to look at, send or print.

    It is made of the committed answers of the pipeline's open lineage, which the stack must be up for, or
    with --offline of one quiet pass over the data set. Needs the extra `report`.

    \b
    streamlearn report pm25                          what the running job has forecast
    streamlearn report digits --last 5000 -o now.html
    streamlearn report pm25 --offline --skip 8760    five years, scored after the first
    """  # noqa: D301 (click wants the character)
    from reports import page, sources
    from reports.contents import contents
    from streamlearn.forecast import Forecast
    from streamlearn.learner import pin_blas_threads

    if passes is not None and not offline:
        raise click.UsageError("--passes is for --offline")
    page.check_installed()
    pin_blas_threads()
    file = output or Path(f"{pipeline.name}-report.html")
    with Display(pipeline.name) as display:
        if offline:
            once = 1 if isinstance(pipeline.learning, Forecast) else 10
            found = sources.offline(pipeline, passes=passes or once, last=last, show=display.show)
        else:
            found = sources.live(Settings.load(), pipeline, last=last, show=display.show)
        head, sections = contents(found, skip)
        made = []
        for section in sections:
            made.append(section)
            display.tell(f"drawn: {section.title}")
        page.write(page.rendered(head, made), file)
    click.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB, {len(found.answers)} answers")


class Display:
    """A progress bar on a terminal, a line now and then elsewhere; on standard error."""

    def __init__(self, title: str) -> None:
        self._bar = Progress(
            TextColumn(f"{title}: {{task.description}}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._title = title
        self._task = self._bar.add_task("answers", total=None)
        self._shown = time.monotonic()

    def __enter__(self) -> "Display":
        if sys.stderr.isatty():
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.live.is_started:
            self._bar.stop()

    def show(self, at: int, end: int) -> None:
        """Show how many answers are there, and of how many, now and then."""
        now, live = time.monotonic(), self._bar.live.is_started
        if now - self._shown < (_SHOW_S if live else _LINE_S):
            return
        self._shown = now
        if live:
            self._bar.update(self._task, completed=at, total=end)
        else:
            click.echo(f"{self._title}: answer {at} of {end}", err=True)

    def tell(self, what: str) -> None:
        """Show what was done."""
        if self._bar.live.is_started:
            self._bar.update(self._task, description=what, total=None)
        else:
            click.echo(f"{self._title}: {what}", err=True)


commands = [report]
