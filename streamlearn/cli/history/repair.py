"""`streamlearn repair` and `streamlearn promote`: a copy learned beside the live job, and taken over."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamlearn.cli.targets import takes_pipeline, use_stack_elsewhere
from streamlearn.cli.train import load_client_settings
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.broker.broker import Broker
    from streamlearn.operations.history.backfill import HistoryLearning
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


_figure = click.option(
    "--figure",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw both scores over time into this file (.png, .svg, .pdf).",
)
_switch = click.option("--switch", is_flag=True, help="Take over: let the job go on with the other model.")


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
    "--set",
    "texts",
    metavar="NAME=VALUE",
    multiple=True,
    help="Learn the copy with another value of a parameter, to be compared; may be given again.",
)
@_figure
@_switch
def repair(
    pipeline: "Pipeline",
    begin: datetime,
    end: datetime,
    file: Path,
    field: str,
    texts: tuple[str, ...],
    figure: Path | None,
    switch: bool,
) -> None:
    """Learn a lineage's records again, with those of a span of time replaced.

    A copy of the records is learned beside the live job, and both are compared. Without --switch that is all,
    and the copy is deleted. With it the copy takes in what has come meanwhile. Once little is left, the job
    is stopped for the rest, and a lineage that begins from there goes on. Records that arrive while it stands
    still wait in Kafka.

    \b
    streamlearn repair pm25 --from 2014-03-01 --to 2014-04-01 --file march.csv
    streamlearn repair pm25 --from 2014-03-01 --to 2014-04-01 --file march.csv --switch
    streamlearn repair pm25 --from 2014-03-01 --to 2014-04-01 --file march.csv --set ridge=10
    """  # noqa: D301 (click wants the character)
    from streamlearn.broker.broker import Broker
    from streamlearn.operations.history import repair as repairs
    from streamlearn.operations.history.backtest import require_open_lineage, take_parameters

    if begin >= end:
        raise click.UsageError(f"the span from {begin} to {end} is empty: --to is the first time after it")
    if texts and switch:
        raise click.UsageError(
            "--set only compares. To take over, call this with --switch alone, write the values into the"
            " pipeline's module, then call `streamlearn promote`"
        )
    settings, span = _prepare(figure), repairs.Span(field, begin, end)
    with Broker(settings) as broker:
        lineage = require_open_lineage(broker, pipeline)
        pipeline = take_parameters(pipeline, lineage)
        repairs.check_repairable(broker, pipeline, lineage)
        changed, name = _set_parameters(pipeline, texts)
        correction = repairs.read_correction(pipeline, pipeline.read_file(file), span)
        copy = repairs.write_copy(broker, pipeline, lineage, span, correction)
        click.echo(f"{copy.removed} records replaced by {copy.corrected}; {copy.records} in all\n")
        stopped_s = _learn(broker, pipeline, changed, lineage, copy, name, figure, switch)
    _go_on(pipeline, stopped_s, switch)


@click.command()
@takes_pipeline
@_figure
@_switch
def promote(pipeline: "Pipeline", figure: Path | None, switch: bool) -> None:
    """Let a pipeline go on with other parameters, as if it had learned with them from the beginning.

    `streamlearn backtest` tells which do better: write them into the pipeline's module. What the open lineage
    has learned is learned again with them, beside the live job, and both are compared. Without --switch that
    is all. With it a lineage that begins from there goes on.

    \b
    streamlearn backtest flowers --set ridge=1,10
    streamlearn promote flowers
    streamlearn promote flowers --switch
    """  # noqa: D301 (click wants the character)
    from streamlearn.broker.broker import Broker
    from streamlearn.operations.history import repair as repairs
    from streamlearn.operations.history.backtest import require_open_lineage, take_parameters

    settings = _prepare(figure)
    with Broker(settings) as broker:
        lineage = require_open_lineage(broker, pipeline)
        repairs.check_promotable(pipeline, lineage)
        repairs.check_repairable(broker, pipeline, lineage)
        copy = repairs.write_copy(broker, pipeline, lineage, repairs.NO_SPAN, [])
        live = take_parameters(pipeline, lineage)
        stopped_s = _learn(broker, live, pipeline, lineage, copy, repairs.PROMOTED, figure, switch)
    _go_on(pipeline, stopped_s, switch)


def _set_parameters(pipeline: "Pipeline", texts: Sequence[str]) -> tuple["Pipeline", str]:
    """Return the pipeline with what texts such as `ridge=10` set, and what its outcome is called.

    Raises
    ------
    ConfigurationError
        A text cannot be understood, or names what the estimator does not take.
    """
    from streamlearn.operations.history.backtest import parse_variants
    from streamlearn.operations.history.repair import REPAIRED

    _, *variants = parse_variants(pipeline, texts).items()
    if not texts:
        return pipeline, REPAIRED
    if len(variants) != 1:
        raise click.UsageError(
            "--set takes one other value of each parameter here; `streamlearn backtest` tries several"
        )
    ((name, parameters),) = variants
    return replace(pipeline, parameters=parameters, earlier=()), f"{REPAIRED}, {name}"


def _prepare(figure: Path | None) -> Settings:
    """Return the settings of a command that learns; see first that the figure can be drawn."""
    from streamlearn.learning.process import pin_blas_threads, relieve_collector
    from streamlearn.reports.figures.variants import check_file

    if figure is not None:
        check_file(figure)
    pin_blas_threads()
    relieve_collector()
    use_stack_elsewhere()
    return Settings.load()


def _learn(
    broker: "Broker",
    live_pipeline: "Pipeline",
    pipeline: "Pipeline",
    lineage: "Lineage",
    copy: "Copy",
    name: str,
    figure: Path | None,
    switch: bool,
) -> float | None:
    """Learn a copy, show what that changes and, with `switch`, take it over, else delete it.

    Return when the job was stopped, by the monotonic clock; None if none was.
    """
    from streamlearn.cli.terminal.progress import OffsetProgress
    from streamlearn.engine.backtest import format_table
    from streamlearn.operations.history import repair as repairs
    from streamlearn.reports.figures.variants import draw_variants

    try:
        with OffsetProgress(f"learning {copy.topic}") as progress:
            outcomes = repairs.compare(
                broker, live_pipeline, lineage, copy, progress.show, changed=pipeline, name=name
            )
        for line in format_table(outcomes):
            click.echo(line)
        click.echo("")
        for line in repairs.describe_parameters(*outcomes):
            click.echo(line)
        if figure is not None:
            draw_variants(outcomes, pipeline, figure)
            click.echo(f"{figure}: the scores over time, each point over the last tenth of the records")
        if not switch:
            return None
        with OffsetProgress(f"learning {copy.topic}") as progress:
            learning, count = repairs.learn_beside(
                broker, pipeline, lineage, copy, outcomes[-1], progress.show
            )
        return _take_over(broker, pipeline, lineage, copy, learning, count)
    finally:
        repairs.discard(broker, copy)


def _go_on(pipeline: "Pipeline", stopped_s: float | None, switch: bool) -> None:
    """Submit the job again that was stopped for a switch, and say how long it stood still."""
    if not switch:
        click.echo("nothing live has changed; --switch lets the job go on with the other model")
    elif stopped_s is not None:
        from flink_jobs.submit import submit

        submit(load_client_settings(), pipeline, wait_s=_WAIT_S, echo=click.echo)
        click.echo(f"the job stood still for {time.monotonic() - stopped_s:.0f} s")
    else:
        click.echo(f"go on with: streamlearn train {pipeline.reference or pipeline.name}")


def _take_over(
    broker: "Broker",
    pipeline: "Pipeline",
    lineage: "Lineage",
    copy: "Copy",
    learning: "HistoryLearning",
    count: int,
) -> float | None:
    """Stop the job, and begin a lineage from the copy and what has come since, `count` records before that.

    Return when the job was stopped, by the monotonic clock; None if none ran.
    """
    from flink_jobs.checkpoints import stop_at_savepoint
    from streamlearn.operations import flink_api
    from streamlearn.operations.flink_api import job_name
    from streamlearn.operations.history import repair as repairs
    from streamlearn.operations.history.backfill import begin_lineage
    from streamlearn.operations.lock import lock_submission

    settings, stopped_s = broker.settings, None
    with lock_submission(settings, pipeline):
        job = flink_api.newest_job(settings, job_name(pipeline.name))
        if job is not None and job.live:
            click.echo(f"{job.name} is stopped at a savepoint")
            stopped_s = time.monotonic()
            stop_at_savepoint(settings, job)
        try:
            repairs.check_repairable(broker, pipeline, lineage)
            count += repairs.catch_up(broker, pipeline, lineage, copy)
            left = learning.count_left()
            new = begin_lineage(broker, pipeline, learning.finish(), fresh=True)
        except BaseException:
            click.echo(
                f"nothing was taken over: `streamlearn train {pipeline.name}` goes on as before", err=True
            )
            raise
    click.echo(
        f"lineage {new.id} begins from {copy.topic}, with {count} records that have come meanwhile;"
        f" {left} were learned with the job stopped"
    )
    return stopped_s


commands = [repair, promote]
