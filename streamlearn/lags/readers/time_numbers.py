"""Numbers as times: dates in digits, time since 1970, years; or else steps of an unknown length."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

_EPOCH = datetime(1970, 1, 1)
_UNITS = {"s": (10**8, 10**10, 1), "ms": (10**11, 10**13, 10**3)} | {
    "us": (10**14, 10**16, 10**6),
    "ns": (10**17, 10**19, 10**9),
}
"""Unit → the numbers that are taken for it, from 1973 on, and how many are in a second."""
EPOCH_UNITS = tuple(_UNITS)
_MAX_DIGITS = 25
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_COMPACT = {
    8: ("(....)(..)(..)", range(1600, 2200)),
    10: ("(....)(..)(..)(..)", range(1900, 2100)),
    12: ("(....)(..)(..)(..)(..)", range(1600, 2200)),
    14: ("(....)(..)(..)(..)(..)(..)", range(1600, 2200)),
    6: ("(....)(..)", range(1600, 2200)),
}
"""Digits of a date such as 20260125 or 202601252300 → its parts, and the years that are taken for such."""
_YEARS = range(1600, 2200)

Times = list[datetime | None]


def read_number(value: Any) -> Decimal | None:
    """Return the number that a text or a value of JSON is; None where it is none, or too large for any time.

    >>> read_number("1735689600.5"), read_number(" later"), read_number(True)
    (Decimal('1735689600.5'), None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        text = str(value).strip()
        number = Decimal(text) if _NUMBER.fullmatch(text) else None
    except (ValueError, InvalidOperation):  # Python writes no integer of more than 4300 digits
        return None
    return number if number is not None and number.adjusted() < _MAX_DIGITS else None


def read_since_1970(number: Decimal, unit: str) -> datetime | None:
    """Return the time that is `number` of a unit after 1970 began, in UTC."""
    try:
        return _EPOCH + timedelta(microseconds=int(number * 10**6 / _UNITS[unit][2]))
    except OverflowError:
        return None


def read_numbers(numbers: Sequence[Decimal]) -> Times | None:
    """Return the times that a column of numbers says; None where they are not of one known kind.

    A time is None where its number alone does not fit. Raises `ValueError`, with a reason, where two
    kinds are possible.
    """
    digits = [_write_integer(number) for number in numbers]
    lengths = {len(text) for text in digits}
    if len(lengths) == 1 and (length := lengths.pop()) in _COMPACT:
        times = [_read_compact(text, length) for text in digits]
        if 2 * sum(time is not None for time in times) > len(times):
            if length == 6 and all(_read_compact(f"20{text}", 8) for text in digits):
                raise ValueError(f"{digits[0]} can be a year and a month, or a year, a month and a day")
            return times
    for unit, (low, high, _) in _UNITS.items():
        if all(low <= number < high for number in numbers):
            return [read_since_1970(number, unit) for number in numbers]
    if all(text and int(text) in _YEARS for text in digits):
        return [datetime(int(number), 1, 1) for number in numbers]
    return None


def _write_integer(number: Decimal) -> str:
    """Return the digits of an integer; nothing for other numbers, and for those too long for a time."""
    return str(int(number)) if 0 < number < 10**20 and number == int(number) else ""


def _read_compact(text: str, length: int) -> datetime | None:
    form, years = _COMPACT[length]
    if not (match := re.fullmatch(form, text)):
        return None
    year, month, *rest = map(int, match.groups())
    day, hour, minute, second = (rest + [1, 0, 0, 0][len(rest) :])[:4]
    try:
        time = datetime(year, month, day) + timedelta(hours=hour, minutes=minute, seconds=second)
    except ValueError:
        return None
    return time if year in years and hour <= 24 and minute < 60 and second < 60 else None
