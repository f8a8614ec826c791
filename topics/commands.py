"""The commands that read what the stream has said, and tell it to go back: verify, models (and lags)."""

import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.progress import BarColumn, TextColumn

from streamlearn.choosing import choosing
from streamlearn.display import Display
from streamlearn.errors import StreamlearnError
from streamlearn.pipeline import Pipeline, load
from streamlearn.settings import Settings
from topics.lag_command import lags


@click.command()
@choosing
@click.option(
    "--last", type=click.IntRange(min=1), help="Only about so many records, from a version before them."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def verify(pipeline: Pipeline, last: int | None, as_json: bool) -> None:
    """Do the stream's learning again, quietly, and compare every answer and every version kept.

    It runs beside a live job, up to what is committed. Exit 0: everything is equal. Exit 1: something
    differs. Exit 2: there was nothing to compare, or a part does not answer.

    Example: streamlearn verify digits
    """
    from streamlearn.learner import pin_blas_threads
    from streamlearn.verify import verify as run
    from topics import verifying

    pin_blas_threads()
    settings = Settings.load()
    start = time.monotonic()
    try:
        with _Offsets(f"verifying {pipeline.name}") as display:
            lineage, snapshots, stream = verifying.collected(settings, pipeline)
            report = run(
                pipeline,
                lineage,
                stream,
                snapshots,
                key=settings.checkpoint_key,
                last=last,
                show=display.show,
            )
    except StreamlearnError as error:
        if as_json:
            click.echo(msgspec.json.encode({"pipeline": pipeline.name, "error": str(error), "exit_code": 2}))
        click.echo(f"streamlearn: {error}", err=True)
        sys.exit(2)
    if as_json:
        more = {"exit_code": report.exit_code, "records": report.records, "nothing": report.nothing}
        click.echo(msgspec.json.encode({**msgspec.to_builtins(report), **more}))
    else:
        for line in verifying.words(report, time.monotonic() - start):
            click.echo(line)
    sys.exit(report.exit_code)


@click.command()
@click.argument("name", metavar="PIPELINE")
@click.argument("action", type=click.Choice(["list", "rollback", "pin", "unpin", "export", "import", "lags"]))
@click.argument("what", metavar="[VERSION|FILE|LAGS]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.option(
    "--wait", "wait_s", default=60.0, show_default=True, help="Seconds to wait until the job has obeyed."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that export writes.  [default: PIPELINE-VERSION.slsnap]",
)
def models(
    name: str, action: str, what: str | None, as_json: bool, wait_s: float, output: Path | None
) -> None:
    """List the versions of a model that are kept, choose which is served, go back to one, change its lags.

    PIPELINE is a registered pipeline, or one of your own as module:object.

    \b
    list             the versions that are kept, and which is served
    pin VERSION      serve this version, whatever is learned meanwhile
    unpin            serve the newest version again
    rollback VERSION let learning go on from this version: a control record in the input topic; everything
                     before it was learned as it was, what comes after goes on from VERSION
    export VERSION   write a version into a file
    import FILE      serve (pin) the version in a file, written here or elsewhere with the same
                     STREAMLEARN_CHECKPOINT_KEY; what is learned does not change

    lags             which lags a forecast is made from, and which series leads by how many steps
    lags LAGS        make it from these from now on: a control record in the input topic; a set such as
                     'pollution=0-24 dew=0,3' ('*=0-6': of every series), `default`, or `chosen` by the
                     correlations so far

    \b
    streamlearn models digits list
    streamlearn models digits rollback 1200
    streamlearn models pm25 lags chosen
    """  # noqa: D301 (click wants the character)
    from topics import controlling, lag_words, versions

    settings, pipeline = Settings.load(), load(name)
    lines: Iterable[str]
    if action == "list":
        _list(settings, pipeline, as_json)
        return
    if action == "unpin":
        lines = versions.unpin(settings, pipeline)
    elif action == "lags" and what is None:
        lines = lag_words.shown(settings, pipeline)
    elif action == "lags":
        lags = lag_words.asked(settings, pipeline, str(what))
        lines = controlling.use_lags(settings, pipeline, lags, wait_s=wait_s)
    elif action == "import":
        lines = versions.import_(settings, pipeline, Path(_needed(what, action, "FILE")))
    else:
        try:
            version = int(_needed(what, action, "VERSION"))
        except ValueError:
            raise click.UsageError(f"{what!r} is not a version: a whole number") from None
        if action == "rollback":
            lines = controlling.roll_back(settings, pipeline, version, wait_s=wait_s)
        elif action == "pin":
            lines = versions.pin(settings, pipeline, version)
        else:
            file = output or Path(f"{pipeline.name}-{version}.slsnap")
            lines = versions.export(settings, pipeline, version, file)
    for line in lines:
        click.echo(line)


def _needed(what: str | None, action: str, name: str) -> str:
    if what is None:
        raise click.UsageError(f"say which: streamlearn models PIPELINE {action} {name}")
    return what


def _list(settings: Settings, pipeline: Pipeline, as_json: bool) -> None:
    from topics import versions

    kept = versions.kept(settings, pipeline)
    if as_json:
        click.echo(msgspec.json.encode(kept))
        return
    if not kept:
        click.echo(f"Redis keeps no version of {pipeline.name}")
    for one in kept:
        written = datetime.fromtimestamp(one.about.time_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        figures = ", ".join(
            f"{name} {value:.4g}" for name, value in one.about.score.items() if value is not None
        )
        click.echo(
            f"{one.version:>10}  {one.lineage}  {written}  {one.about.samples:>9} scored  {figures}"
            + ("  ← served" if one.served else "")
            + (" (pinned)" if one.pinned else "")
        )


class _Offsets(Display):
    """The offset reached, and the one to reach."""

    def __init__(self, title: str) -> None:
        offsets = TextColumn("offset {task.completed:.0f} of {task.total:.0f}")
        super().__init__(TextColumn(title), BarColumn(), offsets, every_s=0.5)
        self._title = title
        self._task = self.bar.add_task("", total=1)

    def show(self, at: int, end: int) -> None:
        """Show both, now and then."""
        if not self.due():
            return
        if self.live:
            self.bar.update(self._task, completed=at, total=end)
        else:
            click.echo(f"{self._title}: offset {at} of {end}", err=True)


commands = [verify, models, lags]
