"""`streamlearn topics`: the catalogue of topics, beside what the broker says of them."""

import sys
import time
from collections.abc import Sequence
from itertools import islice

import click
import msgspec

from streamlearn.cli.terminal.groups import CommandGroup
from streamlearn.cli.terminal.tables import format_table
from streamlearn.errors import StreamlearnError
from streamlearn.settings import Settings

_UNITS = ("B", "KB", "MB", "GB", "TB")
_HEADINGS = ("topic", "records", "size", "a second", "newest", "lag", "owner")


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.pass_context
def topics(context: click.Context) -> None:
    """Show which topics there are, layer by layer, and what each holds and costs.

    What they mean stands in docs/warehouse.md. Without a command it lists them.

    \b
    streamlearn topics
    streamlearn topics show pm25
    streamlearn topics check
    streamlearn topics prune
    """  # noqa: D301 (click wants the character)
    if context.invoked_subcommand is None:
        context.invoke(list_topics)


@topics.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def list_topics(as_json: bool = False) -> None:
    """List every topic with its records, bytes, rate, age of the newest record, and lag.

    The lag is that of the consumer group that is furthest behind; `show` has each. A topic without figures
    does not exist yet.

    Example: streamlearn topics list
    """
    from streamlearn.broker.broker import Broker
    from streamlearn.warehouse.catalogue import LAYERS
    from streamlearn.warehouse.histories import load_whole_catalogue
    from streamlearn.warehouse.inspection import inspect_topics

    with Broker(Settings.load()) as broker:
        catalogue = load_whole_catalogue(broker)
        states = inspect_topics(broker, catalogue)
    if as_json:
        entries = [{"topic": topic, "state": states.get(topic.name)} for topic in catalogue]
        click.echo(msgspec.json.encode(entries))
        return
    now_s = time.time()
    rows: dict[str, list[Sequence[str]]] = {layer: [] for layer in LAYERS}
    for topic in catalogue:
        state = states.get(topic.name)
        figures: Sequence[str] = ("-", "", "", "", "")
        if state:
            figures = (
                str(state.records),
                format_bytes(state.bytes),
                f"{state.rate:.1f}",
                format_age(state.newest_s, now_s),
                str(max(state.lags.values())) if state.lags else "",
            )
        rows[topic.layer].append((topic.name, *figures, topic.owner))
    _echo_table(rows)


def _echo_table(rows: dict[str, list[Sequence[str]]]) -> None:
    """Print the rows of each layer, under the headings; numbers stand at the right of their columns."""
    table: list[Sequence[str]] = []
    for layer, own in rows.items():
        if own:
            table += [(layer, *_HEADINGS[1:]), *((f"  {name}", *others) for name, *others in own)]
    for line in islice(format_table(_HEADINGS, table, _HEADINGS[1:-1]), 1, None):
        click.echo(line)


