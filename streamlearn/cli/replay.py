"""`streamlearn replay`."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

import producer  # noqa: F401 (if it is missing, `main.py` lists the command with what to install)
from streamlearn.cli.targets import takes_pipeline
from streamlearn.errors import DataError, NotSupported
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.pipelines.base import Pipeline


@click.command()
@takes_pipeline
@click.option(
    "--file",
    type=click.Path(exists=True, path_type=Path),
    help="Send the rows of this file, .csv, .jsonl or .parquet, or of all such files in this folder, in place"
    " of the pipeline's data set.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    help="Records a second; 0: as fast as possible.  [default: STREAMLEARN_REPLAY_RATE, else 10]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Send exactly so many records, over as many passes as that takes.",
)
@click.option("--loop", is_flag=True, help="Go on, pass after pass, until you interrupt it.")
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the shuffling; the same seed sends the same.",
)
@click.option(
    "--skip",
    type=click.IntRange(min=0),
    default=0,
    help="Leave out so many records at the beginning: those that are sent already.",
)
@click.option("--strict", is_flag=True, help="Send nothing of a file in which a row does not fit.")
def replay(
    pipeline: "Pipeline",
    file: Path | None,
    rate: float | None,
    limit: int | None,
    loop: bool,
    seed: int,
    skip: int,
    strict: bool,
) -> None:
    """Send a pipeline's data set, or a file, into its topic, once unless you say otherwise.

    Data without an order of its own is shuffled anew at each pass. The rows of a file are made into what the
    pipeline's record type wants before the first is sent; those that do not fit are named, left out and
    counted.

    \b
    streamlearn replay digits --rate 0 --limit 17970    (ten passes, as fast as possible)
    streamlearn replay flowers --file iris.csv
    streamlearn replay stations --file PRSA_Data    (a folder: a file for each station)
    """  # noqa: D301 (click wants the character)
    from producer.replay import replay as send_dataset
    from streamlearn.cli.terminal.progress import AcknowledgedProgress
    from streamlearn.datasets.table import Table

    settings = Settings.load()
    if file is not None:
        pipeline = replace(pipeline, dataset=pipeline.read_file(file))
    dataset = pipeline.dataset
    bad = dataset.bad_rows if isinstance(dataset, Table) else []
    rows = f"{len(bad)} of {dataset.size + len(bad)} rows" if dataset is not None and bad else ""
    if strict and bad:
        raise DataError(f"{rows} do not fit, so nothing is sent: {bad[0].where}: {bad[0].reason}")
    if dataset is not None and limit is None and not loop and skip and skip % dataset.size == 0:
        raise NotSupported(f"--skip {skip} leaves nothing to send: there are {dataset.size} records")
    with AcknowledgedProgress(pipeline.name) as progress:
        result = send_dataset(
            settings,
            pipeline,
            rate=settings.replay_rate if rate is None else rate,
            limit=limit,
            loop=loop,
            seed=seed,
            skip=skip,
            show=progress.show,
        )
    left_out = f"; {rows} did not fit and were left out" if bad else ""
    click.echo(f"{result.acknowledged} records sent and acknowledged{left_out}")
    done = skip + result.acknowledged
    if dataset is not None and (loop or done % dataset.size):
        rest = limit - result.acknowledged if limit else 0
        options = {"--seed": seed, "--skip": done, "--limit": rest}
        flags = ["--loop"] * loop + ["--strict"] * strict
        click.echo(f"go on with: {_format_command(pipeline, file, options, flags)}")


def _format_command(
    pipeline: "Pipeline", file: Path | None, options: dict[str, int], flags: Sequence[str]
) -> str:
    """Return a command line of `replay`, with the options that are not 0."""
    module, _, attribute = pipeline.reference.partition(":")
    is_name = not attribute or (attribute == "pipeline" and module == pipeline.name)
    words = [module if is_name else pipeline.reference]
    words += [] if file is None else ["--file", str(file)]
    words += [text for option, number in options.items() if number for text in (option, str(number))]
    return shlex.join(["streamlearn", "replay", *words, *flags])


commands = [replay]
