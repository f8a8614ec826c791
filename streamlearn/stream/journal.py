"""The journal in bytes and in chunks: how a lineage's records were cut, by their committed answers."""

from collections.abc import Iterable, Iterator

import msgspec

from streamlearn.stream.ports import Entry, Input, Output

AnsweredRecord = tuple[Input, Entry | None]
"""A record and its answer; None where the journal has none."""


class _Stamped(msgspec.Struct, rename={"version": "model_version"}, gc=False):
    offset: int
    version: int
    lineage: str
    partition: int = 0


_decode = msgspec.json.Decoder(_Stamped).decode


def read_entry(value: bytes, topic: str) -> Entry | None:
    """Read an answer's place in the journal; None if these bytes are no answer of a learner's."""
    try:
        stamp = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Entry(stamp.offset, stamp.version, stamp.lineage, Output(value, topic), stamp.partition)


def journaled_chunks(
    answered_records: Iterable[AnsweredRecord], first_version: int
) -> Iterator[list[AnsweredRecord]]:
    """Cut answered records into the chunks in which they were learned: runs with one version.

    A record without an answer belongs to the chunk that it stands in. `first_version` is the version of the
    first chunk, as far as its answers do not tell.
    """
    chunk: list[AnsweredRecord] = []
    version = first_version
    for row, entry in answered_records:
        if entry and entry.version != version:
            if chunk:
                yield chunk
            chunk, version = [], entry.version
        chunk.append((row, entry))
    if chunk:
        yield chunk
