"""The errors of the article's LSTM as Markdown and as plain data."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.pm25_lstm import rules
from benchmarks.pm25_lstm.hours import YEAR, Floats
from benchmarks.pm25_lstm.lstm import Net


def summarize(nets: Sequence[Net], readings: Floats, year: int = YEAR) -> dict[str, Any]:
    """Return everything as plain data, for `--json`; `docs/pm25.md` describes it."""
    runs = [_summarize_run(net, readings, year) for net in nets]
    values = [run["rmse"] for run in runs]
    persistence = score_forecasts(rules.forecast_by_persistence(readings, year), readings, year)
    return {
        "hours": len(readings) - year - 1,
        "unit": "µg/m³",
        "runs": runs,
        "rmse_mean": float(np.mean(values)),
        "rmse_spread": max(values) - min(values),
        "persistence": {"rmse": persistence["rmse"], "mae": persistence["mae"]},
    }


def score_forecasts(forecasts: Floats, readings: Floats, year: int = YEAR) -> dict[str, float]:
    """Return errors over the hours after `year`, in µg/m³: `rmse`, `mae`, and `rmse_hour_before`.

    The last sets the forecasts beside the readings that they were made from. It is no error, but the article
    once printed it as one.
    """
    residuals = rules.compute_residuals(forecasts, readings, year)
    changes = forecasts - rules.forecast_by_persistence(readings, year)
    return {
        "rmse": float(rules.rmse(residuals)),
        "mae": float(rules.mae(residuals)),
        "rmse_hour_before": float(rules.rmse(changes)),
    }


def _summarize_run(net: Net, readings: Floats, year: int) -> dict[str, Any]:
    return {
        "seed": net.seed,
        **score_forecasts(net.forecasts, readings, year),
        "loss": net.loss,
        "validation_loss": net.validation_loss,
    }


def format_markdown(data: dict[str, Any]) -> Iterator[str]:
    """Write what `summarize` returns as a Markdown table, and explain its last column."""
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
    yield "The last column is no error: it is how far the forecasts are from the readings that they were made"
    yield "from. The article once printed it as its test RMSE, 3.836."
