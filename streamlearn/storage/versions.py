"""Model versions described: which is served, what is known of each, what a worker found as it started."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

_NUMBER = re.compile(r"[0-9]{1,18}")


class Restore(msgspec.Struct):
    """What a worker found as it started."""

    lineage: str
    offset: int
    """Where Flink resumed."""
    snapshot: int | None
    """The version of the snapshot that was taken; None: it began at the lineage's start."""
    relearned: int
    """How many offsets were learned again from Kafka."""
    dropped: int
    """How many versions were dropped: their answers were never committed."""
    refused: dict[str, str]
    """Versions whose snapshots could not be read, and why."""
    time_s: float
    """When, in seconds since 1970."""


class PinChange(msgspec.Struct):
    """That a version was pinned, or the pin was taken off."""

    time_s: float
    """When, in seconds since 1970."""
    version: str | None
    """The name of the version that was pinned; None where the newest is served again."""


@dataclass(frozen=True)
class Head:
    """A version to serve: which it is, and when it was written (seconds since 1970)."""

    lineage: str
    version: int
    digest: str
    samples: int
    time_s: int
    pinned: bool = False
    """Whether it is served because somebody wants it so, not because it is the newest."""
    parts: tuple[int | None, ...] = ()
    """Of a model that was made of those of several partitions, the version of each; None where there is none
    yet. `version` is their sum then."""

    @property
    def name(self) -> str:
        """The version in a request's path: its number, or those of its parts, as in `120.-.95`."""
        if not self.parts:
            return str(self.version)
        return format_name(self.parts)

    @property
    def label(self) -> int | str:
        """The version as it stands in JSON: a number, or the text that names its parts."""
        return self.name if self.parts else self.version

    def has_learned(self, offset: int, partition: int) -> bool:
        """Return whether the model has learned the record at an offset of a partition."""
        if not self.parts:
            return partition == 0 and self.version > offset
        version = self.parts[partition] if partition < len(self.parts) else None
        return version is not None and version > offset


class VersionInfo(msgspec.Struct):
    """What is known of a version without reading it."""

    digest: str
    samples: int
    """How many predictions its score counts."""
    score: dict[str, float | None]
    """The score's figures by name."""
    time_s: int = 0
    """When it was written, in seconds since 1970, by Redis' clock."""
    failed_in_a_row: int = 0
    """How many records in a row, just before it, the pipeline's code failed on."""


def parse_name(name: str) -> list[int | None] | None:
    """Return the versions that a name is made of, at least one; None if it is no name of a version.

    >>> parse_name("41"), parse_name("120.-.95"), parse_name("-.-"), parse_name("1.x")
    ([41], [120, None, 95], None, None)
    """
    words = name.split(".")
    if not all(_NUMBER.fullmatch(word) or word == "-" for word in words) or {*words} == {"-"}:
        return None
    return [None if word == "-" else int(word) for word in words]


def format_name(versions: Sequence[int | None]) -> str:
    """Return the name of what is made of versions; None where a partition has no part in it.

    >>> format_name([120, None, 95])
    '120.-.95'
    """
    return ".".join("-" if version is None else str(version) for version in versions)


def merge_heads(heads: Mapping[int, Head], count: int) -> Head:
    """Describe the one model that is made of the versions of some of `count` partitions."""
    return Head(
        next(iter(heads.values())).lineage,
        sum(head.version for head in heads.values()),
        merge_digests([head.digest for head in heads.values()]),
        sum(head.samples for head in heads.values()),
        max(head.time_s for head in heads.values()),
        parts=tuple(heads[k].version if k in heads else None for k in range(count)),
    )


def merge_digests(digests: Sequence[str]) -> str:
    """Return the digest of what is made of several versions, by theirs."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()
