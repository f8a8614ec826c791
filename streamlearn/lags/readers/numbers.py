"""Texts and JSON values as numbers, with a decimal point or a decimal comma: whichever the columns show."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from streamlearn.errors import BadSeries
from streamlearn.lags.readers.raw_table import RawTable, is_missing, show
from streamlearn.lags.series import Floats

_EXPONENT = r"(?:e[+-]?\d+)?"
_FITS = {
    ".": re.compile(rf"[+-]?(?:\d+\.?\d*|\.\d+|[1-9]\d{{0,2}}(?:,\d{{3}})+(?:\.\d*)?){_EXPONENT}", re.ASCII),
    ",": re.compile(rf"[+-]?(?:\d+,?\d*|,\d+|[1-9]\d{{0,2}}(?:\.\d{{3}})+(?:,\d*)?){_EXPONENT}", re.ASCII),
}
"""Decimal mark → the numbers that are written with it; the other mark may separate groups of three digits."""
_GROUP = re.compile(r"(?<=\d)[\s'’](?=\d{3}(?!\d))")
_UNIT = re.compile(r"(?<=\d)\s*([%€$£¥₹])$|^[+-]?\s*([€$£¥₹])\s*(?=[\d.,])")
_NOT_FINITE = re.compile(r"[+-]?(?:inf|infinity)")
_MARKERS = {sign * number for number in (99, 999, 9999, 99999, 99.9, 999.9) for sign in (1, -1)}
"""Numbers that files have in place of a missing value."""
_FAR_BELOW, _FAR_ABOVE = 1, 5
"""So many times the range of the other values away from them, a marker is hardly a reading."""


def parse_numbers(table: RawTable, names: Sequence[str], markers: tuple[str, ...]) -> dict[str, Floats]:
    """Return each column's numbers, shape (n,); NaN where missing.

    Raises
    ------
    BadSeries
        A value is no finite number, its decimal mark cannot be told, or it looks like a marker of missing
        values that `markers` does not name.
    """
    for name in names:
        _check_units(table, name)
    columns = {
        name: [None if is_missing(value, markers) else tidy_number(value) for value in table.values(name)]
        for name in names
    }
    marks = find_marks(table, columns)
    numbers = {}
    for name, values in columns.items():
        numbers[name] = np.full(len(values), np.nan)
        for row, value in enumerate(values):
            if value is not None:
                numbers[name][row] = parse_number(
                    value, marks[name], f"{table.where[row]} of {table.source}: {name}"
                )
        if not markers:
            _refuse_marker(table, name, numbers[name])
    return numbers


def tidy_number(value: Any) -> Any:
    """Return a text in small letters, without its unit, and without spaces or apostrophes between digits.

    >>> tidy_number("12 %"), tidy_number("-€ 1'234.50"), tidy_number("7 km")
    ('12', '-1234.50', '7 km')
    """
    if not isinstance(value, str):
        return value
    text = value.strip().lower().replace("−", "-")
    sign = text[0] if text[:1] in ("+", "-") and _UNIT.match(text) else ""
    return sign + _GROUP.sub("", _UNIT.sub("", text))


def find_unit(value: Any) -> str:
    """Return the percent or currency sign of a number that is written as text; empty where it has none.

    >>> find_unit("12 %"), find_unit("-€ 5"), find_unit("5")
    ('%', '€', '')
    """
    match = _UNIT.search(value.strip().replace("−", "-")) if isinstance(value, str) else None
    return (match[1] or match[2]) if match else ""


def list_units(values: Iterable[Any]) -> set[str]:
    """Return the signs of the numbers that are there; zero needs none.

    >>> sorted(list_units(["12 %", "0", None])), sorted(list_units(["12 %", "0.12"]))
    (['%'], ['', '%'])
    """
    return {
        find_unit(value) for value in values if not is_missing(value) and tidy_number(value) not in (0, "0")
    }


def _check_units(table: RawTable, name: str) -> None:
    """Raise where some of a column's numbers have a sign such as % and others have another, or none."""
    units = list_units(table.values(name))
    if len(units) > 1:
        shown = " and ".join(sorted(unit or "without a sign" for unit in units))
        raise BadSeries(f"{table.source}: {name} has numbers with {shown}; write all of them in one unit")


