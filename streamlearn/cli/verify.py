"""`streamlearn verify`."""

import sys
import time

import click
import msgspec
from rich.progress import BarColumn, TextColumn

from streamlearn.cli.pipeline_argument import takes_pipeline
from streamlearn.cli.progress import ProgressDisplay
from streamlearn.errors import StreamlearnError
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings


@click.command()
@takes_pipeline
@click.option(
    "--last", type=click.IntRange(min=1), help="Verify only about so many records, from a kept version on."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def verify(pipeline: Pipeline, last: int | None, as_json: bool) -> None:
    """Repeat the stream's learning offline, and compare every answer and every version that is kept.

    You may run it beside a live job: it goes up to what is committed. Exit 0: everything is equal. Exit 1:
    something differs. Exit 2: there was nothing to compare, or a part does not answer.

    \b
    streamlearn verify digits
    streamlearn verify digits --last 10000
    """  # noqa: D301 (click wants the character)
    from streamlearn.broker.broker import Broker
    from streamlearn.engine.verify import verify as compare
    from streamlearn.learning.blas import pin_blas_threads
    from streamlearn.learning.collector import relieve_collector
    from streamlearn.operations import verification

    pin_blas_threads()
    relieve_collector()
    settings = Settings.load()
    start = time.monotonic()
    try:
        with _OffsetProgress(f"verifying {pipeline.name}") as progress, Broker(settings) as broker:
            lineage, snapshots, stream = verification.collect(broker, pipeline)
            report = compare(
                pipeline,
                lineage,
                stream,
                snapshots,
                key=settings.checkpoint_key,
                last=last,
                report_progress=progress.show,
            )
    except StreamlearnError as error:
        if as_json:
            click.echo(msgspec.json.encode({"pipeline": pipeline.name, "error": str(error), "exit_code": 2}))
        click.echo(f"streamlearn: {error}", err=True)
        sys.exit(2)
    if as_json:
        more = {"exit_code": report.exit_code, "records": report.records, "nothing": report.nothing_compared}
        click.echo(msgspec.json.encode({**msgspec.to_builtins(report), **more}))
    else:
        for line in verification.format_report(report, time.monotonic() - start):
            click.echo(line)
    sys.exit(report.exit_code)


class _OffsetProgress(ProgressDisplay):
    """A bar of the offset reached, out of the last one."""

    def __init__(self, title: str) -> None:
        offsets = TextColumn("offset {task.completed:.0f} of {task.total:.0f}")
        super().__init__(TextColumn(title), BarColumn(), offsets, every_s=0.5)
        self._title = title
        self._task = self.bar.add_task("", total=1)

    def show(self, offset: int, end: int) -> None:
        """Show both, twice a second at most."""
        if not self.due():
            return
        if self.live:
            self.bar.update(self._task, completed=offset, total=end)
        else:
            click.echo(f"{self._title}: offset {offset} of {end}", err=True)


commands = [verify]
