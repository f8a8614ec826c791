"""Learning again what a snapshot lacks: a lineage's records, cut into the very chunks of the first time."""

from collections.abc import Callable, Iterable

from streamlearn.engine.answering import Answering
from streamlearn.errors import LineageError
from streamlearn.learning.learner import Learner
from streamlearn.stream.journal import journaled_chunks
from streamlearn.stream.ports import Input, Journal


def relearn(
    answering: Answering,
    learner: Learner,
    rows: Iterable[Input],
    journal: Journal,
    end: int,
    wait_s: float,
    report_progress: Callable[[Learner], None],
) -> Learner:
    """Learn `rows`, all below the offset `end`, again as the journal says; return the learner after the last.

    `report_progress` is called with the learner after each chunk.

    Raises
    ------
    LineageError
        A record was not answered by the version that should have, or not at all within `wait_s` seconds; or
        one that was answered is gone.
    """
    reached = learner.version
    answered_records = ((row, journal.take(row.offset, wait_s)) for row in rows)
    for chunk in journaled_chunks(answered_records, learner.version):
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
        learner, _ = answering.answer_again(learner, chunk)
        report_progress(learner)
    journal.take(end, 0)
    _check_none_is_gone(journal, reached, [end])
    return learner


def _check_none_is_gone(journal: Journal, reached: int, offsets: list[int]) -> None:
    """Raise if there are answers, from `reached` to the last of `offsets`, whose records are not there."""
    last, present = offsets[-1], set(offsets)
    for stray in journal.strays:
        if reached <= stray.offset <= last and stray.offset not in present:
            raise LineageError(
                f"the record at offset {stray.offset} was answered, but Kafka holds it no more"
            )
    journal.strays[:] = [stray for stray in journal.strays if stray.offset > last]
