"""The fold of a data set with no stream around it: the same answers, in the order of the data."""

from collections.abc import Iterator
from typing import NamedTuple

from streamlearn.engine.answering import Answering
from streamlearn.errors import DataUnavailable, LineageError
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.ports import Input, Output
from streamlearn.stream.records import encode

_CHUNK_ROWS = 256
_LEAST_CHUNKS = 4
"""A pass of a small data set is cut into so many: nothing of the first one can be scored."""


class OfflineChunk(NamedTuple):
    """A chunk that has been predicted and learned."""

    learner: Learner
    """The learner after it."""
    rows: list[Input]
    """The records; an offset is a record's number in the data set, over all passes."""
    outputs: list[Output]
    """What each record was answered."""


def run_offline(
    pipeline: Pipeline, *, passes: int = 1, cut_at: int = 0, learner: Learner | None = None
) -> Iterator[OfflineChunk]:
    """Predict, then learn `passes` passes of the data set; yield each chunk when it has been learned.

    A chunk has 256 records, or a quarter of the data set's if those are fewer.

    Parameters
    ----------
    cut_at
        A chunk ends before the record of this number, wherever else chunks are cut.
    learner
        The learner to begin with, one that has learned nothing; by default a new one.

    Raises
    ------
    DataUnavailable
        The pipeline has no data set, or it cannot be had.
    """
    if pipeline.dataset is None:
        raise DataUnavailable(f"{pipeline.name} has no data set")
    pipeline.dataset.prepare()
    answering = Answering(pipeline, "offline", "", _no_version)
    learner = learner or pipeline.new_learner()
    max_rows = pipeline.chunk_limit(max(1, min(_CHUNK_ROWS, pipeline.dataset.size // _LEAST_CHUNKS)))
    rows: list[Input] = []
    for number, record in enumerate(pipeline.dataset.records(seed=0, passes=passes), start=1):
        rows.append(Input(0, number - 1, encode(record)))
        if len(rows) == max_rows or number == cut_at:
            learner, outputs = answering.answer(learner, rows)
            yield OfflineChunk(learner, rows, outputs)
            rows = []
    if rows:
        learner, outputs = answering.answer(learner, rows)
        yield OfflineChunk(learner, rows, outputs)


def _no_version(version: int) -> Learner:
    raise LineageError(f"there is no version {version} offline")
