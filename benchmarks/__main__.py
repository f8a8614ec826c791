"""`scripts/bench NAME`: one benchmark, or `all` of them, one after the other."""

from importlib import import_module

import click

from benchmarks.everything import QUESTIONS, run_all, tables
from streamlearn.errors import StreamlearnError

_OF_ALL = {"all": run_all, "tables": tables}


class Benchmarks(click.Group):
    """The benchmarks; a module is imported when its command is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return [*QUESTIONS, *_OF_ALL]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is none of that name."""
        if cmd_name in QUESTIONS:
            module, _, attribute = QUESTIONS[cmd_name].command.partition(":")
            command: click.Command = getattr(import_module(f"benchmarks.{module}"), attribute)
            return command
        return _OF_ALL.get(cmd_name)

    def invoke(self, ctx: click.Context) -> None:
        """Run a command; what keeps it from being measured is said in a sentence."""
        try:
            super().invoke(ctx)
        except StreamlearnError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Benchmarks)
def main() -> None:
    """Measure one part beside others. NAME --help tells what it shows; --quick is a first look.

    Results go to benchmarks/results: JSON, and a plot; those of --quick to a folder of their own below.
    benchmarks/results/README.md shows the newest.
    """


if __name__ == "__main__":
    main()
