"""The commands of this program: train, reset."""

import click

from streamlearn.choosing import choosing
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings


@click.command()
@choosing
@click.option("--fresh", is_flag=True, help="End the open lineage and begin a new one.")
@click.option("--rebuild", is_flag=True, help="Go on without a checkpoint, behind the last committed answer.")
@click.option("--keep", is_flag=True, help="Stay, and submit again whenever Flink has lost the job.")
def train(pipeline: Pipeline, fresh: bool, rebuild: bool, keep: bool) -> None:
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
    submit(settings, pipeline, fresh=fresh, rebuild=rebuild, say=click.echo)


@click.command()
@choosing
@click.option("--force", is_flag=True, help="Cancel the pipeline's job if it runs.")
def reset(pipeline: Pipeline, force: bool) -> None:
    """Forget what a pipeline has learned; its topics stay.

    The next `streamlearn train` begins a new lineage behind the last committed record.
    """
    from flink_jobs.reset import reset as run

    run(Settings.load(), pipeline, force=force, say=click.echo)


commands = [train, reset]
