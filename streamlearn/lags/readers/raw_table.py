"""Rows as they were read, and what the reader is told about them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from streamlearn.errors import BadSeries

_MISSING = {
    *("", "na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "null", "(null)", "none", "nil"),
    *("missing", "\\n", "?", "-", "--", "–", "—", ".", "..", "...", "*"),
}
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class ReadingOptions:
    """What a user says about a table, where it does not tell itself."""

    time: str | None = None
    """The column of times; None: the columns are searched for times."""
    time_format: str | None = None
    """A format of `strptime`, or `s`, `ms`, `us` or `ns` for numbers since 1970; None: found out."""
    missing: tuple[str, ...] = ()
    """More texts or numbers that stand for a missing value."""
    without_times: bool = False
    """Whether each row is one step, the first row the oldest, whatever columns there are."""


@dataclass
class RawTable:
    """Rows as they were read: text, or the values of JSON."""

    source: str
    """Where they come from, for messages."""
    names: list[str]
    """The columns; a name may come twice, and then only one of them can be read: see `find_column`."""
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    """Each row's values by column; a column may be absent."""
    where: list[str] = field(default_factory=list)
    """Where each row stands in the source, for messages, such as `line 7`."""
    notes: tuple[str, ...] = ()
    """What a reader should know about how they were read."""
    separator: str = ""
    """What separates the fields; empty where they were not text."""

    def values(self, name: str) -> Iterator[Any]:
        """Yield a column's value in each row; None where it is absent."""
        return (row.get(name) for row in self.rows)

    def find_column(self, wanted: str) -> str:
        """Return the column of that name, or else the only one that differs from it in case alone.

        Raises
        ------
        BadSeries
            There is none, or several.
        """
        same = [name for name in self.names if name == wanted]
        same = same or [name for name in self.names if name.casefold() == wanted.strip().casefold()]
        if len(same) > 1:
            raise BadSeries(f"{self.source} has {len(same)} columns {wanted!r}: rename all but one")
        if not same:
            names = ", ".join(name or "(no name)" for name in self.names)
            raise BadSeries(
                f"{self.source} has no column {wanted!r}; it has: {names}"
                f"{self._describe_header()}{self._describe_nesting(wanted)}"
            )
        return same[0]

    def _describe_nesting(self, wanted: str) -> str:
        """Return a hint where the values of another column are objects with that field."""
        for name in self.names:
            if any(isinstance(value, dict) and wanted in value for value in self.values(name)):
                return (
                    f"; {wanted!r} is inside {name!r}: rows must be flat, as `jq -c .{name}` makes them of a"
                    " file, or Debezium's ExtractNewRecordState of change events"
                )
        return ""

    def _describe_header(self) -> str:
        """Return a hint where the names look like a row of data."""
        return (
            " (a header with names must be the first line)"
            if self.separator and any(_is_number(name) for name in self.names)
            else ""
        )


def repeated_names(table: RawTable) -> set[str]:
    """Return the names that several columns have."""
    return {name for name, count in Counter(table.names).items() if count > 1}


def is_missing(value: Any, markers: tuple[str, ...] = ()) -> bool:
    """Tell whether a value stands for a missing one; `markers` are what the user names besides the usual.

    >>> is_missing(" N/A"), is_missing(None), is_missing("0"), is_missing(-999.0, ("-999",))
    (True, True, False, True)
    """
    if value is None or (isinstance(value, float) and value != value):
        return True
    if isinstance(value, str) and value.strip().casefold() in _MISSING:
        return True
    return any(_means(value, marker) for marker in markers)


def _means(value: Any, marker: str) -> bool:
    text = str(value) if isinstance(value, str | int | float) and not _is_long(value) else ""
    if text.strip().casefold() == marker.strip().casefold():
        return True
    return _is_number(text) and _is_number(marker) and float(text) == float(marker)


def _is_long(value: Any) -> bool:
    """Tell whether a number has more digits than Python writes."""
    return isinstance(value, int) and value.bit_length() > 10_000


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def show(value: Any) -> str:
    """Return a value for a message, shortened.

    >>> show("warm"), show("9" * 400)
    ("'warm'", "'99999999999999999999… (400 characters)")
    """
    text = f"an integer of {value.bit_length()} bits" if _is_long(value) else repr(value)
    if len(text) <= _LONGEST_SHOWN:
        return text
    length = len(value) if isinstance(value, str) else len(text)
    return f"{text[:21]}… ({length} {'digits' if isinstance(value, int) else 'characters'})"
