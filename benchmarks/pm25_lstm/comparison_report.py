"""Comparisons as Markdown and as plain data, with the meaning of each interval in words."""

from collections.abc import Iterator, Sequence
from statistics import mean
from typing import Any

from benchmarks.pm25_lstm.bootstrap import Difference
from benchmarks.pm25_lstm.comparison import Comparison


def summarize(
    comparisons: Sequence[Comparison], seeds: Sequence[int], draws: int, draw_seed: int
) -> dict[str, Any]:
    """Return everything as plain data, for `--json`; `docs/pm25.md` describes it."""
    return {
        "unit": "µg/m³",
        "seeds": list(seeds),
        "draws": draws,
        "rules": [_summarize_rule(comparison, draws, draw_seed) for comparison in comparisons],
    }


def _summarize_rule(comparison: Comparison, draws: int, seed: int) -> dict[str, Any]:
    return {
        "rule": comparison.rule.name,
        "title": comparison.rule.title,
        "hours": comparison.hours,
        "models": [
            {"model": model.name, "rmse": model.rmse, "mae": model.mae}
            for model in comparison.models.values()
        ],
        "differences": [
            {
                "first": first,
                "second": second,
                "rmse": difference.value,
                "low": difference.low,
                "high": difference.high,
                "holds_zero": difference.holds_zero,
                "words": describe(difference),
            }
            for first, second, difference in comparison.estimate_differences(draws, seed)
        ],
    }


def describe(difference: Difference) -> str:
    """Say which of two models is better, if that is more than chance.

    >>> describe(Difference(-1.2, -1.5, -0.9))
    'the first is better: the interval does not hold zero'
    >>> describe(Difference(-0.1, -0.3, 0.1))
    'they cannot be told apart: the interval holds zero'
    """
    if difference.holds_zero:
        return "they cannot be told apart: the interval holds zero"
    verdict = "better" if difference.value < 0 else "worse"
    return f"the first is {verdict}: the interval does not hold zero"


def format_markdown(data: dict[str, Any]) -> Iterator[str]:
    """Write what `summarize` returns as two Markdown tables for each rule."""
    for rule in data["rules"]:
        yield f"**{rule['title']}**: {rule['hours']:,} hours, µg/m³; of several seeds mean, lowest–highest"
        yield ""
        yield "| model | RMSE | MAE |"
        yield "|---|---|---|"
        for model in rule["models"]:
            yield f"| {model['model']} | {_format_seeds(model['rmse'])} | {_format_seeds(model['mae'])} |"
        yield ""
        yield "| first | second | RMSE, first − second | 95 % | in words |"
        yield "|---|---|---|---|---|"
        for row in rule["differences"]:
            interval = f"{_format_signed(row['low'])} to {_format_signed(row['high'])}"
            cells = (row["first"], row["second"], _format_signed(row["rmse"]), interval, row["words"])
            yield "| " + " | ".join(cells) + " |"
        yield ""


def _format_seeds(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{mean(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _format_signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
