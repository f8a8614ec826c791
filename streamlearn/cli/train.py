"""`streamlearn train` and `streamlearn reset`."""

from functools import partial
from typing import TYPE_CHECKING

import click

import flink_jobs  # noqa: F401 (if it is missing, `main.py` lists the command with what to install)
from streamlearn.cli.targets import takes_pipeline
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.pipelines.base import Pipeline

_WAIT_S = 60.0


@click.command()
@takes_pipeline
@click.option("--fresh", is_flag=True, help="End the open lineage and begin a new one.")
@click.option(
    "--rebuild", is_flag=True, help="Go on after the last committed answer, although no checkpoint is left."
)
@click.option(
    "--accept-edits",
    is_flag=True,
    help="Go on although you have edited code that decides predictions; `streamlearn verify` tells whether"
    " the edit changes any.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=_WAIT_S,
    show_default=True,
    help="Seconds to wait until the job learns: exit 1 if it fails by then. 0: do not wait.",
)
@click.option(
    "--parallelism",
    type=click.IntRange(min=0),
    help="Let so many workers share the topic's partitions, from now on: a job that runs is stopped at a"
    " savepoint, and goes on so. 0: as STREAMLEARN_PARALLELISM says.  [default: as it was; at first 0]",
)
@click.option("--keep", is_flag=True, help="Stay, and submit the job again whenever Flink has lost it.")
def train(
    pipeline: "Pipeline",
    fresh: bool,
    rebuild: bool,
    accept_edits: bool,
    wait_s: float,
    parallelism: int | None,
    keep: bool,
) -> None:
    """Submit a pipeline's learning job to Flink; it continues where it was.

    A job is not submitted if the pipeline is no longer what its lineage began with. The error says what has
    changed, and which of the options you may use.

    To a Flink elsewhere, as STREAMLEARN_FLINK names it, nothing must have been started here: docs/cluster.md.

    \b
    streamlearn train digits
    streamlearn train digits --fresh
    streamlearn train digits --parallelism 4
    streamlearn train mine
    """  # noqa: D301 (click wants the character)
    from flink_jobs.keep import keep_running
    from flink_jobs.submit import submit
    from streamlearn.cli.terminal.progress import Activity
    from streamlearn.pipelines.announced import announce

    if fresh and rebuild:
        raise click.UsageError("--fresh begins anew and --rebuild goes on: use only one of them")
    if keep and (fresh or rebuild or accept_edits):
        raise click.UsageError(
            "--keep submits again and again: use --fresh, --rebuild and --accept-edits without it, once"
        )
    settings = load_client_settings(asks_flink=not keep)
    if keep:
        keep_running(settings, [pipeline], click.echo)
    with Activity(f"submitting {pipeline.name}"):
        submit(
            settings,
            pipeline,
            fresh=fresh,
            rebuild=rebuild,
            accept_edits=accept_edits,
            parallelism=parallelism,
            wait_s=wait_s,
            echo=click.echo,
        )
    announce(settings, pipeline)


@click.command()
@takes_pipeline
@click.option(
    "--force", is_flag=True, help="Cancel the pipeline's job if it runs; go on if Flink does not answer."
)
def reset(pipeline: "Pipeline", force: bool) -> None:
    """Forget what a pipeline has learned; its topics stay.

    The next `streamlearn train` begins a new lineage after the last committed record.

    Example: streamlearn reset digits --force
    """
    from flink_jobs.reset import end_lineage
    from streamlearn.cli.terminal.progress import Activity
    from streamlearn.pipelines.announced import withdraw

    settings = Settings.load()
    # First: what keeps jobs running would begin a new lineage.
    withdraw(settings, pipeline)
    with Activity(f"resetting {pipeline.name}"):
        end_lineage(settings, pipeline, force=force, echo=click.echo)


@click.command()
@takes_pipeline
@click.option("--offset", type=click.IntRange(min=0), required=True, help="Where the record stands.")
@click.option(
    "--partition", type=click.IntRange(min=0), default=0, show_default=True, help="In which partition."
)
def skip(pipeline: "Pipeline", offset: int, partition: int) -> None:
    """Get past a record on which the job ends each time, without losing the model.

    The record is kept as a dead letter; `streamlearn verify` skips it too. A record on which your code only
    raises an error is set aside by itself. `streamlearn status` tells where a job stands.

    Example: streamlearn skip digits --offset 1200
    """
    from flink_jobs.skip import skip_record
    from streamlearn.cli.terminal.progress import Activity

    settings = load_client_settings()
    with Activity(f"skipping offset {offset} of {pipeline.name}"):
        skip_record(settings, pipeline, offset, partition, wait_s=_WAIT_S, echo=click.echo)


def load_client_settings(*, asks_flink: bool = True) -> Settings:
    """Load the settings; where Flink is elsewhere, see to what a stack would have written here.

    That may be hundreds of megabytes, so Flink has to answer first, unless the command waits for it anyway or
    needs none: then `asks_flink` is false.
    """
    from streamlearn.local.configuration import prepare_client
    from streamlearn.operations import flink_api

    settings = Settings.load()
    if settings.is_flink_elsewhere:
        if asks_flink:
            flink_api.call(settings, "/overview")
        prepare_client(settings, partial(click.echo, err=True))
    return settings


commands = [train, skip]
reset_commands = [reset]
