"""The comparison as Markdown and as plain data, with what an interval means in words."""

from collections.abc import Iterator, Sequence
from statistics import mean
from typing import Any

from benchmarks.pm25_lstm.bootstrap import Difference
from benchmarks.pm25_lstm.comparison import Compared


def as_data(found: Sequence[Compared], seeds: Sequence[int], draws: int, draw_seed: int) -> dict[str, Any]:
    """Return everything as plain data, for `--json`; `docs/pm25.md` describes it."""
    return {
        "unit": "µg/m³",
        "seeds": list(seeds),
        "draws": draws,
        "rules": [_rule(one, draws, draw_seed) for one in found],
    }


def _rule(found: Compared, draws: int, seed: int) -> dict[str, Any]:
    return {
        "rule": found.rule.name,
        "title": found.rule.title,
        "hours": found.hours,
        "models": [
            {"model": model.name, "rmse": model.rmse, "mae": model.mae} for model in found.models.values()
        ],
        "differences": [
            {
                "first": first,
                "second": second,
                "rmse": one.value,
                "low": one.low,
                "high": one.high,
                "holds_zero": one.holds_zero,
                "words": words(one),
            }
            for first, second, one in found.differences(draws, seed)
        ],
    }


def words(found: Difference) -> str:
    """Say which of two models is better, if that is more than chance.

    >>> words(Difference(-1.2, -1.5, -0.9))
    'the first is better: the interval does not hold zero'
    >>> words(Difference(-0.1, -0.3, 0.1))
    'they cannot be told apart: the interval holds zero'
    """
    if found.holds_zero:
        return "they cannot be told apart: the interval holds zero"
    better = "better" if found.value < 0 else "worse"
    return f"the first is {better}: the interval does not hold zero"


def lines(data: dict[str, Any]) -> Iterator[str]:
    """Write what `as_data` returns as two Markdown tables for each rule."""
    for rule in data["rules"]:
        yield f"**{rule['title']}**: {rule['hours']:,} hours, µg/m³; of several seeds mean, lowest–highest"
        yield ""
        yield "| model | RMSE | MAE |"
        yield "|---|---|---|"
        for model in rule["models"]:
            yield f"| {model['model']} | {_over_seeds(model['rmse'])} | {_over_seeds(model['mae'])} |"
        yield ""
        yield "| first | second | RMSE, first − second | 95 % | in words |"
        yield "|---|---|---|---|---|"
        for one in rule["differences"]:
            interval = f"{_signed(one['low'])} to {_signed(one['high'])}"
            cells = (one["first"], one["second"], _signed(one["rmse"]), interval, one["words"])
            yield "| " + " | ".join(cells) + " |"
        yield ""


def _over_seeds(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{mean(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