@topics.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one topic: what its records hold, how it is kept, who writes and who reads it.

    Example: streamlearn topics show pm25_forecast
    """
    from streamlearn.broker.broker import Broker
    from streamlearn.warehouse.catalogue import find_topic
    from streamlearn.warehouse.histories import load_whole_catalogue
    from streamlearn.warehouse.inspection import format_retention, inspect_topics

    with Broker(Settings.load()) as broker:
        topic = find_topic(load_whole_catalogue(broker), name)
        state = inspect_topics(broker, [topic]).get(name)
    click.echo(f"{topic.name}: {topic.description}")
    click.echo(f"  layer      {topic.layer}")
    click.echo(f"  written by {topic.owner}")
    click.echo(f"  key        {', '.join(topic.key) or 'none that means anything'}")
    click.echo(f"  kept       {topic.retention}, cleanup.policy={topic.cleanup}")
    width = max(len(column.name) for column in topic.columns)
    for column in topic.columns:
        unit = f" [{column.unit}]" if column.unit else ""
        line = f"  {column.name:{width}}  {column.type}{unit}  {column.description}"
        click.echo(line.rstrip())
    if state is None:
        click.echo("It does not exist yet.")
        return
    click.echo(
        f"It has {state.records} records in {state.partitions} partitions, {format_bytes(state.bytes)},"
        f" {state.rate:.1f} a second; the newest is {format_age(state.newest_s, time.time()) or 'none'} old;"
        f" kept {format_retention(state.retention_ms)}, cleanup.policy={state.cleanup}."
    )
    for group, lag in state.lags.items():
        click.echo(f"  {group} is {lag} behind")


@topics.command()
def check() -> None:
    """Compare the topics with the catalogue: partitions, retention, cleanup policy.

    Exit 0: they are as it says. Exit 1: something differs. Exit 2: no topic exists, or Kafka does not answer.

    Example: streamlearn topics check
    """
    from streamlearn.broker.broker import Broker
    from streamlearn.warehouse.histories import load_whole_catalogue
    from streamlearn.warehouse.inspection import compare_topics, inspect_topics

    try:
        with Broker(Settings.load()) as broker:
            catalogue = load_whole_catalogue(broker)
            states = inspect_topics(broker, catalogue)
        differences = compare_topics(catalogue, states)
    except StreamlearnError as error:
        click.echo(f"streamlearn: {error}", err=True)
        sys.exit(2)
    for difference in differences:
        click.echo(str(difference))
    missing = [topic.name for topic in catalogue if topic.name not in states]
    if missing:
        click.echo(f"not there yet: {', '.join(missing)}")
    if not differences:
        click.echo(f"{len(states)} topics are as the catalogue says")
    sys.exit(1 if differences else 0)


@topics.command()
@click.argument("names", metavar="[TOPIC…]", nargs=-1)
@click.option("--yes", is_flag=True, help="Delete them without asking.")
def prune(names: Sequence[str], yes: bool) -> None:
    """Delete topics of `streamlearn backfill` and `streamlearn repair` that no lineage needs any more.

    Kafka keeps them for ever: while a lineage is open that begins from one, a rebuild and `streamlearn
    verify` learn it again. Those are never deleted. Without TOPIC all others are, but for those written
    within the last hour, which a command may be learning right now.

    \b
    streamlearn topics prune
    streamlearn topics prune pm25.repair.0b1c2d3e --yes
    """  # noqa: D301 (click wants the character)
    from streamlearn.broker.broker import Broker
    from streamlearn.broker.topics import delete_topic
    from streamlearn.warehouse.histories import choose_unneeded, inspect_histories

    now_s = time.time()
    with Broker(Settings.load()) as broker:
        histories = inspect_histories(broker)
        chosen = choose_unneeded(histories, names, now_s)
        for topic in () if names else histories:
            if topic not in chosen:
                click.echo(f"{topic.state.name} is kept: {topic.needed_by or 'it was written just now'}")
        for topic in chosen:
            age = format_age(topic.state.newest_s, now_s)
            size = f"{topic.state.records} records, {format_bytes(topic.state.bytes)}"
            click.echo(f"{topic.state.name}: {size}" + (f", {age} old" if age else ""))
        if not chosen:
            click.echo("there is nothing to delete")
            return
        total = format_bytes(sum(topic.state.bytes for topic in chosen))
        if not yes:
            click.confirm(f"Delete {len(chosen)} topics, {total}?", abort=True)
        for topic in chosen:
            delete_topic(broker, topic.state.name)
        click.echo(f"{len(chosen)} topics deleted: {total}")


def format_bytes(count: int) -> str:
    """Return a number of bytes for people.

    >>> format_bytes(999), format_bytes(1_250_000)
    ('999 B', '1.2 MB')
    """
    size, unit = float(count), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def format_age(newest_s: float | None, now_s: float) -> str:
    """Return how long ago a time is, for people; empty for None.

    >>> format_age(100.0, 102.5), format_age(0.0, 7200.0), format_age(None, 1.0)
    ('2 s', '2 h', '')
    """
    from streamlearn.operations.verdict import describe_duration

    return "" if newest_s is None else describe_duration(max(0.0, now_s - newest_s)).format()


commands = [topics]
