"""`streamlearn up`, `down`, `status` and `chaos` for the local stack; `container` for docker-compose.yml."""

import sys
import time

import click

from streamlearn.cli.terminal.tables import format_table
from streamlearn.errors import StreamlearnError
from streamlearn.settings import Settings

_REPORT_S = 5.0


@click.command()
@click.option("--detach", is_flag=True, help="Return once everything works, and leave it running.")
@click.option("--no-replay", is_flag=True, help="Send no data; everything works once the server answers.")
@click.option(
    "--warehouse",
    is_flag=True,
    help="Also run the SQL jobs that make details and summaries, until `streamlearn sql stop`.",
)
def up(detach: bool, no_replay: bool, warehouse: bool) -> None:
    """Run everything on this machine: Kafka, Redis, Flink, the jobs, the replays, the server.

    Without --detach it stays, shows how the models fare, and stops everything when you press Ctrl-C.

    \b
    streamlearn up
    streamlearn up --detach --no-replay
    """  # noqa: D301 (click wants the character)
    from flink_jobs.sql.jobs import keep_built_in
    from streamlearn.local import secrets
    from streamlearn.local import up as stack

    settings = secrets.create_missing(_load_for_start())
    with stack.interrupt_on_signals():
        try:
            _start_or_clean_up(settings, replay=not no_replay)
            if warehouse:
                keep_built_in(settings)
            for description, url in stack.list_urls(settings):
                click.echo(f"  {description:28} {url}")
            if detach:
                click.echo("it runs; `scripts/down` stops it")
                return
            click.echo("Ctrl-C stops it")
            _show_models(settings)
        except KeyboardInterrupt:
            click.echo()
            stack.stop_stack(settings, click.echo)
            sys.exit(130)


@click.command()
def down() -> None:
    """Stop everything that `streamlearn up` has started; what was learned stays.

    Example: streamlearn down
    """
    from streamlearn.local import up as stack

    stack.stop_stack(Settings.load(), click.echo)


@click.command()
def status() -> None:
    """Show every service of the local stack, and whether it answers; exit 1 if one does not.

    Example: streamlearn status
    """
    from streamlearn.local import up as stack

    parts = list(stack.report_status(Settings.load()))
    rows = [(part.name, part.state, part.detail) for part in parts]
    for line in format_table(("PART", "STATE", "DETAIL"), rows):
        click.echo(line)
    sys.exit(1 if any(part.failed for part in parts) else 0)


@click.command()
@click.option("--minutes", default=15.0, show_default=True, help="How long to kill parts.")
@click.option("--seed", default=0, show_default=True, help="Seed that decides what is killed, and when.")
@click.option("--rate", default=1000.0, show_default=True, help="Load, in records a second.")
def chaos(minutes: float, seed: int, rate: float) -> None:
    """Kill random parts of the stack at random times under load, then verify that nothing is amiss.

    If the stack does not run, it is started first, and stopped at the end. Exit 0: everything is equal. Exit
    1: something differs. Exit 2: nothing was compared, or no restore ever rolled a version back.

    Example: streamlearn chaos --minutes 2 --seed 7
    """
    from streamlearn.learning.process import pin_blas_threads
    from streamlearn.local import secrets
    from streamlearn.local import up as stack
    from streamlearn.local.chaos import run_chaos
    from streamlearn.local.supervisor import Supervisor

    pin_blas_threads()
    settings = secrets.create_missing(_load_for_start())
    was_running = Supervisor(settings).alive
    with stack.interrupt_on_signals():
        try:
            _start_or_clean_up(settings, replay=False)
            outcome = run_chaos(settings, minutes=minutes, seed=seed, rate=rate, echo=click.echo)
        except KeyboardInterrupt:
            click.echo()
            sys.exit(130)
        finally:
            if not was_running:
                stack.stop_stack(settings, click.echo)
    for line in outcome.format_lines():
        click.echo(line)
    sys.exit(outcome.exit_code)


@click.command(hidden=True)
@click.argument(
    "part", type=click.Choice(["configure", "jobmanager", "taskmanager", "submitter", "warehouse"])
)
def container(part: str) -> None:
    """Run PART in its container of docker-compose.yml.

    Example: streamlearn container submitter
    """
    from streamlearn.local import container

    if part == "configure":
        container.configure(click.echo)
    elif part == "submitter":
        container.submit(click.echo)
    elif part == "warehouse":
        container.submit_sql(click.echo)
    else:
        container.run_flink(part)


def _load_for_start() -> Settings:
    """Load the settings of the stack that runs; where none does, not those that an earlier one has left."""
    from streamlearn.local.supervisor import Supervisor

    settings = Settings.load()
    if Supervisor(settings).alive:
        return settings
    settings.started_with.unlink(missing_ok=True)
    return Settings.load()


def _start_or_clean_up(settings: Settings, *, replay: bool) -> None:
    """Start the stack unless it runs; if that fails, stop what has been started."""
    from streamlearn.local import up as stack
    from streamlearn.local.supervisor import Supervisor

    was_running = Supervisor(settings).alive
    try:
        stack.start_stack(settings, replay=replay, echo=click.echo)
    except StreamlearnError:
        if not was_running:
            stack.stop_stack(settings, click.echo)
        raise


def _show_models(settings: Settings) -> None:
    """Show each model's scores every few seconds, until the stack is stopped from elsewhere."""
    from streamlearn.local import health
    from streamlearn.local.supervisor import Supervisor
    from streamlearn.pipelines.registry import load_all

    while Supervisor(settings).alive:
        for pipeline in load_all(settings):
            click.echo(f"{time.strftime('%H:%M:%S')}  " + health.summarize_model(settings, pipeline.name))
        time.sleep(_REPORT_S)


commands = [up, down, status, chaos, container]
