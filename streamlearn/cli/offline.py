"""`streamlearn init`, `check` and `evaluate`, which need neither Kafka nor Flink nor Redis.

Except where there is no file: then `init` and `check` look at the topic.
"""

import importlib.util
import keyword
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamlearn.cli.targets import takes_pipeline, use_stack_elsewhere
from streamlearn.errors import ConfigurationError, DataUnavailable, FileError
from streamlearn.names import registered_names
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.pipelines.base import Pipeline
    from streamlearn.pipelines.drafts.columns import Column
    from streamlearn.pipelines.drafts.inference import DraftOptions, Inference
    from streamlearn.pipelines.drafts.labels import Task

_FILE_SUFFIXES = {".csv", ".tsv", ".txt", ".gz", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".xlsx"}
_SAMPLE_OFFSETS = 20_000
"""Of a topic so many of the newest are looked at."""
_SHOWN_RECORDS = 3


@click.command()
@click.argument("name")
@click.option(
    "--from",
    "source",
    metavar="FILE|TOPIC",
    required=True,
    help="A file: .csv (also .gz), .jsonl or .parquet; or the topic that the pipeline is to learn from.",
)
@click.option("--label", metavar="COLUMN", required=True, help="What is to be predicted.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression", "forecast"]),
    help="What the label is; otherwise told from its values. A forecast needs --time where several"
    " columns hold times, and --key where there are several series.",
)
@click.option("--time", metavar="COLUMN", help="The times: rows of a file are replayed in their order.")
@click.option(
    "--time-format",
    metavar="FORMAT",
    help="What comes first in dates that do not tell: day, month or year; or a format of strptime.",
)
@click.option(
    "--key",
    metavar="COLUMN",
    help="Records with the same value stay together, in one partition of a topic that has several; in a"
    " forecast they are one of several series.",
)
@click.option("--force", is_flag=True, help="Overwrite NAME.py.")
def init(
    name: str,
    source: str,
    label: str,
    task: "Task | None",
    time: str | None,
    time_format: str | None,
    key: str | None,
    force: bool,
) -> None:
    """Draft a pipeline from a file or a topic: write the module NAME.py, which is yours to edit.

    \b
    streamlearn init flowers --from iris.csv --label species
    streamlearn init load --from load.csv --label MW --task forecast
    streamlearn init loads --from meters.csv --label kW --time hour --task forecast --key meter
    streamlearn init payments --from payments --label fraud
    """  # noqa: D301 (click wants the character)
    from streamlearn.pipelines.drafts.inference import DraftOptions, infer
    from streamlearn.pipelines.drafts.module_text import declare_columns, write_module

    module = Path(f"{name}.py")
    _check_name(name, module, force=force)
    options = DraftOptions(label, task, time, time_format, key)
    is_topic = not Path(source).is_file()
    inference = _infer_topic(source, options) if is_topic else infer(Path(source), options)
    if inference.series is None and not declare_columns(inference).names:
        kinds = [f"{column.name or '(no name)'}: {_explain(column)}" for column in inference.columns]
        raise FileError(
            f"{source} has no column to predict {label} from"
            + (f"; the others are no features ({'; '.join(kinds)})" if kinds else "")
        )
    file = "" if is_topic else _make_relative(Path(source))
    module.write_text(write_module(name, file, inference), encoding="utf-8")
    click.echo(f"{module}: {_describe(inference)}\nRead it, mend what it has guessed wrong, and then:\n")
    commands = [f"check {name}", f"train {name}"]
    commands += [] if is_topic else [f"replay {name} --file {shlex.quote(source)}"]
    for command in commands:
        click.echo(f"  streamlearn {command}")


def _infer_topic(topic: str, options: "DraftOptions") -> "Inference":
    """Tell what a topic's newest records seem to hold; name those that cannot be read."""
    if Path(topic).is_dir():
        raise FileError(f"{topic} is a folder: name a file in it")
    if "/" in topic or Path(topic).suffix.lower() in _FILE_SUFFIXES:
        raise FileError(f"there is no file {topic}")
    if options.time is not None and options.task != "forecast":
        raise click.UsageError("--time puts the rows of a file in order; a topic has its own")
    from streamlearn.broker.broker import Broker
    from streamlearn.broker.rows import read_sample
    from streamlearn.pipelines.drafts.inference import Source, infer_table

    use_stack_elsewhere()
    with Broker(Settings.load()) as broker:
        table, bad = read_sample(broker, topic, _SAMPLE_OFFSETS, in_order=options.task == "forecast")
    for row in bad[:_SHOWN_RECORDS]:
        click.echo(f"{row.where} of {topic} cannot be read: {row.reason}", err=True)
    if bad:
        click.echo(f"{len(bad)} such records are in all; the job keeps them as dead letters", err=True)
    return infer_table(table, Source(topic, is_topic=True, bad=len(bad)), options)


