"""Ranges around forecasts that hold the share of truths they promise: online conformal quantiles.

A range is the forecast plus quantiles of truth minus forecast, in multiples of a scale. Each quantile is
moved by whether the truths fell below the ones that were issued: up by `rate` × q where one did not, down
by `rate` × (1 − q) where it did. So in the long run a share q falls below, whatever the truths do (I. Gibbs,
E. Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021; quantile tracking:
A. Angelopoulos, E. Candès, R. Tibshirani, "Conformal PID control for time series prediction", NeurIPS 2023).
As the quantiles are those of forecasts at the same level, such as heavy pollution, that holds at each level
(V. Vovk's Mondrian conformal prediction), and of each horizon by itself.

The scale is (noise + last known value) × the running mean of |truth − forecast| / (noise + last known value).

The rule needs nothing but forecasts, last known values and truths, so it can be repeated over answers that
stand in a topic (`repeat_ranges`).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AT_LEAST = 24
"""Truths of a horizon that are needed before it has ranges."""

_FIRST = {0.5: 0.7, 0.8: 1.4, 0.9: 1.8, 0.95: 2.2}
"""Where the upper end for a share begins, in scales; the lower one begins as far below."""
_WARM = 30.0
"""The first steps are larger: by this over the number of truths at the level."""
_SLOWEST = 0.001
"""How much a new error counts in the running mean, when many have come."""


@dataclass(frozen=True)
class Ranges:
    """What ranges a forecast has.

    Parameters
    ----------
    levels
        Where a level of forecasts ends and the next begins, ascending, in the value's unit.
    noise
        How far values vary where they are near zero, in the value's unit.
    shares
        The shares of truths that ranges hold, ascending: of 0.5, 0.8, 0.9 and 0.95.
    rate
        How far one truth moves a quantile, in scales.
    """

    levels: tuple[float, ...] = ()
    noise: float = 1.0
    shares: tuple[float, ...] = (0.5, 0.8, 0.95)
    rate: float = 0.03

    @cached_property
    def quantiles(self) -> tuple[float, ...]:
        """The shares of truths below each end, ascending: the lower ends, then the upper ones.

        >>> Ranges(shares=(0.5, 0.8)).quantiles
        (0.1, 0.25, 0.75, 0.9)
        """
        lower = [round((1 - share) / 2, 6) for share in reversed(self.shares)]
        return (*lower, *(round(1 - quantile, 6) for quantile in reversed(lower)))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each share is called: in percent.

        >>> Ranges(shares=(0.5, 0.8)).names
        ('50', '80')
        """
        return tuple(f"{100 * share:g}" for share in self.shares)

    @cached_property
    def _places(self) -> tuple[tuple[str, int, int], ...]:
        """What each share is called, and where its range's ends stand among all ends.

        >>> Ranges(shares=(0.5, 0.8))._places
        (('50', 1, 2), ('80', 0, 3))
        """
        count = len(self.shares)
        return tuple((name, count - 1 - number, count + number) for number, name in enumerate(self.names))

    @cached_property
    def _slopes(self) -> tuple[tuple[float, ...], ...]:
        """How the quantile loss of each end grows with the truth, by how many ends are not above the truth.

        >>> Ranges(shares=(0.5,))._slopes
        ((-0.75, -0.25), (0.25, -0.25), (0.25, 0.75))
        """
        count = len(self.quantiles) + 1
        return tuple(
            tuple(quantile - (number >= below) for number, quantile in enumerate(self.quantiles))
            for below in range(count)
        )

    def definition(self) -> dict[str, Any]:
        """Return what decides the ranges, as plain values."""
        return {"levels": self.levels, "noise": self.noise, "shares": self.shares, "rate": self.rate}


LEVEL, SCALE, SHOWN, ENDS = 0, 1, 2, 3
"""Where in what is issued for a horizon stand the level, the scale, and whether enough truths have come for
the ranges to be shown. From `ENDS` on stand the ends, in scales, then once more, in the value's unit."""

Issued = list[list[float] | None]
"""What forecasts are issued with, for each horizon; None where there is no forecast."""


