"""`streamlearn lags`: which series leads which, by how many steps."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from streamlearn.cli.targets import PipelineName
from streamlearn.errors import BadSeries, FileError
from streamlearn.names import registered_names
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.lags.readers import ReadingOptions
    from streamlearn.lags.series import Table

_MAX_LAG_S = 2 * 86_400
"""Two days: twice the longest cycle that is certain in hourly data."""


@dataclass(frozen=True)
class _Options:
    """The command's argument and options."""

    source: str | None
    """A pipeline or a file; None where `topic` is given."""
    topic: str | None
    xs: tuple[str, ...]
    y: str | None
    time: str | None
    time_format: str | None
    no_times: bool
    missing: tuple[str, ...]
    last: int | None
    max_lag: int | None
    figure: Path | None
    as_json: bool

    @property
    def source_name(self) -> str:
        """What is read, by the name that was given."""
        return self.topic or self.source or ""

    @property
    def names_pipeline(self) -> bool:
        """Whether the source is a registered pipeline."""
        return self.source in registered_names()

    @property
    def columns(self) -> list[str]:
        """The columns that are read: every x, then y."""
        return [*self.xs, *([self.y] if self.y else [])]

    @property
    def reading(self) -> "ReadingOptions":
        """How the rows are read."""
        from streamlearn.lags.readers import ReadingOptions

        return ReadingOptions(self.time, self.time_format, self.missing, self.no_times)

    def check(self) -> None:
        """Raise `UsageError` unless the options fit together."""
        if (self.source is None) == (self.topic is None):
            raise click.UsageError(
                f"name a CSV file, a pipeline ({', '.join(registered_names())}), or a topic with --topic"
            )
        if self.last is not None and self.topic is None:
            raise click.UsageError("--last is for a topic")
        if self.no_times and (self.time or self.time_format):
            raise click.UsageError("--no-times goes with neither --time nor --time-format")
        if self.names_pipeline:
            if self.y is not None or self.time or self.time_format or self.missing or self.no_times:
                raise click.UsageError(
                    "a pipeline has its own --y, times and missing values; --x chooses among what may lead"
                )
        elif not self.xs or self.y is None:
            raise click.UsageError("name the columns: --x COLUMN --y COLUMN")
        elif len(set(self.columns)) < len(self.columns):
            raise click.UsageError("name each column once: a series has no lag with itself")


@dataclass(frozen=True)
class _Selection:
    """A table, and which of its series to compare."""

    table: "Table"
    pairs: list[tuple[str, str]]
    """The names of x and y."""
    max_lag: int | None
    """Steps to look at, both ways; None: as many as the table's length suggests."""


