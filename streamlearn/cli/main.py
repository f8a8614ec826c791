"""The command `streamlearn`: a group of the commands that the entry points `streamlearn.commands` list.

A command whose packages are not installed is listed with what to install, so that a server without Flink
still has a whole `--help`.
"""

import sys
from importlib.metadata import entry_points

import click

from streamlearn.cli.targets import use_stack_elsewhere
from streamlearn.cli.terminal.completion import completion
from streamlearn.cli.terminal.groups import CommandGroup
from streamlearn.errors import MissingExtra, StreamlearnError
from streamlearn.extras import describe_missing

GROUP = "streamlearn.commands"

_ASKS_A_STACK = frozenset(
    {
        *("status", "train", "reset", "replay", "verify", "models", "report", "lags"),
        *("topics", "sql", "rules", "accept"),
    }
)
"""Commands that look for a stack which runs elsewhere."""


_SECTIONS = {
    "The stack on this machine": ("up", "status", "down", "chaos"),
    "A pipeline, offline": ("init", "check", "evaluate"),
    "A pipeline on the stack": ("train", "replay", "report", "verify", "skip", "reset"),
    "Its models": ("models", "serve"),
    "Its history": ("backtest", "promote", "backfill", "repair"),
    "The streams' warehouse": ("topics", "sql", "rules", "accept"),
    "Series": ("lags", "baseline"),
    "Your shell": ("completion",),
}


class _Commands(CommandGroup):
    """A group that reports a user's mistake in one line, and shows a traceback for everything else."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except StreamlearnError as error:
            click.echo(f"streamlearn: {error}", err=True)
        except ModuleNotFoundError as error:
            click.echo(f"streamlearn: {describe_missing(error)}", err=True)
        sys.exit(1)


@click.group(cls=_Commands, sections=_SECTIONS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="streamlearn")
@click.pass_context
def main(context: click.Context) -> None:
    """Online machine learning on Kafka, Flink and Redis.

    Records stream in; a Flink job predicts each one, then learns from it; the newest model is served
    over HTTP. `streamlearn up` runs all of it on this machine.

    \b
    streamlearn up
    streamlearn train --help
    """  # noqa: D301 (click wants the character)
    if context.invoked_subcommand in _ASKS_A_STACK:
        use_stack_elsewhere()


def _add_commands() -> None:
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            commands = entry.load()
        except ModuleNotFoundError as error:
            commands = [_make_placeholder(entry.name, describe_missing(error))]
        for command in commands:
            main.add_command(command)
    main.add_command(completion)


def _make_placeholder(name: str, reason: str) -> click.Command:
    """Make a command that only says why it cannot run."""

    @click.command(
        name=name,
        help=f"Cannot run here: {reason}.",
        short_help=f"({reason})",
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def placeholder(arguments: tuple[str, ...]) -> None:
        raise MissingExtra(f"`streamlearn {name}` cannot run here: {reason}")

    return placeholder


_add_commands()
