"""The section on what drives a series: cross-correlations with each driver, as of `streamlearn lags`."""

from streamlearn.errors import BadSeries
from streamlearn.lags import summary
from streamlearn.lags.analysis import Pair, analysed
from streamlearn.lags.correlations import Correlations
from streamlearn.lags.prewhitening import prepared
from streamlearn.reports.figures import forecast
from streamlearn.reports.forecasts import Forecasts
from streamlearn.reports.page import Grid, Picture, Section

_REACH_S = 2 * 86_400
"""Two days, as `streamlearn lags` looks at."""


def section(found: Forecasts) -> Section | None:
    """What drives the value, and by how many steps ahead; None where no driver can be looked at."""
    pairs, notes = _pairs(found)
    if not pairs:
        return None
    step = found.table().step
    pictures = [_picture(pair, step) for pair in pairs]
    text = (
        f"As `streamlearn lags` finds it. A lag is positive where the driver leads {found.title}. Trust the"
        " pre-whitened correlation: two series that each resemble their own past correlate for no other"
        " reason, and pre-whitening takes that past out."
    )
    rows = [
        [pair.x.label]
        + [cell for one in (pair.raw, pair.white) for cell in (_lag(one), summary.signed(one.r, 3))]
        + [f"{pair.white.band:.3f}"]
        for pair in pairs
    ]
    head = ("", "raw: best lag", "r", "pre-whitened: best lag", "r", "±band")
    unit = f"in {found.display.step_unit}" if found.display.step_unit else "in steps"
    table = Grid(f"The lag at which the correlation is largest, {unit}", head, rows, wide=True)
    return Section(f"What drives {found.title}", " ".join([text, *notes]), pictures, [table])


def _pairs(found: Forecasts) -> tuple[list[Pair], list[str]]:
    table, value = found.table(), found.display.value or "value"
    usable, notes = [], []
    for driver in found.drivers:
        try:
            prepared(driver)
            usable.append((driver.name, value))
        except BadSeries as bad:
            notes.append(f"Left out: {bad}.")
    step_s, most = found.display.step_s, len(found.steps) // 4
    reach = min(_REACH_S // step_s, most) if step_s else min(40, most)
    pairs: list[Pair] = []
    try:
        pairs.extend(analysed(table, usable, reach))
    except BadSeries as bad:
        notes.append(f"Left out: {bad}.")
    return pairs, notes


def _picture(pair: Pair, step: str) -> Picture:
    warned = "".join(f" {line[0].upper()}{line[1:]}." for line in summary.warnings(pair, step))
    title = summary.said(pair, pair.white, step)
    return Picture(
        title=title[0].upper() + title[1:],
        alt=f"Bar charts of the correlation of {pair.x.label} with {pair.y.label} at each lag.",
        caption=f"Dot: the largest. Shaded: the band ±{pair.white.band:.3f} that two independent noises keep"
        f" to at 95 of 100 lags.{warned}",
        svg=forecast.correlations(pair, step),
    )


def _lag(one: Correlations) -> str:
    return f"{one.best_lag:+d}".replace("-", "−").replace("+0", "0") if one.stands_out else "none"
