"""`streamlearn rules`: one stream split into many, by conditions that change while it runs."""

from typing import TYPE_CHECKING

import click

import flink_jobs  # noqa: F401 (if it is missing, `main.py` lists the command with what to install)
from streamlearn.cli.terminal.groups import CommandGroup
from streamlearn.cli.terminal.tables import format_table
from streamlearn.cli.train import load_client_settings
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.warehouse.rules.book import Numbered


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.pass_context
def rules(context: click.Context) -> None:
    """Split a stream: records of which a condition is true are written to a topic of their own as well.

    One job routes all rules. A rule that is added, changed or removed counts from an exact record on, within
    seconds and without a restart. Without a command it lists them.

    \b
    streamlearn rules add pm25.winter --from pm25 --where "temp < 0"
    streamlearn rules history pm25.winter
    streamlearn rules remove pm25.winter
    """  # noqa: D301 (click wants the character)
    if context.invoked_subcommand is None:
        context.invoke(list_rules)


@rules.command()
@click.argument("name")
@click.option(
    "--from", "source", required=True, metavar="TOPIC", help="The topic whose records are looked at."
)
@click.option("--where", "condition", required=True, metavar="SQL", help="The condition, over its columns.")
@click.option("--to", "target", metavar="TOPIC", help="The topic that is written; by default NAME.")
@click.option(
    "--partitions", type=click.IntRange(1), default=1, show_default=True, help="Those of a new target."
)
def add(name: str, source: str, condition: str, target: str | None, partitions: int) -> None:
    """Add a rule, or change the one of that name; it counts for records that are sent from now on.

    The condition is an expression in SQLite's SQL over the columns of the topic (`streamlearn topics show
    TOPIC`). A field that SQL has no type for is its JSON: json_extract(x, '$[3]') > 8.

    Example: streamlearn rules add pm25.winter --from pm25 --where "strftime('%m', ts) IN ('12', '01', '02')"
    """
    from flink_jobs.rules import job
    from flink_jobs.submit import check_configured
    from streamlearn.broker.broker import Broker
    from streamlearn.warehouse.catalogue import load_stack_catalogue
    from streamlearn.warehouse.rules.changes import add_rule

    settings = load_client_settings()
    check_configured(settings)
    with Broker(settings) as broker:
        change = add_rule(
            broker,
            load_stack_catalogue(settings),
            name,
            source,
            condition,
            target=target,
            partitions=partitions,
        )
    click.echo(f"change {change.number}: {name} counts {_describe_starts(change)}")
    # The rule stands, whether Flink answers now or later.
    job.keep(settings)
    job.submit_rules(settings, echo=click.echo)


@rules.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a rule; what it has written stays, and so does its history.

    Example: streamlearn rules remove pm25.winter
    """
    from streamlearn.broker.broker import Broker
    from streamlearn.warehouse.rules.changes import remove_rule

    with Broker(Settings.load()) as broker:
        change = remove_rule(broker, name)
    click.echo(f"change {change.number}: {name} counts no more {_describe_starts(change)}")


@rules.command("list")
def list_rules() -> None:
    """List the rules that there are now.

    Example: streamlearn rules list
    """
    from streamlearn.broker.broker import Broker
    from streamlearn.warehouse.rules.log import read_book

    with Broker(Settings.load()) as broker:
        current = read_book(broker).list_current()
    rows = [
        (r.change.name, r.change.source, r.change.target, str(r.number), r.change.condition or "")
        for r in current
    ]
    if not rows:
        click.echo('there is no rule; `streamlearn rules add NAME --from TOPIC --where "SQL"` adds one')
        return
    for line in format_table(("rule", "from", "to", "change", "where"), rows, ("change",)):
        click.echo(line)


@rules.command()
@click.argument("name", required=False)
def history(name: str | None) -> None:
    """Show every change of the rules, or of the one called NAME, and from which record it counts.

    Example: streamlearn rules history pm25.winter
    """
    from streamlearn.broker.broker import Broker
    from streamlearn.errors import ConfigurationError
    from streamlearn.warehouse.rules.log import read_book

    with Broker(Settings.load()) as broker:
        changes = list(read_book(broker))
    rows = [
        (
            str(c.number),
            c.change.time,
            c.change.name,
            c.change.target,
            _describe_starts(c),
            "removed" if c.change.condition is None else c.change.condition,
        )
        for c in changes
        if name in {None, c.change.name}
    ]
    if not rows:
        raise ConfigurationError(
            "there has been no rule yet" if name is None else f"there was no rule {name!r}"
        )
    for line in format_table(("change", "time", "rule", "to", "counts", "where"), rows, ("change",)):
        click.echo(line)


@rules.command()
def run() -> None:
    """Run the job that routes, from where it stood, and keep it running; `add` does that by itself.

    Example: streamlearn rules run
    """
    from flink_jobs.rules import job

    settings = load_client_settings()
    job.submit_rules(settings, echo=click.echo)
    job.keep(settings)


@rules.command()
def stop() -> None:
    """End the job that routes at a savepoint; `streamlearn rules run` goes on there, and nothing is missed.

    Example: streamlearn rules stop
    """
    from flink_jobs.rules.job import stop_rules

    stop_rules(load_client_settings(), click.echo)


def _describe_starts(change: "Numbered") -> str:
    """Return from where a change counts, in words."""
    starts = change.starts or []
    places = ", ".join(
        f"{start} of partition {partition}" if len(starts) > 1 else str(start)
        for partition, start in enumerate(starts)
    )
    return f"from offset {places}" if places else "from the first record"


commands = [rules]
