"""`streamlearn replay`."""

import time

import click
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn

from producer.replay import ReplayProgress
from producer.replay import replay as send_dataset
from streamlearn.cli.pipeline_argument import takes_pipeline
from streamlearn.cli.progress import ProgressDisplay
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings


@click.command()
@takes_pipeline
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    help="Records a second; 0: as fast as possible.  [default: STREAMLEARN_REPLAY_RATE, else 10]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Send exactly so many records, over as many passes as that takes.",
)
@click.option("--loop", is_flag=True, help="Go on, pass after pass, until you interrupt it.")
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the shuffling; the same seed sends the same.",
)
def replay(pipeline: Pipeline, rate: float | None, limit: int | None, loop: bool, seed: int) -> None:
    """Send a pipeline's data set into its topic, once unless you say otherwise.

    Data without an order of its own is shuffled anew at each pass. This sends ten passes as fast as possible:

    streamlearn replay digits --rate 0 --limit 17970
    """
    settings = Settings.load()
    with _AcknowledgedProgress(pipeline.name) as progress:
        result = send_dataset(
            settings,
            pipeline,
            rate=settings.replay_rate if rate is None else rate,
            limit=limit,
            loop=loop,
            seed=seed,
            show=progress.show,
        )
    click.echo(f"{result.acknowledged} records sent and acknowledged")


class _AcknowledgedProgress(ProgressDisplay):
    """A bar of the acknowledged records, and their rate."""

    def __init__(self, title: str) -> None:
        rate = TextColumn("{task.fields[rate]:.0f} records/s")
        super().__init__(TextColumn(title), BarColumn(), MofNCompleteColumn(), rate)
        self._task: TaskID | None = None
        self._start = time.monotonic()

    def show(self, progress: ReplayProgress) -> None:
        """Show how far the replay has come, at most a few times a second."""
        if not self.due(always=progress.acknowledged == progress.total):
            return
        rate = progress.acknowledged / max(time.monotonic() - self._start, 1e-9)
        if not self.live:
            click.echo(
                f"{progress.acknowledged} of {progress.total or '∞'} acknowledged, {rate:.0f}/s", err=True
            )
        elif self._task is None:
            self._task = self.bar.add_task(
                "", total=progress.total, completed=progress.acknowledged, rate=rate
            )
        else:
            self.bar.update(self._task, completed=progress.acknowledged, rate=rate)


commands = [replay]
