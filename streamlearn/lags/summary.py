"""The results about pairs of series: in sentences, in tables and as plain data."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from streamlearn.lags.analysis import Pair, SeriesTests
from streamlearn.lags.correlations import Correlations
from streamlearn.lags.gaps import MAX_FILLED
from streamlearn.lags.hypothesis_tests import LEVEL, Outcome, Stationarity
from streamlearn.lags.series import Table

HEADING = "r(k) sets x at t beside y at t + k: a positive lag means that x leads y"


def format_duration(steps: int, step: str) -> str:
    """Write how long a number of steps is; `step` is the length of one, empty where it is not known.

    >>> format_duration(3, "1 h"), format_duration(3, "15 min"), format_duration(1, "")
    ('3 h', '3 × 15 min', '1 step')
    """
    if not step:
        return f"{steps} step" + "s" * (abs(steps) != 1)
    number, unit = step.split()
    return f"{steps} {unit}" if number == "1" else f"{steps} × {step}"


def format_signed(value: float, digits: int = 2) -> str:
    """Write a number with a true minus.

    >>> format_signed(-0.126)
    '−0.13'
    """
    return f"{value:.{digits}f}".replace("-", "−")


def print_summary(console: Console, table: Table, pairs: Sequence[Pair]) -> None:
    """Print everything for people."""
    for line in (*table.notes, *describe_filled(pairs)):
        console.print(line, soft_wrap=True)
    console.print()
    console.print(make_stationarity_grid(pairs))
    for pair in pairs:
        console.print()
        console.print(describe_lead(pair, pair.white, table.step), style="bold", soft_wrap=True)
        for line in describe_method(pair):
            console.print(f"  {line}", soft_wrap=True)
        for line in find_warnings(pair, table.step):
            console.print(f"  Warning: {line}", style="yellow", soft_wrap=True)
    console.print()
    console.print(make_lag_grid(pairs, table.step))
    console.print(HEADING)


def format_p(p: float) -> str:
    """Write a p value.

    >>> format_p(0.0004), format_p(0.0123)
    ('<0.001', '0.012')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def format_best_lag(correlations: Correlations) -> str:
    """Write the best lag with its sign, or `none` where no lag stands out."""
    lag = f"{correlations.best_lag:+d}".replace("-", "−").replace("+0", "0")
    return lag if correlations.stands_out else "none"


def describe_lead(pair: Pair, correlations: Correlations, step: str) -> str:
    """Return a sentence: which series leads, by how long, and whether both move the same way.

    `correlations` are the pair's raw or pre-whitened ones.
    """
    x, y = pair.x.label, pair.y.label
    lag, r = correlations.best_lag, format_signed(correlations.r)
    if not correlations.stands_out:
        return f"{x} and {y}: no lag stands out (the largest is r = {r})"
    direction = "same way" if correlations.r > 0 else "opposite way"
    if lag == 0:
        return f"{x} and {y} move at the same time, r = {r} ({direction})"
    leader, follower = (x, y) if lag > 0 else (y, x)
    return f"{leader} leads {follower} by {format_duration(abs(lag), step)}, r = {r} ({direction})"


def find_warnings(pair: Pair, step: str) -> Iterator[str]:
    """Yield warnings to a reader who would trust the correlations as they are."""
    raw, white = format_signed(pair.raw.r), format_signed(pair.white.r)
    if pair.vanishes:
        yield f"the raw correlation ({raw}) vanishes after pre-whitening ({white}): it is spurious"
    if pair.shrinks:
        yield f"most of the raw correlation ({raw}) goes with each series' own past: {white} is left"
    if pair.white.stands_out and abs(pair.white.best_lag) == pair.white.lags[-1]:
        max_lag = format_duration(pair.white.lags[-1], step)
        yield f"the best lag is the last one looked at, {max_lag}: try a larger --max-lag"


def describe_method(pair: Pair) -> Iterator[str]:
    """Yield lines: how a pair was pre-whitened, and the second opinion of Granger's tests."""
    differencing = (
        "both differenced once, as not both are stationary" if pair.differenced else "not differenced"
    )
    yield f"{differencing}; then both through the autoregression of {pair.x.label}, order {pair.order}"
    yield _describe_granger(pair)


