"""What a file seems to hold. Nothing here is final: a person reads and mends what is made of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamlearn.datasets.files import BadRow, read_file
from streamlearn.errors import BadSeries, FileError
from streamlearn.lags.readers.numbers import find_marks, tidy_number
from streamlearn.lags.readers.raw_table import RawTable, is_missing, repeated_names
from streamlearn.pipelines.drafts.columns import MOST, Column, guess_column
from streamlearn.pipelines.drafts.labels import Task, infer_label, is_sorted
from streamlearn.pipelines.drafts.names import can_rename, name_fields

_SAMPLE = 100_000
_NUMBER = re.compile(r"[+-]?[\d.,\s'’−-]*\d[\d.,\s'’]*(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Inference:
    """What a file seems to hold."""

    path: Path
    columns: tuple[Column, ...]
    """Without the label."""
    label: Column
    task: Task
    classes: tuple[Any, ...] | None
    rows: int
    bad: int
    """Rows that are none, such as those with too few fields."""
    decimal: str
    order: str | None
    """The field that puts the rows in order, where one was named."""
    shuffle: bool
    """Whether the file is sorted by its label."""


def infer(
    path: Path,
    label: str,
    *,
    task: Task | None = None,
    time: str | None = None,
    time_format: str | None = None,
) -> Inference:
    """Read a file and tell what its columns seem to hold; of many rows 100,000 are looked at, evenly spread.

    Parameters
    ----------
    label
        The column that is to be predicted.
    task
        What it is; None: told from the label.
    time
        The column that puts the rows in order.
    time_format
        What times do not tell by themselves: `day`, `month` or `year`, whichever comes first, or a format of
        `strptime`.

    Raises
    ------
    FileError
        The file cannot be read or understood, or has no such column.
    """
    table, bad = read_file(path)
    try:
        return _infer(path, table, bad, label, task, time, time_format)
    except BadSeries as error:
        raise FileError(str(error)) from None


def _infer(
    path: Path,
    table: RawTable,
    bad: Sequence[BadRow],
    label: str,
    task: Task | None,
    time: str | None,
    time_format: str | None,
) -> Inference:
    if repeated := sorted(repeated_names(table)):
        raise FileError(f"{path} has several columns {', '.join(map(repr, repeated))}: rename all but one")
    label_name = table.find_column(label)
    time_name = table.find_column(time) if time else None
    for name in filter(None, (label_name, time_name)):
        if not can_rename(name):
            raise FileError(f"{path}: {name!r} cannot be a field's name: rename the column without quotes")
    if label_name == time_name:
        raise FileError(f"{label_name!r} cannot be the label and the time")
    rows = table.rows
    table.rows = rows[:: max(1, len(rows) // _SAMPLE)]
    decimal = _find_decimal(table)
    fields = name_fields([name for name in table.names if name])
    columns = []
    for name in table.names:
        if not can_rename(name):
            columns.append(Column(name, fields[name], "left out", note="its name holds a quote or the like"))
        elif name and name != label_name:
            column = guess_column(
                table,
                name,
                fields[name],
                decimal=decimal,
                time_format=time_format,
                is_time=name == time_name,
            )
            columns.append(column)
    table.rows = rows  # a class that is rare must not be overlooked
    task, label_column, classes = infer_label(table, label_name, fields[label_name], decimal, task)
    shuffle = False
    if time_name is None:
        shuffle = is_sorted(list(table.values(label_name)), task, decimal) and not any(
            column.kind in ("time", "epoch") for column in columns
        )
    order = fields[time_name] if time_name else None
    return Inference(
        path, tuple(columns), label_column, task, classes, len(rows), len(bad), decimal, order, shuffle
    )


def _find_decimal(table: RawTable) -> str:
    """Return the decimal mark of the columns that seem to be numbers."""
    columns = {}
    for name in filter(None, table.names):
        values = [None if is_missing(value) else tidy_number(value) for value in table.values(name)]
        texts = [value for value in values if isinstance(value, str)]
        if texts and sum(bool(_NUMBER.fullmatch(text)) for text in texts) >= MOST * len(texts):
            columns[name] = [value if isinstance(value, str) else None for value in values]
    marked = {
        name: values
        for name, values in columns.items()
        if any(value and re.search(r"\d[.,]|[.,]\d", value) for value in values)
    }
    marks = find_marks(table, marked)
    if len(set(marks.values())) > 1:
        shown = ", ".join(f"{name} with {mark!r}" for name, mark in marks.items())
        raise FileError(f"{table.source} writes decimals in two ways: {shown}; write all in one")
    return next(iter(marks.values()), ".")
