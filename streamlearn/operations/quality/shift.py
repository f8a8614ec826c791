"""How much the distribution of each field has moved between two samples of a stream's records.

The measure is the population stability index, Σ (p − q) ln(p / q) over bins, where q are the shares then and
p those now: the symmetric divergence of Kullback and Leibler, in use for scoring models since E. M. Lewis, An
Introduction to Credit Scoring (1994). By its rule of thumb, less than 0.1 is little, and more than 0.25 much.

Two samples of n and m records of one and the same distribution differ by 1/n + 1/m times chi squared, with a
degree of freedom less than there are bins (B. Yurdakul, Statistical Properties of Population Stability Index,
2018). What samples of that size may differ by chance is not taken for a shift.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

LEAST = 50
"""Fewer records of either sample are not compared."""

LITTLE, MUCH = 0.1, 0.25
"""Where the rule of thumb calls a shift some, and much."""

_BINS = 10
_MOST_VALUES = 50
"""A field with more different values that are no numbers, such as a time, is not compared."""
_LONGEST_LIST = 1024
_TEXT_CHARS = 40
_QUANTILES = (0.1, 0.5, 0.9)
_CHANCE_Z = 3.09
"""The normal distribution's 99.9th percentile: many fields are compared at once."""

Row = Mapping[str, Any]


class FieldSummary(msgspec.Struct):
    """One field in one of the samples."""

    missing: float
    """The share of records in which it is absent or null, 0–1."""
    quantiles: list[float] | None = None
    """Of numbers: what 10, 50 and 90 % of them are at most."""
    shares: list[tuple[str, float]] | None = None
    """Of other values: those that are most frequent in either sample, and their shares, 0–1."""


class FieldShift(msgspec.Struct):
    """How much one field has moved."""

    name: str
    psi: float
    level: str
    """`little`, `some` or `much`."""
    then: FieldSummary
    now: FieldSummary


class Shift(msgspec.Struct):
    """How much each field has moved, the one that moved most first."""

    fields: list[FieldShift]
    left_out: list[str]
    """Fields that are not compared: nearly every record has a value of its own there."""
    then: int
    """How many records the older sample has."""
    now: int


def compare_samples(then: Sequence[Row], now: Sequence[Row], names: Sequence[str]) -> Shift | None:
    """Return how much the named fields moved from one sample to the other; None where a sample is too small.

    Each element of a list of numbers is a field of its own, such as `x[3]`.
    """
    if min(len(then), len(now)) < LEAST:
        return None
    shifts: list[FieldShift] = []
    left_out: list[str] = []
    for name in names:
        pairs = _unfold(name, [row.get(name) for row in then], [row.get(name) for row in now])
        compared = [_compare(title, before, after) for title, before, after in pairs]
        shifts += [shift for shift in compared if shift is not None]
        if not all(compared):
            left_out.append(name)
    shifts.sort(key=lambda shift: -shift.psi)
    return Shift(shifts, left_out, len(then), len(now))


def _unfold(name: str, then: list[Any], now: list[Any]) -> list[tuple[str, list[Any], list[Any]]]:
    """Return the fields that a field stands for, each with its values: itself, or the elements of a list."""
    lists = [value for value in (*then, *now) if isinstance(value, list)]
    if not lists:
        return [(name, then, now)]
    length = min(max(map(len, lists)), _LONGEST_LIST)

    def take(values: list[Any], at: int) -> list[Any]:
        return [value[at] if isinstance(value, list) and at < len(value) else None for value in values]

    return [(f"{name}[{at}]", take(then, at), take(now, at)) for at in range(length)]


def _compare(name: str, then: list[Any], now: list[Any]) -> FieldShift | None:
    values = [value for value in (*then, *now) if value is not None]
    if all(_is_number(value) for value in values):
        return _compare_numbers(name, then, now)
    texts_then, texts_now = [_as_text(value) for value in then], [_as_text(value) for value in now]
    if len({*texts_then, *texts_now}) > _MOST_VALUES:
        return None
    return _compare_texts(name, texts_then, texts_now)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode())[:_TEXT_CHARS]


