"""What a stream has said, compared row by row with what the same SQL makes of the same records at rest."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streamlearn.warehouse.catalogue import Topic

_ORDERED_BY = ("window_end", "event_time")
_UNTIL = "until"
"""The column of a row that is written again as its window fills: the newest time that is counted in it."""
_SHOWN = 20

Row = Mapping[str, Any]


class RowDifference(msgspec.Struct, frozen=True):
    """A row that the stream has not said as the records give it."""

    topic: str
    key: dict[str, Any]
    cause: str
    """`altered`, `late or lost`, `missing` or `too much`."""
    detail: str

    def __str__(self) -> str:
        key = ", ".join(f"{name}={value}" for name, value in self.key.items())
        return f"{self.topic} {key}: {self.cause}: {self.detail}"


class TopicReport(msgspec.Struct):
    """How one topic came out."""

    topic: str
    equal: int = 0
    not_closed: int = 0
    """Rows whose window the stream has not closed yet; no difference."""
    outlived: int = 0
    """Rows whose records Kafka no longer holds, at least not all of them; not compared."""
    older: int = 0
    """Rows of windows before the newest ones, where only those are compared."""
    different: int = 0
    """How many differences there are in all."""
    differences: list[RowDifference] = []
    """The first of them."""

    def add(self, difference: RowDifference) -> None:
        """Count a difference; the first ones are kept."""
        self.different += 1
        if len(self.differences) < _SHOWN:
            self.differences.append(difference)

    def __str__(self) -> str:
        parts = [f"{self.equal} rows are equal"]
        if self.different:
            parts.append(f"{self.different} differ")
        if self.not_closed:
            parts.append(f"{self.not_closed} are not yet closed in the stream")
        if self.outlived:
            parts.append(f"{self.outlived} have outlived their records")
        if self.older:
            parts.append(f"{self.older} are older and left out")
        return f"{self.topic}: {', '.join(parts)}"


def compare_rows(
    topic: Topic,
    said: Sequence[Row],
    given: Sequence[Row],
    *,
    has_all_records: bool = True,
    last: int | None = None,
) -> TopicReport:
    """Compare the rows that a stream has said with those that the records give.

    A row that the stream lacks is not yet closed if it is about a later time than all that the stream has
    said: windows are said when they are closed. Nor is a row closed that counts up to a later time, by its
    column `until`, than any that the stream has said.

    Parameters
    ----------
    said, given
        Of several rows with one key the last counts.
    has_all_records
        Whether Kafka still holds the oldest record of each input. Where it does not, what is said of the time
        up to the first row that is given is not compared, nor is anything that has no time.
    last
        Compare only the newest so many windows that the stream has closed, and what is later: by their ends,
        or by the rows' times. Rows without either are compared all.
    """
    report = TopicReport(topic.name)
    order = next((name for name in _ORDERED_BY if any(c.name == name for c in topic.columns)), None)
    by_key_said, by_key_given = _index(topic, said), _index(topic, given)
    newest_said = max((row[order] for row in by_key_said.values()), default="") if order else ""
    oldest_given = min((row[order] for row in by_key_given.values()), default="") if order else ""
    newest_until = max((row[_UNTIL] for row in by_key_said.values() if row.get(_UNTIL)), default="")
    oldest_wanted = ""
    if order and last:
        known_times = {row[order] for row in (*by_key_said.values(), *by_key_given.values())}
        oldest_wanted = min(sorted(time for time in known_times if time <= newest_said)[-last:], default="")
    for key in {**by_key_given, **by_key_said}:
        row, other = by_key_said.get(key), by_key_given.get(key)
        known = row or other or {}
        is_later = row is None and order is not None and known[order] > newest_said
        if order and known[order] < oldest_wanted:
            report.older += 1
        elif not has_all_records and (order is None or known[order] <= oldest_given):
            report.outlived += 1
        elif row == other:
            report.equal += 1
        elif is_later or _is_open(other, newest_until):
            report.not_closed += 1
        else:
            report.add(_explain(topic, key, row, other))
    return report


def _is_open(given: Row | None, newest_until: str) -> bool:
    """Return whether a row that the records give counts up to a later time than any that was said."""
    return given is not None and (given.get(_UNTIL) or "") > newest_until


def _index(topic: Topic, rows: Sequence[Row]) -> dict[tuple[Any, ...], Row]:
    return {tuple(row.get(name) for name in topic.key): row for row in rows}


def _explain(topic: Topic, key: tuple[Any, ...], row: Row | None, other: Row | None) -> RowDifference:
    named = dict(zip(topic.key, key, strict=True))
    if row is None:
        return RowDifference(topic.name, named, "missing", "the records give it, the stream has not said it")
    if other is None:
        return RowDifference(topic.name, named, "too much", "no record gives it")
    names = [column.name for column in topic.columns if row.get(column.name) != other.get(column.name)]
    detail = "; ".join(f"{name} is {row.get(name)}, the records give {other.get(name)}" for name in names)
    counts = [
        column.name for column in topic.columns if column.type == "BIGINT" and column.name not in topic.key
    ]
    is_fewer = bool(counts) and (row.get(counts[0]) or 0) < (other.get(counts[0]) or 0)
    return RowDifference(topic.name, named, "late or lost" if is_fewer else "altered", detail)


def combine_exit_codes(reports: Sequence[TopicReport]) -> int:
    """Return 0 where everything is equal, 1 where a row differs, 2 where nothing was compared."""
    if any(report.different for report in reports):
        return 1
    return 0 if any(report.equal for report in reports) else 2
