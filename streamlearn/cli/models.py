"""`streamlearn models PIPELINE …`: list the versions, choose which is served, go back; lags and rate."""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from click.core import ParameterSource

from streamlearn.cli.targets import PipelineName
from streamlearn.cli.terminal.groups import CommandGroup
from streamlearn.cli.terminal.tables import format_table
from streamlearn.settings import Settings
from streamlearn.storage.versions import parse_name

if TYPE_CHECKING:
    from streamlearn.operations.model_versions import KeptVersion
    from streamlearn.pipelines.base import Pipeline

_wait = click.option(
    "--wait", "wait_s", default=60.0, show_default=True, help="Seconds to wait for the job to do it."
)


class _Version(click.ParamType[int]):
    """The number of a version."""

    name = "version"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, or refuse the text."""
        if not value.isdecimal():
            self.fail(f"{value!r} is not a version: a whole number", param, ctx)
        return int(value)

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """Tell where the numbers are listed."""
        return "say which: `streamlearn models PIPELINE list` names those that are kept"


class _VersionName(_Version):
    """A version's number as text, or the name of one that is made of several partitions."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name, or refuse the text."""
        if parse_name(value) is None:
            self.fail(f"{value!r} is not a version: a number, or a name such as 120.-.95", param, ctx)
        return value


_version = click.argument("version", type=_Version())
_version_name = click.argument("version", type=_VersionName())