def _compare_numbers(name: str, then: list[Any], now: list[Any]) -> FieldShift:
    known = [np.array([float(v) for v in values if v is not None]) for values in (then, now)]
    edges = _find_edges(known[0] if len(known[0]) else known[1])
    counts = [
        [*np.bincount(np.searchsorted(edges, part, side="left"), minlength=len(edges) + 1)] for part in known
    ]
    return _make_shift(
        name,
        [[*counts[k], len(values) - len(known[k])] for k, values in enumerate((then, now))],
        [FieldSummary(_share_missing(values), _quantiles(known[k])) for k, values in enumerate((then, now))],
    )


def _find_edges(known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper edges of bins that hold about a tenth each, of a few values one each.

    What lies below all values, between two of a few, or above all, is in bins of its own.
    """
    if not len(known):
        return known
    distinct = np.unique(known)
    if len(distinct) <= _BINS:
        return np.sort([*np.nextafter(distinct, -np.inf), *distinct])
    # "lower": an edge is a value that occurs, and belongs to the bin below it.
    tenths = np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:], method="lower")
    edges: NDArray[np.float64] = np.unique([np.nextafter(distinct[0], -np.inf), *tenths])
    return edges


def _quantiles(known: NDArray[np.float64]) -> list[float] | None:
    return [float(value) for value in np.quantile(known, _QUANTILES)] if len(known) else None


def _compare_texts(name: str, then: list[str | None], now: list[str | None]) -> FieldShift:
    counted = [Counter(value for value in values if value is not None) for values in (then, now)]
    shown = [text for text, _ in (counted[0] + counted[1]).most_common(3)]
    texts = sorted({*counted[0], *counted[1]})
    samples = (then, now)
    return _make_shift(
        name,
        [
            [*(counted[k][text] for text in texts), len(values) - counted[k].total()]
            for k, values in enumerate(samples)
        ],
        [
            FieldSummary(
                _share_missing(values), shares=[(text, counted[k][text] / len(values)) for text in shown]
            )
            for k, values in enumerate(samples)
        ],
    )


def _share_missing(values: Sequence[Any]) -> float:
    return sum(value is None for value in values) / len(values)


def _make_shift(name: str, counts: Sequence[Sequence[int]], summaries: Sequence[FieldSummary]) -> FieldShift:
    psi = measure_psi(*counts)
    bins = sum(before + after > 0 for before, after in zip(*counts, strict=True))
    chance = estimate_chance(bins, sum(counts[0]), sum(counts[1]))
    level = "much" if psi > max(MUCH, chance) else "some" if psi > max(LITTLE, chance) else "little"
    return FieldShift(name, psi, level, *summaries)


def measure_psi(then: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index of two samples, given as the counts in the same bins.

    Half a record is added to each bin that holds any, so that an empty one does not make it infinite.

    >>> measure_psi([50, 50], [50, 50]), round(measure_psi([50, 50], [90, 10]), 2)
    (0.0, 0.85)
    """
    counts = np.array([then, now], dtype=np.float64)
    counts = counts[:, counts.sum(axis=0) > 0] + 0.5
    before, after = counts / counts.sum(axis=1, keepdims=True)
    return float(((after - before) * np.log(after / before)).sum())


def estimate_chance(bins: int, then: int, now: int) -> float:
    """Return what the index of two samples of one and the same distribution exceeds once in a thousand times.

    It is distributed as chi squared, whose quantile is that of E. B. Wilson and M. M. Hilferty (1931).

    >>> round(estimate_chance(10, 1000, 1000), 3)
    0.056
    """
    free = bins - 1
    if free < 1:
        return 0.0
    spread = 2 / (9 * free)
    chi_squared = free * (1 - spread + _CHANCE_Z * math.sqrt(spread)) ** 3
    return chi_squared * (1 / then + 1 / now)
