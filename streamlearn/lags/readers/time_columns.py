"""Which columns hold the times, and the times in them; what cannot be told is refused, never guessed."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from streamlearn.errors import BadSeries
from streamlearn.lags.grid import make_grid, to_utc
from streamlearn.lags.readers import time_numbers, time_texts
from streamlearn.lags.readers.raw_table import RawTable, ReadingOptions, is_missing, repeated_names, show
from streamlearn.lags.readers.time_parts import find_parts, read_parts

Stamp = datetime | Decimal
"""A row's time, or its number where times are counted in steps of unknown length."""
Stamps = Sequence[Stamp | None]
"""Each row's; None where it has none."""

_TIME_WORDS = {
    *("time", "times", "date", "dates", "datetime", "timestamp", "epoch"),
    *("year", "quarter", "month", "week", "day", "hour", "minute", "second"),
    *("datum", "zeit", "uhrzeit", "zeitpunkt", "zeitstempel", "jahr", "monat", "stunde"),
    *("fecha", "hora", "año", "heure", "année"),
}
_TIME_NAMES = _TIME_WORDS | {
    *("ts", "when", "utc", "local", "period", "yr", "yyyy", "hr", "elapsed"),
    *("years", "months", "weeks", "days", "hours", "minutes", "seconds"),
}
"""Words that say so only where a name has no others."""
_OF_DAY_WORDS = {"time", "hour", "hours", "hr", "hrs", "zeit", "uhrzeit", "stunde", "hora", "heure", "clock"}
_BESIDE_OF_DAY = {"of", "day", "ending", "beginning", "start", "end", "utc", "local"}
"""Words that such a name may have besides: hours of sun are no time of day."""
_SAMPLE = 200
_HINT = (
    "; name the column of times with --time and its format with --time-format, or say --no-times if the rows"
    " are in order, the oldest first"
)


def find_times(
    table: RawTable, taken: Sequence[str], options: ReadingOptions
) -> tuple[Stamps | None, list[str]]:
    """Return the rows' times and the columns that they are from; None where no column seems to hold times.

    `taken` are the columns that hold something else.

    Raises
    ------
    BadSeries
        A column seems to hold the times, but they cannot be told, or two columns order the rows differently.
    """
    if options.without_times:
        return None, []
    free = [name for name in dict.fromkeys(table.names) if name not in taken]

    def read(name: str) -> tuple[Stamps, list[str]]:
        return _add_time_of_day(table, _read_column(table, name, options), [name], free, options)

    if options.time:
        return read(table.find_column(options.time))
    dated = [name for name in free if _looks_like_times(table, name, options)]
    named = find_named(free)
    for name in (dated or named) and sorted(repeated_names(table) & {*dated, *named}):
        table.find_column(name)
    if dated:
        stamps, names = read(dated[0])
        for other in dated[1:]:
            _refuse_other_order(table, (dated[0], stamps), other, options)
        return stamps, names
    if options.time_format:
        raise BadSeries(f"{table.source}: no column has times of the format {options.time_format!r}")
    if parts := find_parts(free):
        dates = read_parts(table, parts, options.missing)
        return _add_time_of_day(table, dates, list(parts.values()), free, options)
    errors = []
    for name in named:
        try:
            return read(name)
        except BadSeries as error:
            errors.append(error)
    if errors:
        raise BadSeries(f"{errors[0]}{_HINT}")
    return None, []


def find_named(names: Sequence[str]) -> list[str]:
    """Return the columns whose whole names say that they hold times; else those whose names mention it.

    >>> find_named(["startTime", "ts_utc", "temp"]), find_named(["valid_date", "km per hour"])
    (['ts_utc'], ['valid_date'])
    """
    words = {
        name: set(re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()))
        for name in names
    }
    whole = [name for name in names if name == "t" or (words[name] and words[name] <= _TIME_NAMES)]
    return whole or [name for name in names if "per" not in words[name] and words[name] & _TIME_WORDS]


