"""The section on what drives a series: its cross-correlations with each driver, as in `streamlearn lags`."""

from streamlearn.errors import BadSeries
from streamlearn.lags import summary
from streamlearn.lags.analysis import Pair, analyse_pairs
from streamlearn.lags.prewhitening import prepare
from streamlearn.reports.figures import forecast
from streamlearn.reports.forecasts import Forecasts
from streamlearn.reports.page import Figure, Section, Table
from streamlearn.reports.wording import format_number

_MAX_LAG_S = 2 * 86_400
"""Two days, as in `streamlearn lags`."""
_MAX_LAG_STEPS = 40
"""Where the steps are not dated."""


def build_section(forecasts: Forecasts) -> Section | None:
    """Return by how many steps each driver leads the value; None where no driver can be analysed."""
    pairs, notes = _analyse_drivers(forecasts)
    if not pairs:
        return None
    step = forecasts.to_table().step
    text = (
        "These are the results of `streamlearn lags`. A lag is positive where the driver leads"
        f" {forecasts.title}. Trust the pre-whitened correlation: two series that each resemble their own"
        " past are correlated for that reason alone, and pre-whitening removes it."
    )
    rows = [
        [
            pair.x.label,
            summary.format_best_lag(pair.raw),
            format_number(pair.raw.r, 3),
            summary.format_best_lag(pair.white),
            format_number(pair.white.r, 3),
            f"{pair.white.band:.3f}",
        ]
        for pair in pairs
    ]
    head = ("", "raw: best lag", "r", "pre-whitened: best lag", "r", "±band")
    unit = forecasts.display.step_unit or "steps"
    table = Table(f"The lag at which the correlation is largest, in {unit}", head, rows, wide=True)
    figures = [_build_figure(pair, step) for pair in pairs]
    return Section(f"What drives {forecasts.title}", " ".join([text, *notes]), figures, [table])


def _analyse_drivers(forecasts: Forecasts) -> tuple[list[Pair], list[str]]:
    """Return each usable driver paired with the value, and a sentence on each that is left out."""
    table, value = forecasts.to_table(), forecasts.display.value or "value"
    names, notes = [], []
    for driver in forecasts.drivers:
        try:
            prepare(driver)
            names.append((driver.name, value))
        except BadSeries as error:
            notes.append(f"Left out: {error}.")
    step_s = forecasts.display.step_s
    max_lag = min(_MAX_LAG_S // step_s if step_s else _MAX_LAG_STEPS, len(forecasts.steps) // 4)
    pairs: list[Pair] = []
    try:
        pairs.extend(analyse_pairs(table, names, max_lag))
    except BadSeries as error:
        notes.append(f"Left out: {error}.")
    return pairs, notes


def _build_figure(pair: Pair, step: str) -> Figure:
    warnings = "".join(f" {_capitalize(line)}." for line in summary.find_warnings(pair, step))
    return Figure(
        title=_capitalize(summary.describe_lead(pair, pair.white, step)),
        alt=f"Bar charts of the correlation of {pair.x.label} with {pair.y.label} at each lag.",
        caption=f"Dot: the largest correlation. Shaded: the band ±{pair.white.band:.3f}, inside which two"
        f" independent noises stay at 95 of 100 lags.{warnings}",
        svg=forecast.draw_correlations(pair, step),
    )


def _capitalize(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