def _check_name(name: str, module: Path, *, force: bool) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        raise ConfigurationError(
            f"{name!r} cannot be the name of a module: take letters, digits and underscores"
        )
    if name in registered_names():
        raise ConfigurationError(f"there is a pipeline {name} already: take another name")
    if module.exists():
        if not force:
            raise ConfigurationError(f"{module} is there already; --force overwrites it")
    elif importlib.util.find_spec(name) is not None:
        raise ConfigurationError(f"Python has a module {name} already: take another name")


def _make_relative(file: Path) -> str:
    """Return a file's path from this folder, where it lies in it."""
    try:
        return file.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(file.absolute())


def _describe(inference: "Inference") -> str:
    label = inference.label.name
    what = f"one of {len(inference.classes)} classes" if inference.classes else "a number"
    if inference.series is not None:
        count, unit = inference.series.step_words
        ahead = ", ".join(map(str, inference.series.horizons))
        what = f"{ahead} steps of {count} {unit} ahead"
    kinds = Counter(column.kind for column in inference.columns)
    parts = [f"{count} {kind}" for kind, count in kinds.items()]
    bad = f"; {inference.source.bad} rows cannot be read" if inference.source.bad else ""
    return f"predicts {label}, {what}, from {inference.rows} rows{bad}; columns: {', '.join(parts)}"


def _explain(column: "Column") -> str:
    """Return why a column is no feature."""
    return f"an identifier, {column.note}" if column.kind == "identifier" else column.note or column.kind


@click.command()
@takes_pipeline
@click.option(
    "--records",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Try the records in this file, a JSON object a line.",
)
@click.option("--limit", default=500, show_default=True, help="Most records to try.")
def check(pipeline: "Pipeline", records: Path | None, limit: int) -> None:
    """Try a pipeline of your own, offline: its records, its state, whether results repeat.

    Without a data set and --records, it takes the newest records of the pipeline's topic.

    Exit 0: every test has passed. Exit 1: one has failed.

    Example: streamlearn check mine
    """
    from streamlearn.cli.terminal.progress import Activity
    from streamlearn.engine import check
    from streamlearn.learning.process import pin_blas_threads

    pin_blas_threads()
    if records is not None:
        values = records.read_bytes().splitlines()[:limit]
    elif pipeline.dataset is not None:
        values = check.sample(pipeline, limit)
    else:
        values = _read_topic(pipeline, limit)
    passed = True
    with Activity(f"checking {pipeline.name}"):
        for finding in check.check(pipeline, values):
            mark = "✗" if not finding.passed else "!" if finding.noted else "✓"
            click.echo(f"{mark} {finding.what} ({finding.detail})")
            passed = passed and finding.passed
    sys.exit(0 if passed else 1)


def _read_topic(pipeline: "Pipeline", limit: int) -> list[bytes]:
    """Return the newest records of a pipeline's topic, as they stand there."""
    from streamlearn.broker.broker import Broker
    from streamlearn.stream.control import is_control

    use_stack_elsewhere()
    with Broker(Settings.load()) as broker:
        if not broker.partitions(pipeline.topic):
            raise DataUnavailable(
                f"{pipeline.name} has no data set, and there is no topic {pipeline.topic}: give it --records"
            )
        values = [record.value or b"" for record in broker.read_newest(pipeline.topic, limit)]
    return [value for value in values if not is_control(value)]


@click.command()
@takes_pipeline
@click.option("--passes", default=1, show_default=True, help="Passes over the data set.")
@click.option(
    "--skip", default=0, show_default=True, help="Leave so many records at the beginning out of the score."
)
@click.option(
    "--lags",
    metavar="LAGS",
    help="Forecast from other lags: a set such as '*=0-6', or `chosen`: those that the correlations of the"
    " skipped records suggest, used after these.",
)
def evaluate(pipeline: "Pipeline", passes: int, skip: int, lags: str | None) -> None:
    """Predict, then learn each record of a pipeline's data set offline, and show the prequential score.

    \b
    streamlearn evaluate pm25 --skip 8760
    streamlearn evaluate pm25 --skip 8760 --lags 'pollution=0-6 dew=0,3 wnd_spd=0-3'
    """  # noqa: D301 (click wants the character)
    from streamlearn.cli.terminal.progress import CountProgress
    from streamlearn.engine.evaluate import format_table
    from streamlearn.learning.process import pin_blas_threads, relieve_collector
    from streamlearn.operations.lag_choice import evaluate_with_lags

    pin_blas_threads()
    relieve_collector()
    with CountProgress(f"evaluating {pipeline.name}", "record") as progress:
        score = evaluate_with_lags(pipeline, passes=passes, skip=skip, lags=lags, show_progress=progress.show)
    series = pipeline.learning.series
    for line in format_table(score, series.ranges.shares if series else ()):
        click.echo(line)


commands = [init, check, evaluate]
