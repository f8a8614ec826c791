"""`streamlearn replay`."""

import time

import click
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn

from producer.replay import Progress
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
    help="Records a second; 0: as fast as possible. [default: STREAMLEARN_REPLAY_RATE or 10]",
)
@click.option("--limit", type=click.IntRange(min=1), help="Send exactly so many records.")
@click.option("--loop", is_flag=True, help="Go on, pass after pass, until interrupted.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Shuffles each pass; the same seed sends the same."
)
def replay(pipeline: Pipeline, rate: float | None, limit: int | None, loop: bool, seed: int) -> None:
    """Send a pipeline's data set into its topic; what has no order is freshly shuffled at each pass.

    Example: streamlearn replay digits --rate 0 --limit 17970 sends ten passes as fast as it goes.
    """
    settings = Settings.load()
    with _AcknowledgedProgress(pipeline.name) as progress:
        done = send_dataset(
            settings,
            pipeline,
            rate=settings.replay_rate if rate is None else rate,
            limit=limit,
            loop=loop,
            seed=seed,
            show=progress.show,
        )
    click.echo(f"{done.acknowledged} records sent and acknowledged")


class _AcknowledgedProgress(ProgressDisplay):
    """How many records were acknowledged, and how fast."""

    def __init__(self, title: str) -> None:
        rate = TextColumn("{task.fields[rate]:.0f} records/s")
        super().__init__(TextColumn(title), BarColumn(), MofNCompleteColumn(), rate)
        self._task: TaskID | None = None
        self._start = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Show where the replay stands, at most a few times a second."""
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
