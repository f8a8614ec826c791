"""The command `report`."""

from pathlib import Path

import click
from rich.progress import BarColumn, TextColumn

from streamlearn.cli.pipeline_argument import takes_pipeline
from streamlearn.cli.progress import ProgressDisplay
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings


@click.command()
@takes_pipeline
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
    from streamlearn.learning.blas import pin_blas_threads
    from streamlearn.learning.forecasting import Forecast
    from streamlearn.reports import page, sources
    from streamlearn.reports.contents import contents

    if passes is not None and not offline:
        raise click.UsageError("--passes is for --offline")
    page.check_installed()
    pin_blas_threads()
    file = output or Path(f"{pipeline.name}-report.html")
    with _Answers(pipeline.name) as display:
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


class _Answers(ProgressDisplay):
    """How many answers are there, then what was drawn."""

    def __init__(self, title: str) -> None:
        super().__init__(TextColumn(f"{title}: {{task.description}}", markup=False), BarColumn())
        self._title = title
        self._task = self.bar.add_task("answers", total=None)

    def show(self, at: int, end: int) -> None:
        """Show how many answers are there, and of how many, now and then."""
        if not self.due():
            return
        if self.live:
            self.bar.update(self._task, completed=at, total=end)
        else:
            click.echo(f"{self._title}: answer {at} of {end}", err=True)

    def tell(self, what: str) -> None:
        """Show what was done."""
        if self.live:
            self.bar.update(self._task, description=what, total=None)
        else:
            click.echo(f"{self._title}: {what}", err=True)


commands = [report]
