"""Sums over pairs of steps, for covariances of series that come in step by step, in constant memory.

For each distance of k steps and each pair of series x and y, four sums are kept over the pairs of which both
values are known: of x, of y, of their products, and the number of pairs. Values are measured from the first
known one of each series, which changes no covariance and keeps the sums small.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from streamlearn.lags.correlations import MIN_PAIRS
from streamlearn.lags.series import Floats


class LaggedSums:
    """Sums for some series x, the drivers, and one series y. Where arrays hold all of them, y comes last.

    Parameters
    ----------
    drivers
        How many series x there are.
    max_lag
        The longest distance between x and y, in steps, both ways.
    max_own_lag
        The longest distance between two steps of the same series.

    Attributes
    ----------
    steps : (max_lag + 1,)
        How many pairs of steps there were at each distance, known or not, of the steps in the sums.
    """

    def __init__(self, drivers: int, max_lag: int, max_own_lag: int) -> None:
        self.steps = np.zeros(max_lag + 1)
        self._run_length = 0
        self._first_values = np.full(drivers + 1, np.nan)
        # The newest steps, newest first: at [0] whether a value is known (1 or 0), at [1] the value, or 0.
        self._recent = np.zeros((2, max_lag + 1, drivers + 1))
        # At [a, b, k] the sum over t of a(x, t − k) · b(y, t), a and b being 0, "is known", or 1, "value".
        self._leading = np.zeros((2, 2, max_lag + 1, drivers))
        # At [a, b, k] the sum over t of a(x, t) · b(y, t − k).
        self._trailing = np.zeros((2, 2, max_lag + 1, drivers))
        # At [a, b, k] the sum over t of a(z, t − k) · b(z, t), for each series z.
        self._own = np.zeros((2, 2, max_own_lag + 1, drivers + 1))

    def add(self, values: Floats) -> None:
        """Add the values of the next steps, shape (n, drivers + 1); what is not finite counts as missing.

        Many at once: one by one, each takes four times as long. Every sum is added up in the order of the
        steps, so that its bits do not depend on how many come at once.
        """
        known = np.isfinite(values)
        first = np.isnan(self._first_values)
        if first.any():
            first &= known.any(axis=0)
            self._first_values[first] = values[known.argmax(axis=0)[first], first]
        added = np.zeros((2, *values.shape))
        added[0] = known
        np.subtract(values, self._first_values, out=added[1], where=known)
        length, count = len(self.steps), len(values)
        newest_first = np.concatenate([added[:, ::-1], self._recent[:, :-1]], axis=1)
        self._recent = newest_first[:, :length].copy()
        pairs = count - np.arange(length) + self._run_length
        self.steps += np.clip(pairs, 0, count)
        self._run_length += count
        if newest_first[0, :, :-1].all():
            self._leading, self._trailing = _add_known(self._leading, self._trailing, newest_first, added)
        else:
            # At [a, t, z, k] what the series z was k steps before the step t: distances come last, since
            # numpy is quickest along a long last axis.
            by_series = np.ascontiguousarray(newest_first.transpose(0, 2, 1))
            before = sliding_window_view(by_series, length, axis=2)[:, :, count - 1 :: -1].transpose(
                0, 2, 1, 3
            )
            newest = added[..., None]
            x, y = np.s_[:, :, :-1], np.s_[:, :, -1:]
            self._leading = _add_products(self._leading, before[x], newest[y])
            self._trailing = _add_products(self._trailing, newest[x], before[y])
        self._own = _add_own(self._own, newest_first, added)

    def begin_run(self) -> None:
        """Begin another run of steps: no step of it makes a pair with one before it. The sums stay."""
        self._recent[:] = 0
        self._run_length = 0

    @property
    def count(self) -> int:
        """How many steps have been added."""
        return int(self.steps[0])

    @property
    def known(self) -> list[int]:
        """The number of steps at which x and y are both known, for each x."""
        return [int(n) for n in self._leading[0, 0, 0]]

    def covariances(self) -> Floats:
        """Return the covariances of each x with y, shape (drivers, 2 max_lag + 1), from −max_lag to max_lag.

        x leads at lags above 0. They are those of statsmodels with `adjusted=False`: divided by the number of
        all steps, not by that of the lag. NaN where fewer than ten pairs are known.
        """
        means = self._means()
        sums = np.concatenate([self._trailing[:, :, :0:-1], self._leading], axis=2)
        steps = np.concatenate([self.steps[:0:-1], self.steps])
        return self._center(sums, steps, means[:-1], means[-1])

    def own_covariances(self) -> Floats:
        """Return the covariances of each series with itself, shape (drivers + 1, max_own_lag + 1), from 0."""
        means = self._means()
        return self._center(self._own, self.steps[: self._own.shape[2]], means, means)

    def _center(self, sums: Floats, steps: Floats, first: Floats, second: Floats | float) -> Floats:
        """Turn sums of shape (2, 2, lags, series) into covariances about two means, shape (series, lags)."""
        pairs = sums[0, 0]
        product = sums[1, 1] - second * sums[1, 0] - first * sums[0, 1] + pairs * first * second
        share = (steps / max(1.0, self.steps[0]))[:, None]
        known = pairs >= MIN_PAIRS
        covariances: Floats = np.where(known, product / np.where(known, pairs, 1.0) * share, np.nan).T
        return covariances

    def _means(self) -> Floats:
        means: Floats = self._own[1, 0, 0] / np.maximum(self._own[0, 0, 0], 1.0)
        return means

    def state(self) -> dict[str, Any]:
        """Return everything that decides what comes next; the arrays are its own, not copies."""
        return {
            "run": self._run_length,
            "steps": self.steps,
            "from": self._first_values,
            "recent": self._recent,
            "leading": self._leading,
            "trailing": self._trailing,
            "own": self._own,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""
        self._run_length = state["run"]
        self.steps = state["steps"]
        self._first_values = state["from"]
        self._recent = state["recent"]
        self._leading = state["leading"]
        self._trailing = state["trailing"]
        self._own = state["own"]


def _add_products(sums: Floats, left: Floats, right: Floats) -> Floats:
    """Return sums, (2, 2, lags, series), to which the products of each step are added, one after the other.

    `left` and `right` have what is known and the values, then steps; what follows broadcasts to the shape
    (series, lags). The two of `left` are taken one by one, so that the processor's cache holds the terms.
    """
    added = np.empty_like(sums)
    terms = np.empty((1 + left.shape[1], 2, *sums.shape[:1:-1]))
    for number, own in enumerate(left):
        terms[0] = sums[number].transpose(0, 2, 1)
        np.multiply(own[:, None], right.transpose(1, 0, 2, 3), out=terms[1:])
        # Along the first of several axes numpy adds row to row; in pairs it would only along the last.
        added[number] = np.add.reduce(terms, axis=0).transpose(0, 2, 1)
    return added


def _add_known(
    leading: Floats, trailing: Floats, newest_first: Floats, added: Floats
) -> tuple[Floats, Floats]:
    """Return the sums with the products of each step, where every value of the drivers is known.

    Then most need no product: numbers of pairs are whole, in whatever order they are added up, and what is
    multiplied by 1 is itself. Distances and drivers are one axis, along which a window has no gaps.
    """
    count, (_, _, length, drivers) = added.shape[1], leading.shape
    known, y = added[:, :, -1:]
    size = length * drivers
    x_before = _windows(np.ascontiguousarray(newest_first[1, :, :-1]), count, size)
    y_before = _windows(np.repeat(newest_first[1, :, -1:], drivers, axis=1), count, size)
    known_before = _windows(np.repeat(newest_first[0, :, -1:], drivers, axis=1), count, size)
    x = np.tile(added[1, :, :-1], (1, length))
    new_leading, new_trailing = np.empty_like(leading), np.empty_like(trailing)
    new_leading[0, 0] = leading[0, 0] + np.add.reduce(known)
    _add_rows(new_leading[0, 1], leading[0, 1], y)
    _add_rows(new_leading[1, 0], leading[1, 0], x_before, None if known.all() else known)
    _add_rows(new_leading[1, 1], leading[1, 1], x_before, y)
    pairs = np.add.reduce(known_before, axis=0).reshape(length, drivers)
    new_trailing[0, 0] = trailing[0, 0] + pairs
    _add_rows(new_trailing[0, 1], trailing[0, 1], y_before)
    _add_rows(new_trailing[1, 0], trailing[1, 0], x, None if pairs.min() == count else known_before)
    _add_rows(new_trailing[1, 1], trailing[1, 1], x, y_before)
    return new_leading, new_trailing


def _add_own(own: Floats, newest_first: Floats, added: Floats) -> Floats:
    """Return the sums of each series with itself, with the products of each step."""
    _, _, length, series = own.shape
    before = [_windows(part, added.shape[1], length * series) for part in newest_first]
    newest = np.tile(added, (1, 1, length))
    new = np.empty_like(own)
    for a in range(2):
        for b in range(2):
            _add_rows(new[a, b], own[a, b], before[a], newest[b])
    return new


def _windows(newest_first: Floats, count: int, size: int) -> Floats:
    """Return for each of `count` steps, the oldest first, what came up to it: (count, size), newest first.

    `newest_first` has shape (n, series), without gaps; a window holds all series of a step, then those of the
    step before.
    """
    step = newest_first.shape[1] * newest_first.itemsize
    # `as_strided` makes the same, and takes ten times as long.
    return np.ndarray(
        (count, size), buffer=newest_first, offset=(count - 1) * step, strides=(-step, newest_first.itemsize)
    )


def _add_rows(out: Floats, sums: Floats, rows: Floats, factors: Floats | None = None) -> None:
    """Write into `out` the sums, to which rows, or rows × factors, are added one after the other."""
    # Along the first of two axes numpy adds row to row; a single column it would add in pairs.
    terms = np.empty((1 + len(rows), max(sums.size, 2)))
    terms[0] = sums.reshape(-1)
    if factors is None:
        terms[1:] = rows
    else:
        np.multiply(rows, factors, out=terms[1:])
    out.reshape(-1)[:] = np.add.reduce(terms, axis=0)[: sums.size]