class _Rate(click.ParamType[float | None]):
    """Records a second, or `default`, which is None."""

    name = "rate"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Return the number, or refuse the text."""
        try:
            rate = None if value == "default" else float(value)
        except ValueError:
            rate = math.nan
        if rate is not None and not 0 <= rate < math.inf:
            self.fail(f"{value!r} is not a rate: records a second, 0 for no limit, or `default`", param, ctx)
        return rate


class _ModelCommands(CommandGroup):
    """The group `models`, in which `--pipeline NAME` may stand for the argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the pipeline as every command does."""
        option = "--pipeline"
        if args[:1] == [option] and len(args) > 1:
            args = args[1:]
        elif args and args[0].startswith(f"{option}="):
            args = [args[0].partition("=")[2], *args[1:]]
        return super().parse_args(ctx, args)


@click.group(
    cls=_ModelCommands,
    invoke_without_command=True,
    no_args_is_help=True,
    subcommand_metavar="COMMAND [ARGS]...",
)
@click.argument("pipeline", type=PipelineName())
@click.pass_context
def models(context: click.Context, pipeline: str) -> None:
    """List the versions of a model, choose which is served, go back to one, change its lags or its rate.

    PIPELINE is a registered pipeline, the name of a module of your own, or MODULE:OBJECT.

    \b
    streamlearn models digits list
    streamlearn models digits rollback 1200
    streamlearn models pm25 lags chosen
    streamlearn models digits rate 500
    streamlearn models digits rollback --help
    """  # noqa: D301 (click wants the character)
    if context.invoked_subcommand is None:
        context.fail(
            f"name the pipeline before the command: streamlearn models PIPELINE {pipeline}"
            if pipeline in models.commands
            else f"a command is missing, such as: streamlearn models {pipeline} list"
        )
    # It is loaded by the subcommands: their help needs no pipeline.
    context.obj = pipeline


@models.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_obj
def list_command(pipeline: str, as_json: bool) -> None:
    """List the versions that are kept, the newest first, and which of them is served.

    Example: streamlearn models digits list
    """
    from streamlearn.operations.model_versions import list_versions

    settings, loaded = _load(pipeline)
    versions = list_versions(settings, loaded)
    if as_json:
        click.echo(msgspec.json.encode(versions))
        return
    if not versions:
        click.echo(f"Redis keeps no version of {loaded.name}")
        return
    _echo(_format_versions(versions))


def _format_versions(versions: "list[KeptVersion]") -> Iterator[str]:
    """Yield a table of versions, the newest of each partition first."""
    newest_first = sorted(versions, key=lambda kept: (kept.partition, -kept.version))
    figures = list(dict.fromkeys(name for kept in newest_first for name in kept.about.score))
    headings = ["PARTITION"] * any(kept.partition for kept in versions)
    headings += ["VERSION", "SCORED", *map(str.upper, figures)]
    yield from format_table(
        [*headings, "WRITTEN", "LINEAGE", ""],
        [_format_version(kept, figures)[-len(headings) - 3 :] for kept in newest_first],
        headings,
    )


def _format_version(kept: "KeptVersion", figures: Iterable[str]) -> list[str]:
    """Return the cells of a version, that of its partition first."""
    info = kept.about
    values = (info.score.get(name) for name in figures)
    return [
        str(kept.partition),
        str(kept.version),
        str(info.samples),
        *("" if value is None else f"{value:.4g}" for value in values),
        datetime.fromtimestamp(info.time_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        kept.lineage,
        "← served" * kept.served + " (pinned)" * kept.pinned,
    ]


@models.command()
@_version_name
@click.pass_obj
def pin(pipeline: str, version: str) -> None:
    """Serve VERSION until you unpin it, whatever is learned meanwhile.

    Where the topic has several partitions, VERSION names one of each, as the server does: 120.300.-.60.

    Example: streamlearn models digits pin 1200
    """
    from streamlearn.operations.model_versions import pin_version

    _echo(pin_version(*_load(pipeline), version))


@models.command()
@click.pass_obj
def unpin(pipeline: str) -> None:
    """Serve the newest version again.

    Example: streamlearn models digits unpin
    """
    from streamlearn.operations.model_versions import unpin_version

    _echo(unpin_version(*_load(pipeline)))


@models.command()
@_version
@click.option(
    "--partition", type=click.IntRange(min=0), help="Whose learner goes back, where there are several."
)
@_wait
@click.pass_obj
def rollback(pipeline: str, version: int, partition: int | None, wait_s: float) -> None:
    """Let learning go on from VERSION, by a control record in the input topic.

    Records before the control record keep their answers; those after it are predicted and learned by VERSION.

    Example: streamlearn models digits rollback 1200
    """
    from streamlearn.operations.lineage_changes import roll_back

    _echo(roll_back(*_load(pipeline), version, partition, wait_s=wait_s))


@models.command()
@_version_name
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: PIPELINE-VERSION.slsnap]",
)
@click.pass_obj
def export(pipeline: str, version: str, output: Path | None) -> None:
    """Write VERSION into a file.

    Example: streamlearn models digits export 1200 -o digits.slsnap
    """
    from streamlearn.operations.model_versions import export_version

    settings, loaded = _load(pipeline)
    _echo(export_version(settings, loaded, version, output or Path(f"{loaded.name}-{version}.slsnap")))


@models.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def import_command(pipeline: str, file: Path) -> None:
    """Serve (pin) the version in FILE; learning goes on as it was.

    FILE comes from `export`, here or on a machine with the same STREAMLEARN_CHECKPOINT_KEY.

    Example: streamlearn models digits import digits.slsnap
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

    \b
    streamlearn models pm25 lags
    streamlearn models pm25 lags chosen
    """  # noqa: D301 (click wants the character)
    from streamlearn.operations import lag_choice
    from streamlearn.operations.lineage_changes import newest_learner, use_lags

    settings, loaded = _load(pipeline)
    if lags is None:
        lag_choice.require_lags(loaded)
        _echo(lag_choice.describe(loaded, newest_learner(settings, loaded)))
    else:
        chosen = lag_choice.parse_choice(loaded, lags, lambda: newest_learner(settings, loaded))
        _echo(use_lags(settings, loaded, chosen, wait_s=wait_s))


@models.command()
@click.argument("rate", type=_Rate(), required=False)
@click.pass_context
def rate(context: click.Context, rate: float | None) -> None:
    """Show how many records a second the job takes at most, or let it take at most RATE from now on.

    RATE is a number, 0 for no limit, or `default`: what STREAMLEARN_CATCH_UP_RATE is where the job runs. The
    job follows within seconds, and goes on so after a restart; a reset or an emptied Redis goes back to
    `default`. What is learned does not depend on it. Leave room above what comes in, or the job never catches
    up.

    \b
    streamlearn models digits rate
    streamlearn models digits rate 500
    streamlearn models digits rate default
    """  # noqa: D301 (click wants the character)
    from streamlearn.storage.store import Store

    settings, loaded = _load(context.obj)
    with Store.of(settings) as store:
        if context.get_parameter_source("rate") is not ParameterSource.DEFAULT:
            store.set_rate(loaded.name, rate)
        _echo([_describe_rate(loaded, store.rate(loaded.name), settings)])


def _describe_rate(pipeline: "Pipeline", chosen: float | None, settings: Settings) -> str:
    rate = settings.catch_up_rate if chosen is None else chosen
    most = f"at most {rate:,.10g} records a second" if rate else "as many records a second as it can"
    source = "as STREAMLEARN_CATCH_UP_RATE says here" if chosen is None else "until you say otherwise"
    return f"{pipeline.name} takes {most}, {source}"


def _load(pipeline: str) -> "tuple[Settings, Pipeline]":
    from streamlearn.pipelines.registry import load

    return Settings.load(), load(pipeline)


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


commands = [models]
