"""The commands `baseline lstm` and `baseline compare`, which need the extra `lstm`."""

from dataclasses import replace
from pathlib import Path

import click
import msgspec

_seed = click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**31),
    help="Of the nets' first weights, the order they learn in, and the weeks drawn.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")


@click.group()
def baseline() -> None:
    """Set the tutorial's LSTM, and a fair one, beside what learns online, on Beijing's PM2.5.

    Needs the extra `lstm`: pip install 'streamlearn[lstm]', or scripts/setup lstm in a checkout.
    """


@baseline.command()
@click.option("--epochs", default=50, show_default=True, type=click.IntRange(min=1), help="As the article.")
@_seed
@click.option(
    "--seeds", default=1, show_default=True, type=click.IntRange(min=1), help="Fit so many, from --seed on."
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

    One hour of pollution and weather, missing readings as 0, forecasts the pollution of the next; the first
    year is learned, the other four are the test. Half a minute a seed. Progress goes to stderr.

    \b
    streamlearn baseline lstm                               the article's 50 epochs
    streamlearn baseline lstm --seeds 3 --figure pictures   three nets; its two plots
    """  # noqa: D301 (click wants the character)
    from benchmarks.pm25_lstm import figures, hours, lstm, report, rules

    lstm.ready()
    folder = figures.folder(figure) if figure else None
    data = hours.load()
    readings = rules.ZEROS.readings(data.pollution)
    recipe = replace(lstm.ARTICLE, epochs=epochs)
    prepared = recipe.prepared(data, readings, hours.YEAR)
    nets = [lstm.fitted(recipe, prepared, seed + number, _tell) for number in range(seeds)]
    found = report.as_data(nets, readings, hours.YEAR)
    click.echo(msgspec.json.encode(found) if as_json else "\n".join(report.lines(found)))
    if folder:
        figures.draw_series(data, readings, folder / "series.png")
        figures.draw_loss(nets, folder / "loss.png")
        click.echo(f"drawn: {folder / 'series.png'}, {folder / 'loss.png'}", err=as_json)


@baseline.command()
@_seed
@click.option(
    "--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Fit each LSTM so often."
)
@click.option(
    "--draws",
    default=2000,
    show_default=True,
    type=click.IntRange(min=100),
    help="Of weeks, for the intervals.",
)
@_json
def compare(seed: int, seeds: int, draws: int, as_json: bool) -> None:
    """Compare persistence, the article's LSTM, a fair one, and the pipeline pm25, one hour ahead.

    All learn the first year and forecast the hours of the other four; ours does so once without learning
    any more, and once learning each hour after it was predicted. Two rules: a missing reading is 0, as in the
    article, or it is left out. Differences in RMSE come with 95 % intervals from a bootstrap over weeks.
    Prints Markdown. A few minutes on two cores; progress goes to stderr.

    \b
    streamlearn baseline compare > table.md
    streamlearn baseline compare --seeds 1 --json
    """  # noqa: D301 (click wants the character)
    from benchmarks.pm25_lstm import comparison, comparison_report, hours, lstm, rules
    from streamlearn.learning.blas import pin_blas_threads

    lstm.ready()
    pin_blas_threads()
    data, numbers = hours.load(), range(seed, seed + seeds)
    found = []
    for rule in rules.RULES:
        _tell(f"{rule.title}:")
        found.append(comparison.compared(data, rule, numbers, _tell))
    plain = comparison_report.as_data(found, numbers, draws, seed)
    click.echo(msgspec.json.encode(plain) if as_json else "\n".join(comparison_report.lines(plain)))


def _tell(line: str) -> None:
    click.echo(line, err=True)


commands = [baseline]
