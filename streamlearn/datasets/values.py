"""One value of a file as a value of a record: numbers, booleans, times and text, as files spell them."""

from datetime import datetime
from typing import Any

from streamlearn.errors import BadSeries
from streamlearn.lags.readers.numbers import parse_number, tidy_number
from streamlearn.lags.readers.raw_table import is_missing, show
from streamlearn.lags.readers.time_numbers import read_number, read_numbers
from streamlearn.lags.readers.time_texts import is_in_range, read_text

TRUE_WORDS = frozenset({"true", "t", "yes", "y", "on", "ja", "oui", "si", "sí", "wahr", "vrai", "1"})
FALSE_WORDS = frozenset({"false", "f", "no", "n", "off", "nein", "non", "falsch", "faux", "0"})
ORDERS = ("day", "month", "year")
"""Which part of a date comes first."""
DIGITS = "digits"
"""A date in digits alone, such as 20260125."""

_WORDS_FOR_NOTHING = frozenset({"none", "nil", "missing", "-", "--", "–", "—", ".", "..", "...", "*", "?"})
"""What stands for a missing number or time, but may be a text's own value."""


def is_missing_text(value: Any) -> bool:
    """Tell whether a value of a column of text is missing.

    >>> is_missing_text("NA"), is_missing_text(" "), is_missing_text("none")
    (True, True, False)
    """
    if isinstance(value, str) and value.strip().casefold() in _WORDS_FOR_NOTHING:
        return False
    return is_missing(value)


def to_text(value: Any) -> str | None:
    """Return a value as text without spaces around it; None where it is missing."""
    if is_missing_text(value):
        return None
    return value.strip() if isinstance(value, str) else str(value)


def to_number(value: Any, mark: str) -> int | float | None:
    """Return a value as a number, None where it is missing; `mark` is the decimal mark of texts.

    Raises
    ------
    ValueError
        It is no finite number.

    >>> to_number("1.234,5", ","), to_number("7", "."), to_number("NA", ".")
    (1234.5, 7, None)
    """
    if is_missing(value):
        return None
    if isinstance(value, str):
        text = value.strip()
        if text.isascii() and text.lstrip("+-").isdigit() and len(text) < 300:
            return int(text)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return parse_number(tidy_number(value), mark, "it")
    except BadSeries as error:
        raise ValueError(str(error).removeprefix("it is ")) from None


def to_boolean(value: Any) -> bool | None:
    """Return a value as a boolean, None where it is missing.

    Raises
    ------
    ValueError
        It is none.

    >>> to_boolean("Yes"), to_boolean("off"), to_boolean(1), to_boolean("")
    (True, False, True, None)
    """
    if isinstance(value, bool):
        return value
    if is_missing(value):
        return None
    word = str(value).strip().casefold().removesuffix(".0")
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError(f"{show(value)}, not a boolean such as true or no")
    return word in TRUE_WORDS


def to_time(value: Any, form: str | None) -> str | None:
    """Return a time as ISO 8601 writes it, None where it is missing.

    `form` is what the value does not tell by itself: which of `day`, `month` and `year` comes first, or
    `digits`; or it is a format of `strptime`.

    Raises
    ------
    ValueError
        It is no time, or can be several.

    >>> to_time("25.1.2026 1:00 PM", None), to_time("01/02/2026", "month"), to_time("20260125", "digits")
    ('2026-01-25T13:00:00', '2026-01-02T00:00:00', '2026-01-25T00:00:00')
    """
    if is_missing(value):
        return None
    text = str(value).strip()
    if form and "%" in form:
        time: datetime | None = datetime.strptime(text, form)
    elif form == DIGITS:
        number = read_number(text)
        (time,) = (number is not None and read_numbers([number])) or [None]
    else:
        reading = read_text(text)
        times = {time for time in reading if time} if form is None else {reading[ORDERS.index(form)]}
        if len(times) > 1:
            raise ValueError(f"{show(value)}, a date in which the day or the month may come first")
        time = times.pop() if times else None
    if time is None or not is_in_range(time):
        raise ValueError(f"{show(value)}, not a time")
    return time.isoformat()
