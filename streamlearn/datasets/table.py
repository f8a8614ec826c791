"""`Table`: the rows of a file as records to replay."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from msgspec import inspect

from streamlearn.datasets.base import WireRecord
from streamlearn.datasets.files import BadRow, list_files, read_file
from streamlearn.datasets.values import to_boolean, to_number, to_text, to_time
from streamlearn.errors import ConfigurationError, DataUnavailable, StreamlearnError
from streamlearn.lags.grid import to_utc

_log = logging.getLogger(__name__)
_SHOWN = 10
"""How many bad rows are named one by one."""


@dataclass(frozen=True)
class Table:
    """The rows of a CSV, JSON-lines or Parquet file, or of a folder of these, in place of a `DataSet`.

    A row's values are converted to what the record's fields are, by their names in JSON: numbers, booleans
    and times (fields of type `datetime`) in the spellings that files have, text as it stands, a missing value
    to null. Columns that are no fields are left out. A row that does not fit the record is left out, named by
    its line and counted.

    Parameters
    ----------
    path
        The file; its kind is told by the end of its name. Of a folder, all such files in the order of their
        names. A relative path is looked for beside the module of `record`, then in the current folder.
    record
        The msgspec struct that its rows are made into.
    decimal
        The decimal mark of numbers that are written as text.
    times
        Fields of times, each with what their texts do not tell: which of `day`, `month` and `year` comes
        first, `digits` for dates such as 20260125, or a format of `strptime`.
    order
        The field whose values put the rows in order; None: they come as they are in the file.
    shuffle
        Whether each pass has the rows in an order of its own, by the seed.
    """

    path: str | Path
    record: type[Any]
    decimal: str = "."
    times: Mapping[str, str] = field(default_factory=dict)
    order: str | None = None
    shuffle: bool = False

    def records(self, *, seed: int = 0, passes: int | None = None) -> Iterator[WireRecord]:
        """Yield the rows as wire records, pass after pass; `passes=None` goes on for ever.

        Raises
        ------
        DataUnavailable
            The file cannot be read, or not one row of it fits.
        """
        rows, random = self._content.records, np.random.default_rng(seed)
        for _ in count() if passes is None else range(passes):
            yield from (rows[row] for row in random.permutation(len(rows))) if self.shuffle else rows

    @property
    def size(self) -> int:
        """Rows that fit. Raises as `records` does."""
        return len(self._content.records)

    @property
    def bad_rows(self) -> list[BadRow]:
        """Rows that do not fit, and why. Raises as `records` does."""
        return self._content.bad

    def prepare(self) -> None:
        """Read the file, and name the rows that do not fit. Raises as `records` does."""
        for row in self.bad_rows[:_SHOWN]:
            _log.warning("%s of %s: %s", row.where, self.locate(), row.reason)
        if self.bad_rows:
            count = len(self.bad_rows)
            _log.warning(
                "%d of %d rows of %s do not fit, and are left out", count, self.size + count, self.locate()
            )

    def at(self, path: Path) -> Self:
        """Return a table of another file, read by the same rules."""
        return replace(self, path=path.absolute())

    @cached_property
    def _content(self) -> "_Content":
        path, fit = self.locate(), _RowFitter(self.record, self.decimal, self.times)
        rows: list[WireRecord] = []
        keys: list[Any] = []
        bad: list[BadRow] = []
        try:
            for file in list_files(path):
                misfits = self._read(file, fit, rows, keys)
                # In a folder, a line is told with its file.
                name = "" if file == path else f"{file.name}, "
                bad += [BadRow(f"{name}{row.where}", row.reason) for row in misfits]
        except StreamlearnError as error:
            raise DataUnavailable(str(error)) from error
        if not rows:
            raise DataUnavailable(f"no row of {path} fits: {bad[0].where}: {bad[0].reason}")
        return _Content([rows[row] for row in _sort_by(keys)] if self.order else rows, bad)

    def _read(self, file: Path, fit: "_RowFitter", rows: list[WireRecord], keys: list[Any]) -> list[BadRow]:
        """Add a file's rows, and what orders them; return those that do not fit, in their order."""
        table, bad = read_file(file)
        for row, where in zip(table.rows, table.where, strict=True):
            try:
                record, struct = fit(row)
            except ValueError as error:
                bad.append(BadRow(where, str(error)))
                continue
            rows.append(record)
            if self.order:
                keys.append(getattr(struct, self.order))
        return sorted(bad, key=lambda row: int(row.where.rpartition(" ")[2]))

    def locate(self) -> Path:
        """Return where the file or folder is."""
        beside = getattr(sys.modules.get(self.record.__module__), "__file__", None)
        if beside and (path := Path(beside).parent / self.path).exists():
            return path
        return Path(self.path)


