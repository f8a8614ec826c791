"""`streamlearn train` and `streamlearn reset`."""

import click

import flink_jobs  # noqa: F401 (where it is not installed, `main.py` says so)
from streamlearn.cli.pipeline_argument import takes_pipeline
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings


@click.command()
@takes_pipeline
@click.option("--fresh", is_flag=True, help="End the open lineage and begin a new one.")
@click.option("--rebuild", is_flag=True, help="Go on without a checkpoint, behind the last committed answer.")
@click.option(
    "--accept-edits", is_flag=True, help="Go on although code that decides predictions has been edited."
)
@click.option("--keep", is_flag=True, help="Stay, and submit again whenever Flink has lost the job.")
def train(pipeline: Pipeline, fresh: bool, rebuild: bool, accept_edits: bool, keep: bool) -> None:
    """Submit a pipeline's learning job to Flink; it continues where it was.

    Example: streamlearn train digits
    """
    from flink_jobs.keep import keep_running
    from flink_jobs.submit import submit

    settings = Settings.load()
    if fresh and rebuild:
        raise click.UsageError("--fresh begins anew and --rebuild goes on: say one of them")
    if keep:
        keep_running(settings, [pipeline], click.echo)
    submit(settings, pipeline, fresh=fresh, rebuild=rebuild, accept_edits=accept_edits, say=click.echo)


@click.command()
@takes_pipeline
@click.option("--force", is_flag=True, help="Cancel the pipeline's job if it runs.")
def reset(pipeline: Pipeline, force: bool) -> None:
    """Forget what a pipeline has learned; its topics stay.

    The next `streamlearn train` begins a new lineage behind the last committed record.
    """
    from flink_jobs.reset import end_lineage

    end_lineage(Settings.load(), pipeline, force=force, say=click.echo)


commands = [train, reset]
