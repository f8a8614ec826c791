"""The commands `baseline lstm` and `baseline compare`: the benchmarks of a checkout."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from streamlearn.cli.terminal.groups import CommandGroup
from streamlearn.errors import MissingExtra

_seed = click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**31),
    help="Seed of the first net. `compare` also draws weeks by it.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")


@click.group(cls=CommandGroup)
def baseline() -> None:
    """Compare LSTMs, and what others take, with the online pipeline pm25, on Beijing's PM2.5.

    Runs in a checkout of the project. LSTMs need the extra `lstm`: scripts/setup lstm installs it.
    """


@baseline.command()
@click.option(
    "--epochs", default=50, show_default=True, type=click.IntRange(min=1), help="The article has 50."
)
@_seed
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of nets to fit, each with a seed of its own, from --seed on.",
)
@click.option(
    "--figure",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Draw the series and the loss after each epoch into this folder.",
)
@_json
def lstm(epochs: int, seed: int, seeds: int, figure: Path | None, as_json: bool) -> None:
    """Fit the LSTM of Jason Brownlee's article on PM2.5, as the article does, and score it in µg/m³.

    One hour of pollution and weather forecasts the pollution of the next; missing readings are 0. The net
    learns the first year and is tested on the other four. A net takes half a minute. Progress goes to stderr.

    \b
    streamlearn baseline lstm                               the article's 50 epochs
    streamlearn baseline lstm --seeds 3 --figure pictures   three nets; its two plots
    """  # noqa: D301 (click wants the character)
    _require_benchmarks()
    from benchmarks.pm25_lstm import article_report, figures, hours, lstm, rules

    lstm.import_keras()
    folder = figures.make_folder(figure) if figure else None
    data = hours.load()
    readings = rules.ZEROS.apply(data.pollution)
    recipe = replace(lstm.ARTICLE, epochs=epochs)
    nets = lstm.fit_seeds(recipe, data, readings, range(seed, seed + seeds), _report, hours.YEAR)
    _echo(article_report.summarize(nets, readings, hours.YEAR), article_report.format_markdown, as_json)
    if folder:
        paths = figures.draw(data, readings, nets, folder)
        click.echo(f"drawn: {', '.join(map(str, paths))}", err=as_json)


@baseline.command()
@_seed
@click.option(
    "--seeds",
    default=3,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of nets to fit of each LSTM, each with a seed of its own, from --seed on.",
)
@click.option(
    "--draws",
    default=2000,
    show_default=True,
    type=click.IntRange(min=100),
    help="Number of draws of weeks for the intervals.",
)
@click.option(
    "--nets/--no-nets", default=True, show_default=True, help="Without nets the extra `lstm` is not needed."
)
@click.option(
    "--figure",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the differences and their intervals into this file (.png, .svg, .pdf).",
)
@_json
def compare(seed: int, seeds: int, draws: int, nets: bool, figure: Path | None, as_json: bool) -> None:
    """Compare the pipeline pm25 with persistence, climatology, ARIMA, LSTMs and boosting, an hour ahead.

    All learn the first year and forecast the hours of the other four. The pipeline does so twice: once it
    learns nothing more, and once it learns each hour after it has predicted it. Climatology is the mean of
    the month and hour so far; boosting is fitted anew each month; neither they nor ARIMA look ahead. There
    are two rules for a missing reading: it is 0, as in the article, or it is left out. Differences in RMSE
    have 95 % intervals from a bootstrap over weeks. Prints Markdown. Some fifteen minutes on two cores;
    progress goes to stderr.

    \b
    streamlearn baseline compare --figure differences.svg > table.md
    streamlearn baseline compare --no-nets --json
    """  # noqa: D301 (click wants the character)
    _require_benchmarks()
    from benchmarks.pm25_lstm import comparison, comparison_report, figures, hours, lstm, rules
    from streamlearn.learning.process import pin_blas_threads

    if nets:
        lstm.import_keras()
    if figure:
        figures.make_folder(figure.parent)
    pin_blas_threads()
    data, numbers = hours.load(), range(seed, seed + seeds)
    comparisons = []
    for rule in rules.RULES:
        _report(f"{rule.title}:")
        recipes = lstm.RECIPES if nets else ()
        comparisons.append(comparison.compare_models(data, rule, numbers, _report, hours.YEAR, recipes))
    summary = comparison_report.summarize(comparisons, numbers, draws, seed)
    _echo(summary, comparison_report.format_markdown, as_json)
    if figure:
        figures.draw_comparison(summary, figure)
        click.echo(f"drawn: {figure}", err=True)


def _require_benchmarks() -> None:
    try:
        import benchmarks.pm25_lstm  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the benchmarks are not part of the installed package: run `streamlearn baseline` in a checkout"
            " of the project, after scripts/setup lstm"
        ) from error


def _echo(
    summary: dict[str, Any], format_markdown: Callable[[dict[str, Any]], Iterable[str]], as_json: bool
) -> None:
    click.echo(msgspec.json.encode(summary) if as_json else "\n".join(format_markdown(summary)))


def _report(line: str) -> None:
    click.echo(line, err=True)


commands = [baseline]
