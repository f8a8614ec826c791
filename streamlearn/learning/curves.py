"""Series to look at, made from a stream's own committed answers: errors over time, beside a baseline.

Pure functions. Time runs along the first axis, forward; what is missing is NaN and counts neither for the
model nor for the baseline. The rules are the learner's own (`forecast.py`), so a curve that ends today agrees
with the score that the learner keeps.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """A run of consecutive steps: what came, and what had been forecast from each step."""

    steps: NDArray[np.int64]
    """Shape (n,), each one more than the one before."""
    values: Floats
    """Shape (n,), in the value's own unit."""
    forecasts: Floats
    """Shape (n, h): row i was forecast at step i, for each horizon."""


def series(
    answers: Iterable[Mapping[str, Any]],
    horizons: Sequence[int],
    step: Callable[[Any], int],
    value: str,
    longest_gap: int,
) -> Series | None:
    """Return the newest run of answers in which time runs forward; steps left out in it are missing.

    Parameters
    ----------
    answers
        Forecasts as they stand in the prediction topic, in their order.
    step
        A record → the number of its step; it is asked with the answer's own fields.
    value
        The field that is forecast.
    longest_gap
        A jump by more steps than this begins another run.
    """
    rows = [(step(SimpleNamespace(**answer)), answer) for answer in answers]
    begin = 0
    for number in range(1, len(rows)):
        if not 0 < rows[number][0] - rows[number - 1][0] <= longest_gap:
            begin = number
    if not rows:
        return None
    run = rows[begin:]
    steps = np.arange(run[0][0], run[-1][0] + 1)
    values = np.full(len(steps), np.nan)
    forecasts = np.full((len(steps), len(horizons)), np.nan)
    for at, answer in run:
        row = at - run[0][0]
        values[row] = np.nan if answer.get(value) is None else answer[value]
        said = answer.get("forecast") or {}
        forecasts[row] = [np.nan if said.get(str(h)) is None else said[str(h)] for h in horizons]
    return Series(steps, values, forecasts)


def errors(found: Series, horizons: Sequence[int]) -> tuple[Floats, Floats]:
    """Return forecast minus truth and persistence minus truth, shape (n, h), at the step of the truth."""
    ours = np.full(found.forecasts.shape, np.nan)
    persistence = ours.copy()
    for column, horizon in enumerate(horizons):
        if horizon >= len(found.values):
            continue
        known, truth = found.values[:-horizon], found.values[horizon:]
        ours[horizon:, column] = found.forecasts[:-horizon, column] - truth
        persistence[horizon:, column] = known - truth
    either = np.isnan(ours) | np.isnan(persistence)
    ours[either] = persistence[either] = np.nan
    return ours, persistence


def spread(missed: Floats, shares: Sequence[float] = (0.1, 0.9), at_least: int = 24) -> Floats:
    """Return between what truth minus forecast was, shape (h, len(shares)); NaN for fewer than `at_least`.

    `missed` is forecast minus truth, shape (n, h).
    """
    found = np.full((missed.shape[1], len(shares)), np.nan)
    for column in range(missed.shape[1]):
        known = missed[~np.isnan(missed[:, column]), column]
        if len(known) >= at_least:
            found[column] = np.quantile(-known, shares)
    return found


def rolling_rmse(missed: Floats, window: int, at_least: int = 1) -> Floats:
    """Return the root mean square of the last `window` steps at each step, of the shape of `missed`.

    >>> rolling_rmse(np.array([[3.0], [4.0], [np.nan]]), 2).ravel().round(3).tolist()
    [3.0, 3.536, 4.0]
    """
    known = ~np.isnan(missed)
    squares = _rolling_sum(np.square(np.where(known, missed, 0.0)), window)
    counts = _rolling_sum(known.astype(np.float64), window)
    enough = counts >= at_least
    return np.where(enough, np.sqrt(np.maximum(squares, 0) / np.maximum(counts, 1)), np.nan)


def rolling_accuracy(truths: Sequence[Any], predictions: Sequence[Any], window: int) -> tuple[Floats, Floats]:
    """Return the share of right predictions among the last `window`, and that of the commonest label there.

    Shape (n,) each, 0–1. The baseline that always says the commonest label knows what is to come, so it is a
    kind one.

    >>> right, commonest = rolling_accuracy([1, 1, 2], [1, 2, 2], window=2)
    >>> right.tolist(), commonest.tolist()
    ([1.0, 0.5, 0.5], [1.0, 1.0, 0.5])
    """
    right = np.array([float(a == b) for a, b in zip(truths, predictions, strict=True)]).reshape(-1, 1)
    labels = sorted(set(truths), key=str)
    seen = np.array([[float(truth == label) for label in labels] for truth in truths]).reshape(
        -1, max(1, len(labels))
    )
    counts = np.minimum(np.arange(1, len(right) + 1), window).astype(np.float64)
    most = _rolling_sum(seen, window).max(axis=1) if labels else np.zeros(len(right))
    return _rolling_sum(right, window).ravel() / counts, most / counts


def thinned(count: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` indices of `count`, evenly spread, the last one among them.

    >>> thinned(10, 4).tolist(), thinned(3, 4).tolist()
    ([0, 3, 6, 9], [0, 1, 2])
    """
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def _rolling_sum(values: Floats, window: int) -> Floats:
    """Sum the last `window` rows at each row; exact enough for figures on a page, not for a score."""
    sums = np.cumsum(values, axis=0)
    sums[window:] = sums[window:] - sums[:-window]
    return sums