class _Content(NamedTuple):
    records: list[WireRecord]
    bad: list[BadRow]


def _sort_by(keys: Sequence[Any]) -> list[int]:
    """Return the rows in the order of their keys; those without one come last, equal ones stay in order."""
    plain = [to_utc(key) if isinstance(key, datetime) else key for key in keys]
    known = [row for row, key in enumerate(plain) if key is not None]
    return sorted(known, key=plain.__getitem__) + [row for row, key in enumerate(plain) if key is None]


class _RowFitter:
    """Makes records of a file's rows. Raises `ValueError`, with the reason, for one that does not fit."""

    def __init__(self, record: type[Any], decimal: str, times: Mapping[str, str]) -> None:
        self._decode = msgspec.json.Decoder(record).decode
        info = inspect.type_info(record)
        if not isinstance(info, inspect.StructType):
            raise ConfigurationError(f"a Table makes records of a msgspec struct, not of {record!r}")
        self._fields = info.fields
        self._kinds = {part.name: _find_kind(part.type) for part in info.fields}
        self._texts = {part.name: _list_texts(part.type) for part in info.fields}
        self._decimal, self._times = decimal, times

    def __call__(self, row: Mapping[str, Any]) -> tuple[WireRecord, Any]:
        record = {}
        for part in self._fields:
            if part.encode_name in row:
                try:
                    record[part.encode_name] = self._convert(part.name, row[part.encode_name])
                except ValueError as error:
                    raise ValueError(f"{part.encode_name} is {error}") from None
        try:
            return record, self._decode(msgspec.json.encode(record))
        except (msgspec.DecodeError, OverflowError) as error:
            raise ValueError(str(error)) from None

    def _convert(self, name: str, value: Any) -> Any:
        match self._kinds[name]:
            case "number":
                return to_number(value, self._decimal)
            case "whole":
                number = to_number(value, self._decimal)
                return int(number) if isinstance(number, float) and number.is_integer() else number
            case "boolean":
                return to_boolean(value)
            case "time":
                return to_time(value, self._times.get(name))
            case "text":
                is_known = isinstance(value, str) and value.strip() in self._texts[name]
                return value.strip() if is_known else to_text(value)
        return value


def _list_types(kind: inspect.Type) -> list[inspect.Type]:
    """Return the types that a field may be of, besides null."""
    types = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return [member for member in types if not isinstance(member, inspect.NoneType)]


def _list_texts(kind: inspect.Type) -> frozenset[str]:
    """Return the texts that a field names, which are values even where they look like a missing one."""
    literals = [literal for literal in _list_types(kind) if isinstance(literal, inspect.LiteralType)]
    return frozenset(value for literal in literals for value in literal.values if isinstance(value, str))


def _find_kind(kind: inspect.Type) -> str:
    """Return what a field's values are converted to; an empty text where they stay as they are."""
    kinds = set()
    for member in _list_types(kind):
        if isinstance(member, inspect.LiteralType):
            kinds |= {"text" if isinstance(value, str) else "whole" for value in member.values}
        else:
            kinds.add(_KINDS.get(type(member), ""))
    if kinds == {"number", "whole"}:
        return "number"
    return kinds.pop() if len(kinds) == 1 else ""


_KINDS: dict[type, str] = {
    inspect.IntType: "whole",
    inspect.FloatType: "number",
    inspect.BoolType: "boolean",
    inspect.DateTimeType: "time",
    inspect.StrType: "text",
}
