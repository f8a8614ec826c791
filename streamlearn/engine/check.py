"""Trying a pipeline offline, before it meets a stream: what `streamlearn check` does.

Each check says in a sentence what it found. All run on the very code that the job runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from streamlearn.errors import BadRecord, SnapshotRefused
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.records import encode

_LINEAGE = "check"
_CUTS = (1, 7, 64)


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    what: str
    passed: bool
    detail: str


def sample(pipeline: Pipeline, count: int) -> list[bytes]:
    """The first records of the pipeline's data set, as they would stand in its topic."""
    if pipeline.dataset is None:
        return []
    pipeline.dataset.prepare()
    return [encode(record) for record in islice(pipeline.dataset.records(seed=0, passes=None), count)]


def check(pipeline: Pipeline, values: Sequence[bytes]) -> Iterator[Finding]:
    """Try a pipeline on records, one finding after the other; a failed one may end the rest."""
    records, bad = _decoded(pipeline, values)
    yield Finding(
        "records decode",
        bool(records) and not bad,
        bad[0] if bad else f"{len(records)} of {len(values)}" if values else "there are no records to try",
    )
    if not records:
        return
    yield _only_predicts(pipeline, records)
    learner = _learned(pipeline, records, _CUTS[-1])
    yield Finding("it learns", learner.trained, f"score after {len(records)}: {_figures(learner)}")
    yield (kept := _round_trip(pipeline, learner))
    if not kept.passed:
        return
    again = _learned(pipeline, records, _CUTS[-1])
    yield Finding("learning repeats exactly", _same(pipeline, learner, again), "two runs, one digest")
    resumed = _learned(pipeline, records, _CUTS[-1], resume=True)
    yield Finding(
        "a snapshot goes on exactly", _same(pipeline, learner, resumed), "resumed between all chunks"
    )
    yield _cuts(pipeline, records)


def _decoded(pipeline: Pipeline, values: Sequence[bytes]) -> tuple[list[Any], list[str]]:
    records, bad = [], []
    for number, value in enumerate(values):
        try:
            records.append(pipeline.codec.decode(value))
        except BadRecord as error:
            bad.append(f"record {number}: {error}")
    return records, bad


def _learned(pipeline: Pipeline, records: list[Any], rows: int, *, resume: bool = False) -> Learner:
    rows = pipeline.chunk_limit(rows)
    learner = pipeline.new_learner()
    for start in range(0, len(records), rows):
        if resume and start % (rows * 16) == 0:
            learner = snapshot.loads(snapshot.dumps(learner, pipeline, _LINEAGE), pipeline, _LINEAGE)
        predict_then_learn(learner, records[start : start + rows], min(start + rows, len(records)))
    return learner


def _round_trip(pipeline: Pipeline, learner: Learner) -> Finding:
    what = "its state survives a round trip, without pickle"
    data = snapshot.dumps(learner, pipeline, _LINEAGE)
    unknown = snapshot.untrusted_types(learner, pipeline)
    if unknown:
        return Finding(what, False, f"list these in trusted_types: {', '.join(unknown)}")
    try:
        back = snapshot.loads(data, pipeline, _LINEAGE)
    except SnapshotRefused as error:
        return Finding(what, False, str(error))
    return Finding(what, snapshot.dumps(back, pipeline, _LINEAGE) == data, f"{len(data)} bytes")


def _only_predicts(pipeline: Pipeline, records: list[Any]) -> Finding:
    learner = _learned(pipeline, records[:-1], _CUTS[-1])
    before = snapshot.dumps(learner, pipeline, _LINEAGE)
    learner.predict(records[-1:])
    same = snapshot.dumps(learner, pipeline, _LINEAGE) == before
    return Finding("predicting changes nothing", same, "a record is learned only after it was predicted")


def _cuts(pipeline: Pipeline, records: list[Any]) -> Finding:
    learners = [_learned(pipeline, records, rows) for rows in _CUTS]
    independent = all(_same(pipeline, learners[0], other) for other in learners[1:])
    promised = pipeline.chunk_limit(_CUTS[-1]) == 1
    if independent:
        return Finding("results do not depend on how records arrive", True, f"cut at {_CUTS} rows")
    what = "results depend on how records arrive; the predictions say where they were cut"
    return Finding(what, not promised, "chunk_rows=1 would make them independent, at a cost in speed")


def _same(pipeline: Pipeline, left: Learner, right: Learner) -> bool:
    return snapshot.dumps(left, pipeline, _LINEAGE) == snapshot.dumps(right, pipeline, _LINEAGE)


def _figures(learner: Learner) -> str:
    return ", ".join(
        f"{name} {value:.4g}" for name, value in learner.score.summary().items() if value is not None
    )
