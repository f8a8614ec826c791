"""`streamlearn init`, `check` and `evaluate`, which need neither Kafka nor Flink nor Redis."""

import importlib.util
import keyword
import shlex
import sys
from collections import Counter
from pathlib import Path

import click

from streamlearn.cli.pipeline_argument import takes_pipeline
from streamlearn.errors import ConfigurationError, FileError
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.drafts.inference import Inference, infer
from streamlearn.pipelines.drafts.labels import Task
from streamlearn.pipelines.drafts.module_text import declare_columns, write_module
from streamlearn.pipelines.registry import registered_names


@click.command()
@click.argument("name")
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The file: .csv (also .gz), .jsonl or .parquet.",
)
@click.option("--label", metavar="COLUMN", required=True, help="What is to be predicted.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="What the label is; otherwise told from its values.",
)
@click.option("--time", metavar="COLUMN", help="Replay the rows in the order of these times.")
@click.option(
    "--time-format",
    metavar="FORMAT",
    help="What comes first in dates that do not tell: day, month or year; or a format of strptime.",
)
@click.option("--force", is_flag=True, help="Overwrite NAME.py.")
def init(
    name: str,
    file: Path,
    label: str,
    task: Task | None,
    time: str | None,
    time_format: str | None,
    force: bool,
) -> None:
    """Draft a pipeline from a file: write the module NAME.py, which is yours to edit.

    \b
    streamlearn init flowers --from iris.csv --label species
    """  # noqa: D301 (click wants the character)
    module = Path(f"{name}.py")
    _check_name(name, module, force=force)
    inference = infer(file, label, task=task, time=time, time_format=time_format)
    if not declare_columns(inference).names:
        raise FileError(f"{file} has no column to predict {label} from")
    text = write_module(name, _make_relative(file), inference)
    module.write_text(text, encoding="utf-8")
    click.echo(f"{module}: {_describe(inference)}\nRead it, mend what it has guessed wrong, and then:\n")
    for command in (f"check {name}", f"train {name}", f"replay {name} --file {shlex.quote(str(file))}"):
        click.echo(f"  streamlearn {command}")


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


def _describe(inference: Inference) -> str:
    label = inference.label.name
    what = f"one of {len(inference.classes)} classes" if inference.classes else "a number"
    kinds = Counter(column.kind for column in inference.columns)
    parts = [f"{count} {kind}" for kind, count in kinds.items()]
    bad = f"; {inference.bad} rows cannot be read" if inference.bad else ""
    return f"predicts {label}, {what}, from {inference.rows} rows{bad}; columns: {', '.join(parts)}"


@click.command()
@takes_pipeline
@click.option(
    "--records",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Try the records in this file, a JSON object a line.",
)
@click.option("--limit", default=500, show_default=True, help="Most records to try.")
def check(pipeline: Pipeline, records: Path | None, limit: int) -> None:
    """Try a pipeline of your own, offline: its records, its state, whether results repeat.

    Exit 0: every test has passed. Exit 1: one has failed.

    Example: streamlearn check --pipeline mine:pipeline
    """
    from streamlearn.engine import check
    from streamlearn.learning.blas import pin_blas_threads

    pin_blas_threads()
    values = records.read_bytes().splitlines()[:limit] if records else check.sample(pipeline, limit)
    passed = True
    for finding in check.check(pipeline, values):
        mark = "✗" if not finding.passed else "!" if finding.noted else "✓"
        click.echo(f"{mark} {finding.what} ({finding.detail})")
        passed = passed and finding.passed
    sys.exit(0 if passed else 1)


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
def evaluate(pipeline: Pipeline, passes: int, skip: int, lags: str | None) -> None:
    """Predict, then learn each record of a pipeline's data set offline, and show the prequential score.

    \b
    streamlearn evaluate pm25 --skip 8760
    streamlearn evaluate pm25 --skip 8760 --lags 'pollution=0-6 dew=0,3 wnd_spd=0-3'
    """  # noqa: D301 (click wants the character)
    from streamlearn.engine.evaluate import format_table
    from streamlearn.learning.blas import pin_blas_threads
    from streamlearn.learning.collector import relieve_collector
    from streamlearn.operations.lag_choice import evaluate_with_lags

    pin_blas_threads()
    relieve_collector()
    for line in format_table(evaluate_with_lags(pipeline, passes=passes, skip=skip, lags=lags)):
        click.echo(line)


commands = [init, check, evaluate]
