"""`streamlearn repair`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamlearn.cli.targets import takes_pipeline, use_stack_elsewhere
from streamlearn.cli.train import load_client_settings
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.broker.broker import Broker
    from streamlearn.operations.history.repair import Copy
    from streamlearn.pipelines.base import Pipeline
    from streamlearn.stream.lineage import Lineage

_WAIT_S = 60.0


class _Time(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from streamlearn.lags.grid import to_utc

        try:
            return to_utc(datetime.fromisoformat(value))
        except ValueError:
            self.fail(f"{value!r} is no time such as 2014-03-01 or 2014-03-01T12:00", param, ctx)


@click.command()
@takes_pipeline
@click.option("--from", "begin", type=_Time(), required=True, help="The first time of the span.")
@click.option("--to", "end", type=_Time(), required=True, help="The first time after the span.")
@click.option(
    "--file",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="The records to learn in place of those of the span, as `streamlearn replay` reads them.",
)
@click.option(
    "--time", "field", default="ts", show_default=True, help="The field of a record that holds its time."
)
@click.option(
    "--figure",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw both scores over time into this file (.png, .svg, .pdf).",
)
@click.option("--switch", is_flag=True, help="Take over: let the job go on with the repaired model.")
def repair(
    pipeline: "Pipeline",
    begin: datetime,
    end: datetime,
    file: Path,
    field: str,
    figure: Path | None,
    switch: bool,
) -> None:
    """Learn a lineage's records again, with those of a span of time replaced.

    A copy of the records is learned beside the live job, and both are compared. Without --switch that is all,
    and the copy is deleted. With it the job is stopped, the copy takes in what has come meanwhile, and a
    lineage that begins from there goes on. Records that arrive during that wait in Kafka.

    \b
    streamlearn repair pm25 --from 2014-03-01 --to 2014-04-01 --file march.csv
    streamlearn repair pm25 --from 2014-03-01 --to 2014-04-01 --file march.csv --switch
    """  # noqa: D301 (click wants the character)
    from streamlearn.broker.broker import Broker
    from streamlearn.broker.topics import delete_topic
    from streamlearn.cli.terminal.progress import OffsetProgress
    from streamlearn.engine.backtest import format_table
    from streamlearn.learning.process import pin_blas_threads, relieve_collector
    from streamlearn.operations.history import repair as repairs
    from streamlearn.operations.history.backtest import require_open_lineage, take_parameters
    from streamlearn.reports.figures.variants import check_file, draw_variants

    if begin >= end:
        raise click.UsageError(f"the span from {begin} to {end} is empty: --to is the first time after it")
    if figure is not None:
        check_file(figure)
    pin_blas_threads()
    relieve_collector()
    use_stack_elsewhere()
    settings, span = Settings.load(), repairs.Span(field, begin, end)
    with Broker(settings) as broker:
        lineage = require_open_lineage(broker, pipeline)
        pipeline = take_parameters(pipeline, lineage)
        repairs.check_repairable(broker, pipeline, lineage)
        correction = repairs.read_correction(pipeline, pipeline.read_file(file), span)
        copy = repairs.write_copy(broker, pipeline, lineage, span, correction)
        is_taken = False
        try:
            with OffsetProgress(f"learning {copy.topic}") as progress:
                live, repaired = repairs.compare(broker, pipeline, lineage, copy, progress.show)
            click.echo(f"{copy.removed} records replaced by {copy.corrected}; {copy.records} in all\n")
            for line in format_table([live, repaired]):
                click.echo(line)
            click.echo("")
            for line in repairs.describe_parameters(live, repaired):
                click.echo(line)
            if figure is not None:
                draw_variants([live, repaired], pipeline, figure)
                click.echo(f"{figure}: the scores over time, each point over the last tenth of the records")
            if switch:
                is_running = _take_over(broker, pipeline, lineage, copy)
                is_taken = True
        finally:
            if not is_taken:
                delete_topic(broker, copy.topic)
    if not switch:
        click.echo("nothing live has changed; --switch lets the job go on with the repaired model")
    elif is_running:
        from flink_jobs.submit import submit

        submit(load_client_settings(), pipeline, wait_s=_WAIT_S, echo=click.echo)
    else:
        click.echo(f"go on with: streamlearn train {pipeline.reference or pipeline.name}")


def _take_over(broker: "Broker", pipeline: "Pipeline", lineage: "Lineage", copy: "Copy") -> bool:
    """Stop the job, and begin a lineage from the copy and what has come since; return whether a job ran."""
    from flink_jobs import workers
    from flink_jobs.checkpoints import savepoint_folder
    from streamlearn.cli.terminal.progress import OffsetProgress
    from streamlearn.operations import flink_api
    from streamlearn.operations.flink_api import job_name
    from streamlearn.operations.history import repair as repairs
    from streamlearn.operations.history.backfill import begin_lineage, learn_history
    from streamlearn.operations.lock import lock_submission

    settings = broker.settings
    with lock_submission(settings, pipeline):
        job = flink_api.newest_job(settings, job_name(pipeline.name))
        is_running = job is not None and job.live
        if job is not None and job.live:
            click.echo(f"{job.name} is stopped at a savepoint")
            flink_api.stop(settings, job, savepoint_folder(workers.load_settings(settings)).as_uri())
        try:
            more = repairs.catch_up(broker, pipeline, lineage, copy)
            with OffsetProgress(f"learning {copy.topic}") as progress:
                partitions = len(lineage.partitions)
                history = learn_history(broker, pipeline, copy.topic, partitions, progress.show)
            new = begin_lineage(broker, pipeline, history, fresh=True)
        except BaseException:
            click.echo(
                f"nothing was taken over: `streamlearn train {pipeline.name}` goes on as before", err=True
            )
            raise
    click.echo(f"lineage {new.id} begins from {copy.topic}, with {more} records that have come meanwhile")
    return is_running


commands = [repair]
