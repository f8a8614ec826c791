"""Trying a pipeline offline, before it meets a stream: what `streamlearn check` does.

Each check is a sentence that is true or not. All run the very code that the job runs.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from streamlearn.engine.answering import Answering
from streamlearn.engine.isolation import describe
from streamlearn.engine.odd_records import make_odd_records
from streamlearn.errors import BadRecord, LineageError, SnapshotRefused
from streamlearn.estimators.river_objects import NotStorable
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.learning.process import pin_blas_threads
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.pipelines.user_code import find_user_code, locate_error
from streamlearn.settings import inherit_env
from streamlearn.storage import snapshot
from streamlearn.stream.ports import Input, Output
from streamlearn.stream.records import encode

_LINEAGE = "check"
_OWN = Path(__file__).parent.parent.parent
"""Where this package stands: workers have it."""
_CUTS = (1, 7, 64)
_RESUMES = 16
"""How often a learner is stored and read again, where there are so many chunks."""
_WORKER_RECORDS = 50
_WORKER_S = 120
_ROUND_TRIP = "its state survives a round trip, without pickle"
_SLOW_US = 2000
"""From so much CPU time a record on, speed should be looked at."""
_LARGE_BYTES = 1_000_000
"""From here on, the size of a snapshot should be looked at."""
_SHOWN = 3
"""How many examples a sentence names."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    what: str
    passed: bool
    detail: str
    noted: bool = False
    """Whether it has passed, but should be looked at."""


def sample(pipeline: Pipeline, count: int) -> list[bytes]:
    """Return the first records of the pipeline's data set, as they would stand in its topic."""
    if pipeline.dataset is None:
        return []
    pipeline.dataset.prepare()
    return [encode(record) for record in islice(pipeline.dataset.records(seed=0, passes=None), count)]


def check(pipeline: Pipeline, values: Sequence[bytes], *, on_worker: bool = True) -> Iterator[Finding]:
    """Try a pipeline on records; yield the outcome of each check. A failed check may end the rest.

    `on_worker`: also try it in a process of its own, which has what a worker of Flink has.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield from _check(pipeline, values, on_worker=on_worker)
        except NotStorable as error:
            yield Finding(_ROUND_TRIP, False, str(error))
        except Exception as error:  # whatever the pipeline's own code raises
            yield Finding("its code runs", False, f"{describe(error)}{locate_error(error)}")
    lines = [f"{item.category.__name__}: {item.message}".splitlines()[0] for item in caught]
    texts = list(dict.fromkeys(lines))
    if texts:
        yield Finding("its code warns", True, f"{len(caught)} times; {_list_some(texts)}", noted=True)


def _check(pipeline: Pipeline, values: Sequence[bytes], *, on_worker: bool) -> Iterator[Finding]:
    records, reasons = _decode_all(pipeline, values)
    detail = f"{len(records)} of {len(values)}" if values else "there are no records to try"
    yield Finding("records decode", bool(records) and not reasons, reasons[0] if reasons else detail)
    if not records:
        return
    yield (estimator := _check_estimator(pipeline))
    if not estimator.passed:
        return
    if on_worker:
        yield from _check_on_worker(pipeline, values)
    yield _check_predict(pipeline, records)
    start_s = time.process_time()
    learner = _learn_all(pipeline, records, _CUTS[-1])
    cost_us = 1e6 * (time.process_time() - start_s) / len(records)
    yield _check_score(learner, len(records))
    yield _judge_speed(cost_us)
    yield (round_trip := _check_round_trip(pipeline, learner))
    if not round_trip.passed:
        return
    again = _learn_all(pipeline, records, _CUTS[-1])
    repeats = _have_same_state(pipeline, learner, again)
    advice = (
        "two runs, two models; give the estimator a random_state (River: a seed), and its code no clock or"
        " unseeded draw"
    )
    yield Finding("learning repeats exactly", repeats, "two runs, one digest" if repeats else advice)
    if repeats:
        yield _check_resume(pipeline, records, learner)
    yield _check_cuts(pipeline, records)
    trial = _Trial(pipeline)
    outputs = trial.answer(values)
    yield from _check_answers(trial, outputs)
    predicted = [
        value
        for value, output in zip(values, outputs, strict=True)
        if output.topic == pipeline.prediction_topic
    ]
    yield from _check_odd_records(trial, values[-1], predicted)


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


def _check_estimator(pipeline: Pipeline) -> Finding:
    what = "its estimator learns record by record"
    factory = getattr(pipeline.learning, "estimator", None)
    if factory is None:
        return Finding(what, True, f"a kind of learning of its own, {type(pipeline.learning).__name__}")
    estimator = factory(**pipeline.parameters)
    name = type(estimator).__name__
    missing = [method for method in ("partial_fit", "predict") if not hasattr(estimator, method)]
    advice = (
        "take one that learns from a stream, such as SGDClassifier, GaussianNB or SGDRegressor, or wrap it"
    )
    return Finding(what, not missing, f"{name} has no {missing[0]}; {advice}" if missing else name)


def _check_score(learner: Learner, count: int) -> Finding:
    """Compare the score with the baseline's, where it tells one."""
    summary = learner.score.summary()
    text = ", ".join(f"{name} {value:.4g}" for name, value in summary.items() if value is not None)
    detail = f"score after {count}: {text or 'nothing to score yet'}"
    worse = [
        name
        for name, value in summary.items()
        for baseline in (name.replace("rmse", "baseline_rmse"), name.replace("rmse", "persistence_rmse"))
        if name.endswith("rmse") and baseline != name and value and value > (summary.get(baseline) or value)
    ]
    if worse:
        detail += (
            f"; {', '.join(worse)} is worse than the baseline's, which learns nothing: scale the features"
        )
    return Finding("it learns", learner.trained, detail, noted=bool(worse))


