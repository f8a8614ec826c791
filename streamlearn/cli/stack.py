"""The commands of the local stack, up, down, status and chaos, and the one that containers run."""

import sys
import time

import click

from streamlearn.errors import StreamlearnError
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import Settings

_TELL_S = 5.0


@click.command()
@click.option("--detach", is_flag=True, help="Return once it works, and leave it running.")
@click.option("--no-replay", is_flag=True, help="Send no data: return once the server is up.")
def up(detach: bool, no_replay: bool) -> None:
    """Run the whole pipeline on this machine: Kafka, Redis, Flink, the jobs, the replays, the server.

    Without --detach it stays, shows what is going on, and stops everything on Ctrl-C.
    """
    from streamlearn.local import secrets
    from streamlearn.local import up as stack

    settings = secrets.ensure(Settings.load())
    with stack.ending_on_signals():
        try:
            _up_or_down(settings, replay=not no_replay)
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
    from streamlearn.local import up as stack

    stack.down(Settings.load(), click.echo)


@click.command()
def status() -> None:
    """Show every service of the local stack, and whether its part answers; exit 1 if one does not."""
    from streamlearn.local import up as stack

    parts = list(stack.status(Settings.load()))
    for part in parts:
        click.echo(f"{part.name:28} {part.state:12} {part.detail}")
    sys.exit(1 if any(part.troubled for part in parts) else 0)


@click.command()
@click.option("--minutes", default=15.0, show_default=True, help="How long to go on killing.")
@click.option("--seed", default=0, show_default=True, help="Decides what is killed, and when.")
@click.option("--rate", default=1000.0, show_default=True, help="Records a second that flow meanwhile.")
def chaos(minutes: float, seed: int, rate: float) -> None:
    """Kill random parts of the stack at random times under load, then verify that nothing is amiss.

    Starts the stack if it does not run, and then stops it at the end. Exit 0: everything is equal. Exit 1:
    something differs. Exit 2: nothing was compared, or no restore ever rolled a version back.

    Example: scripts/chaos --minutes 2 --seed 7
    """
    from streamlearn.learning.blas import pin_blas_threads
    from streamlearn.local import chaos as run
    from streamlearn.local import secrets
    from streamlearn.local import up as stack
    from streamlearn.local.supervisor import Supervisor

    pin_blas_threads()
    settings = secrets.ensure(Settings.load())
    ran = Supervisor(settings).alive
    with stack.ending_on_signals():
        try:
            _up_or_down(settings, replay=False)
            outcome = run.run(settings, minutes=minutes, seed=seed, rate=rate, say=click.echo)
        except KeyboardInterrupt:
            click.echo()
            sys.exit(130)
        finally:
            if not ran:
                stack.down(settings, click.echo)
    for line in outcome.lines():
        click.echo(line)
    sys.exit(outcome.exit_code)


@click.command(hidden=True)
@click.argument("part", type=click.Choice(["configure", "jobmanager", "taskmanager", "submitter"]))
def container(part: str) -> None:
    """Be one of the containers of docker-compose.yml."""
    from streamlearn.local import container as run

    if part == "configure":
        run.configure(click.echo)
    elif part == "submitter":
        run.submit(click.echo)
    else:
        run.run_flink(part)


def _up_or_down(settings: Settings, *, replay: bool) -> None:
    """Start what does not run; where that fails, leave nothing of it behind."""
    from streamlearn.local import up as stack
    from streamlearn.local.supervisor import Supervisor

    ran = Supervisor(settings).alive
    try:
        stack.up(settings, replay=replay, say=click.echo)
    except StreamlearnError:
        if not ran:
            stack.down(settings, click.echo)
        raise


def _show_for_ever(settings: Settings) -> None:
    """Show how the models get better, until the stack is stopped from elsewhere."""
    from streamlearn.local import health
    from streamlearn.local.supervisor import Supervisor

    while Supervisor(settings).alive:
        for pipeline in load_all(settings):
            click.echo(f"{time.strftime('%H:%M:%S')}  " + health.summary(settings, pipeline.name))
        time.sleep(_TELL_S)


commands = [up, down, status, chaos, container]
