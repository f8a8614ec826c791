"""Raw tables, such as a CSV file or a topic's records, and the series in their columns."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.errors import BadSeries, FileError
from streamlearn.lags.series import Floats, Series, Table, arrange

_MISSING = {"", "na", "n/a", "nan", "null", "none"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass
class RawTable:
    """Rows as they were read: text, or the values of JSON."""

    source: str
    """Where they come from, for messages."""
    names: list[str]
    """The columns."""
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    """Each row's values by column; a column may be absent."""
    where: list[str] = field(default_factory=list)
    """Where each row stands in the source, for messages, such as `line 7`."""
    notes: tuple[str, ...] = ()
    """What a reader should know about how they were read."""


def read_csv(path: Path, names: Sequence[str], time: str | None) -> Table:
    """Read the columns `names` of a CSV file with a header.

    `time` is the column of times; None: the first one with ISO dates. The separator is a comma, a semicolon
    or a tab: whichever cuts the header into most columns.

    Raises
    ------
    BadSeries
        The file is not such a table, or lacks a column; see `parse_table`.
    FileError
        It cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    lines = text.splitlines()
    if not lines:
        raise BadSeries(f"{path} is empty")
    reader = csv.reader(lines, delimiter=max(",;\t", key=lines[0].count))
    header = [name.strip() for name in next(reader)]
    table = RawTable(str(path), header)
    for values in reader:
        if not values:
            continue
        if len(values) != len(header):
            raise BadSeries(
                f"line {reader.line_num} of {path} has {len(values)} fields and the header {len(header)}"
            )
        table.rows.append(dict(zip(header, values, strict=True)))
        table.where.append(f"line {reader.line_num}")
    return parse_table(table, names, time)


def parse_table(table: RawTable, names: Sequence[str], time: str | None) -> Table:
    """Return the columns `names` as series of numbers, in the order of their times.

    `time` is the column of times; None: the first one with ISO dates, and if there is none, rows are steps.

    Raises
    ------
    BadSeries
        A column is not there or holds what is not a number, or the times are not on a grid.
    """
    for name in (*names, *([time] if time else [])):
        if name not in table.names:
            raise BadSeries(f"{table.source} has no column {name!r}; it has: {', '.join(table.names)}")
    time = time or _find_time_column(table, names)
    notes = table.notes + ((f"times: column {time!r}",) if time else ())
    columns = [Series(name, _parse_numbers(table, name)) for name in names]
    return arrange(columns, _parse_times(table, time) if time else None, table.where, notes)


def _find_time_column(table: RawTable, taken: Sequence[str]) -> str | None:
    """Return the first column whose first value is an ISO date."""
    first = table.rows[0] if table.rows else {}
    return next((name for name in table.names if name not in taken and _parse_time(first.get(name))), None)


def _parse_time(value: Any) -> datetime | None:
    if not isinstance(value, str) or not _DATE.match(value.strip()):
        return None
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        return None


def _parse_times(table: RawTable, name: str) -> list[datetime]:
    times = []
    for row, where in zip(table.rows, table.where, strict=True):
        time = _parse_time(row.get(name))
        if time is None:
            raise BadSeries(
                f"{where} of {table.source}: {name} is {row.get(name)!r}, not a time such as 2010-01-02 03:00"
            )
        times.append(time)
    return times


def _parse_numbers(table: RawTable, name: str) -> Floats:
    numbers = np.full(len(table.rows), np.nan)
    for index, (row, where) in enumerate(zip(table.rows, table.where, strict=True)):
        value = row.get(name)
        if value is None or (isinstance(value, str) and value.strip().lower() in _MISSING):
            continue
        try:
            numbers[index] = float(value)
        except (TypeError, ValueError):
            raise BadSeries(f"{where} of {table.source}: {name} is {value!r}, not a number") from None
        if math.isinf(numbers[index]):
            raise BadSeries(f"{where} of {table.source}: {name} is {value!r}, not a finite number")
    return numbers
