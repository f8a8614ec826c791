"""What rows seem to hold. Nothing here is final: a person reads and mends what is made of it."""

import re
from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamlearn.datasets.files import read_file
from streamlearn.errors import BadSeries, FileError
from streamlearn.lags.readers.numbers import find_marks, tidy_number
from streamlearn.lags.readers.raw_table import RawTable, is_missing, repeated_names
from streamlearn.lags.readers.time_texts import read_text
from streamlearn.pipelines.drafts.columns import MOST, Column, guess_column
from streamlearn.pipelines.drafts.labels import Task, infer_label, is_sorted
from streamlearn.pipelines.drafts.names import can_rename, name_fields
from streamlearn.pipelines.drafts.series import Series, infer_series
from streamlearn.pipelines.drafts.wire import fit_to_topic

_SAMPLE = 100_000
_NUMBER = re.compile(r"[+-]?[\d.,\s'’−-]*\d[\d.,\s'’]*(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Source:
    """Where rows come from: a file, or a topic."""

    name: str
    is_topic: bool = False
    bad: int = 0
    """Rows that are none, such as those with too few fields."""


@dataclass(frozen=True)
class Inference:
    """What rows seem to hold."""

    source: Source
    columns: tuple[Column, ...]
    """Without the label."""
    label: Column
    task: Task
    classes: tuple[Any, ...] | None
    rows: int
    decimal: str
    order: str | None
    """The field that puts the rows in order, where one was named."""
    shuffle: bool
    """Whether the file is sorted by its label."""
    series: Series | None = None
    """Of a forecast."""
    key: str | None = None
    """The column whose equal values stay in one partition, where one was named."""


@dataclass(frozen=True)
class DraftOptions:
    """What the user says about the rows.

    Parameters
    ----------
    label
        The column that is to be predicted.
    task
        What it is; None: told from the label.
    time
        The column that puts the rows in order; a forecast needs one.
    time_format
        What times do not tell by themselves: `day`, `month` or `year`, whichever comes first, or a format of
        `strptime`.
    key
        The column whose equal values stay in one partition of the topic; of a forecast, that which tells its
        series apart.
    """

    label: str
    task: Task | None = None
    time: str | None = None
    time_format: str | None = None
    key: str | None = None


def infer(path: Path, options: DraftOptions) -> Inference:
    """Read a file and tell what its columns seem to hold.

    Raises
    ------
    FileError
        The file cannot be read or understood, or has no such column.
    """
    table, bad = read_file(path)
    return infer_table(table, Source(str(path), bad=len(bad)), options)


def infer_table(table: RawTable, source: Source, options: DraftOptions) -> Inference:
    """Tell what a table's columns seem to hold; of many rows 100,000 are looked at, evenly spread.

    Raises
    ------
    FileError
        The table cannot be understood, or has no such column.
    """
    try:
        return _infer(table, source, options)
    except BadSeries as error:
        raise FileError(str(error)) from None


def _infer(table: RawTable, source: Source, options: DraftOptions) -> Inference:
    if repeated := sorted(repeated_names(table)):
        raise FileError(
            f"{table.source} has several columns {', '.join(map(repr, repeated))}: rename all but one"
        )
    label_name = table.find_column(options.label)
    time_name = table.find_column(options.time) if options.time else None
    key_name = table.find_column(options.key) if options.key else None
    for name in filter(None, (label_name, time_name, key_name)):
        if not can_rename(name):
            raise FileError(
                f"{table.source}: {name!r} cannot be a field's name: rename the column without quotes"
            )
    if label_name == time_name:
        raise FileError(f"{label_name!r} cannot be the label and the time")
    if key_name is not None and key_name == time_name:
        raise FileError(f"{key_name!r} cannot be the key and the time")
    if label_name == key_name:
        raise FileError(f"{label_name!r} cannot be the label and the key: a label may be missing")
    rows = table.rows
    table.rows = rows[:: max(1, len(rows) // _SAMPLE)]
    decimal = _find_decimal(table)
    fields = name_fields([name for name in table.names if name])
    if options.task == "forecast" and time_name is None:
        time_name = _find_time(table, {label_name, key_name}, decimal, options.time_format)
    columns = []
    for name in table.names:
        if not name:
            columns.append(Column(name, name, "left out", note="it has no name"))
        elif not can_rename(name):
            columns.append(Column(name, fields[name], "left out", note="its name holds a quote or the like"))
        elif name != label_name:
            column = guess_column(
                table,
                name,
                fields[name],
                decimal=decimal,
                time_format=options.time_format,
                is_time=name == time_name,
            )
            columns.append(column)
    table.rows = rows  # a class that is rare must not be overlooked
    task, label, classes = infer_label(table, label_name, fields[label_name], decimal, options.task)
    shuffle = False
    if source.is_topic:
        taken = fields.values()
        columns = [fit_to_topic(column, list(table.values(column.name)), taken) for column in columns]
        label = fit_to_topic(label, list(table.values(label_name)), taken)
    elif time_name is None:
        shuffle = is_sorted(list(table.values(label_name)), task, decimal) and not any(
            column.kind in ("time", "epoch") for column in columns
        )
    series = None
    if task == "forecast":
        columns = [
            _fit_key(table, column) if column.name == key_name else _fit_to_forecast(column, time_name)
            for column in columns
        ]
        times = [column for column in columns if column.name == time_name]
        numbers = [column for column in columns if column.kind in ("number", "boolean")]
        series = infer_series(table, times[0], [label, *numbers], decimal, key_name)
    order = fields[time_name] if time_name else None
    return Inference(
        source,
        tuple(columns),
        label,
        task,
        classes,
        len(rows),
        decimal,
        order,
        shuffle,
        series,
        key_name,
    )


def _find_time(table: RawTable, taken: Set[str | None], decimal: str, time_format: str | None) -> str:
    """Return the one column that holds times. Raises `FileError` where none does, or several do."""
    names = [name for name in table.names if name and can_rename(name) and name not in taken]
    guesses = [
        guess_column(table, name, name, decimal=decimal, time_format=time_format, is_time=False)
        for name in names
    ]
    times = [column.name for column in guesses if column.kind in ("time", "epoch")]
    if len(times) != 1:
        seen = f"{' and '.join(times)} hold times" if times else "none seems to hold times"
        raise FileError(
            f"{table.source}: a forecast needs the column of the times ({seen}): name it with --time"
        )
    return times[0]


def _fit_to_forecast(column: Column, time_name: str | None) -> Column:
    """Return a column as a forecast takes it: the time of each row, numbers, categories, identifiers."""
    if column.name == time_name:
        return replace(column, may_miss=False)
    if column.kind in ("hashed", "text", "time", "epoch"):
        return replace(
            column, kind="left out", note=f"a forecast takes numbers and categories, not {column.kind}"
        )
    return column


def _fit_key(table: RawTable, column: Column) -> Column:
    """Return the column that tells the series of a forecast apart, as text or as a whole number."""
    present = [value for value in table.values(column.name) if not is_missing(value)]
    is_whole = all(re.fullmatch(r"[+-]?\d+", str(value).strip()) for value in present)
    if column.kind in ("boolean", "time", "epoch", "left out") or (column.kind == "number" and not is_whole):
        raise FileError(f"{table.source}: the key {column.name!r} is neither text nor whole numbers")
    return replace(
        column,
        kind="identifier",
        is_whole=column.kind == "number" or column.is_whole,
        note="it tells the series apart",
        bounds=None,
        reader="",
        attribute=column.field,
    )


def _find_decimal(table: RawTable) -> str:
    """Return the decimal mark of the columns that seem to be numbers."""
    columns = {}
    for name in filter(None, table.names):
        values = [None if is_missing(value) else tidy_number(value) for value in table.values(name)]
        texts = [value for value in values if isinstance(value, str)]
        if all(any(read_text(text)) for text in texts):
            continue  # dates such as 25.1.2026 have dots, too
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
