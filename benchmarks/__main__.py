"""`scripts/bench NAME`: one benchmark, or `all` of them, one after the other."""

import subprocess
import sys
from importlib import import_module

import click

from streamlearn.errors import StreamlearnError

COMMANDS = {
    "engine": "engine:main",
    "partitions": "studies.partitions:main",
    "stations": "studies.stations:main",
    "estimators": "studies.estimators:main",
    "corrections": "studies.corrections:main",
    "learn": "learn:main",
    "verify": "verifying:main",
    "serve": "serving:main",
    "fresh": "fresh:main",
    "recovery": "recovery:recover",
    "start": "recovery:start",
    "idle": "resources:idle",
    "memory": "resources:memory",
}
"""Each benchmark's command, in the order in which `all` runs them."""


class Benchmarks(click.Group):
    """The benchmarks; a module is imported when its command is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return [*COMMANDS, "all"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is none of that name."""
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(import_module(f"benchmarks.{module}"), attribute)
            return command
        return run_all if cmd_name == "all" else None

    def invoke(self, ctx: click.Context) -> None:
        """Run a command; what keeps it from being measured is said in a sentence."""
        try:
            super().invoke(ctx)
        except StreamlearnError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Benchmarks)
def main() -> None:
    """Measure one part beside others. NAME --help tells what it shows; --quick is a first look.

    Results go to benchmarks/results: JSON, and a plot. docs/performance.md shows the newest.
    """


@click.command()
@click.option("--quick", is_flag=True, help="A first look at each.")
def run_all(quick: bool) -> None:
    """Run every benchmark, one after the other; one that fails does not stop the others."""
    failed = []
    for name in COMMANDS:
        click.echo(f"\n=== {name}")
        command = [sys.executable, "-m", "benchmarks", name, *(["--quick"] if quick else [])]
        if subprocess.run(command).returncode:
            failed.append(name)
    if failed:
        raise click.ClickException("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
