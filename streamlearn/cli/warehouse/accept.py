"""`streamlearn accept`."""

import sys
from functools import partial
from typing import TYPE_CHECKING

import click
import msgspec

import flink_jobs  # noqa: F401 (if it is missing, `main.py` lists the command with what to install)
from streamlearn.errors import StreamlearnError
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.warehouse.acceptance import TopicReport


@click.command()
@click.argument("name", required=False)
@click.option(
    "--last",
    metavar="N",
    type=click.IntRange(min=1),
    help="Compare only the newest N windows of each topic; of a topic that has a row for each record, the"
    " newest N times. The SQL runs over all records all the same.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
def accept(name: str | None, last: int | None, as_json: bool) -> None:
    """Compare what a SQL job has said with what its SQL makes of the same records at rest, row by row.

    Without NAME it is done for every SQL job that is kept running. You may run it beside a live job: it takes
    both at one checkpoint. Rows whose window is not closed yet are counted, and are no difference.

    Exit 0: everything is equal. Exit 1: a row differs. Exit 2: there was nothing to compare, or a part does
    not answer.

    \b
    streamlearn accept
    streamlearn accept pm25
    streamlearn accept pm25 --last 7
    """  # noqa: D301 (click wants the character)
    from flink_jobs.sql import acceptance, jobs
    from streamlearn.errors import NothingToCompare
    from streamlearn.warehouse.acceptance import combine_exit_codes

    settings = Settings.load()
    reports: list[TopicReport] = []
    try:
        kept = jobs.list_kept(settings)
        if not kept and name is None:
            raise NothingToCompare("no SQL job is kept running: `streamlearn sql run pm25` starts one")
        for job in [kept[name] if name in kept else jobs.read_job(name)[0]] if name else kept.values():
            reports += acceptance.accept(settings, job, last=last, echo=partial(click.echo, err=True))
    except StreamlearnError as error:
        click.echo(f"streamlearn: {error}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(msgspec.json.encode(reports))
    for report in () if as_json else reports:
        click.echo(str(report))
        for difference in report.differences:
            click.echo(f"  {difference}")
    sys.exit(combine_exit_codes(reports))


commands = [accept]
