"""The commands of the local stack: up, down, status."""

import sys
import time

import click

from streamlearn.pipeline import names
from streamlearn.settings import Settings

_TELL_S = 5.0


@click.command()
@click.option("--detach", is_flag=True, help="Return once it works, and leave it running.")
@click.option("--no-replay", is_flag=True, help="Send no data: return once the server is up.")
def up(detach: bool, no_replay: bool) -> None:
    """Run the whole pipeline on this machine: Kafka, Redis, Flink, the jobs, the replays, the server.

    Without --detach it stays, shows what is going on, and stops everything on Ctrl-C.
    """
    from stack import up as stack

    settings = Settings.load()
    with stack.ending_on_signals():
        try:
            stack.up(settings, replay=not no_replay, say=click.echo)
            for what, url in stack.urls(settings):
                click.echo(f"  {what:28} {url}")
            if detach:
                click.echo("it runs; `scripts/down` stops it")
                return
            click.echo("Ctrl-C stops it")
            _show_for_ever(settings)
        except KeyboardInterrupt:
            click.echo()
            stack.down(settings, click.echo)
            sys.exit(130)


@click.command()
def down() -> None:
    """Stop everything that `streamlearn up` started; what was learned stays."""
    from stack import up as stack

    stack.down(Settings.load(), click.echo)


@click.command()
def status() -> None:
    """Show every service of the local stack, and whether its part answers."""
    from stack import up as stack

    rows = list(stack.status(Settings.load()))
    for name, state, detail in rows:
        click.echo(f"{name:28} {state:12} {detail}")
    sys.exit(0 if len(rows) > 1 else 1)


def _show_for_ever(settings: Settings) -> None:
    from stack import health

    while True:
        for name in names():
            click.echo(f"{time.strftime('%H:%M:%S')}  " + health.summary(settings, name))
        time.sleep(_TELL_S)


commands = [up, down, status]
