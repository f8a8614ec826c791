"""The command `streamlearn`: a group whose commands come from the programs that are installed.

Each program lists its own under the entry-point group `streamlearn.commands`; one whose packages are not
installed shows itself with the extra to install, so that a server without Flink still has a whole `--help`.
"""

import sys
from importlib.metadata import entry_points

import click

from streamlearn.errors import StreamlearnError

GROUP = "streamlearn.commands"


class _Programs(click.Group):
    """Runs a command and tells a user's mistake from a programmer's."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except StreamlearnError as error:
            click.echo(f"streamlearn: {error}", err=True)
        except ModuleNotFoundError as missing:
            click.echo(f"streamlearn: this needs the package {missing.name}; see README, extras", err=True)
        sys.exit(1)


@click.group(cls=_Programs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="streamlearn")
def main() -> None:
    """Online machine learning on Kafka, Flink and Redis.

    Records stream in; a Flink job predicts each one, then learns from it; the newest model is served
    over HTTP. `streamlearn up` runs all of it on this machine.
    """


def _add_programs() -> None:
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            commands = entry.load()
        except ModuleNotFoundError as missing:
            main.add_command(_missing(entry.name, missing.name or "a package"))
            continue
        for command in commands:
            main.add_command(command)


def _missing(program: str, package: str) -> click.Command:
    @click.command(name=program, help=f"(not installed: needs {package})")
    def command() -> None:
        raise StreamlearnError(f"{program} needs the package {package}; install its extra of streamlearn")

    return command


_add_programs()
