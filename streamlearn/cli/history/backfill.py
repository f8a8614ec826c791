"""`streamlearn backfill`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamlearn.cli.targets import takes_pipeline, use_stack_elsewhere
from streamlearn.cli.train import load_client_settings
from streamlearn.errors import DataUnavailable, JobError
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.broker.broker import Broker
    from streamlearn.pipelines.base import Pipeline

_WAIT_S = 60.0


@click.command()
@takes_pipeline
@click.option(
    "--file",
    type=click.Path(exists=True, path_type=Path),
    help="The history: the rows of this file, or of all files in this folder, as `streamlearn replay` reads"
    " them.  [default: the pipeline's data set]",
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Also where a lineage has learned live records: end that one, cancel its job if it runs, and submit"
    " the job again, which goes on from the history, after those records.",
)
def backfill(pipeline: "Pipeline", file: Path | None, fresh: bool) -> None:
    """Let a pipeline begin with what a history teaches it, before its first live record.

    The history is written to a topic of its own, predicted and learned. A new lineage begins from there:
    `streamlearn train` goes on with it, its model is served from now on, and a rebuild and
    `streamlearn verify` begin with the history, too.

    \b
    streamlearn backfill pm25 --file history.csv
    streamlearn train pm25
    """  # noqa: D301 (click wants the character)
    from flink_jobs.reset import cancel_live_job
    from flink_jobs.submit import submit
    from streamlearn.broker.broker import Broker
    from streamlearn.broker.topics import ensure_topics
    from streamlearn.cli.terminal.progress import OffsetProgress
    from streamlearn.datasets.table import Table
    from streamlearn.engine.evaluate import format_table
    from streamlearn.learning.process import pin_blas_threads, relieve_collector
    from streamlearn.operations.history.backfill import begin_lineage, check_can_begin, learn_history
    from streamlearn.operations.lock import lock_submission

    pin_blas_threads()
    relieve_collector()
    use_stack_elsewhere()
    settings = Settings.load()
    pipeline = replace(pipeline, dataset=pipeline.read_file(file)) if file else pipeline
    with Broker(settings) as broker:
        partitions = ensure_topics(broker, pipeline)
        is_running = _check_job(settings, pipeline, fresh=fresh)
        check_can_begin(broker, pipeline, fresh=fresh)
        topic = _write(broker, pipeline, partitions)
        with OffsetProgress(f"learning {topic}") as progress:
            history = learn_history(broker, pipeline, topic, partitions, progress.show)
        bad = pipeline.dataset.bad_rows if isinstance(pipeline.dataset, Table) else []
        left_out = f"; {len(bad)} rows did not fit and were left out" if bad else ""
        click.echo(f"{topic}: {history.records} records learned{left_out}")
        if history.set_aside:
            click.echo(f"{history.set_aside} of them could not be taken; the first: {history.reason}")
        for learner in history.learners:
            for line in format_table(learner.score):
                click.echo(line)
        with lock_submission(settings, pipeline):
            if is_running := _check_job(settings, pipeline, fresh=fresh) or is_running:
                cancel_live_job(settings, pipeline, force=False)
            lineage = begin_lineage(broker, pipeline, history, fresh=fresh)
    where = ", ".join(map(str, lineage.starts))
    click.echo(f"lineage {lineage.id} begins from there, and learns {pipeline.topic} from offset {where} on")
    if is_running:
        submit(load_client_settings(), pipeline, wait_s=_WAIT_S, echo=click.echo)
    else:
        click.echo(f"go on with: streamlearn train {pipeline.reference or pipeline.name}")


def _check_job(settings: Settings, pipeline: "Pipeline", *, fresh: bool) -> bool:
    """Return whether the pipeline's job runs; refuse that unless `fresh`."""
    from streamlearn.operations import flink_api
    from streamlearn.operations.flink_api import job_name

    job = flink_api.newest_job(settings, job_name(pipeline.name))
    if job is None or not job.live:
        return False
    if not fresh:
        raise JobError(
            f"{job.name} runs, and its lineage has begun: --fresh ends that one, and lets the job go on from"
            " the history"
        )
    return True


def _write(broker: "Broker", pipeline: "Pipeline", partitions: int) -> str:
    """Write the history to a topic of its own; leave nothing there if that is broken off."""
    from producer.replay import send_history
    from streamlearn.broker.topics import create_history_topic, delete_topic
    from streamlearn.cli.terminal.progress import AcknowledgedProgress

    dataset = pipeline.dataset
    if dataset is None:
        raise DataUnavailable(f"{pipeline.name} has no data set: --file names a file of its history")
    dataset.prepare()
    topic = create_history_topic(broker, pipeline, partitions)
    try:
        with AcknowledgedProgress(topic) as progress:
            send_history(broker, pipeline, dataset, topic, partitions, progress.show)
    except BaseException:
        delete_topic(broker, topic)
        raise
    return topic


commands = [backfill]
