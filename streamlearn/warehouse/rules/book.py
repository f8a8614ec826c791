"""The rules and their history: which rules count for a record follows from where it stands alone.

Each change of a rule stands in the log (`log.py`), and after it a `Start`: from which offset of each
partition of its source it counts. So a record that is read again, after a crash or by somebody who checks,
goes where it went before.
"""

from collections.abc import Iterable, Iterator

import msgspec


class Change(msgspec.Struct, frozen=True, tag_field="kind", tag="change"):
    """A rule as it is from now on, or that it is removed."""

    name: str
    source: str
    """The topic whose records it is about."""
    target: str
    """The topic to which they are written as well."""
    condition: str | None
    """SQL; None: the rule is removed."""
    columns: dict[str, str]
    """Those that the condition reads: name → type in Flink SQL."""
    time: str
    """When it was made, in UTC; for people."""


class Start(msgspec.Struct, frozen=True, tag_field="kind", tag="start"):
    """From which offset of each partition of its source a change counts; of several the first is valid."""

    change: int
    """The offset of the change in the log."""
    offsets: list[int]


Entry = Change | Start


class Numbered(msgspec.Struct, frozen=True):
    """A change with its place in the history."""

    number: int
    """1, 2, 3 … in the order of the log."""
    place: int
    """Its offset in the log."""
    change: Change
    starts: list[int] | None = None
    """From which offset of each partition it counts; None: that is not settled yet."""

    def counts_from(self, partition: int) -> int:
        """Return from which offset of a partition it counts; 0 of one that its source did not have then."""
        return self.starts[partition] if self.starts is not None and partition < len(self.starts) else 0


class RuleBook:
    """The changes of a log, in order.

    >>> book = RuleBook()
    >>> book.add(0, Change("warm", "pm25", "pm25.warm", "temp > 25", {"temp": "DOUBLE"}, ""))
    >>> book.add(1, Start(0, [100]))
    >>> book.rules_at("pm25", 0, 99), [rule.number for rule in book.rules_at("pm25", 0, 100)[0]]
    (([], 100), [1])
    """

    def __init__(self) -> None:
        self._changes: dict[int, Numbered] = {}

    def add(self, place: int, entry: Entry) -> None:
        """Take an entry of the log, which stands there at the offset `place`."""
        if isinstance(entry, Change):
            self._changes[place] = Numbered(len(self._changes) + 1, place, entry)
        elif (change := self._changes.get(entry.change)) and change.starts is None:
            self._changes[entry.change] = msgspec.structs.replace(change, starts=entry.offsets)

    def __iter__(self) -> Iterator[Numbered]:
        return iter(self._changes.values())

    def list_unsettled(self) -> list[Numbered]:
        """Return the changes of which the log does not say yet from where they count."""
        return [change for change in self if change.starts is None]

    def list_current(self) -> list[Numbered]:
        """Return the rules that there are now, by name."""
        newest = {change.change.name: change for change in self}
        return [rule for _, rule in sorted(newest.items()) if rule.change.condition is not None]

    def list_sources(self) -> list[str]:
        """Return the topics that rules are or were about."""
        return sorted({change.change.source for change in self})

    def rules_at(self, source: str, partition: int, offset: int) -> tuple[list[Numbered], int | None]:
        """Return the rules that count at an offset, by name; and the next offset at which that changes."""
        own = [change for change in self if change.change.source == source and change.starts is not None]
        newest = {c.change.name: c for c in own if c.counts_from(partition) <= offset}
        later = [c.counts_from(partition) for c in own if c.counts_from(partition) > offset]
        rules = [rule for _, rule in sorted(newest.items()) if rule.change.condition is not None]
        return rules, min(later, default=None)


def list_targets(changes: Iterable[Numbered]) -> dict[str, Change]:
    """Return the topics that rules write or wrote, each with the newest change that names it."""
    return {change.change.target: change.change for change in changes}