def _check_time_format(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Raise `BadParameter` where no text could have times of this format."""
    from streamlearn.lags.readers.time_numbers import EPOCH_UNITS

    if value is None or value in EPOCH_UNITS:
        return value
    try:
        datetime.strptime(datetime(2026, 1, 25).strftime(value), value)
    except (ValueError, re.error) as error:
        raise click.BadParameter(f"{value!r} is no format of times ({error})") from None
    if "%" not in value:
        raise click.BadParameter(
            f"{value!r} is no format of times; one is '%d.%m.%Y %H:%M', or one of {', '.join(EPOCH_UNITS)}"
        )
    return value


@click.command()
@click.argument("source", metavar="[PIPELINE|FILE]", required=False, type=PipelineName(or_file=True))
@click.option("--pipeline", type=PipelineName(), hidden=True)
@click.option("--topic", metavar="NAME", help="Read the JSON records of this Kafka topic instead.")
@click.option(
    "--x", "xs", metavar="COLUMN", multiple=True, help="A series that may lead; give it again for more."
)
@click.option("--y", metavar="COLUMN", help="The series that may follow.")
@click.option(
    "--time", metavar="COLUMN", help="The column with the times.  [default: found by values and names]"
)
@click.option(
    "--time-format",
    metavar="F",
    callback=_check_time_format,
    help="How the times are written, as in '%d/%m/%Y %H:%M', or s, ms, us or ns since 1970.",
)
@click.option(
    "--no-times",
    is_flag=True,
    help="Each row is one step, the first row the oldest, whatever columns there are.",
)
@click.option(
    "--missing",
    metavar="VALUE",
    multiple=True,
    help="A value that means missing, such as -999, besides the usual marks; give it again for more.",
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
def lags(source: str | None, pipeline: str | None, **options: Any) -> None:
    """Tell which series leads which, and by how many steps: cross-correlations, raw and pre-whitened.

    A lag is positive where x leads y. Trust the pre-whitened result: two series that each resemble their
    own past correlate for no other reason, and pre-whitening takes that past out.

    A pipeline brings its own series: the value that it forecasts is y, and each of its drivers an x. For a
    CSV file with a header, or a topic, name the columns with --x and --y. Needs the extra `lags`.

    \b
    streamlearn lags pm25                                the weather and Beijing's PM2.5
    streamlearn lags pm25 --x wnd_spd --figure wind.png  one of them, drawn
    streamlearn lags demand.csv --x temperature --y demand --max-lag 24
    streamlearn lags --topic pm25 --x wnd_spd --y pollution --last 5000
    streamlearn lags demand.csv --x temperature --y demand --json
    """  # noqa: D301 (click wants the character)
    from rich.console import Console

    from streamlearn.cli.terminal.progress import Activity
    from streamlearn.lags import summary
    from streamlearn.lags.analysis import Pair, analyse_pairs
    from streamlearn.reports.figures.lag_pairs import draw_pair, prepare_files

    if source and pipeline:
        raise click.UsageError("name the pipeline once")
    given = _Options(source=source or pipeline, **options)
    given.check()
    pairs: list[Pair] = []
    with Activity(f"reading {given.source_name}") as activity:
        selection = _read(given)
        files = prepare_files(given.figure, selection.pairs) if given.figure else []
        activity.describe(f"comparing {len(selection.pairs)} pairs of series")
        for pair in analyse_pairs(selection.table, selection.pairs, selection.max_lag):
            pairs.append(pair)
            activity.describe(f"{len(pairs)} of {len(selection.pairs)} pairs of series compared")
        for pair, file in zip(pairs, files, strict=False):
            activity.describe(f"drawing {file}")
            draw_pair(pair, selection.table, file)
    if given.as_json:
        results = summary.to_plain_data(given.source_name, selection.table, pairs)
        click.echo(msgspec.json.encode(results))
        return
    summary.print_summary(Console(highlight=False, markup=False), selection.table, pairs)
    for file in files:
        click.echo(f"drawn: {file}")


def _read(options: _Options) -> _Selection:
    """Read the series from wherever they are."""
    if options.names_pipeline:
        return _read_pipeline(options)
    table = _read_topic(options) if options.topic else _read_file(options)
    return _Selection(table, [(x, str(options.y)) for x in options.xs], options.max_lag)


def _read_pipeline(options: _Options) -> _Selection:
    from streamlearn.operations.lag_tables import load_table
    from streamlearn.pipelines.registry import load

    pipeline = load(options.source_name)
    drivers = [driver.name for driver in pipeline.learning.drivers]
    table = load_table(pipeline)
    for x in options.xs:
        if x not in drivers:
            raise BadSeries(
                f"{pipeline.name} has no series {x!r} that may lead; it has: {', '.join(drivers)}"
            )
    step_s = pipeline.display.step_s
    max_lag = options.max_lag or (_MAX_LAG_S // step_s if step_s else None)
    return _Selection(table, [(x, pipeline.display.value) for x in options.xs or drivers], max_lag)


def _read_file(options: _Options) -> "Table":
    from streamlearn.lags.readers import read_csv

    path = Path(options.source_name)
    if not path.exists():
        raise FileError(
            f"there is no file {path}, and no pipeline of that name ({', '.join(registered_names())})"
        )
    return read_csv(path, options.columns, options.reading)


def _read_topic(options: _Options) -> "Table":
    from streamlearn.broker.broker import Broker
    from streamlearn.broker.rows import read_rows
    from streamlearn.lags.readers import parse_table

    with Broker(Settings.load()) as broker:
        rows = read_rows(broker, options.source_name, options.last)
    return parse_table(rows, options.columns, options.reading)


commands = [lags]
