"""Which lags of which series a forecast is made from.

Commands read and write them as text, one series after another: `pollution=0-24 dew=0,3`; `*` means every
series. Lag 0 is the newest step, lag 3 the one three steps before it. The first series is the one that is
forecast.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import BadLags
from streamlearn.lags.series import Floats
from streamlearn.lags.windows import Window, carry_forward

_MAX_DIGITS = 4
"""A lag with more digits is a mistake, and a run of so many lags would fill the memory."""


class Lagged(NamedTuple):
    """The values that a `LagSet` takes from a window, in the order of `LagSet.names`."""

    own: Floats
    """The lags of the series that is forecast; a missing one is the last known value before it."""
    now: Floats
    """The newest value of each other series that is used; 0 where it is missing."""
    changes: Floats
    """For each older lag of the other series, the change since then; 0 where a value is missing."""
    last: float
    """The last known value of the series that is forecast."""
    known: Floats
    """That series over the window, the newest step last; a missing value is the last known one before it."""


@dataclass(frozen=True)
class LagSet:
    """Lags for each series of a window; `take` returns their values in the order of `names`."""

    series: tuple[str, ...]
    """The names of a reading's numbers; the first is the one that is forecast."""
    lags: tuple[tuple[int, ...], ...]
    """For each series its lags, ascending; empty where it is not used."""

    @classmethod
    def of(cls, series: Sequence[str], chosen: Mapping[str, Iterable[int]], length: int) -> "LagSet":
        """Make a set for windows of `length` steps.

        Raises
        ------
        BadLags
            There is no such series, a lag does not fit the window, an older lag comes without lag 0, or no
            lag of the first series is chosen.
        """
        for name in chosen:
            if name not in series:
                raise BadLags(f"there is no series {name!r}; there are: {', '.join(series)}")
        lags = tuple(tuple(sorted(set(chosen.get(name, ())))) for name in series)
        for name, own in zip(series, lags, strict=True):
            if own and not 0 <= own[0] <= own[-1] < length:
                wrong = own[0] if own[0] < 0 else own[-1]
                raise BadLags(f"{name} has no lag {wrong}: a window holds the lags 0 to {length - 1}")
        if not lags[0]:
            raise BadLags(f"{series[0]} is what is forecast: at least one of its lags is needed")
        for name, own in zip(series[1:], lags[1:], strict=True):
            if own and own[0] != 0:
                raise BadLags(f"{name} needs lag 0 too: an older one enters as the change since then")
        return cls(tuple(series), lags)

    @property
    def chosen(self) -> dict[str, list[int]]:
        """The lags of each series that is used."""
        return {name: list(lags) for name, lags in zip(self.series, self.lags, strict=True) if lags}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for each value that `take` returns, such as `pollution[-3]` or `dew[0]-dew[-3]`."""
        own = [f"{self.series[0]}[{-lag}]" for lag in self.lags[0]]
        now = [f"{self.series[column]}[0]" for column in self._now]
        since = [f"{self.series[c]}[0]-{self.series[c]}[{-lag}]" for lag, c in self._since.T.tolist()]
        return (*own, *now, *since)

    def take(self, window: Window) -> Lagged | None:
        """Take the lags from a window of shape (length, n_series), the newest step last.

        None where it holds no value of the first series at all.
        """
        known = carry_forward(window[:, 0])
        if known is None:
            return None
        now, (places, columns) = window[-1], self._since_places
        changes = _fill(now.take(columns) - window.ravel().take(places))
        return Lagged(known.take(self._own), _fill(now.take(self._now)), changes, float(known[-1]), known)

    @cached_property
    def _own(self) -> NDArray[np.int64]:
        return -1 - np.array(self.lags[0], dtype=np.int64)

    @cached_property
    def _now(self) -> NDArray[np.int64]:
        return np.array([c for c, lags in enumerate(self.lags) if c and lags], dtype=np.int64)

    @cached_property
    def _since(self) -> NDArray[np.int64]:
        """Lags above 0 and their columns, shape (2, n), ordered by lag."""
        pairs = [(lag, c) for c, lags in enumerate(self.lags) if c for lag in lags if lag]
        return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T

    @cached_property
    def _since_places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where in a window the values of `_since` stand, counted from its end, and their columns."""
        lags, columns = self._since
        return columns - (1 + lags) * len(self.series), np.ascontiguousarray(columns)


def _fill(values: Floats) -> Floats:
    """Return values in which missing ones are 0; where none is, `nan_to_num` is not worth its time."""
    return values if math.isfinite(values.dot(values)) else np.nan_to_num(values)


def parse_lags(text: str, series: Sequence[str]) -> dict[str, list[int]]:
    """Return the lags by series of a text such as `pollution=0-24 dew=0,3`; a series' own lags override `*`.

    Raises
    ------
    BadLags
        The text cannot be understood.

    >>> parse_lags("*=0 pollution=0-2,5", ["pollution", "wnd_dir=NW"])
    {'pollution': [0, 1, 2, 5], 'wnd_dir=NW': [0]}
    """
    by_series: dict[str, list[int]] = {}
    for part in text.split():
        name, _, lags = part.rpartition("=")
        if not name or name in by_series:
            raise BadLags(f"{part!r} is not a series and its lags, each once, such as dew=0-3,6")
        by_series[name] = [lag for run in lags.split(",") for lag in _parse_run(run, part)]
    if "*" in by_series:
        by_series = dict.fromkeys(series, by_series.pop("*")) | by_series
    return by_series


def format_lags(chosen: Mapping[str, Sequence[int]]) -> str:
    """Write lags as `parse_lags` reads them.

    >>> format_lags({"pollution": [0, 1, 2, 5], "dew": [0, 3]})
    'pollution=0-2,5 dew=0,3'
    """
    return " ".join(f"{name}={_format_runs(lags)}" for name, lags in chosen.items())


def _parse_run(text: str, part: str) -> range:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise BadLags(f"{part!r}: {text!r} is neither a lag nor a run of them such as 0-24")
    if max(len(first), len(last)) > _MAX_DIGITS:
        raise BadLags(f"{part!r}: {text!r} is larger than any window")
    lags = range(int(first), int(last if dash else first) + 1)
    if not lags:
        raise BadLags(f"{part!r}: a run goes from the smaller lag to the larger, not as {text!r}")
    return lags


def _format_runs(lags: Sequence[int]) -> str:
    edges = [i for i, lag in enumerate(lags) if i == 0 or lags[i - 1] != lag - 1]
    runs = [lags[a:b] for a, b in zip(edges, [*edges[1:], len(lags)], strict=True)]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
