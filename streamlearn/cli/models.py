"""`streamlearn models PIPELINE …`: the versions that are kept, what is served, going back, other lags."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings

_wait = click.option(
    "--wait", "wait_s", default=60.0, show_default=True, help="Seconds to wait until the job has obeyed."
)
_version = click.argument("version", type=int)


@click.group()
@click.argument("pipeline")
@click.pass_context
def models(context: click.Context, pipeline: str) -> None:
    """List the versions of a model, choose which is served, go back to one, change its lags.

    PIPELINE is a registered pipeline, or one of your own as module:object.

    \b
    streamlearn models digits list
    streamlearn models digits rollback 1200
    streamlearn models pm25 lags chosen
    streamlearn models digits rollback --help
    """  # noqa: D301 (click wants the character)
    # The help of a subcommand needs no pipeline.
    context.obj = pipeline


@models.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_obj
def list_command(pipeline: str, as_json: bool) -> None:
    """List the versions that are kept, and which is served."""
    from streamlearn.operations.model_versions import list_versions

    settings, loaded = _load(pipeline)
    versions = list_versions(settings, loaded)
    if as_json:
        click.echo(msgspec.json.encode(versions))
        return
    if not versions:
        click.echo(f"Redis keeps no version of {loaded.name}")
    for kept in versions:
        info = kept.about
        written = datetime.fromtimestamp(info.time_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        figures = ", ".join(f"{name} {value:.4g}" for name, value in info.score.items() if value is not None)
        click.echo(
            f"{kept.version:>10}  {kept.lineage}  {written}  {info.samples:>9} scored  {figures}"
            + ("  ← served" if kept.served else "")
            + (" (pinned)" if kept.pinned else "")
        )


@models.command()
@_version
@click.pass_obj
def pin(pipeline: str, version: int) -> None:
    """Serve VERSION, whatever is learned meanwhile, until it is unpinned."""
    from streamlearn.operations.model_versions import pin_version

    _echo(pin_version(*_load(pipeline), version))


@models.command()
@click.pass_obj
def unpin(pipeline: str) -> None:
    """Serve the newest version again."""
    from streamlearn.operations.model_versions import unpin_version

    _echo(unpin_version(*_load(pipeline)))


@models.command()
@_version
@_wait
@click.pass_obj
def rollback(pipeline: str, version: int, wait_s: float) -> None:
    """Let learning go on from VERSION, by a control record in the input topic.

    Everything before it was learned as it was; what comes after goes on from VERSION.
    """
    from streamlearn.operations.lineage_changes import roll_back

    _echo(roll_back(*_load(pipeline), version, wait_s=wait_s))


@models.command()
@_version
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: PIPELINE-VERSION.slsnap]",
)
@click.pass_obj
def export(pipeline: str, version: int, output: Path | None) -> None:
    """Write VERSION into a file."""
    from streamlearn.operations.model_versions import export_version

    settings, loaded = _load(pipeline)
    _echo(export_version(settings, loaded, version, output or Path(f"{loaded.name}-{version}.slsnap")))


@models.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def import_command(pipeline: str, file: Path) -> None:
    """Serve (pin) the version in FILE; what is learned does not change.

    The file was written here, or elsewhere with the same STREAMLEARN_CHECKPOINT_KEY.
    """
    from streamlearn.operations.model_versions import import_version

    _echo(import_version(*_load(pipeline), file))


@models.command()
@click.argument("lags", required=False)
@_wait
@click.pass_obj
def lags(pipeline: str, lags: str | None, wait_s: float) -> None:
    """Show which lags a forecast is made from, or make it from LAGS from now on.

    LAGS is a set such as 'pollution=0-24 dew=0,3' ('*=0-6': of every series), `default`, or `chosen` by the
    correlations so far. The change is a control record in the input topic; what was learned of the lags that
    stay is kept.
    """
    from streamlearn.operations import lag_choice
    from streamlearn.operations.lineage_changes import newest_learner, use_lags

    settings, loaded = _load(pipeline)
    if lags is None:
        lag_choice.choosable(loaded)
        _echo(lag_choice.describe(loaded, newest_learner(settings, loaded)))
    else:
        chosen = lag_choice.parse_choice(loaded, lags, lambda: newest_learner(settings, loaded))
        _echo(use_lags(settings, loaded, chosen, wait_s=wait_s))


def _load(pipeline: str) -> tuple[Settings, Pipeline]:
    return Settings.load(), load(pipeline)


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


commands = [models]