def _judge_speed(cost_us: float) -> Finding:
    """Tell how many records a second can be learned, snapshots and Kafka left out."""
    is_slow = cost_us >= _SLOW_US
    detail = f"{cost_us:,.0f} µs a record to predict and learn, at most {1e6 / max(cost_us, 1):,.0f} a second"
    if is_slow:
        detail += (
            "; where more come, take a smaller model or fewer features, or a topic of several partitions"
        )
    return Finding("it is slow" if is_slow else "it is fast enough for most streams", True, detail, is_slow)


def _check_round_trip(pipeline: Pipeline, learner: Learner) -> Finding:
    what = _ROUND_TRIP
    data = snapshot.dumps(learner, pipeline, _LINEAGE)
    unknown = snapshot.untrusted_types(learner, pipeline)
    if unknown:
        return Finding(what, False, f"list these in trusted_types: {', '.join(unknown)}")
    try:
        back = snapshot.loads(data, pipeline, _LINEAGE)
    except SnapshotRefused as error:
        return Finding(what, False, str(error))
    if snapshot.dumps(back, pipeline, _LINEAGE) != data:
        return Finding(what, False, "what is read back is not what was stored")
    is_large = len(data) > _LARGE_BYTES
    advice = "; the job writes one after each batch: take a smaller model, or fewer trees" if is_large else ""
    return Finding(what, True, f"{len(data)} bytes{advice}", noted=is_large)


def _check_predict(pipeline: Pipeline, records: list[Any]) -> Finding:
    learner = _learn_all(pipeline, records[:-1], _CUTS[-1])
    before = snapshot.dumps(learner, pipeline, _LINEAGE)
    learner.predict(records[-1:])
    same = snapshot.dumps(learner, pipeline, _LINEAGE) == before
    return Finding("predicting changes nothing", same, "a record is learned only after it was predicted")


def _check_resume(pipeline: Pipeline, records: list[Any], learner: Learner) -> Finding:
    resumed = _learn_all(pipeline, records, _CUTS[-1], resume=True)
    goes_on = _have_same_state(pipeline, learner, resumed)
    detail = (
        f"resumed after every chunk, or about {_RESUMES} times where there are many"
        if goes_on
        else "resumed it learns another model: what decides that, such as a random generator, a counter or a"
        " cache, is not in its state"
    )
    return Finding("a snapshot goes on exactly", goes_on, detail)


def _check_cuts(pipeline: Pipeline, records: list[Any]) -> Finding:
    learners = [_learn_all(pipeline, records, rows) for rows in _CUTS]
    independent = all(_have_same_state(pipeline, learners[0], other) for other in learners[1:])
    promised = pipeline.chunk_limit(_CUTS[-1]) == 1
    if independent:
        return Finding("results do not depend on how records arrive", True, f"cut at {_CUTS} rows")
    what = "results depend on how records arrive; the predictions say where they were cut"
    return Finding(what, not promised, "chunk_rows=1 would make them independent, at a cost in speed")


def _check_answers(trial: "_Trial", outputs: Sequence[Output]) -> Iterator[Finding]:
    """Look at what the job would answer, and make of the score what Flink and the pages show."""
    dead = [output for output in outputs if output.topic == trial.pipeline.dead_letter_topic]
    reason = json.loads(dead[0].value)["reason"] if dead else ""
    detail = f"{len(outputs)} predictions"
    if dead:
        detail = f"{len(dead)} of {len(outputs)} are set aside: {reason}"
    yield Finding("every record is answered with a prediction", not dead, detail)
    score = trial.learner.score
    encode([score.summary(), score.gauges(), score.counts()])
    yield Finding("its metrics can be shown", True, ", ".join(score.gauges()))


