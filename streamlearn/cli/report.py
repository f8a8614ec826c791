"""`streamlearn report PIPELINE`: a page of figures."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamlearn.cli.targets import takes_pipeline
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.pipelines.base import Pipeline

_FORECAST_PASSES, _OTHER_PASSES = 1, 10
"""Passes over the data set, offline, where none are given."""


@click.command()
@takes_pipeline
@click.option("--offline", is_flag=True, help="Answer the data set anew, without a stack.")
@click.option(
    "--passes",
    type=click.IntRange(min=1),
    help="Passes over the data set, with --offline.  [default: 1 for a forecast, otherwise 10]",
)
@click.option("--last", metavar="N", type=click.IntRange(min=1), help="Use only the newest N answers.")
@click.option("--all", "reads_all", is_flag=True, help="Use every answer, however long that takes.")
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
    pipeline: "Pipeline",
    offline: bool,
    passes: int | None,
    last: int | None,
    reads_all: bool,
    skip: int,
    output: Path | None,
) -> None:
    """Write a page of figures that show how good a pipeline's predictions were: one HTML file.

    It is made from the committed answers of the pipeline's open lineage, for which the stack must be up; or,
    with --offline, from answers to the data set. Of more than 100,000 committed answers it reads so many,
    evenly spread, or of a series the newest; the page says so. You need the extra `report`.

    \b
    streamlearn report pm25                          what the running job has forecast
    streamlearn report digits --last 5000 -o now.html
    streamlearn report pm25 --offline --skip 8760    five years, scored after the first
    """  # noqa: D301 (click wants the character)
    from streamlearn.cli.terminal.progress import CountProgress
    from streamlearn.learning.process import pin_blas_threads
    from streamlearn.reports import sources
    from streamlearn.reports.contents import build_contents
    from streamlearn.reports.page import check_installed, render_page, write_page

    if passes is not None and not offline:
        raise click.UsageError("--passes is for --offline")
    if reads_all and (last is not None or offline):
        raise click.UsageError("--all goes with neither --last nor --offline")
    check_installed()
    pin_blas_threads()
    file = output or Path(f"{pipeline.name}-report.html")
    with CountProgress(pipeline.name, "answer") as progress:
        if offline:
            passes = passes or (_OTHER_PASSES if pipeline.learning.series is None else _FORECAST_PASSES)
            answered_records = sources.answer_offline(
                pipeline, passes=passes, last=last, show_progress=progress.show
            )
        else:
            answered_records = sources.read_live(
                Settings.load(),
                pipeline,
                last=last,
                show_progress=progress.show,
                most=None if reads_all else sources.MOST_ANSWERS,
            )
        head, section_iterator = build_contents(answered_records, skip)
        sections = []
        for section in section_iterator:
            sections.append(section)
            progress.show_step(f"drawn: {section.title}")
        write_page(render_page(head, sections), file)
    click.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB, {len(answered_records.answers)} answers")


commands = [report]
