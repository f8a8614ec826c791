"""Features declared instead of written: which fields of a record are numbers, categories, texts, times.

What a declaration makes of a record depends on nothing but the two: hashes are CRC-32, not Python's own,
which differs from process to process.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import BadRecord, ConfigurationError

Floats = NDArray[np.float64]

_RULES = 1
"""Stands in each definition; to be raised when the same declaration makes other features."""
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = datetime(1970, 1, 1)
_DAY_S = 86_400
_TURNS = ("day", "half day", "week", "year")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Columns:
    """Features of records that stand for themselves, declared by the struct's fields; for `Tabular.features`.

    It is part of a lineage's definition as it stands: another declaration needs a new lineage. An estimator
    that takes missing values, such as `streamlearn.estimators.Standardized`, is needed where numbers or times
    may be missing: those features are NaN then.

    Parameters
    ----------
    numbers
        Fields of numbers or booleans. Each has two features: the number, NaN where it is None, and whether it
        is missing, 1 or 0.
    categories
        Fields with few values, each with those that are known: a feature for each of them, 1 or 0. Of any
        other value, and of None, all are 0.
    hashed
        Fields with many values, each with a number of buckets: a feature for each bucket, 1 for that of the
        value.
    texts
        Fields of text, each with a number of buckets: how many of the text's words fall into each. Capitals
        and punctuation do not matter.
    times
        Fields of times, each with how it is written: `iso` for text such as 2026-01-25T13:00 (or a field of
        type `datetime`), `s`, `ms`, `us` or `ns` for numbers since 1970. Each has nine features: sine and
        cosine of the turn of day, half day, week and year, NaN where it is None, and whether it is missing. A
        time with a zone is taken by its own clock.

    Raises
    ------
    ConfigurationError
        A field is declared twice, a number of buckets is not positive, or a time is written in no known way.

    >>> from types import SimpleNamespace as Record
    >>> columns = Columns(numbers=("age",), categories={"sex": ("f", "m")})
    >>> columns([Record(age=31, sex="m"), Record(age=None, sex=None)])
    array([[31.,  0.,  0.,  1.],
           [nan,  1.,  0.,  0.]])
    >>> columns.names
    ('age', 'age missing', 'sex=f', 'sex=m')
    """

    numbers: tuple[str, ...] = ()
    categories: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    hashed: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.fields if self.fields.count(name) > 1})
        if twice:
            raise ConfigurationError(f"Columns declares {', '.join(twice)} more than once")
        for name, buckets in {**self.hashed, **self.texts}.items():
            if buckets < 1:
                raise ConfigurationError(f"Columns gives {name} {buckets} buckets; it needs at least one")
        for name, form in self.times.items():
            if form != "iso" and form not in _PER_SECOND:
                raise ConfigurationError(
                    f"Columns has the time {name} as {form!r}; it may be one of iso, {', '.join(_PER_SECOND)}"
                )

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that are read."""
        return (*self.numbers, *self.categories, *self.hashed, *self.texts, *self.times)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each feature, in order."""
        return tuple(name for _, names in self._blocks() for name in names)

    def __call__(self, records: Sequence[Any]) -> Floats:
        """Return the features, shape (n_records, n_features), float64.

        Raises
        ------
        BadRecord
            A time cannot be read.
        """
        blocks = [block(records) for block, _ in self._blocks()]
        return np.concatenate([np.zeros((len(records), 0)), *blocks], axis=1)

    def definition(self) -> dict[str, Any]:
        """Return the declaration as plain values, in order."""
        return {
            "columns": _RULES,
            "numbers": list(self.numbers),
            "categories": [[name, list(values)] for name, values in self.categories.items()],
            "hashed": [list(pair) for pair in self.hashed.items()],
            "texts": [list(pair) for pair in self.texts.items()],
            "times": [list(pair) for pair in self.times.items()],
        }

    def _blocks(self) -> Iterator[tuple[Callable[[Sequence[Any]], Floats], list[str]]]:
        """Yield what makes the features of each field, and their names."""
        for name in self.numbers:
            yield partial(_read_numbers, name=name), [name, f"{name} missing"]
        for name, values in self.categories.items():
            yield partial(_mark_categories, name=name, values=values), [f"{name}={value}" for value in values]
        for name, buckets in self.hashed.items():
            count = partial(_count_in_buckets, name=name, buckets=buckets, split=_take_whole)
            yield count, [f"{name}#{bucket}" for bucket in range(buckets)]
        for name, buckets in self.texts.items():
            count = partial(_count_in_buckets, name=name, buckets=buckets, split=_split_into_words)
            yield count, [f"{name}~{bucket}" for bucket in range(buckets)]
        for name, form in self.times.items():
            turns = [f"{wave}({name}, {turn})" for turn in _TURNS for wave in ("sin", "cos")]
            yield partial(_read_times, name=name, form=form), [*turns, f"{name} missing"]


def _mark_categories(records: Sequence[Any], name: str, values: Sequence[Any]) -> Floats:
    """Return 1 in the column of each record's value."""
    column_of = {value: column for column, value in enumerate(values)}
    features = np.zeros((len(records), len(values)))
    for row, record in enumerate(records):
        column = column_of.get(getattr(record, name))
        if column is not None:
            features[row, column] = 1.0
    return features


def _count_in_buckets(
    records: Sequence[Any], name: str, buckets: int, split: Callable[[Any], Sequence[str]]
) -> Floats:
    """Return how many parts of each record's value fall into each bucket."""
    features = np.zeros((len(records), buckets))
    for row, record in enumerate(records):
        value = getattr(record, name)
        for part in () if value is None else split(value):
            features[row, zlib.crc32(part.encode()) % buckets] += 1.0
    return features


def _take_whole(value: Any) -> list[str]:
    return [str(value)]


def _split_into_words(value: Any) -> list[str]:
    return _WORD.findall(str(value).casefold())


def _read_numbers(records: Sequence[Any], name: str) -> Floats:
    numbers = np.array([getattr(record, name) for record in records], dtype=np.float64)  # None becomes NaN
    return np.column_stack([numbers, np.isnan(numbers)])


def _read_times(records: Sequence[Any], name: str, form: str) -> Floats:
    angles = np.full((len(records), len(_TURNS)), np.nan)
    for row, record in enumerate(records):
        value = getattr(record, name)
        if value is not None:
            angles[row] = _turns_of(_read_time(value, name, form))
    angles *= 2 * np.pi
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(records), 2 * len(_TURNS))
    return np.column_stack([waves, np.isnan(angles[:, 0])])


def _read_time(value: Any, name: str, form: str) -> datetime:
    try:
        if isinstance(value, datetime):
            return value
        if form == "iso":
            return datetime.fromisoformat(value)
        return _EPOCH + timedelta(seconds=value / _PER_SECOND[form])
    except (ValueError, TypeError, OverflowError):
        raise BadRecord(f"{name} is {value!r}, not a time as {form}") from None


def _turns_of(time: datetime) -> tuple[float, float, float, float]:
    """Return how many turns of day, half day, week and year have passed at a time, by its own clock."""
    seconds = time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6
    day = seconds / _DAY_S
    return day, 2 * day, (time.weekday() + day) / 7, (time.timetuple().tm_yday - 1 + day) / 365.25
