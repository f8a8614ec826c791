"""A file of rows, whatever its kind, as a raw table: CSV, JSON lines, Parquet."""

import json
import math
import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from streamlearn.errors import BadSeries, FileError
from streamlearn.extras import require_extra
from streamlearn.lags.readers.csv_files import UTF16_MARKS, read_bytes, read_csv_rows
from streamlearn.lags.readers.raw_table import RawTable

_JSON_LINES = {".jsonl", ".ndjson", ".json"}
_PARQUET = {".parquet", ".pq"}
_SPREADSHEETS = {".xlsx", ".xls", ".xlsm", ".ods"}
_MAX_DIGITS = 1000
"""Python refuses to read an integer of more than 4300 digits; a float holds at most 309."""
_CSV = {".csv"}
"""The ends of names that tell CSV in a folder, where there may be other files."""


class BadRow(NamedTuple):
    """A row of a file that cannot be a record."""

    where: str
    """Where it stands, such as `line 7`."""
    reason: str


def list_files(path: Path) -> list[Path]:
    """Return a file alone, or the files of rows in a folder, in the order of their names.

    Raises
    ------
    FileError
        The folder has none, or cannot be read.
    """
    if not path.is_dir():
        return [path]
    suffixes = _JSON_LINES | _PARQUET | _CSV
    try:
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in suffixes)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from error
    if not files:
        raise FileError(f"{path} has no file that ends with {', '.join(sorted(suffixes))}")
    return files


def read_file(path: Path) -> tuple[RawTable, list[BadRow]]:
    """Read a file's rows, and those that are none; the kind of file is told by the end of its name.

    `.jsonl`, `.ndjson` and `.json` have a JSON object a line, `.parquet` is Parquet; all others are CSV. JSON
    and CSV may be compressed with gzip, such as `rows.jsonl.gz`. NaN in JSON, as Python writes it, is a
    missing number.

    Raises
    ------
    FileError
        It cannot be read, or has no rows.
    MissingExtra
        It is Parquet, which another package reads.
    """
    bad: list[BadRow] = []
    suffix = Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()
    if suffix in _SPREADSHEETS:
        raise FileError(f"{path} is a spreadsheet: save its sheet as CSV, in UTF-8")
    if suffix in _JSON_LINES:
        table = _read_json_lines(path, bad)
    elif suffix in _PARQUET:
        table = _read_parquet(path)
    else:
        misfits: list[tuple[str, str]] = []
        try:
            table = read_csv_rows(path, misfits)
        except BadSeries as error:
            raise FileError(str(error)) from None
        bad = [BadRow(*misfit) for misfit in misfits]
    if not table.rows:
        raise FileError(f"{path} has no rows{f': {bad[0].where}: {bad[0].reason}' if bad else ''}")
    return table, bad


def _read_json_lines(path: Path, bad: list[BadRow]) -> RawTable:
    data = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    if data.startswith(UTF16_MARKS):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError as error:
            raise FileError(f"{path} cannot be read: it is not UTF-16 ({error}); save it as UTF-8") from error
    if re.match(rb"\s*\[\s*\{", data):
        raise FileError(
            f"{path} is one JSON array: write an object a line; `jq -c '.[]' {path} > rows.jsonl` does"
        )
    table, names = RawTable(str(path), []), dict[str, None]()
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        row = decode_row(line)
        if row is None:
            bad.append(BadRow(f"line {number}", _explain_line(line)))
            continue
        names.update(dict.fromkeys(row))
        table.rows.append(row)
        table.where.append(f"line {number}")
    table.names = list(names)
    return table


def decode_row(value: bytes) -> dict[str, Any] | None:
    """Return a JSON object, also where it holds NaN or a number that is too large for a float; else None."""
    try:
        return msgspec.json.decode(value, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # NaN and numbers out of range, too: one such field is no reason to leave the row out
    try:
        row = json.loads(value, parse_int=_read_integer)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _read_integer(text: str) -> int | float:
    """Return an integer; infinity where it has more digits than Python reads."""
    return int(text) if len(text) < _MAX_DIGITS else float(text)


def _explain_line(line: bytes) -> str:
    """Return why a line is no JSON object."""
    try:
        msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"it is no JSON object: {error}"
    return "it is no JSON object"


def _read_parquet(path: Path) -> RawTable:
    with require_extra("flink"):
        from pyarrow import ArrowException, parquet
    try:
        read = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise FileError(f"{path} cannot be read as Parquet: {error}") from error
    table = RawTable(str(path), list(read.column_names))
    for number, row in enumerate(read.to_pylist(), start=1):
        table.rows.append({name: _make_plain(value) for name, value in row.items()})
        table.where.append(f"row {number}")
    return table


def _make_plain(value: Any) -> Any:
    """Return a value of Parquet as one of JSON."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
