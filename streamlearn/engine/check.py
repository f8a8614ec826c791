"""Trying a pipeline offline, before it meets a stream: what `streamlearn check` does.

Each check is a sentence that is true or not. All run the very code that the job runs.
"""

import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from streamlearn.engine.isolation import describe
from streamlearn.errors import BadRecord, SnapshotRefused
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.records import encode

_LINEAGE = "check"
_PROJECT = str(Path(__file__).parent.parent)
_CUTS = (1, 7, 64)
_RESUMES = 16
"""How often a learner is stored and read again, where there are so many chunks."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    what: str
    passed: bool
    detail: str


def sample(pipeline: Pipeline, count: int) -> list[bytes]:
    """Return the first records of the pipeline's data set, as they would stand in its topic."""
    if pipeline.dataset is None:
        return []
    pipeline.dataset.prepare()
    return [encode(record) for record in islice(pipeline.dataset.records(seed=0, passes=None), count)]


def check(pipeline: Pipeline, values: Sequence[bytes]) -> Iterator[Finding]:
    """Try a pipeline on records; yield the outcome of each check. A failed check may end the rest."""
    try:
        yield from _check(pipeline, values)
    except Exception as error:  # whatever the pipeline's own code raises
        yield Finding("its code runs", False, f"{describe(error)}{_locate(error)}")


def _locate(error: Exception) -> str:
    """Return where in code of one's own an error was raised, else an empty text."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame for frame in frames if not frame.filename.startswith((_PROJECT, sys.prefix, sys.base_prefix))
    ]
    return f", in {own[-1].filename}, line {own[-1].lineno}: {own[-1].line}" if own else ""


def _check(pipeline: Pipeline, values: Sequence[bytes]) -> Iterator[Finding]:
    records, reasons = _decode_all(pipeline, values)
    yield Finding(
        "records decode",
        bool(records) and not reasons,
        reasons[0]
        if reasons
        else f"{len(records)} of {len(values)}"
        if values
        else "there are no records to try",
    )
    if not records:
        return
    yield _check_predict(pipeline, records)
    learner = _learn_all(pipeline, records, _CUTS[-1])
    yield Finding("it learns", learner.trained, f"score after {len(records)}: {_format_score(learner)}")
    yield (round_trip := _check_round_trip(pipeline, learner))
    if not round_trip.passed:
        return
    again = _learn_all(pipeline, records, _CUTS[-1])
    yield Finding(
        "learning repeats exactly", _have_same_state(pipeline, learner, again), "two runs, one digest"
    )
    resumed = _learn_all(pipeline, records, _CUTS[-1], resume=True)
    yield Finding(
        "a snapshot goes on exactly",
        _have_same_state(pipeline, learner, resumed),
        f"resumed after every chunk, or about {_RESUMES} times where there are many",
    )
    yield _check_cuts(pipeline, records)


def _decode_all(pipeline: Pipeline, values: Sequence[bytes]) -> tuple[list[Any], list[str]]:
    records, reasons = [], []
    for number, value in enumerate(values):
        try:
            records.append(pipeline.codec.decode(value))
        except BadRecord as error:
            reasons.append(f"record {number}: {error}")
    return records, reasons


def _learn_all(pipeline: Pipeline, records: list[Any], rows: int, *, resume: bool = False) -> Learner:
    rows = pipeline.chunk_limit(rows)
    learner = pipeline.new_learner()
    chunks_between = max(1, len(records) // rows // _RESUMES)
    for start in range(0, len(records), rows):
        if resume and start and start // rows % chunks_between == 0:
            learner = snapshot.loads(snapshot.dumps(learner, pipeline, _LINEAGE), pipeline, _LINEAGE)
        predict_then_learn(learner, records[start : start + rows], min(start + rows, len(records)))
    return learner


def _check_round_trip(pipeline: Pipeline, learner: Learner) -> Finding:
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


def _check_predict(pipeline: Pipeline, records: list[Any]) -> Finding:
    learner = _learn_all(pipeline, records[:-1], _CUTS[-1])
    before = snapshot.dumps(learner, pipeline, _LINEAGE)
    learner.predict(records[-1:])
    same = snapshot.dumps(learner, pipeline, _LINEAGE) == before
    return Finding("predicting changes nothing", same, "a record is learned only after it was predicted")


def _check_cuts(pipeline: Pipeline, records: list[Any]) -> Finding:
    learners = [_learn_all(pipeline, records, rows) for rows in _CUTS]
    independent = all(_have_same_state(pipeline, learners[0], other) for other in learners[1:])
    promised = pipeline.chunk_limit(_CUTS[-1]) == 1
    if independent:
        return Finding("results do not depend on how records arrive", True, f"cut at {_CUTS} rows")
    what = "results depend on how records arrive; the predictions say where they were cut"
    return Finding(what, not promised, "chunk_rows=1 would make them independent, at a cost in speed")


def _have_same_state(pipeline: Pipeline, left: Learner, right: Learner) -> bool:
    return snapshot.dumps(left, pipeline, _LINEAGE) == snapshot.dumps(right, pipeline, _LINEAGE)


def _format_score(learner: Learner) -> str:
    return ", ".join(
        f"{name} {value:.4g}" for name, value in learner.score.summary().items() if value is not None
    )