def _looks_like_times(table: RawTable, name: str, options: ReadingOptions) -> bool:
    """Tell whether most values can only be times."""
    present = [value for value in table.values(name) if not is_missing(value, options.missing)]
    sample = present[:: max(1, len(present) // _SAMPLE)]
    if options.time_format:
        read = _make_reader(options.time_format)
        fitting = sum(read(value) is not None for value in sample)
    else:
        texts = [
            value for value in sample if isinstance(value, str) and time_numbers.read_number(value) is None
        ]
        fitting = sum(any(time_texts.read_text(text)) for text in texts)
    return 2 * fitting > len(sample)


def _read_column(table: RawTable, name: str, options: ReadingOptions) -> Stamps:
    """Return each row's time in one column; None where it is blank."""
    values = [None if is_missing(value, options.missing) else value for value in table.values(name)]
    rows = [row for row, value in enumerate(values) if value is not None]
    present = [values[row] for row in rows]
    times: Stamps
    if not rows:
        raise BadSeries(f"{table.source}: {name} has no time in any row")
    column = f"{table.source}: {name}"
    if options.time_format:
        read, example = _make_reader(options.time_format), f"of the format {options.time_format}"
        times = [read(value) for value in present]
    elif _are_numbers(present):
        read_times = _read_numbers(column, [time_numbers.read_number(value) for value in present])
        if isinstance(read_times[0], Decimal):
            return _spread(read_times, rows, len(values))
        times, example = read_times, "of the kind that the other rows have"
    else:
        times, example = _read_texts(column, present), "such as 2010-01-02 03:00"
    for row, time in zip(rows, times, strict=True):
        if time is None:
            raise BadSeries(
                f"{table.where[row]} of {table.source}: {name} is {show(values[row])}, not a time {example}"
            )
    return _spread(times, rows, len(values))


def _spread(times: Sequence[Any], rows: Sequence[int], length: int) -> list[Any]:
    stamps: list[Any] = [None] * length
    for row, time in zip(rows, times, strict=True):
        stamps[row] = time
    return stamps


def _make_reader(time_format: str) -> Callable[[Any], datetime | None]:
    """Return a function that reads a value by the format that the user has named."""
    if time_format in time_numbers.EPOCH_UNITS:

        def read(value: Any) -> datetime | None:
            number = time_numbers.read_number(value)
            return None if number is None else time_numbers.read_since_1970(number, time_format)
    else:

        def read(value: Any) -> datetime | None:
            try:
                time = datetime.strptime(str(value).strip(), time_format)
            except ValueError:
                return None
            return time if time_texts.is_in_range(time) else None

    return read


def _are_numbers(values: Sequence[Any]) -> bool:
    """Tell whether most values are numbers; months such as 01.2026 are not."""
    count = sum(time_numbers.read_number(value) is not None for value in values)
    if 2 * count <= len(values):
        return False
    return not all(isinstance(value, str) and any(time_texts.read_text(value)) for value in values)


def _read_numbers(column: str, numbers: Sequence[Decimal | None]) -> Stamps:
    known = [number for number in numbers if number is not None]
    try:
        times = time_numbers.read_numbers(known)
    except ValueError as error:
        raise BadSeries(f"{column}: {error}; say --time-format '%Y%m' or '%y%m%d'") from None
    if times is None and 2 * len(set(known)) < len(known):
        raise BadSeries(f"{column} has numbers that repeat: they do not tell the time alone")
    following = iter(times or known)
    return [None if number is None else next(following) for number in numbers]


def _read_texts(column: str, values: Sequence[Any]) -> list[datetime | None]:
    texts = [value if isinstance(value, str) else "" for value in values]
    readings = [time_texts.read_text(text) for text in texts]
    fitting = time_texts.fit_orders(readings)
    if not any(map(any, readings)) and all(time_texts.read_time_of_day(text) is not None for text in texts):
        raise BadSeries(f"{column} has times of day, but not their dates")
    if len(fitting) > 1:
        even = {order: times for order, times in fitting.items() if _are_even(times)}
        fitting = even if len(even) == 1 else fitting
    if len(fitting) > 1:
        text = next(
            text for text, reading in zip(texts, readings, strict=True) if len({*reading} - {None}) > 1
        )
        formats = " or ".join(
            f"--time-format '{time_texts.suggest_format(text, order)}'" for order in fitting
        )
        raise BadSeries(
            f"{column} has dates such as {text}, in which the {' or the '.join(fitting)} may come first;"
            f" say {formats}"
        )
    (times,) = fitting.values()
    if time_texts.spans_centuries(texts[0], [time for time in times if time]):
        raise BadSeries(
            f"{column} has years of two digits that may be of two centuries; write them with four"
        )
    return times


def _are_even(times: Sequence[datetime | None]) -> bool:
    try:
        make_grid([time for time in times if time])
    except BadSeries:
        return False
    return True


def _add_time_of_day(
    table: RawTable, stamps: Stamps, names: list[str], free: Sequence[str], options: ReadingOptions
) -> tuple[Stamps, list[str]]:
    """Return times and the columns they are from: where they are dates that repeat, with the time of day."""
    dates = [stamp for stamp in stamps if isinstance(stamp, datetime)]
    if len(set(dates)) == len(dates) or any(date.time() != datetime.min.time() for date in dates):
        return stamps, names
    for other in free:
        words = set(re.findall(r"[^\W\d_]+", other.casefold()))
        if other not in names and words & _OF_DAY_WORDS and words <= _OF_DAY_WORDS | _BESIDE_OF_DAY:
            clocks = _read_times_of_day(table, other, options)
            if clocks is not None:
                return list(map(_join, stamps, clocks)), [*names, other]
    return stamps, names


def _join(date: Stamp | None, clock: timedelta | None) -> datetime | None:
    return date + clock if isinstance(date, datetime) and clock is not None else None


def _read_times_of_day(table: RawTable, name: str, options: ReadingOptions) -> list[timedelta | None] | None:
    """Return the time since midnight in each row, None where it is blank; or None where others are there."""
    values = [None if is_missing(value, options.missing) else value for value in table.values(name)]
    numbers = [time_numbers.read_number(value) for value in values]
    in_hundreds = any(number is not None and number > 24 for number in numbers)
    clocks: list[timedelta | None] = []
    for value, number in zip(values, numbers, strict=True):
        if value is None:
            clocks.append(None)
            continue
        text = str(value)
        if number is not None:
            text = f"{int(number):04d}" if 0 <= number <= 2400 and number == int(number) else ""
            text = f"{text[:2]}:{text[2:]}" if in_hundreds else text.lstrip("0") or "0"
        clock = time_texts.read_time_of_day(text)
        if clock is None:
            return None
        clocks.append(clock)
    return clocks


def _refuse_other_order(
    table: RawTable, first: tuple[str, Stamps], other: str, options: ReadingOptions
) -> None:
    """Raise where another column of times puts the rows in another order."""
    try:
        stamps = _read_column(table, other, options)
    except BadSeries:
        return
    rows = [row for row, both in enumerate(zip(first[1], stamps, strict=True)) if None not in both]
    rows.sort(key=lambda row: _sort_key(first[1][row]))
    keys = [_sort_key(stamps[row]) for row in rows]
    backwards = sum(later < earlier for earlier, later in pairwise(keys))
    if 10 * backwards > len(keys):
        raise BadSeries(
            f"{table.source}: {first[0]} and {other} both hold times, and put the rows in different orders;"
            " name one with --time"
        )


def _sort_key(stamp: Any) -> Any:
    return to_utc(stamp) if isinstance(stamp, datetime) else stamp