def find_marks(table: RawTable, columns: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return each column's decimal mark; a column that does not show it takes that of the others.

    `columns` are tidy values, None where missing.

    Raises
    ------
    BadSeries
        A column's mark cannot be told.
    """
    texts = {
        name: [text for text in values if isinstance(text, str) and re.search(r"\d[.,]|[.,]\d", text)]
        for name, values in columns.items()
    }
    shown = {name: _fitting_marks(texts[name]) for name in columns}
    certain = {marks for name, marks in shown.items() if texts[name] and len(marks) == 1}
    common = certain.pop() if len(certain) == 1 else ""
    return {
        name: marks if len(marks) == 1 else common or _choose_mark(table, name, columns[name])
        for name, marks in shown.items()
    }


def _fitting_marks(texts: Sequence[str]) -> str:
    """Return the decimal mark with which most texts are numbers, or both where they are with either."""
    counts = {mark: sum(bool(fits.fullmatch(text)) for text in texts) for mark, fits in _FITS.items()}
    if all(count == len(texts) for count in counts.values()):
        return "".join(counts)
    return max(counts, key=counts.__getitem__)


def _choose_mark(table: RawTable, name: str, values: Sequence[Any]) -> str:
    """Return the mark of a column in which each text is a number with either."""
    texts = [text for text in values if isinstance(text, str)]
    with_comma = [text for text in texts if "," in text]
    if not with_comma:
        return "."
    with_point = any("." in text for text in texts)
    if len(with_comma) == len(texts) and not with_point:
        return ","  # if it separates thousands, all are a thousand times that, and no lag is another
    if table.separator == "," and not with_point:
        return "."  # a field in quotes: the comma is no decimal mark where it separates the fields
    raise BadSeries(
        f"{table.source}: {name} has values such as {with_comma[0]}, whose comma may be a decimal comma or"
        " separate thousands; write its numbers without separators of thousands"
    )


def parse_number(value: Any, mark: str, where: str) -> float:
    """Return a tidy value as a number; `mark` is its decimal mark, `where` names it in messages.

    Raises
    ------
    BadSeries
        It is no finite number.
    """
    if isinstance(value, str):
        if _FITS[mark].fullmatch(value):
            value = value.replace("," if mark == "." else ".", "").replace(",", ".")
        elif not _NOT_FINITE.fullmatch(value):
            words = {".": "point", ",": "comma"}[mark]
            other = any(fits.fullmatch(value) for fits in _FITS.values())
            hint = f" with a decimal {words}, as the others are" if other else ""
            raise BadSeries(f"{where} is {show(value)}, not a number{hint}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BadSeries(f"{where} is {show(value)}, not a number") from None
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise BadSeries(f"{where} is {show(value)}, not a finite number that a float can hold")
    return number


def _refuse_marker(table: RawTable, name: str, numbers: Floats) -> None:
    """Raise where a number such as −999 comes that is far from all others."""
    present = [number for number in _MARKERS if np.any(numbers == number)]
    rest = numbers[np.isfinite(numbers) & ~np.isin(numbers, present)]
    for number in present:
        rows = np.flatnonzero(numbers == number)
        if rest.size > 1 and _is_far(number, rest, rows.size):
            raise BadSeries(
                f"{table.where[rows[0]]} of {table.source}: {name} is {number:g}, far from the other values"
                f" ({rows.size} such); say --missing={number:g} if it means missing, else --missing=NA"
            )


def _is_far(number: float, rest: Floats, count: int) -> bool:
    """Tell whether a number that comes `count` times does not belong to the others."""
    low, high = float(rest.min()), float(rest.max())
    if number < 0:
        return low - number > _FAR_BELOW * (high - low) or (low >= 0 and count > 1)
    return number - high > _FAR_ABOVE * (high - low)
