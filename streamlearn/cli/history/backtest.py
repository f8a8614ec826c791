"""`streamlearn backtest`."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamlearn.cli.targets import takes_pipeline, use_stack_elsewhere
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.pipelines.base import Pipeline


@click.command()
@takes_pipeline
@click.option(
    "--set",
    "texts",
    metavar="NAME=VALUE[,VALUE…]",
    multiple=True,
    required=True,
    help="Another value of a parameter, or several to be tried one by one. Given again, for another"
    " parameter, each combination is tried.",
)
@click.option(
    "--file",
    type=click.Path(exists=True, path_type=Path),
    help="Learn the rows of this file, or of all files in this folder, as `streamlearn replay` reads them.",
)
@click.option("--offline", is_flag=True, help="Learn the pipeline's data set. Neither needs a stack.")
@click.option("--last", metavar="N", type=click.IntRange(min=1), help="Take only the newest N records.")
@click.option(
    "--skip",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Leave so many records at the beginning out of the score.",
)
@click.option(
    "--figure",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the score over time into this file (.png, .svg, .pdf).",
)
def backtest(
    pipeline: "Pipeline",
    texts: tuple[str, ...],
    file: Path | None,
    offline: bool,
    last: int | None,
    skip: int,
    figure: Path | None,
) -> None:
    """Try other parameters on the records that a pipeline has learned, beside its own.

    Every variant predicts, then learns the same records, in the same steps as the running job has done; the
    first line is the live model itself. Nothing live is touched: it only reads Kafka.

    \b
    streamlearn backtest digits --set step=0.5,3
    streamlearn backtest digits --set step=0.5 --set decay=0,0.001 --last 20000 --figure step.svg
    streamlearn backtest pm25 --set ridge=10,100 --file history.csv --skip 8760
    """  # noqa: D301 (click wants the character)
    from streamlearn.broker.broker import Broker
    from streamlearn.cli.terminal.progress import OffsetProgress
    from streamlearn.engine.backtest import backtest as run
    from streamlearn.engine.backtest import format_table
    from streamlearn.learning.process import pin_blas_threads, relieve_collector
    from streamlearn.operations.history import backtest as subjects
    from streamlearn.reports.figures.variants import check_file, draw_variants

    if (offline or file is not None) and last is not None:
        raise click.UsageError(
            "--last takes the newest records of the topic, which --file and --offline leave"
        )
    if offline and file is not None:
        raise click.UsageError("--offline learns the data set and --file a file: use only one of them")
    if figure is not None:
        check_file(figure)
    pin_blas_threads()
    relieve_collector()
    with ExitStack() as open_parts:
        progress = open_parts.enter_context(OffsetProgress(f"learning again {pipeline.name}"))
        if offline or file is not None:
            settings = Settings()
            pipeline = replace(pipeline, dataset=pipeline.read_file(file)) if file else pipeline
            part = subjects.load_dataset_part(pipeline)
            parts, source = iter([part]), f"{part.end} records of {file or 'the data set'}"
        else:
            use_stack_elsewhere()
            settings = Settings.load()
            broker = open_parts.enter_context(Broker(settings))
            lineage = subjects.require_open_lineage(broker, pipeline)
            pipeline = subjects.take_parameters(pipeline, lineage)
            parts = subjects.read_parts(broker, pipeline, lineage, last=last)
            source = (
                f"the records of {pipeline.topic} that lineage {lineage.id} has answered, in its own steps"
            )
        variants = subjects.parse_variants(pipeline, texts)
        outcomes = run(
            pipeline,
            variants,
            parts,
            key=settings.checkpoint_key,
            skip=skip,
            max_in_a_row=settings.set_aside_in_a_row,
            show_progress=progress.show,
        )
    click.echo(f"{pipeline.name}: {source}\n")
    for line in format_table(outcomes):
        click.echo(line)
    if figure is not None:
        draw_variants(outcomes, pipeline, figure)
        click.echo(f"\n{figure}: the score over time, each point over the last tenth of the records")


commands = [backtest]
