"""`streamlearn check` and `streamlearn evaluate`, which need neither Kafka nor Flink nor Redis."""

import sys
from pathlib import Path

import click

from streamlearn.cli.pipeline_argument import takes_pipeline
from streamlearn.pipelines.base import Pipeline


@click.command()
@takes_pipeline
@click.option(
    "--records",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Try the records in this file, a JSON object a line.",
)
@click.option("--limit", default=500, show_default=True, help="Most records to try.")
def check(pipeline: Pipeline, records: Path | None, limit: int) -> None:
    """Try a pipeline of your own, offline: its records, its state, whether results repeat.

    Exit 0: every test has passed. Exit 1: one has failed.

    Example: streamlearn check --pipeline mine:pipeline
    """
    from streamlearn.engine import check
    from streamlearn.learning.blas import pin_blas_threads

    pin_blas_threads()
    values = records.read_bytes().splitlines()[:limit] if records else check.sample(pipeline, limit)
    passed = True
    for finding in check.check(pipeline, values):
        mark = "✗" if not finding.passed else "!" if finding.noted else "✓"
        click.echo(f"{mark} {finding.what} ({finding.detail})")
        passed = passed and finding.passed
    sys.exit(0 if passed else 1)


@click.command()
@takes_pipeline
@click.option("--passes", default=1, show_default=True, help="Passes over the data set.")
@click.option(
    "--skip", default=0, show_default=True, help="Leave so many records at the beginning out of the score."
)
@click.option(
    "--lags",
    metavar="LAGS",
    help="Forecast from other lags: a set such as '*=0-6', or `chosen`: those that the correlations of the"
    " skipped records suggest, used after these.",
)
def evaluate(pipeline: Pipeline, passes: int, skip: int, lags: str | None) -> None:
    """Predict, then learn each record of a pipeline's data set offline, and show the prequential score.

    \b
    streamlearn evaluate pm25 --skip 8760
    streamlearn evaluate pm25 --skip 8760 --lags 'pollution=0-6 dew=0,3 wnd_spd=0-3'
    """  # noqa: D301 (click wants the character)
    from streamlearn.engine.evaluate import format_table
    from streamlearn.learning.blas import pin_blas_threads
    from streamlearn.learning.collector import relieve_collector
    from streamlearn.operations.lag_choice import evaluate_with_lags

    pin_blas_threads()
    relieve_collector()
    for line in format_table(evaluate_with_lags(pipeline, passes=passes, skip=skip, lags=lags)):
        click.echo(line)


commands = [check, evaluate]
