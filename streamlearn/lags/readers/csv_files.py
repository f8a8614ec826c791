"""A CSV file as a raw table: its encoding, its separator, its header."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from streamlearn.errors import BadSeries, FileError
from streamlearn.lags.readers.parsing import parse_table
from streamlearn.lags.readers.raw_table import RawTable, ReadingOptions
from streamlearn.lags.series import Table

_SEPARATORS = "\t;|,"
"""Where two cut a file equally, the comma is more likely a decimal comma."""
_LINES_TRIED = 20
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)")
_NOTES = re.compile(r"(?:#[^\r\n]*(?:\r\n|\r|\n))+(?=[^\r\n])")
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_csv(path: Path, names: Sequence[str], options: ReadingOptions) -> Table:
    """Read the columns `names` of a CSV file with a header.

    It may be compressed with gzip, and is UTF-8, or UTF-16 with a mark at its beginning. The separator is a
    comma, a semicolon, a tab or a bar: whichever cuts the lines into most fields. Lines before the header
    that begin with `#` are notes.

    Raises
    ------
    BadSeries
        The file is not such a table, or lacks a column; see `parse_table`.
    FileError
        It cannot be read.
    """
    return parse_table(read_csv_rows(path), names, options)


def read_csv_rows(path: Path, misfits: list[tuple[str, str]] | None = None) -> RawTable:
    """Read all columns of a CSV file as text, see `read_csv`.

    Rows with more or fewer fields than the header are added to `misfits`, each with its place and the reason.

    Raises
    ------
    BadSeries
        It is empty or no CSV; or, without `misfits`, a row has more or fewer fields than the header.
    FileError
        It cannot be read.
    """
    text = _read_text(path)
    if not text.strip():
        raise BadSeries(f"{path} is empty")
    table, first = RawTable(str(path), []), 1
    if named := re.match(r"sep=(.)\r?\n", text):  # Excel's own way to name the separator
        text, first, table.separator = text[named.end() :], 2, named[1]
    text, notes = _cut_notes(text)
    first += notes
    table.separator = table.separator or _find_separator(text)
    text = re.sub(
        rf'" +(?=[\r\n{re.escape(table.separator)}])', '"', text
    )  # the module csv wants no space there
    # Only `\r` and `\n` end a line: `str.splitlines` also cuts at U+2028 and other characters of a text.
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=table.separator, skipinitialspace=True, strict=True)
    line = first
    try:
        for values in reader:
            _add_row(table, values, f"line {line}", misfits)
            line = first + reader.line_num
    except csv.Error as error:
        raise BadSeries(f"line {line} of {path}: it cannot be read as CSV ({error})") from None
    return table


def _add_row(table: RawTable, values: list[str], where: str, misfits: list[tuple[str, str]] | None) -> None:
    """Add a line's fields: the header, or a row; a line of blank fields is none."""
    if not any(value.strip() for value in values):
        return
    if not table.names:
        table.names = [value.strip() for value in values]
        return
    while len(values) > len(table.names) and not values[-1].strip():
        values.pop()
    if len(values) != len(table.names):
        if misfits is None:
            raise BadSeries(
                f"{where} of {table.source} has {len(values)} fields and the header {len(table.names)}"
            )
        misfits.append((where, f"it has {len(values)} fields and the header {len(table.names)}"))
        return
    table.rows.append(dict(zip(table.names, values, strict=True)))
    table.where.append(where)


def _cut_notes(text: str) -> tuple[str, int]:
    r"""Return a text without the notes before its header, lines that begin with `#`, and how many these are.

    A last one with as many fields as the line after it is the header.

    >>> _cut_notes("# made in May\n# by us\na,b\n"), _cut_notes("#a,b\n1,2\n")
    (('a,b\n', 2), ('#a,b\n1,2\n', 0))
    """
    match = _NOTES.match(text)
    if match is None:
        return text, 0
    notes, rest = _LINE.findall(match[0]), text[match.end() :]
    separator = _find_separator(rest)
    if 0 < notes[-1].count(separator) == _LINE.findall(rest)[0].count(separator):
        rest = notes.pop() + rest
    return rest, len(notes)


def _find_separator(text: str) -> str:
    """Return the separator that cuts the first lines into equally many fields, and into most."""

    def rate(separator: str) -> tuple[bool, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        try:
            counts = [len(row) for row in islice(filter(None, reader), _LINES_TRIED)]
        except csv.Error:
            return False, 0
        return len(set(counts)) == 1 < counts[0], counts[0]

    return max(_SEPARATORS, key=rate)


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes, decompressed if they are gzip's. Raises `FileError` if it cannot be read."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read_text(path: Path) -> str:
    data = read_bytes(path)
    encoding = "utf-16" if data.startswith(UTF16_MARKS) else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in data:
        raise FileError(f"{path} cannot be read: it is not text; save it as CSV in UTF-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileError(
            f"{path} cannot be read: line {line} is not {encoding.removesuffix('-sig').upper()}"
            f" (byte {data[error.start]:#04x}); save the file as UTF-8"
        ) from None
