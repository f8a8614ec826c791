"""The journal's chunks: a lineage's records again, cut into the very steps in which they were learned."""

from collections.abc import Callable, Iterable, Iterator

from streamlearn.answers import Answering
from streamlearn.errors import LineageError
from streamlearn.learner import Learner
from streamlearn.stream import Entry, Input, Journal

Pair = tuple[Input, Entry | None]
"""A record and its answer; None where the journal has none."""


def chunks(pairs: Iterable[Pair], version: int) -> Iterator[list[Pair]]:
    """Cut answered records into the chunks in which they were learned: runs with one version.

    A record without an answer is put to the chunk that it stands in. `version` is that of the first chunk,
    as far as it is not told by its answers.
    """
    chunk: list[Pair] = []
    for row, entry in pairs:
        if entry and entry.version != version:
            if chunk:
                yield chunk
            chunk, version = [], entry.version
        chunk.append((row, entry))
    if chunk:
        yield chunk


def relearn(
    answering: Answering,
    learner: Learner,
    rows: Iterable[Input],
    journal: Journal,
    end: int,
    wait_s: float,
    tell: Callable[[Learner], None],
) -> Learner:
    """Learn `rows`, all below `end`, again as the journal says; return the learner after the last.

    Raises
    ------
    LineageError
        A record was not answered by the version that should have, or not at all within `wait_s` seconds; or
        one that was answered is gone.
    """
    reached = learner.version
    pairs = ((row, journal.take(row.offset, wait_s)) for row in rows)
    for chunk in chunks(pairs, learner.version):
        for row, entry in chunk:
            if entry is None:
                raise LineageError(f"the record at offset {row.offset} has no committed answer")
            if entry.version != learner.version:
                raise LineageError(
                    f"the record at offset {row.offset} was answered by version {entry.version}, but what was"
                    f" learned before it makes version {learner.version}"
                )
        _check_none_is_gone(journal, reached, [row.offset for row, _ in chunk])
        reached = chunk[-1][0].offset + 1
        learner, _ = answering.again(learner, chunk)
        tell(learner)
    journal.take(end, 0)
    _check_none_is_gone(journal, reached, [end])
    return learner


def _check_none_is_gone(journal: Journal, reached: int, offsets: list[int]) -> None:
    """Raise if there are answers, from `reached` to the last of `offsets`, whose records are not there."""
    last, there = offsets[-1], set(offsets)
    for stray in journal.strays:
        if reached <= stray.offset <= last and stray.offset not in there:
            raise LineageError(
                f"the record at offset {stray.offset} was answered, but Kafka holds it no more"
            )
    journal.strays[:] = [stray for stray in journal.strays if stray.offset > last]
