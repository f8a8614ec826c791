"""`streamlearn sql`: Flink's SQL client with every topic as a table, and SQL files as jobs."""

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

import flink_jobs  # noqa: F401 (if it is missing, `main.py` lists the command with what to install)
from streamlearn.cli.terminal.groups import CommandGroup
from streamlearn.cli.train import load_client_settings
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.warehouse.catalogue import Topic

_EXAMPLES = """\
Every topic is a table; its name needs quotes where it has a dot. For example:
  SHOW TABLES;
  SELECT `ts`, `pollution`, `temp` FROM `pm25`;
  SELECT `actual_y`, `predict_y`, COUNT(*) AS `n` FROM `digit_predict` GROUP BY `actual_y`, `predict_y`;
  SELECT `reason`, COUNT(*) AS `n` FROM `pm25.dead_letter` GROUP BY `reason`;
Here tables go on for ever: Ctrl-C ends a query, QUIT; the client. With `streamlearn sql -e` tables end.
An INSERT ends with the client: `streamlearn sql run FILE` makes it a job.
"""


class _Group(CommandGroup):
    """Keeps the order of its commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Group, invoke_without_command=True)
@click.option("-e", "statement", metavar="SQL", help="Execute this over what there is now, print, and end.")
@click.pass_context
def sql(context: click.Context, statement: str | None) -> None:
    """Ask the streams in SQL: every topic of `streamlearn topics` is a table.

    Without a command it opens Flink's SQL client; there, tables go on for ever. With -e they end where the
    topics do now, the result is printed, and the exit code is 0, or 1 if the SQL is refused. Both compute on
    this machine, beside the cluster: they take no task slot.

    \b
    streamlearn sql
    streamlearn sql -e "SELECT COUNT(*) FROM pm25 WHERE pollution > 75"
    streamlearn sql run mine.sql
    """  # noqa: D301 (click wants the character)
    if context.invoked_subcommand is not None:
        if statement is not None:
            raise click.UsageError("-e is executed without a command")
        return
    settings = load_client_settings(asks_flink=False)
    if statement is None:
        _open(settings)
    else:
        _execute(settings, statement)


def _open(settings: Settings) -> None:
    from flink_jobs.sql.client import LOCAL, format_script, open_client
    from flink_jobs.sql.tables import build_stream_tables

    tables = build_stream_tables(_load_catalogue(settings), settings)
    click.echo(_EXAMPLES)
    sys.exit(open_client(settings, format_script(LOCAL, tables), click.echo))


def _execute(settings: Settings, statement: str) -> None:
    from flink_jobs.sql.client import BATCH, LOCAL, TableFilter, format_script, run_script
    from flink_jobs.sql.tables import build_bounded_tables

    tables = build_bounded_tables(_load_catalogue(settings), settings)
    script = format_script({**LOCAL, **BATCH}, [*tables, statement])
    run_script(settings, script, show=TableFilter(click.echo), echo=partial(click.echo, err=True))


@sql.command()
@click.argument("file")
def run(file: str) -> None:
    """Run a SQL file as a job, and keep it running as the learning jobs are.

    FILE is a file of your own, or the name of a built-in one. What it INSERTs must stand in one
    EXECUTE STATEMENT SET BEGIN … END. The topics that it writes stand in a file of the catalogue beside it,
    mine.toml for mine.sql: docs/warehouse.md. A file that has changed begins anew at the oldest records.

    \b
    streamlearn sql run mine.sql
    """  # noqa: D301 (click wants the character)
    from flink_jobs.sql import jobs

    settings = load_client_settings()
    job, catalogue = jobs.read_job(file)
    jobs.run_sql(settings, job, catalogue, echo=click.echo)


@sql.command()
@click.argument("name")
def stop(name: str) -> None:
    """End a SQL job at a savepoint; `streamlearn sql run` goes on from there.

    Example: streamlearn sql stop mine
    """
    from flink_jobs.sql.jobs import stop_sql

    stop_sql(load_client_settings(), name, click.echo)


@sql.command("list")
def list_jobs() -> None:
    """List the SQL jobs that are kept running, and the built-in ones, with their state in Flink.

    Example: streamlearn sql list
    """
    from flink_jobs.sql import jobs
    from streamlearn.operations import flink_api

    settings = Settings.load()
    kept = jobs.list_kept(settings)
    for name in sorted({*kept, *jobs.list_built_in()}):
        job = flink_api.newest_job(settings, jobs.SqlJob(name, "").job_name)
        state = job.state.lower() if job else "not submitted"
        click.echo(f"{name:20} {state:14} {'kept running' if name in kept else ''}".rstrip())


def _load_catalogue(settings: Settings) -> "list[Topic]":
    from flink_jobs.submit import check_configured
    from streamlearn.broker.broker import Broker
    from streamlearn.warehouse.histories import load_whole_catalogue

    check_configured(settings)
    with Broker(settings) as broker:
        return load_whole_catalogue(broker)


commands = [sql]
