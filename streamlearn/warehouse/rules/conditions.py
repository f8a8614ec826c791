"""A condition in SQL, evaluated on one record: whatever SQLite lets stand in a generated column.

There SQLite itself refuses what would not give the same answer tomorrow: the clock, random numbers, other
rows. A record is the only row of a table in memory.
"""

import re
import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from streamlearn.errors import BadRecord, ConfigurationError

_ROW, _HIT = "streamlearn_row", "streamlearn_hit"
_LARGEST_BYTES = 4 << 20
_LONGEST_PATTERN = 200
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"((?:[^\"]|\"\")*)\"")

_TYPES: dict[str, tuple[Any, str]] = {
    "BIGINT": (int | None, "INTEGER"),
    "INT": (int | None, "INTEGER"),
    "DOUBLE": (float | None, "REAL"),
    "DECIMAL": (float | None, "REAL"),
    "BOOLEAN": (bool | None, "INTEGER"),
    "STRING": (str | None, "TEXT"),
    "TIMESTAMP": (str | None, "TEXT"),
    "TIMESTAMP_LTZ": (str | None, "TEXT"),
}
_JSON: tuple[Any, str] = (msgspec.Raw, "TEXT")
"""What SQLite has no type for is its JSON, as text."""


class Condition:
    """A condition on the records of a topic.

    Parameters
    ----------
    text
        An expression of SQLite's SQL over the columns.
    columns
        By name: the type in Flink SQL, as in the catalogue.

    Raises
    ------
    ConfigurationError
        It is no such expression.

    Examples
    --------
    >>> cold = Condition("temp < 0 AND wnd_dir = 'NW'", {"temp": "DOUBLE", "wnd_dir": "STRING"})
    >>> cold.holds(b'{"temp": -3, "wnd_dir": "NW"}'), cold.holds(b'{"temp": null}')
    (True, False)
    >>> cold.holds(b'{"temp": "cold"}')
    Traceback (most recent call last):
        ...
    streamlearn.errors.BadRecord: Expected `float | null`, got `str` - at `$.temp`
    """

    def __init__(self, text: str, columns: Mapping[str, str]) -> None:
        try:
            _open(text, columns).close()
            self.columns = _find_columns(text, columns)
            self._connection = _open(text, self.columns)
            self._select(dict.fromkeys(self.columns))
        except (sqlite3.Error, ValueError) as error:
            raise ConfigurationError(
                f"the condition {text!r} is refused: {error}. It is an expression in SQLite's SQL over the"
                f" columns {', '.join(columns)}"
            ) from error
        self._decoder = msgspec.json.Decoder(_define_fields(self.columns))

    def holds(self, value: bytes | None) -> bool:
        """Return whether the condition is true of a record; one without a value has nothing but nulls.

        Raises
        ------
        BadRecord
            The record is no JSON object, a field has not the type of its column, or SQLite fails on it.
        """
        try:
            fields = self._decoder.decode(value) if value is not None else None
            return self._select(
                {name: _convert(getattr(fields, f"c{i}", None)) for i, name in enumerate(self.columns)}
            )
        except (msgspec.DecodeError, UnicodeDecodeError, sqlite3.Error, OverflowError) as error:
            raise BadRecord(str(error)) from error

    def _select(self, values: Mapping[str, Any]) -> bool:
        self._connection.execute(self._insertion(), tuple(values.values()))
        return bool(self._connection.execute(f"SELECT {_HIT} FROM record").fetchone()[0])  # noqa: S608 (ours)

    def _insertion(self) -> str:
        names = "".join(f", {_quote(name)}" for name in self.columns)
        return f"REPLACE INTO record (rowid{names}) VALUES (1{', ?' * len(self.columns)})"  # noqa: S608 (quoted)


def _find_columns(text: str, columns: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that a condition reads, with their types.

    SQLite takes a name in double quotes that it does not know for a text: here it is refused.
    """
    known = {name.lower() for name in columns}
    for match in _QUOTED.finditer(text):
        if match[1] is not None and match[1].replace('""', '"').lower() not in known:
            raise sqlite3.OperationalError(f"no such column: {match[1]}")
    read: set[str] = set()

    def note(action: int, _table: str | None, column: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ and column:
            read.add(column)
        return sqlite3.SQLITE_OK

    connection = _open("NULL", columns)
    connection.set_authorizer(note)
    connection.execute(f"SELECT 1 FROM record WHERE ({text}\n)")  # noqa: S608 (in a database of its own)
    connection.close()
    return {name: kind for name, kind in columns.items() if name in read}


def _open(text: str, columns: Mapping[str, str]) -> sqlite3.Connection:
    """Return a database in memory with a table of one record, whose generated column is the condition."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _LONGEST_PATTERN)
    names = "".join(f"{_quote(name)} {_find_types(kind)[1]}, " for name, kind in columns.items())
    # SQLite wants a column that is not generated, even where the condition reads none.
    connection.execute(f"CREATE TABLE record ({_ROW} INTEGER, {names}{_HIT} AS (({text}\n) IS TRUE))")
    # A closing bracket in the text might have begun another column.
    if len(connection.execute("PRAGMA table_xinfo(record)").fetchall()) != len(columns) + 2:
        raise sqlite3.OperationalError("it is more than one expression")
    return connection


def _define_fields(columns: Mapping[str, str]) -> type[msgspec.Struct]:
    """Return the type of the fields that a condition reads; all others are skipped."""
    fields = []
    for number, kind in enumerate(columns.values()):
        type_ = _find_types(kind)[0]
        fields.append((f"c{number}", type_, msgspec.Raw(b"null") if type_ is msgspec.Raw else None))
    names = {f"c{number}": name for number, name in enumerate(columns)}
    return msgspec.defstruct("Fields", fields, rename=names)


def _find_types(kind: str) -> tuple[Any, str]:
    """Return the types of a column in Python and in SQLite."""
    return _TYPES.get(kind.partition("(")[0], _JSON)


def _convert(value: Any) -> Any:
    """Return a field as SQLite takes it."""
    if isinstance(value, msgspec.Raw):
        text = bytes(value).decode()
        return None if text == "null" else text
    return value


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
