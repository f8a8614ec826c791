"""The command `lags`. It is here, not in the core, because a topic is one of the things that it reads."""

from pathlib import Path

import click
import msgspec
from rich.console import Console

from streamlearn.errors import BadSeries, DataUnavailable
from streamlearn.lags.series import Table
from streamlearn.pipelines.registry import load, registered_names
from streamlearn.settings import Settings

_REACH_S = 2 * 86_400
"""Two days: twice the longest cycle that hours are sure to have."""


@click.command()
@click.argument("source", metavar="[PIPELINE|FILE]", required=False)
@click.option("--topic", metavar="NAME", help="Read the JSON records of this Kafka topic instead.")
@click.option("--x", "xs", metavar="COLUMN", multiple=True, help="What may lead; may be given again.")
@click.option("--y", metavar="COLUMN", help="What may follow.")
@click.option(
    "--time", metavar="COLUMN", help="The column with the times.  [default: the first with ISO dates]"
)
@click.option(
    "--last", metavar="N", type=click.IntRange(min=1), help="Only the newest N offsets of the topic."
)
@click.option(
    "--max-lag",
    metavar="L",
    type=click.IntRange(min=1),
    help="Steps to look at, both ways.  [default: two days for a pipeline, else 40, at most n/4]",
)
@click.option(
    "--figure",
    metavar="F",
    type=click.Path(path_type=Path),
    help="Draw into this file (.png, .svg, .pdf), or into this folder, a file a pair.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def lags(
    source: str | None,
    topic: str | None,
    xs: tuple[str, ...],
    y: str | None,
    time: str | None,
    last: int | None,
    max_lag: int | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Tell which series leads which, and by how many steps: cross-correlations, raw and pre-whitened.

    A lag is positive where x leads y. Trust the pre-whitened one: two series that each resemble their
    own past correlate for no other reason, and pre-whitening takes that past out.

    A pipeline brings its own series: everything in its records that may drive what it forecasts. Of a CSV
    file with a header, or of a topic, --x and --y name the columns. Needs the extra `lags`.

    \b
    streamlearn lags pm25                                the weather and Beijing's PM2.5
    streamlearn lags pm25 --x wnd_spd --figure wind.png  one of them, drawn
    streamlearn lags demand.csv --x temperature --y demand --max-lag 24
    streamlearn lags --topic pm25 --x wnd_spd --y pollution --last 5000
    streamlearn lags demand.csv --x temperature --y demand --json
    """  # noqa: D301 (click wants the character)
    from streamlearn.lags import summary
    from streamlearn.lags.analysis import analysed
    from streamlearn.reports.figures import lag_pairs

    if (source is None) == (topic is None):
        raise click.UsageError(
            f"name a CSV file, a pipeline ({', '.join(registered_names())}), or a topic with --topic"
        )
    if last is not None and topic is None:
        raise click.UsageError("--last is for a topic")
    if source in registered_names():
        if y is not None or time is not None:
            raise click.UsageError("a pipeline has its own --y and --time; --x chooses among what may lead")
        table, pairs, reach = _of_pipeline(str(source), xs, max_lag)
    else:
        pairs, reach = _pairs(xs, y), max_lag
        columns = [*xs, str(y)]
        table = _of_topic(topic, columns, time, last) if topic else _of_file(Path(str(source)), columns, time)
    files = lag_pairs.files(figure, pairs) if figure else []
    found = list(analysed(table, pairs, reach))
    for pair, file in zip(found, files, strict=False):
        lag_pairs.draw(pair, table, file)
    if as_json:
        click.echo(msgspec.json.encode(summary.as_data(topic or str(source), table, found)))
        return
    summary.show(Console(highlight=False, markup=False), table, found)
    for file in files:
        click.echo(f"drawn: {file}")


def _pairs(xs: tuple[str, ...], y: str | None) -> list[tuple[str, str]]:
    if not xs or y is None:
        raise click.UsageError("name the columns: --x COLUMN --y COLUMN")
    if y in xs or len(set(xs)) < len(xs):
        raise click.UsageError("name each column once: a series has no lag with itself")
    return [(x, y) for x in xs]


def _of_pipeline(
    name: str, xs: tuple[str, ...], max_lag: int | None
) -> tuple[Table, list[tuple[str, str]], int | None]:
    from streamlearn.operations.lag_tables import table_of

    pipeline = load(name)
    table, known = table_of(pipeline), [driver.name for driver in pipeline.learning.drivers]
    for x in xs:
        if x not in known:
            raise BadSeries(f"{name} has no series {x!r} that may lead; it has: {', '.join(known)}")
    step_s = pipeline.display.step_s
    reach = max_lag or (_REACH_S // step_s if step_s else None)
    return table, [(x, pipeline.display.value) for x in xs or known], reach


def _of_file(path: Path, columns: list[str], time: str | None) -> Table:
    from streamlearn.lags.readers import of_csv

    if not path.exists():
        raise DataUnavailable(
            f"there is no file {path}, and no pipeline of that name ({', '.join(registered_names())})"
        )
    return of_csv(path, columns, time)


def _of_topic(topic: str, columns: list[str], time: str | None, last: int | None) -> Table:
    from streamlearn.broker.broker import Broker
    from streamlearn.broker.rows import read_rows
    from streamlearn.lags.readers import of_rows

    with Broker(Settings.load()) as broker:
        return of_rows(read_rows(broker, topic, last), columns, time)


commands = [lags]
