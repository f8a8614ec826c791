"""Records that a pipeline's own code fails on: set aside by one rule, without a trace in the model."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from helpers import LINEAGE, ListStream, Make, commit
from hypothesis import given, settings
from hypothesis import strategies as st
from poison import GOOD, POINTS, POISON
from sklearn.linear_model import SGDRegressor
from sklearn.naive_bayes import GaussianNB

from streamlearn.engine.answering import Answering, cut_into_chunks
from streamlearn.engine.isolation import describe
from streamlearn.errors import BadRecord, LineageError, PipelineFails, StoreUnavailable
from streamlearn.learning.learner import Learner
from streamlearn.learning.tabular import Tabular
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.stream.ports import Input, Output

# A job only logs what numpy warns of.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def answer(pipeline: Pipeline, values: list[Any], size: int = 256) -> tuple[Learner, list[Output]]:
    answering = Answering(pipeline, "aaaa", "", _no_version)
    rows = [Input(0, offset, msgspec.json.encode(value)) for offset, value in enumerate(values)]
    learner, outputs = pipeline.new_learner(), []
    for chunk in cut_into_chunks(rows, size):
        learner, answers = answering.answer(learner, chunk)
        outputs += answers
    return learner, outputs


def _no_version(version: int) -> Learner:
    raise LineageError(str(version))


def read_answers(outputs: list[Output]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(output.value) for output in outputs]


good_points = st.builds(
    lambda a, b, y: {"a": a, "b": b, "y": y},
    st.floats(-3, 3),
    st.floats(0.5, 3),
    st.sampled_from([0, 1, None]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(good_points, st.sampled_from(POISON)), min_size=1, max_size=60), st.integers(1, 20))
def test_a_stream_with_poison_is_learned_as_the_same_without_it(values: list[Any], size: int) -> None:
    """The cuts are the same: a chunk without its poison is what the other learner is given.

    Both begin with a model, without which an unlabelled record is not looked at.
    """
    values = [GOOD, {**GOOD, "y": 0}, *values]
    answering = Answering(POINTS, "aaaa", "", _no_version)
    rows = [Input(0, offset, msgspec.json.encode(value)) for offset, value in enumerate(values)]
    learner, plain, outputs, expected = POINTS.new_learner(), POINTS.new_learner(), [], []
    for chunk in cut_into_chunks(rows, size):
        learner, answers = answering.answer(learner, chunk)
        outputs += answers
        clean = [row for row in chunk if values[row.offset] not in POISON]
        if clean:
            plain, answers = Answering(POINTS, "aaaa", "", _no_version).answer(plain, clean, chunk[0].offset)
            expected += answers
        plain.version = learner.version
    dead = {a["offset"] for a in read_answers([o for o in outputs if o.topic == POINTS.dead_letter_topic])}
    assert dead == {offset for offset, value in enumerate(values) if value in POISON}
    assert [o for o in outputs if o.topic == POINTS.prediction_topic] == expected
    digests = [snapshot.digest(snapshot.dumps(each, POINTS, "aaaa")) for each in (learner, plain)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (POISON[0], "the label 2 is none of the classes: 0, 1"),
        (POISON[1], "feature 1 is -inf, not a finite number"),
        (POISON[2], "ZeroDivisionError: b is −1"),
        (POISON[3], "TypeError: "),
    ],
)
def test_the_reason_is_told(value: Any, reason: str) -> None:
    letter = read_answers(answer(POINTS, [GOOD, {**GOOD, "y": 0}, value, GOOD])[1])[2]
    assert reason in letter["reason"]


def test_of_several_records_each_is_told_with_its_own_reason() -> None:
    values = [GOOD, POISON[3], GOOD, POISON[2], GOOD, POISON[0], GOOD, POISON[1]]
    letters = read_answers([o for o in answer(POINTS, values)[1] if o.topic == POINTS.dead_letter_topic])
    reasons = ["TypeError", "ZeroDivisionError", "the label 2", "feature 1 is -inf"]
    assert [letter["offset"] for letter in letters] == [1, 3, 5, 7]
    assert [reason in letter["reason"] for reason, letter in zip(reasons, letters, strict=True)] == [True] * 4


def test_true_and_false_are_labels_like_1_and_0() -> None:
    values = [{"a": n % 2, "b": 1.0, "y": bool(n % 2)} for n in range(50)]
    learner, outputs = answer(POINTS, values, size=10)
    assert all(output.topic == POINTS.prediction_topic for output in outputs)
    assert learner.score.counts() == {"label_0_count": 25, "label_1_count": 25}
    assert read_answers(outputs)[-1]["predict_y"] == 1


def test_a_number_that_would_spoil_the_model_is_set_aside() -> None:
    pipeline = replace(
        POINTS,
        learning=replace(POINTS.learning, estimator=GaussianNB),
        parameters={},  # type: ignore[type-var]
    )
    values = [{"a": n % 2, "b": 1.0 + n % 3, "y": n % 2} for n in range(20)]
    learner, outputs = answer(pipeline, [*values, {"a": 1e308, "b": 1.0, "y": 1}, *values], size=5)
    letters = read_answers([o for o in outputs if o.topic == POINTS.dead_letter_topic])
    assert [(letter["offset"], letter["reason"]) for letter in letters] == [
        (20, "the model would no longer be finite")
    ]
    assert np.isfinite(learner.model.var_).all()


def test_a_model_that_every_record_would_spoil_stops_with_its_reason() -> None:
    """It is the model that is wrong, not each of the records."""
    pipeline = replace(
        POINTS,
        learning=Tabular(features=spread, label="y", estimator=SGDRegressor),
        parameters={"random_state": 1, "learning_rate": "constant", "eta0": 1e300},
    )
    answering = Answering(pipeline, "aaaa", "", _no_version, max_in_a_row=10)
    rows = [Input(0, n, msgspec.json.encode({"a": 1.0 + n, "y": n})) for n in range(40)]
    with pytest.raises(PipelineFails, match="fails on every record, 11 in a row"):
        answering.answer(pipeline.new_learner(), rows)


def spread(points: Any) -> Any:
    return np.array([[1e10 * point.a] for point in points])


def fail_by(*errors: Exception) -> Pipeline:
    """Return a pipeline whose features fail at the first calls, by one of these errors each."""
    remaining = list(errors)

    def features(points: Any) -> Any:
        if remaining:
            raise remaining.pop(0)
        return np.array([[point.a] for point in points])

    return replace(POINTS, learning=replace(POINTS.learning, features=features))  # type: ignore[type-var]


@pytest.mark.parametrize("error", [OSError("full"), MemoryError("full"), StoreUnavailable("full")])
@pytest.mark.parametrize("earlier", [0, 1, 2], ids=["at once", "in the search", "in the rest"])
def test_what_is_no_records_fault_is_raised(error: Exception, earlier: int) -> None:
    """Also when it comes while the record at fault is looked for, or left out."""
    pipeline = fail_by(*[ValueError("poison")] * earlier, error)
    with pytest.raises(type(error), match="full"):
        answer(pipeline, [GOOD, GOOD])


def test_a_reason_is_the_same_in_every_process_and_one_line() -> None:
    assert describe(ValueError(f"\n{object()!r} is no number\nmore")) == (
        "ValueError: <object object at 0x…> is no number"
    )
    assert describe(ValueError()) == "ValueError"
    assert describe(BadRecord("told by the pipeline")) == "told by the pipeline"
    assert len(describe(ValueError("x" * 5000))) < 400


def test_failures_in_a_row_are_counted_over_chunks_until_a_record_goes_well() -> None:
    """What the pipeline itself refuses, and bytes that are no record, neither count nor go well."""
    good, bad, refused = (msgspec.json.encode({**GOOD, "b": b}) for b in (2.0, -1, 0.0))
    answering, learner, counts, offset = (
        Answering(POINTS, "aaaa", "", _no_version),
        POINTS.new_learner(),
        [],
        0,
    )
    chunks = [[good], [bad, bad], [b"broken"], [refused], [bad], [bad, good], [bad], [good], [bad]]
    for values in [*chunks, [good, bad, bad]]:
        rows = [Input(0, offset + number, value) for number, value in enumerate(values)]
        learner, _ = answering.answer(learner, rows)
        counts.append(answering.isolation.in_a_row)
        offset += len(rows)
    assert counts == [0, 2, 2, 2, 3, 0, 1, 0, 1, 2]


@pytest.mark.parametrize("emptied", [False, True], ids=["", "and an empty Redis"])
def test_code_that_fails_on_every_record_stops_and_does_not_go_on_after_a_restart(
    make: Make, store: Store, stream: ListStream, emptied: bool
) -> None:
    """Otherwise a job that is restarted again and again would empty its topic into the dead letters."""

    def fail(points: Any) -> Any:
        raise ValueError("a bug")

    pipeline = replace(POINTS, name="digits", learning=replace(POINTS.learning, features=fail))  # type: ignore[type-var]
    rows = [Input(0, n, msgspec.json.encode(GOOD)) for n in range(12)]
    worker = make(pipeline=pipeline, set_aside_in_a_row=5)
    for row in rows[:5]:
        commit(stream, worker, [row])
    with pytest.raises(PipelineFails, match="6 in a row: ValueError: a bug"):
        worker.answer(rows[5:6])
    if emptied:
        store.clear("digits")
    again = make(pipeline=pipeline, set_aside_in_a_row=5, lineage=msgspec.structs.replace(LINEAGE, epoch=2))
    with pytest.raises(PipelineFails, match="6 in a row"):
        again.answer(rows[5:6])


def test_what_ran_for_long_is_had_again_when_a_record_fails() -> None:
    """Also behind the last copy of the learner, by learning again what came since."""
    values = [{"a": (n % 7) / 7, "b": 1.0 + n % 3, "y": n % 2} for n in range(5000)]
    with_poison = [*values[:4100], POISON[2], *values[4100:]]
    learner, outputs = answer(POINTS, with_poison, size=100)
    assert [o.topic for o in outputs].count("points.dead_letter") == 1
    assert learner.version == 5001


def test_a_lineage_whose_model_was_not_finite_already_goes_on_as_it_began() -> None:
    """Also behind the first copy of its learner: where copies are made must decide nothing."""
    pipeline = replace(POINTS, learning=replace(POINTS.learning, estimator=GaussianNB), parameters={})  # type: ignore[type-var]
    learner = pipeline.new_learner()
    values = [{"a": n % 2, "b": 1.0 + n % 3, "y": n % 2} for n in range(5000)]
    rows = [Input(0, offset, msgspec.json.encode(value)) for offset, value in enumerate(values)]
    answering, outputs = Answering(pipeline, "aaaa", "", _no_version), []
    for chunk in cut_into_chunks(rows, 100):
        if learner.version == 100:
            learner.model.theta_[0, 0] = np.inf
            answering = Answering(pipeline, "aaaa", "", _no_version)
        learner, answers = answering.answer(learner, chunk)
        outputs += answers
    assert all(output.topic == pipeline.prediction_topic for output in outputs)
    assert not learner.is_finite()
