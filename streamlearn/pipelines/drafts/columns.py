"""What a column of a file seems to hold: numbers, booleans, times, categories, text, identifiers."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from streamlearn.datasets.values import DIGITS, FALSE_WORDS, TRUE_WORDS, to_number, to_text, to_time
from streamlearn.errors import FileError
from streamlearn.lags.readers.numbers import list_units
from streamlearn.lags.readers.raw_table import RawTable, is_missing, show
from streamlearn.lags.readers.time_columns import find_named
from streamlearn.lags.readers.time_numbers import EPOCH_UNITS, read_number, read_numbers, read_since_1970
from streamlearn.lags.readers.time_texts import fit_orders, read_text

Kind = Literal["number", "boolean", "time", "epoch", "category", "hashed", "text", "identifier", "left out"]

MOST = 0.9
"""The share of values that must be of a kind; rows with the others are left out as they are replayed."""
_MAX_CATEGORIES = 20
_WORDS_OF_A_TEXT = 4
"""From so many words on the mean, a column holds text."""
_TEXT_BUCKETS = 128
_BUCKETS = (32, 256)
"""The fewest and the most for hashed values."""
_LEADING_ZERO = re.compile(r"\s*0\d+\s*")
_IDENTIFIER_WORDS = {"id", "ids", "uid", "uuid", "guid", "index", "idx", "key", "nr", "no", "number", "row"}


@dataclass(frozen=True)
class Column:
    """What a column of a file seems to hold."""

    name: str
    """In the file, and so in JSON."""
    field: str
    """In the struct."""
    kind: Kind
    may_miss: bool = False
    note: str = ""
    """Why it is taken for that, where that is no matter of course."""
    bounds: tuple[float, float] | None = None
    """Of numbers: at least ten times beyond what the file has, or 0 where nothing is below."""
    values: tuple[Any, ...] = ()
    """Of a category: all that there are."""
    buckets: int = 0
    """Of hashed values and texts."""
    form: str | None = None
    """Of a time: see `datasets.values.to_time`; of an epoch, the unit."""
    is_whole: bool = False
    """Of an identifier: whether it is a number."""
    wire_types: tuple[str, ...] = ()
    """The types that its values have in a topic, where they are not those of the kind."""
    reader: str = ""
    """The function of `datasets.values` that converts what the topic holds; empty: none is needed."""
    attribute: str = ""
    """What features are made of: the field, or the property that reads it."""


def guess_column(
    table: RawTable, name: str, field: str, *, decimal: str, time_format: str | None, is_time: bool
) -> Column:
    """Return what a column seems to hold.

    `decimal` is the decimal mark of texts, `time_format` what times do not tell by themselves, and `is_time`
    whether the column has been named as that of the times.

    Raises
    ------
    FileError
        It is to hold times and does not, or its times can be read in several ways.
    """
    return _Guess(table, name, field, decimal, time_format).make(is_time=is_time)


class _Guess:
    """Tells what one column holds."""

    def __init__(self, table: RawTable, name: str, field: str, decimal: str, time_format: str | None) -> None:
        self._source, self._name, self._field = table.source, name, field
        self._decimal, self._time_format = decimal, time_format
        values = list(table.values(name))
        self._count = len(values)
        self._present = [value for value in values if not is_missing(value)]
        self._texts = [text for value in values if (text := to_text(value)) is not None]

    def make(self, *, is_time: bool) -> Column:
        """Return the column."""
        if not self._present and not self._texts:
            return self._column("left out", note="it is empty")
        if any(isinstance(value, list | dict) for value in self._present):
            return self._column("left out", note="it holds lists or objects")
        guesses = (self._guess_time, self._guess_boolean, self._guess_number)
        for guess in guesses:
            if column := guess(is_time):
                break
        else:
            if is_time:
                raise FileError(f"{self._source}: {self._name} is {show(self._present[0])}, not a time")
            column = self._guess_text()
        if column.kind in ("category", "hashed", "text", "identifier"):
            return replace(column, may_miss=len(self._texts) < self._count)
        return replace(column, may_miss=len(self._present) < self._count)

    def _column(self, kind: Kind, **others: Any) -> Column:
        return Column(self._name, self._field, kind, attribute=self._field, **others)

    def _share(self, convert: Callable[[Any], Any]) -> float:
        """Return how many of the values can be converted."""
        return sum(fits(convert, value) for value in self._present) / max(1, len(self._present))

    def _guess_time(self, is_time: bool) -> Column | None:
        numbers = [read_number(value) for value in self._present]
        if all(number is not None for number in numbers) and not (
            self._time_format and "%" in self._time_format
        ):
            known = [number for number in numbers if number is not None]
            return self._guess_time_of_numbers(known) if is_time or find_named([self._name]) else None
        form = self._time_format
        if form is None or "%" not in form:
            texts = [value if isinstance(value, str) else "" for value in self._present]
            readings = [read_text(text) for text in texts]
            if sum(map(any, readings)) < MOST * len(readings):
                return None
            open_ones = [number for number, reading in enumerate(readings) if len({*reading} - {None}) > 1]
            form = None if not open_ones else form or self._find_order(readings, texts[open_ones[0]])
        elif self._share(lambda value: to_time(value, form)) < MOST:
            return self._guess_time_without_format(is_time)
        return self._column("time", form=form)

    def _guess_time_without_format(self, is_time: bool) -> Column | None:
        """Read a column that is not of the format that was named, which may be another column's."""
        if is_time:
            raise FileError(
                f"{self._source}: {self._name} is {show(self._present[0])}, not a time as {self._time_format}"
            )
        self._time_format = None
        return self._guess_time(is_time)

    def _find_order(self, readings: Sequence[Any], example: str) -> str:
        """Return which part comes first in a column's dates, of which some can be read in several ways."""
        orders = fit_orders(readings)
        if len(orders) > 1:
            raise FileError(
                f"{self._source}: {self._name} has dates such as {example}, in which the"
                f" {' or the '.join(orders)} may come first; say --time-format {' or '.join(orders)}"
            )
        return next(iter(orders))

    def _guess_time_of_numbers(self, numbers: Sequence[Decimal]) -> Column | None:
        try:
            times = read_numbers(numbers)
        except ValueError as error:
            raise FileError(
                f"{self._source}: {self._name}: {error}; write these dates with hyphens"
            ) from None
        if times is None or len(str(numbers[0])) == 4:
            return None
        for unit in EPOCH_UNITS:
            if times[0] is not None and times[0] == read_since_1970(numbers[0], unit):
                return self._column("epoch", form=unit, note=f"{unit} since 1970")
        return self._column("time", form=DIGITS)

    def _guess_boolean(self, is_time: bool) -> Column | None:
        words = {str(value).strip().casefold() for value in self._present}
        is_boolean = words <= TRUE_WORDS | FALSE_WORDS and not words <= {"0", "1"} and not is_time
        return self._column("boolean") if is_boolean else None

    def _guess_number(self, is_time: bool) -> Column | None:
        if any(isinstance(value, str) and _LEADING_ZERO.fullmatch(value) for value in self._present):
            return None  # such as postcodes: 01234 is not 1234
        numbers = [
            to_number(value, self._decimal)
            for value in self._present
            if fits(lambda value: to_number(value, self._decimal), value)
        ]
        if not self._present or len(numbers) < MOST * len(self._present):
            return None
        words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self._name).lower()))
        if not is_time and words & _IDENTIFIER_WORDS and self._are_all_different(numbers):
            return self._column("identifier", is_whole=True, note="each value comes once")
        units = list_units(self._present)
        if len(units) > 1:
            return None  # such as 12 % and 0.12
        odd = len(self._present) - len(numbers)
        note = f"{odd} values are no numbers" if odd else f"in {unit}" if (unit := "".join(units)) else ""
        return self._column("number", bounds=find_bounds(numbers), note=note)

    def _are_all_different(self, values: Sequence[Any]) -> bool:
        return len(values) > 1 and len(set(values)) == len(values) and all(v == int(v) for v in values)

    def _guess_text(self) -> Column:
        distinct = sorted(set(self._texts))
        words = sum(len(text.split()) for text in self._texts) / len(self._texts)
        if len(distinct) == 1:
            return self._column("left out", note=f"it is always {show(distinct[0])}")
        if len(distinct) <= _MAX_CATEGORIES and 2 * len(distinct) <= len(self._texts):
            return self._column("category", values=tuple(distinct))
        if words >= _WORDS_OF_A_TEXT:
            return self._column("text", buckets=_TEXT_BUCKETS)
        if len(distinct) == len(self._texts):
            return self._column("identifier", note="each value comes once")
        buckets = min(max(_BUCKETS[0], 2 ** math.ceil(math.log2(2 * len(distinct)))), _BUCKETS[1])
        return self._column("hashed", buckets=buckets, note=f"{len(distinct)} values in the file")


def fits(convert: Callable[[Any], Any], value: Any) -> bool:
    """Return whether a value can be converted, `convert` raising `ValueError` where it cannot."""
    try:
        convert(value)
    except ValueError:
        return False
    return True


def find_bounds(numbers: Sequence[Any]) -> tuple[float, float]:
    """Return round bounds, at least ten times beyond all numbers.

    >>> find_bounds([4.3, 7.9]), find_bounds([-0.02, 0.01])
    ((0, 100), (-1, 1))
    """
    most = max(abs(number) for number in numbers) or 1
    exponent = math.ceil(math.log10(most)) + 1
    limit = 10**exponent if 0 <= exponent <= 15 else float(f"1e{min(exponent, 300)}")
    return (0 if min(numbers) >= 0 else -limit), limit
