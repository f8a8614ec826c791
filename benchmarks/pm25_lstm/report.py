"""How the article's LSTM fared, as lines of Markdown and as plain data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.pm25_lstm import rules
from benchmarks.pm25_lstm.hours import YEAR, Floats
from benchmarks.pm25_lstm.lstm import Net


@dataclass(frozen=True)
class Figures:
    """Errors over the hours after the first year, in µg/m³."""

    rmse: float
    mae: float
    rmse_hour_before: float
    """Of the forecasts beside the readings that they were made from: no error, yet once printed as one."""


def figures(forecasts: Floats, readings: Floats, year: int = YEAR) -> Figures:
    """Compare forecasts with the hours they are of, and with the hours before."""
    errors = rules.errors(forecasts, readings, year)
    before = forecasts - rules.persistence(readings, year)
    return Figures(float(rules.rmse(errors)), float(rules.mae(errors)), float(rules.rmse(before)))


def as_data(nets: Sequence[Net], readings: Floats, year: int = YEAR) -> dict[str, Any]:
    """Return everything as plain data, for `--json`; `docs/pm25.md` describes it."""
    runs = [_run(net, readings, year) for net in nets]
    values = [run["rmse"] for run in runs]
    persistence = figures(rules.persistence(readings, year), readings, year)
    return {
        "hours": len(readings) - year - 1,
        "unit": "µg/m³",
        "runs": runs,
        "rmse_mean": float(np.mean(values)),
        "rmse_spread": max(values) - min(values),
        "persistence": {"rmse": persistence.rmse, "mae": persistence.mae},
    }


def _run(net: Net, readings: Floats, year: int) -> dict[str, Any]:
    found = figures(net.forecasts, readings, year)
    return {
        "seed": net.seed,
        "rmse": found.rmse,
        "mae": found.mae,
        "rmse_hour_before": found.rmse_hour_before,
        "loss": net.loss,
        "validation_loss": net.validation_loss,
    }


def lines(data: dict[str, Any]) -> Iterator[str]:
    """Write what `as_data` returns as a Markdown table, and what it means."""
    yield f"{data['hours']:,} hours after the first year, missing readings as 0; µg/m³"
    yield ""
    yield "| | RMSE | MAE | against the hour before |"
    yield "|---|---|---|---|"
    for run in data["runs"]:
        figures = (run["rmse"], run["mae"], run["rmse_hour_before"])
        yield f"| LSTM, seed {run['seed']} | " + " | ".join(f"{value:.3f}" for value in figures) + " |"
    persistence = data["persistence"]
    yield f"| persistence | {persistence['rmse']:.3f} | {persistence['mae']:.3f} | 0.000 |"
    yield ""
    if len(data["runs"]) > 1:
        yield f"Mean RMSE {data['rmse_mean']:.3f}, from lowest to highest {data['rmse_spread']:.3f}."
    yield "The last column is no error: it tells how far the forecasts are from the readings they were made"
    yield "from. The article once printed that as its test RMSE, 3.836."