def make_lag_grid(pairs: Sequence[Pair], step: str) -> Grid:
    """Return a table of the best lag of every pair, raw and pre-whitened."""
    unit = step if step.startswith("1 ") else (f"× {step}" if step else "steps")
    grid = Grid(title=f"Best lag in {unit.removeprefix('1 ')}, and r there", title_justify="left")
    for name in ("x", "y"):
        grid.add_column(name)
    for name in ("raw", "r", "pre-whitened", "r", "±band"):
        grid.add_column(name, justify="right")
    for pair in pairs:
        cells = [
            cell
            for correlations in (pair.raw, pair.white)
            for cell in (format_best_lag(correlations), format_signed(correlations.r))
        ]
        grid.add_row(pair.x.label, pair.y.label, *cells, f"{pair.white.band:.3f}")
    return grid


def make_stationarity_grid(pairs: Sequence[Pair]) -> Grid:
    """Return a table of both tests of every series, and of its changes where they were used."""
    grid = Grid(title=f"Stationary? Tests at {LEVEL:.0%}; p in brackets", title_justify="left")
    for name, justify in (("series", "left"), ("n", "right"), ("ADF", "right"), ("KPSS", "right")):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    grid.add_column("verdict")
    rows: dict[str, Stationarity] = {}
    for pair in pairs:
        for series, tests in zip((pair.x, pair.y), pair.tests, strict=True):
            rows[series.label] = tests.level
            if tests.differenced:
                rows[f"Δ {series.label}"] = tests.differenced
    for label, row in rows.items():
        grid.add_row(label, str(row.n), _format_outcome(row.adf), _format_outcome(row.kpss), row.verdict)
    return grid


def describe_filled(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a line for each series of which steps were filled: how many, and for what."""
    counts = {
        series.label: tests.filled
        for pair in pairs
        for series, tests in zip((pair.x, pair.y), pair.tests, strict=True)
        if tests.filled
    }
    for label, count in counts.items():
        yield (
            f"{label}: {count} missing steps in gaps of at most {MAX_FILLED} were filled by straight lines"
            " for the tests and the autoregression; no correlation uses them"
        )


def to_plain_data(source: str, table: Table, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return everything as `--json` prints it; `docs/lags.md` describes the fields."""
    return {
        "source": source,
        "step": table.step,
        "steps": len(table.times),
        "notes": [*table.notes, *describe_filled(pairs)],
        "pairs": [_pair_data(pair, table.step) for pair in pairs],
    }


def _pair_data(pair: Pair, step: str) -> dict[str, Any]:
    names = ("x", "y")
    white = _correlation_data(pair.white)
    return {
        **{name: series.name for name, series in zip(names, (pair.x, pair.y), strict=True)},
        "best_lag": white["best_lag"],
        "r": white["r"],
        "band": white["band"],
        "n": white["n"],
        "words": describe_lead(pair, pair.white, step),
        "warnings": list(find_warnings(pair, step)),
        "differenced": pair.differenced,
        "ar_order": pair.order,
        "raw": _correlation_data(pair.raw),
        "prewhitened": white,
        "tests": {name: _test_data(tests) for name, tests in zip(names, pair.tests, strict=True)},
        "granger": asdict(pair.granger) if pair.granger else None,
    }


def _correlation_data(correlations: Correlations) -> dict[str, Any]:
    return {
        "best_lag": correlations.best_lag,
        "r": correlations.r,
        "band": correlations.band,
        "threshold": correlations.threshold,
        "stands_out": correlations.stands_out,
        "n": correlations.n,
        "lags": correlations.lags,
        "ccf": correlations.ccf.tolist(),
    }


def _test_data(tests: SeriesTests) -> dict[str, Any]:
    changes = tests.differenced
    return {
        **_stationarity_data(tests.level),
        "filled": tests.filled,
        "after_differencing": _stationarity_data(changes) if changes else None,
    }


def _stationarity_data(tests: Stationarity) -> dict[str, Any]:
    return {**asdict(tests), "stationary": tests.stationary, "verdict": tests.verdict}


def _format_outcome(test: Outcome) -> str:
    return f"{format_signed(test.statistic)} ({format_p(test.p)})"


def _describe_granger(pair: Pair) -> str:
    tests = pair.granger
    if tests is None:
        return "Granger: the common run without a missing value does not allow the test"
    x, y = pair.x.label, pair.y.label
    verdict = {
        (True, True): "each helps to predict the other",
        (True, False): f"{x} helps to predict {y}, not the other way round",
        (False, True): f"{y} helps to predict {x}, not the other way round",
        (False, False): "neither helps to predict the other",
    }[tests.x_to_y.rejects, tests.y_to_x.rejects]
    p_values = f"{format_p(tests.x_to_y.p)} and {format_p(tests.y_to_x.p)}"
    lags = f"{tests.x_to_y.lags} lags, {tests.n} steps in a row"
    return f"Granger: {verdict} (p: {p_values}; {lags})"
