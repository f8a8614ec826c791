"""Times whose parts stand in columns of their own: year, month, day, hour and so on."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from streamlearn.errors import BadSeries
from streamlearn.lags.readers.raw_table import RawTable, is_missing, show
from streamlearn.lags.readers.time_numbers import read_number
from streamlearn.lags.readers.time_texts import read_month_name

_NAMES = {
    "year": {"year", "yr", "yyyy", "jahr"},
    "quarter": {"quarter", "qtr", "quartal"},
    "month": {"month", "mo", "mm", "monat"},
    "day": {"day", "dd", "dom", "day of month", "day_of_month", "tag"},
    "hour": {"hour", "hr", "hh", "stunde"},
    "minute": {"minute"},
    "second": {"second"},
}
_RANGES = {
    "year": (1000, 9999),
    "quarter": (1, 4),
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 24),
    "minute": (0, 59),
    "second": (0, 59),
}


def find_parts(names: Sequence[str]) -> dict[str, str]:
    """Return the part of a time → its column, from the year down to the finest; empty without year and month.

    >>> find_parts(["No", "Year", "month", "hour", "day"])
    {'year': 'Year', 'month': 'month', 'day': 'day', 'hour': 'hour'}
    """
    columns = {
        part: name for part, words in _NAMES.items() for name in reversed(names) if name.casefold() in words
    }
    if "year" not in columns or not {"quarter", "month"} & set(columns):
        return {}
    if "month" not in columns:
        return {part: columns[part] for part in ("year", "quarter")}
    parts: dict[str, str] = {}
    for part in ("year", "month", "day", "hour", "minute", "second"):
        if part not in columns:
            break
        parts[part] = columns[part]
    return parts


def read_parts(table: RawTable, parts: Mapping[str, str], markers: tuple[str, ...]) -> list[datetime | None]:
    """Return each row's time; None where a part is blank.

    Raises
    ------
    BadSeries
        A part is not what its name says, or there is no such day.
    """
    times: list[datetime | None] = []
    for row, where in zip(table.rows, table.where, strict=True):
        values = {part: row.get(name) for part, name in parts.items()}
        if any(is_missing(value, markers) for value in values.values()):
            times.append(None)
            continue
        numbers = {
            part: _read_part(part, value, f"{where} of {table.source}: {parts[part]}")
            for part, value in values.items()
        }
        try:
            times.append(_build(numbers))
        except (ValueError, OverflowError):
            date = "-".join(str(number) for number in numbers.values())
            raise BadSeries(f"{where} of {table.source}: there is no day {date}") from None
    return times


def _read_part(part: str, value: Any, where: str) -> int:
    if isinstance(value, str):
        if part == "month" and (month := read_month_name(value)):
            return month
        if part == "quarter":
            value = value.strip().upper().removeprefix("Q")
    number, (low, high) = read_number(value), _RANGES[part]
    if number is None or not low <= number <= high or number != int(number):
        raise BadSeries(f"{where} is {show(value)}, not a {part} from {low} to {high}")
    return int(number)


def _build(numbers: Mapping[str, int]) -> datetime:
    month = numbers.get("month") or numbers["quarter"] * 3 - 2
    clock = timedelta(**{f"{part}s": numbers.get(part, 0) for part in ("hour", "minute", "second")})
    return datetime(numbers["year"], month, numbers.get("day", 1)) + clock