class RangeTracker:
    """The ranges of all horizons, as they are after the truths that have come.

    It computes with lists: a few numbers at a time, arrays cost more than arithmetic.

    Attributes
    ----------
    ends
        For each horizon and level the quantiles, ascending, in scales.
    counts
        For each horizon and level, how many truths of forecasts there have come.
    spread
        For each horizon, the running mean of |truth − forecast| / (noise + last known value).
    """

    def __init__(self, spec: Ranges, horizons: int) -> None:
        self._spec = spec
        self._end_places = ENDS, ENDS + len(spec.quantiles)
        self._steady = [self._find_moves(spec.rate, below) for below in range(len(spec.quantiles) + 1)]
        upper = [_FIRST[share] for share in spec.shares]
        first, levels = [*(-end for end in reversed(upper)), *upper], len(spec.levels) + 1
        self.ends = [[list(first) for _ in range(levels)] for _ in range(horizons)]
        self.counts = [[0.0] * levels for _ in range(horizons)]
        self.spread = [0.0] * horizons

    def issue(self, forecasts: Sequence[float | None], base: float, lowest: float) -> Issued:
        """Return what forecasts are issued with, for each horizon; None where there is no forecast.

        `base` is the last known value; no end is below `lowest`.
        """
        issued: Issued = []
        levels, size = self._spec.levels, self._spec.noise + abs(base)
        parts = zip(forecasts, self.spread, self.ends, self.counts, strict=True)
        for forecast, spread, ends_by_level, counts in parts:
            if forecast is None:
                issued.append(None)
                continue
            level, scale = bisect_right(levels, forecast), spread * size
            ends, shown = ends_by_level[level], 1.0 if sum(counts) >= AT_LEAST else 0.0
            placed = [forecast + scale * end for end in ends]
            if placed[0] < lowest:
                placed = [max(value, lowest) for value in placed]
            issued.append([level, scale, shown, *ends, *placed])
        return issued

    def learn(self, number: int, issued: list[float], residual: float, base: float) -> None:
        """Learn what truth minus forecast was for the horizon of this number, issued with `issued`."""
        spec, level, scale = self._spec, int(issued[LEVEL]), issued[SCALE]
        counts, spread = self.counts[number], self.spread[number]
        counts[level] += 1
        size = abs(residual) / (spec.noise + abs(base))
        self.spread[number] = spread + max(_SLOWEST, 1 / sum(counts)) * (size - spread)
        if scale > 0:
            step, (first, last) = spec.rate * max(1.0, _WARM / counts[level]), self._end_places
            below = bisect_left(issued, residual / scale, first, last) - first
            moves = self._steady[below] if step == spec.rate else self._find_moves(step, below)
            # In a new list: what was issued stays.
            self.ends[number][level] = sorted(map(add, self.ends[number][level], moves))

    def _find_moves(self, step: float, below: int) -> list[float]:
        """Return how far each quantile moves, where the truth fell above so many of those issued."""
        quantiles = self._spec.quantiles
        up = [step * quantile for quantile in quantiles[:below]]
        return up + [step * (quantile - 1) for quantile in quantiles[below:]]

    def state(self) -> list[Floats]:
        """Return all that decides what comes next, as arrays."""
        return [np.array(part, dtype=np.float64) for part in (self.ends, self.counts, self.spread)]

    def restore(self, state: Sequence[Floats]) -> None:
        """Take over what `state` has returned."""
        self.ends, self.counts, self.spread = (part.tolist() for part in state)


def pack_issued(issued: Issued, quantiles: int) -> Floats:
    """Return what was issued as an array, a row a horizon; NaN where nothing was."""
    nothing = [math.nan] * (ENDS + 2 * quantiles)
    return np.array([nothing if row is None else row for row in issued], dtype=np.float64)


def unpack_issued(packed: Floats) -> Issued:
    """Return what `pack_issued` has packed."""
    return [None if math.isnan(row[LEVEL]) else row for row in packed.tolist()]


def shown_ends(issued: list[float] | None) -> list[float] | None:
    """Return the ends of a horizon in the value's unit, ascending; None where there is none to be shown.

    `issued` is what `RangeTracker.issue` has returned for it.
    """
    if issued is None or not issued[SHOWN]:
        return None
    return issued[(ENDS + len(issued)) // 2 :]


def find_inside(ends: Sequence[float], value: float) -> list[bool]:
    """Return for each range, the narrowest first, whether it holds a value.

    >>> find_inside([1.0, 2.0, 3.0, 4.0], 3.5)
    [False, True]
    """
    half = len(ends) // 2
    return [ends[half - 1 - number] <= value <= ends[half + number] for number in range(half)]


def name_ranges(spec: Ranges, ends: Sequence[float]) -> dict[str, list[float]]:
    """Return ranges by their share in percent: `{"50": [low, high], …}`.

    >>> name_ranges(Ranges(shares=(0.5, 0.8)), [1.0, 2.0, 3.0, 4.0])
    {'50': [2.0, 3.0], '80': [1.0, 4.0]}
    """
    return {name: [ends[low], ends[high]] for name, low, high in spec._places}


def weighted_interval_score(spec: Ranges, ends: Sequence[float], forecast: float, truth: float) -> float:
    """Return the weighted interval score of a forecast with ranges, in the value's unit; less is better.

    `ends` ascend.

    J. Bracher et al., "Evaluating epidemic forecasts in an interval format", PLOS Comput. Biol. 17 (2021). It
    is the mean quantile loss, twice over, and approaches the CRPS as ranges grow in number.

    >>> weighted_interval_score(Ranges(shares=(0.8,)), [5.0, 15.0], 10.0, 12.0)
    1.3333333333333333
    """
    losses = 0.0  # Python's own sum rounds otherwise from 3.12 on
    for slope, end in zip(spec._slopes[bisect_right(ends, truth)], ends, strict=True):
        losses += (truth - end) * slope
    return (0.5 * abs(truth - forecast) + losses) / (len(spec.shares) + 0.5)


def repeat_ranges(
    spec: Ranges, forecasts: Floats, values: Floats, horizons: Sequence[int], lowest: float
) -> Floats:
    """Return the ends that forecasts of a series would have been issued with, by the truths known then.

    Parameters
    ----------
    forecasts
        Shape (n, h): row i was forecast at step i.
    values
        Shape (n,); NaN is missing.

    Returns
    -------
    Shape (n, h, n_quantiles), at the step that the forecast was made at; NaN where there is none.
    """
    tracker = RangeTracker(spec, len(horizons))
    ends = np.full((*forecasts.shape, len(spec.quantiles)), np.nan)
    issued: list[Issued] = []
    base, known = math.nan, values.tolist()
    for step, value in enumerate(known):
        base = base if math.isnan(value) else value
        made = [None if math.isnan(forecast) else forecast for forecast in forecasts[step].tolist()]
        nothing: Issued = [None] * len(made)
        issued.append(nothing if math.isnan(base) else tracker.issue(made, base, lowest))
        for number, horizon in enumerate(horizons):
            shown = shown_ends(issued[step][number])
            if shown is not None:
                ends[step, number] = shown
            row = issued[step - horizon][number] if step >= horizon else None
            if row is not None and not math.isnan(value) and not math.isnan(known[step - horizon]):
                residual = value - float(forecasts[step - horizon, number])
                tracker.learn(number, row, residual, known[step - horizon])
    return ends
