"""The commands of this program: train, reset."""

import click

from streamlearn.pipeline import load, names
from streamlearn.settings import Settings

_PIPELINE = click.argument("pipeline", type=click.Choice(names()))


@click.command()
@_PIPELINE
@click.option(
    "--fresh", is_flag=True, help="End the open lineage and begin a new one at the committed offset."
)
@click.option("--keep", is_flag=True, help="Stay, and submit again whenever Flink has lost the job.")
def train(pipeline: str, fresh: bool, keep: bool) -> None:
    """Submit a pipeline's learning job to Flink; it continues where it was.

    Example: streamlearn train digits
    """
    from flink_jobs.keep import keep_running
    from flink_jobs.submit import submit

    settings = Settings.load()
    if keep:
        keep_running(settings, load(pipeline), click.echo)
    submit(settings, load(pipeline), fresh=fresh, say=click.echo)


@click.command()
@_PIPELINE
@click.option("--force", is_flag=True, help="Cancel the pipeline's job if it runs.")
def reset(pipeline: str, force: bool) -> None:
    """Forget what a pipeline has learned; its topics stay.

    The next `streamlearn train` begins a new lineage behind the last committed record.
    """
    from flink_jobs.reset import reset as run

    run(Settings.load(), load(pipeline), force=force, say=click.echo)


commands = [train, reset]
