"""Learning again what a snapshot lacks: a lineage's records, cut into the very chunks of the first time.

Before them comes what the lineage began from: nothing, or the fold of another topic (`stream/lineage.py`).
"""

import logging
from collections.abc import Callable, Iterable, Sequence

from streamlearn.engine.answering import Answering, cut_into_chunks
from streamlearn.errors import LineageError
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.journal import journaled_chunks
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input, Journal, Output, Stream

_log = logging.getLogger(__name__)

SeeChunk = Callable[[Learner, Sequence[Output]], None]
"""Called with the learner after each chunk, and with what the chunk's records were answered."""


def learn_origin(
    pipeline: Pipeline, lineage: Lineage, stream: Stream, see_chunk: SeeChunk = lambda learner, outputs: None
) -> tuple[Learner, str | None]:
    """Return what the lineage of one partition begins with, and why that is not the registered learner.

    The reason is None where it is.

    Raises
    ------
    LineageError
        Kafka no longer holds what the lineage began from.
    """
    origin = lineage.origin
    if origin is None:
        return pipeline.new_learner(lineage.parameters, lineage.start), None
    start, end = origin.starts[0], origin.ends[0]
    learner = pipeline.new_learner(lineage.parameters, start)
    rows = stream.rows_of(origin.topic, start, end)
    learner = fold(
        pipeline, learner, rows, origin.chunk_rows, lineage.takes_whole_numbers, see_chunk=see_chunk
    )
    digest = digest_learner(pipeline, learner)
    learner.version = lineage.start
    if digest == origin.digests[0]:
        return learner, None
    objection = (
        f"the records of {origin.topic} from offset {start} to {end} now make the model {digest[:12]}; the"
        f" lineage began from {origin.digests[0][:12]}"
    )
    if origin.libraries != snapshot.installed_libraries():
        # The same state may be in other bytes: this alone is no proof of another model.
        _log.warning("%s: %s; but other libraries wrote that one", pipeline.name, objection)
        return learner, None
    return learner, objection


def fold(
    pipeline: Pipeline,
    learner: Learner,
    rows: Iterable[Input],
    chunk_rows: int,
    whole_numbers: bool,
    *,
    max_in_a_row: int | None = None,
    only_whole: bool = False,
    see_chunk: SeeChunk = lambda learner, outputs: None,
) -> Learner:
    """Predict, then learn the records of an origin, cut as `Origin` says; return the learner after the last.

    Parameters
    ----------
    max_in_a_row
        On how many records in a row the pipeline's code may fail; None: on any number.
    only_whole
        End before the first chunk that is shorter than the others: more records may belong to it. The
        learner's version then tells from which offset to go on.
    """
    answering = Answering(
        pipeline, "", "", _refuse_version, max_in_a_row=max_in_a_row, whole_numbers=whole_numbers
    )
    for chunk in cut_into_chunks(rows, chunk_rows):
        if only_whole and len(chunk) < chunk_rows:
            break
        learner, outputs = answering.answer(learner, chunk)
        see_chunk(learner, outputs)
    return learner


def digest_learner(pipeline: Pipeline, learner: Learner) -> str:
    """Return by what the learner that an origin makes is known again."""
    return snapshot.digest(snapshot.dumps(learner, pipeline, ""))


def _refuse_version(version: int) -> Learner:
    raise LineageError(f"there is no version {version} in what a lineage begins from")


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
