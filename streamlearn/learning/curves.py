"""Errors over time beside those of a baseline, made from a stream's own committed answers.

Pure functions. Time runs forward along the first axis. What is missing is NaN and counts neither for the
model nor for the baseline. The rules are the learner's own (`forecasting/`): a curve over the whole stream
ends at the score that the learner keeps.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """A run of consecutive steps: the values, and what was forecast at each step."""

    steps: NDArray[np.int64]
    """Shape (n,), each one more than the one before."""
    values: Floats
    """Shape (n,), in the value's own unit."""
    forecasts: Floats
    """Shape (n, h): row i was forecast at step i, for each horizon."""
    positions: NDArray[np.int64] | None = None
    """Shape (n,): where the answer of each step, or of the last one before it, stands among those given."""


def choose_key(keys: Iterable[Any]) -> Any:
    """Return the key that stands for a stream of several series, where only one can be shown.

    Among keys with at least half as many records as the most frequent, the first in text order, so that the
    choice stays stable as records come.

    >>> choose_key(["b", "c", "b", "c", "c", "a"])
    'b'
    """
    counts = Counter(keys)
    most = max(counts.values())
    return min((key for key, count in counts.items() if 2 * count >= most), key=str)


def collect_series(
    answers: Iterable[Mapping[str, Any]],
    horizons: Sequence[int],
    step: Callable[[Any], int],
    value: str,
    window_length: int,
) -> Series | None:
    """Return the newest run of answers in which time runs forward; steps left out in it are missing.

    Parameters
    ----------
    answers
        Forecasts as they stand in the prediction topic, in their order.
    horizons
        Steps ahead, a column of `Series.forecasts` each.
    step
        A record → the number of its step. It gets the answer's own fields.
    value
        The field that is forecast.
    window_length
        Steps in the window that a forecast is made from; a jump by more begins another run.
    """
    rows = [(step(SimpleNamespace(**answer)), answer) for answer in answers]
    begin = 0
    for number in range(1, len(rows)):
        if not 0 < rows[number][0] - rows[number - 1][0] <= window_length:
            begin = number
    if not rows:
        return None
    run = rows[begin:]
    steps = np.arange(run[0][0], run[-1][0] + 1)
    values = np.full(len(steps), np.nan)
    forecasts = np.full((len(steps), len(horizons)), np.nan)
    positions = np.zeros(len(steps), dtype=np.int64)
    for position, (at, answer) in enumerate(run, start=begin):
        row = at - run[0][0]
        positions[row] = position
        values[row] = _nan_if_none(answer.get(value))
        by_horizon = answer.get("forecast") or {}
        forecasts[row] = [_nan_if_none(by_horizon.get(str(horizon))) for horizon in horizons]
    return Series(steps, values, forecasts, np.maximum.accumulate(positions))


def _nan_if_none(value: float | None) -> float:
    return np.nan if value is None else value


def align_forecasts(run: Series, horizons: Sequence[int]) -> Floats:
    """Return what had been forecast for each step, shape (n, h), beside `run.values`: NaN where nothing had.

    >>> run = Series(np.arange(3), np.array([1.0, 2.0, 3.0]), np.array([[1.5], [2.5], [3.5]]))
    >>> align_forecasts(run, [1]).ravel().tolist()
    [nan, 1.5, 2.5]
    """
    aligned = np.full((len(run.steps), len(horizons)), np.nan)
    for column, horizon in enumerate(horizons):
        aligned[horizon:, column] = run.forecasts[: max(0, len(aligned) - horizon), column]
    return aligned


def compute_residuals(run: Series, horizons: Sequence[int]) -> tuple[Floats, Floats]:
    """Return the residuals of the model and of persistence, shape (n, h), at the step that was forecast.

    A residual is forecast minus truth. Where either cannot be computed, both are NaN.
    """
    truths = run.values[:, None]
    last_known = Series(run.steps, run.values, np.repeat(truths, len(horizons), axis=1))
    residuals = align_forecasts(run, horizons) - truths
    persistence = align_forecasts(last_known, horizons) - truths
    unscored = np.isnan(residuals) | np.isnan(persistence)
    residuals[unscored] = persistence[unscored] = np.nan
    return residuals, persistence


def rmse(residuals: Floats, axis: int = 0) -> Floats:
    """Return the root mean square along an axis, NaN left out; NaN where nothing is known.

    >>> rmse(np.array([[3.0, np.nan], [4.0, np.nan], [np.nan, np.nan]])).round(3).tolist()
    [3.536, nan]
    """
    counts = (~np.isnan(residuals)).sum(axis=axis)
    squares = np.nansum(np.square(residuals), axis=axis)
    return np.where(counts > 0, np.sqrt(squares / np.maximum(counts, 1)), np.nan)


def rolling_rmse(residuals: Floats, window: int, at_least: int = 1) -> Floats:
    """Return the root mean square of the last `window` steps at each step, of the shape of `residuals`.

    NaN where fewer than `at_least` of them are known.

    >>> rolling_rmse(np.array([[3.0], [4.0], [np.nan]]), 2).ravel().round(3).tolist()
    [3.0, 3.536, 4.0]
    """
    known = ~np.isnan(residuals)
    squares = _rolling_sum(np.square(np.where(known, residuals, 0.0)), window)
    counts = _rolling_sum(known.astype(np.float64), window)
    enough = counts >= at_least
    return np.where(enough, np.sqrt(np.maximum(squares, 0) / np.maximum(counts, 1)), np.nan)


def rolling_accuracy(truths: Sequence[Any], predictions: Sequence[Any], window: int) -> tuple[Floats, Floats]:
    """Return the share of right predictions among the last `window`, and that of the commonest label there.

    Shape (n,) each, 0–1. The baseline always predicts the commonest label of the window. It knows the labels
    in advance, so it is a strong one.

    >>> right, commonest = rolling_accuracy([1, 1, 2], [1, 2, 2], window=2)
    >>> right.tolist(), commonest.tolist()
    ([1.0, 0.5, 0.5], [1.0, 1.0, 0.5])
    """
    right = np.array(
        [float(truth == prediction) for truth, prediction in zip(truths, predictions, strict=True)]
    ).reshape(-1, 1)
    labels = sorted(set(truths), key=str)
    one_hot = np.array([[float(truth == label) for label in labels] for truth in truths]).reshape(
        -1, max(1, len(labels))
    )
    counts = np.minimum(np.arange(1, len(right) + 1), window).astype(np.float64)
    commonest = _rolling_sum(one_hot, window).max(axis=1) if labels else np.zeros(len(right))
    return _rolling_sum(right, window).ravel() / counts, commonest / counts


def thin_indices(count: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` indices of `count`, evenly spread, the last one among them.

    >>> thin_indices(10, 4).tolist(), thin_indices(3, 4).tolist()
    ([0, 3, 6, 9], [0, 1, 2])
    """
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def _rolling_sum(values: Floats, window: int) -> Floats:
    """Sum the last `window` rows at each row; exact enough for a figure, not for a score."""
    sums = np.cumsum(values, axis=0)
    sums[window:] = sums[window:] - sums[:-window]
    return sums
