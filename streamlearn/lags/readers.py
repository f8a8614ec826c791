"""Where series come from: a CSV file with a header, records such as a topic's, or a pipeline's data set."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.errors import BadSeries, DataUnavailable
from streamlearn.lags.series import Series, Table, arrange

_EPOCH = datetime(1970, 1, 1)
_MISSING = {"", "na", "n/a", "nan", "null", "none"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass
class Rows:
    """Rows as they come: `values[i][name]`, and where each stands, for people."""

    source: str
    names: list[str]
    values: list[Mapping[str, Any]] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def of_csv(path: Path, names: Sequence[str], time: str | None) -> Table:
    """Read the columns `names` of a CSV file; `time` is the column of its times, looked for where None.

    Raises
    ------
    BadSeries
        The file is not such a table, or lacks a column.
    DataUnavailable
        It cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataUnavailable(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    lines = text.splitlines()
    if not lines:
        raise BadSeries(f"{path} is empty")
    # The one of these that cuts the header into most columns.
    reader = csv.reader(lines, delimiter=max(",;\t", key=lines[0].count))
    header = [name.strip() for name in next(reader)]
    rows = Rows(str(path), header)
    for values in reader:
        if not values:
            continue
        if len(values) != len(header):
            raise BadSeries(
                f"line {reader.line_num} of {path} has {len(values)} fields and the header {len(header)}"
            )
        rows.values.append(dict(zip(header, values, strict=True)))
        rows.where.append(f"line {reader.line_num}")
    return of_rows(rows, names, time)


def of_rows(rows: Rows, names: Sequence[str], time: str | None) -> Table:
    """Return the columns `names` of rows, in the order of their times.

    Raises
    ------
    BadSeries
        A column is not there or holds what is not a number, or the times are not on a grid.
    """
    for name in (*names, *([time] if time else [])):
        if name not in rows.names:
            raise BadSeries(f"{rows.source} has no column {name!r}; it has: {', '.join(rows.names)}")
    time = time or _time_column(rows, names)
    notes = rows.notes + ((f"times: column {time!r}",) if time else ())
    series = [Series(name, _numbers(rows, name)) for name in names]
    return arrange(series, _times(rows, time) if time else None, rows.where, notes)


def _time_column(rows: Rows, taken: Sequence[str]) -> str | None:
    """Return the first column whose first value is an ISO date."""
    first = rows.values[0] if rows.values else {}
    return next((name for name in rows.names if name not in taken and _iso(first.get(name))), None)


def _iso(value: Any) -> datetime | None:
    if not isinstance(value, str) or not _DATE.match(value.strip()):
        return None
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        return None


def _times(rows: Rows, name: str) -> list[datetime]:
    found = [_iso(row.get(name)) for row in rows.values]
    for time, row, where in zip(found, rows.values, rows.where, strict=True):
        if time is None:
            said = row.get(name)
            raise BadSeries(
                f"{where} of {rows.source}: {name} is {said!r}, not a time such as 2010-01-02 03:00"
            )
    return [time for time in found if time]


def _numbers(rows: Rows, name: str) -> Any:
    found = np.full(len(rows.values), np.nan)
    for number, (row, where) in enumerate(zip(rows.values, rows.where, strict=True)):
        said = row.get(name)
        if said is None or (isinstance(said, str) and said.strip().lower() in _MISSING):
            continue
        try:
            found[number] = float(said)
        except (TypeError, ValueError):
            raise BadSeries(f"{where} of {rows.source}: {name} is {said!r}, not a number") from None
        if math.isinf(found[number]):
            raise BadSeries(f"{where} of {rows.source}: {name} is {said!r}, not a finite number")
    return found