def _check_odd_records(trial: "_Trial", last: bytes, good: Sequence[bytes]) -> Iterator[Finding]:
    """Answer odd records, made from the last one; none may end the stream, nor spoil what follows.

    `good` are records that have been answered with a prediction.
    """
    pipeline = trial.pipeline
    count, own_errors = 0, {}
    for odd in make_odd_records(pipeline, last):
        count += 1
        try:
            (output,) = trial.answer([odd.value])
        except Exception as error:
            detail = f"{odd.what}: {describe(error)}{locate_error(error)}"
            yield Finding("no odd record ends the stream", False, detail)
            return
        if output.topic == pipeline.dead_letter_topic:
            reason = json.loads(output.value)["reason"]
            if reason.partition(":")[0].endswith(("Error", "Exception")):
                own_errors[odd.what] = reason
    detail = f"{count} made from the record type: each is answered, or set aside with the reason"
    yield Finding("no odd record ends the stream", True, detail)
    still = trial.answer(good[:_WORKER_RECORDS])
    dead = [output for output in still if output.topic == pipeline.dead_letter_topic]
    if dead and pipeline.learning.series is None:
        detail = (
            f"a good record is set aside afterwards: {json.loads(dead[0].value)['reason']}; an odd one has"
            " spoiled the model: keep it out by bounds in the record type, such as Meta(ge=0, le=100)"
        )
        yield Finding("good records are answered afterwards", False, detail)
    if own_errors:
        examples = _list_some([f"{what}: {reason}" for what, reason in own_errors.items()])
        detail = f"{len(own_errors)} of them, which it should perhaps expect: {examples}"
        yield Finding("its own code fails on odd records, which are set aside", True, detail, noted=True)


class _Trial:
    """A learner that answers records as the job does, one after another."""

    def __init__(self, pipeline: Pipeline) -> None:
        # Odd records are made from a good one, and have its id.
        self.pipeline = pipeline = replace(pipeline, identity=None)
        self.learner = pipeline.new_learner()
        self._rows = pipeline.chunk_limit(_CUTS[-1])
        self._answering = Answering(pipeline, _LINEAGE, "", _refuse)
        self._next = 0

    def answer(self, values: Sequence[bytes]) -> list[Output]:
        outputs: list[Output] = []
        for start in range(0, len(values), self._rows):
            chunk = values[start : start + self._rows]
            inputs = [Input(0, self._next + number, value) for number, value in enumerate(chunk)]
            self._next += len(chunk)
            self.learner, answers = self._answering.answer(self.learner, inputs)
            outputs += answers
        return outputs


def _refuse(version: int) -> NoReturn:
    raise LineageError(f"nothing is kept of version {version}")


def _check_on_worker(pipeline: Pipeline, values: Sequence[bytes]) -> Iterator[Finding]:
    """Answer some records where only that exists which a worker of Flink is sent."""
    files = find_user_code(pipeline)
    if not files:
        return
    sent = ", ".join(file.name + "/" * file.is_dir() for file in files)
    with tempfile.TemporaryDirectory() as name:
        code, home = Path(name, "code"), Path(name, "home")
        home.mkdir()
        for file in files:
            if file.is_dir():
                shutil.copytree(file, code / file.name)
            else:
                code.mkdir(exist_ok=True)
                shutil.copy(file, code)
        script = f"from {__name__} import answer_from_stdin; answer_from_stdin()"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, pipeline.reference],
            input=b"\n".join(values[:_WORKER_RECORDS]),
            cwd=home,
            env=inherit_env({"PYTHONPATH": f"{code}{os.pathsep}{_OWN}", "STREAMLEARN_HOME": str(home)}),
            capture_output=True,
            timeout=_WORKER_S,
        )
    what = "it runs on a worker of Flink, which has only what is sent along"
    if done.returncode == 0:
        yield Finding(what, True, sent)
        return
    reason = (done.stderr.decode(errors="replace").strip() or "it ends without a word").splitlines()[-1]
    advice = "put the module and the files that it reads into one package, a folder with an __init__.py"
    yield Finding(what, False, f"{reason}; sent are only {sent}: {advice}")


def answer_from_stdin() -> None:
    """Load the pipeline that the first argument names, and answer the records on the standard input."""
    pin_blas_threads()
    values = sys.stdin.buffer.read().split(b"\n")
    try:
        _Trial(load(sys.argv[1])).answer(values)
    except Exception as error:
        sys.exit(f"{describe(error)}{locate_error(error)}")


def _have_same_state(pipeline: Pipeline, left: Learner, right: Learner) -> bool:
    return snapshot.dumps(left, pipeline, _LINEAGE) == snapshot.dumps(right, pipeline, _LINEAGE)


def _list_some(texts: Sequence[str]) -> str:
    """Join some texts, and say how many more there are.

    >>> _list_some(["a", "b", "c", "d"])
    'a; b; c; and 1 more'
    """
    more = len(texts) - _SHOWN
    return "; ".join([*texts[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])
