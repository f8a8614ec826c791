"""What was found about lags, in words, in tables and as plain data."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from streamlearn.lags.analysis import Pair, Verdicts
from streamlearn.lags.correlations import Correlations
from streamlearn.lags.gaps import FILLED
from streamlearn.lags.hypothesis_tests import LEVEL, Granger, Outcome, Stationarity
from streamlearn.lags.series import Table

HEADING = "r(k) sets x at t beside y at t + k: a positive lag means that x leads y"


def time_of(steps: int, step: str) -> str:
    """Say how long so many steps are.

    >>> time_of(3, "1 h"), time_of(3, "15 min"), time_of(1, "")
    ('3 h', '3 × 15 min', '1 step')
    """
    if not step:
        return f"{steps} step" + "s" * (abs(steps) != 1)
    number, unit = step.split()
    return f"{steps} {unit}" if number == "1" else f"{steps} × {step}"


def signed(value: float, digits: int = 2) -> str:
    """Write a number with a true minus.

    >>> signed(-0.126)
    '−0.13'
    """
    return f"{value:.{digits}f}".replace("-", "−")


def show(console: Console, table: Table, pairs: Sequence[Pair]) -> None:
    """Print everything for people."""
    for line in (*table.notes, *filled(pairs)):
        console.print(line, soft_wrap=True)
    console.print()
    console.print(stationarities(pairs))
    for pair in pairs:
        console.print()
        console.print(said(pair, pair.white, table.step), style="bold", soft_wrap=True)
        for line in about(pair):
            console.print(f"  {line}", soft_wrap=True)
        for line in warnings(pair, table.step):
            console.print(f"  Warning: {line}", style="yellow", soft_wrap=True)
    console.print()
    console.print(overview(pairs, table.step))
    console.print(HEADING)


def probability(p: float) -> str:
    """Write a p value.

    >>> probability(0.0004), probability(0.0123)
    ('<0.001', '0.012')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def said(pair: Pair, found: Correlations, step: str) -> str:
    """Say who leads whom, by how long, and whether they go the same way."""
    x, y = pair.x.label, pair.y.label
    if not found.stands_out:
        return f"{x} and {y}: no lag stands out (the largest is r = {signed(found.r)})"
    way = "same way" if found.r > 0 else "opposite way"
    if found.best_lag == 0:
        return f"{x} and {y} move at the same time, r = {signed(found.r)} ({way})"
    first, second = (x, y) if found.best_lag > 0 else (y, x)
    return f"{first} leads {second} by {time_of(abs(found.best_lag), step)}, r = {signed(found.r)} ({way})"


def warnings(pair: Pair, step: str) -> Iterator[str]:
    """What a reader should be warned of."""
    raw, white = signed(pair.raw.r), signed(pair.white.r)
    if pair.vanishes:
        yield f"the raw correlation ({raw}) vanishes after pre-whitening ({white}): it is spurious"
    if pair.shrinks:
        yield f"most of the raw correlation ({raw}) goes with each series' own past: {white} is left"
    if pair.white.stands_out and abs(pair.white.best_lag) == pair.white.lags[-1]:
        reach = time_of(pair.white.lags[-1], step)
        yield f"the best lag is the last one looked at, {reach}: try a larger --max-lag"


def about(pair: Pair) -> Iterator[str]:
    """What was done to a pair before it was correlated, and the second opinion."""
    done = "both differenced once, as not both are stationary" if pair.differenced else "not differenced"
    yield f"{done}; then both through the autoregression of {pair.x.label}, order {pair.order}"
    yield _granger(pair, pair.granger)


def overview(pairs: Sequence[Pair], step: str) -> Grid:
    """The best lag of every pair, raw and pre-whitened."""
    unit = step if step.startswith("1 ") else (f"× {step}" if step else "steps")
    grid = Grid(title=f"Best lag in {unit.removeprefix('1 ')}, and r there", title_justify="left")
    for name in ("x", "y"):
        grid.add_column(name)
    for name in ("raw", "r", "pre-whitened", "r", "±band"):
        grid.add_column(name, justify="right")
    for pair in pairs:
        cells = [_lag(pair.raw), signed(pair.raw.r), _lag(pair.white), signed(pair.white.r)]
        grid.add_row(pair.x.label, pair.y.label, *cells, f"{pair.white.band:.3f}")
    return grid


def stationarities(pairs: Sequence[Pair]) -> Grid:
    """Both tests of every series, and of its changes where they were used."""
    grid = Grid(title=f"Stationary? Tests at {LEVEL:.0%}; p in brackets", title_justify="left")
    for name, justify in (("series", "left"), ("n", "right"), ("ADF", "right"), ("KPSS", "right")):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    grid.add_column("verdict")
    rows: dict[str, Stationarity] = {}
    for pair in pairs:
        for one, tested in zip((pair.x, pair.y), pair.tested, strict=True):
            rows[one.label] = tested.level
            if tested.differenced:
                rows[f"Δ {one.label}"] = tested.differenced
    for label, found in rows.items():
        grid.add_row(label, str(found.n), _test(found.adf), _test(found.kpss), found.verdict)
    return grid


def filled(pairs: Sequence[Pair]) -> Iterator[str]:
    """How many values were filled, and for what."""
    counts = {
        one.label: tested.filled
        for pair in pairs
        for one, tested in zip((pair.x, pair.y), pair.tested, strict=True)
        if tested.filled
    }
    for label, count in counts.items():
        yield (
            f"{label}: {count} missing steps in gaps of at most {FILLED} were filled by straight lines"
            " for the tests and the autoregression; no correlation uses them"
        )


def as_data(source: str, table: Table, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return everything as plain data, for `--json`; `docs/lags.md` describes it."""
    return {
        "source": source,
        "step": table.step,
        "steps": len(table.times),
        "notes": [*table.notes, *filled(pairs)],
        "pairs": [_pair(pair, table.step) for pair in pairs],
    }


def _pair(pair: Pair, step: str) -> dict[str, Any]:
    names = ("x", "y")
    white = _correlations(pair.white)
    return {
        **{name: one.name for name, one in zip(names, (pair.x, pair.y), strict=True)},
        "best_lag": white["best_lag"],
        "r": white["r"],
        "band": white["band"],
        "n": white["n"],
        "words": said(pair, pair.white, step),
        "warnings": list(warnings(pair, step)),
        "differenced": pair.differenced,
        "ar_order": pair.order,
        "raw": _correlations(pair.raw),
        "prewhitened": white,
        "tests": {name: _tested(tested) for name, tested in zip(names, pair.tested, strict=True)},
        "granger": asdict(pair.granger) if pair.granger else None,
    }


def _correlations(found: Correlations) -> dict[str, Any]:
    return {
        "best_lag": found.best_lag,
        "r": found.r,
        "band": found.band,
        "threshold": found.threshold,
        "stands_out": found.stands_out,
        "n": found.n,
        "lags": found.lags,
        "ccf": found.ccf.tolist(),
    }


def _tested(tested: Verdicts) -> dict[str, Any]:
    changes = tested.differenced
    return {
        **_stationarity(tested.level),
        "filled": tested.filled,
        "after_differencing": _stationarity(changes) if changes else None,
    }


def _stationarity(found: Stationarity) -> dict[str, Any]:
    return {**asdict(found), "stationary": found.stationary, "verdict": found.verdict}


def _lag(found: Correlations) -> str:
    return f"{found.best_lag:+d}".replace("-", "−").replace("+0", "0") if found.stands_out else "none"


def _test(test: Outcome) -> str:
    return f"{signed(test.statistic)} ({probability(test.p)})"


def _granger(pair: Pair, found: Granger | None) -> str:
    if found is None:
        return "Granger: the common run without a missing value does not allow the test"
    x, y = pair.x.label, pair.y.label
    forth, back = (probability(test.p) for test in (found.x_to_y, found.y_to_x))
    verdict = {
        (True, True): "each helps to predict the other",
        (True, False): f"{x} helps to predict {y}, not the other way round",
        (False, True): f"{y} helps to predict {x}, not the other way round",
        (False, False): "neither helps to predict the other",
    }[found.x_to_y.rejects, found.y_to_x.rejects]
    lags = f"{found.x_to_y.lags} lags, {found.n} steps in a row"
    return f"Granger: {verdict} (p: {forth} and {back}; {lags})"
