"""What is written directly is, byte for byte, what skops writes, made canonical."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from stacks import ROOT

from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.storage import archive, snapshot
from streamlearn.storage.direct_archive import DirectWriter, NotDirect
from streamlearn.stream.records import encode

GRU = "streamlearn.pipelines.pm25_gru:pipeline"


def write_by_skops(state: dict[str, Any]) -> bytes:
    return archive.canonicalize(skops.io.dumps(state))


def learn_some(estimator: Any, **options: Any) -> Any:
    x = np.random.default_rng(0).random((60, 5))
    return estimator.partial_fit(x, (x[:, 0] > 0.5).astype(int), **options)


shared = np.arange(3.0)
CLASSES = {"classes": [0, 1]}
STATES: dict[str, dict[str, Any]] = {
    "numbers": {
        "f": [0.1, -0.0, 1e300, float("nan"), float("-inf"), 5e-324],
        "i": [0, -7, 2**60],
        "none": None,
    },
    "truths": {"b": [True, False, True]},
    "texts": {"é": 'a"\\\n\u2028', "": "\ud800", "file": "x", "__loader__": "y", "__class__": "z"},
    "nothing": {"d": {}, "l": [], "t": ((), [()])},
    "shared parts": {"a": shared, "b": [shared, shared[:2], (shared, {"c": shared})]},
    "orders of arrays": {
        "fortran": np.asfortranarray(np.eye(3)[:2]),
        "strided": np.arange(36.0).reshape(6, 6)[::2, ::3],
        "empty": np.zeros((0, 3)),
        "no axes": np.array(3),
    },
    "types of arrays": {
        str(n): np.array([1, 0]).astype(t)
        for n, t in enumerate(["?", "i1", "u8", ">i4", "f2", "f4", "c16", "U3", "S2"])
    },
    "numpy's numbers": {"a": np.float64(2), "b": np.bool_(True), "c": np.str_("x"), "d": np.int8(-1)},
    "SGD": {"model": learn_some(SGDClassifier(loss="log_loss"), **CLASSES)},
    "SGD, hinge": {"model": learn_some(SGDClassifier(average=True), **CLASSES)},
    "SGD, Huber": {"model": learn_some(SGDRegressor(loss="huber", random_state=np.random.RandomState(3)))},
    "Bayes": {"model": learn_some(GaussianNB(), **CLASSES)},
    "a net": {"model": learn_some(MLPClassifier((3,), random_state=1), **CLASSES)},
    "a scaler": {"model": learn_some(StandardScaler())},
    "not fitted": {"model": [SGDClassifier(), GaussianNB()]},
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_states_are_written_directly_as_by_skops(state: dict[str, Any]) -> None:
    assert DirectWriter().dumps(state) == write_by_skops(state)
    assert archive.dumps(state) == archive.dumps(state) == write_by_skops(state)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats()
    | st.text(max_size=5)
    | arrays.arrays(st.sampled_from([np.float64, np.int64]), arrays.array_shapes(max_dims=3, max_side=3)),
    lambda part: (
        st.lists(part, max_size=4)
        | st.dictionaries(st.text(max_size=5), part, max_size=4)
        | st.tuples(part, part)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), plain, max_size=5))
def test_any_state_of_plain_values_and_arrays_is_written_directly_as_by_skops(state: dict[str, Any]) -> None:
    assert DirectWriter().dumps(state) == write_by_skops(state)


LEFT_TO_SKOPS: dict[str, dict[str, Any]] = {
    "a set": {"a": {1}},
    "keys that are no texts": {"a": {1: 2}},
    "a large integer": {"a": 2**70},
    "an array of objects": {"a": np.array([None, 1])},
    "a type": {"a": int},
}


@pytest.mark.parametrize("state", LEFT_TO_SKOPS.values(), ids=LEFT_TO_SKOPS)
def test_what_only_skops_can_write_is_left_to_it(state: dict[str, Any]) -> None:
    with pytest.raises(NotDirect):
        DirectWriter().dumps(state)
    assert archive.dumps(state) == write_by_skops(state)


@pytest.mark.parametrize("value", [b"bytes", sparse.csr_matrix(np.eye(3))], ids=["bytes", "a sparse matrix"])
def test_an_object_that_skops_takes_apart_in_its_own_way_is_left_to_it(value: Any) -> None:
    """Written directly it would be another archive: also after the first time."""
    assert DirectWriter().dumps({"a": value}) != write_by_skops({"a": value})
    for _ in range(3):
        assert archive.dumps({"a": value}) == write_by_skops({"a": value})


class Pair(BaseEstimator):  # type: ignore[misc]
    def __init__(self, left: int = 1) -> None:
        self.left = left


def test_skops_is_asked_once_for_each_type_of_object(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [{"model": Pair(number), "x": np.arange(number)} for number in range(3)]
    expected = [write_by_skops(state) for state in states]
    written: list[Any] = []
    write = skops.io.dumps
    monkeypatch.setattr(skops.io, "dumps", lambda state: (written.append(state), write(state))[1])
    assert [archive.dumps(state) for state in states] == expected
    assert written == states[:1]


def learn_on(pipeline: Pipeline, learner: Learner, count: int) -> None:
    assert pipeline.dataset is not None
    values = islice(pipeline.dataset.records(seed=0, passes=1), learner.version, learner.version + count)
    records = [pipeline.codec.decode(encode(value)) for value in values]
    predict_then_learn(learner, records, learner.version + count)


@pytest.mark.parametrize("reference", ["digits", "pm25", GRU])
def test_a_built_in_learner_is_written_directly_at_every_step(reference: str) -> None:
    """Before it has a model, with one, and after its lags were changed: its structure changes."""
    pipeline = load(reference)
    learner = pipeline.new_learner()
    for step in range(6):
        state = learner.state()
        assert DirectWriter().dumps(state) == write_by_skops(state), step
        if step == 4 and learner.lags is not None:
            learner.change_setting("lags", {"pollution": range(5), "dew": [0, 3]})
        learn_on(pipeline, learner, 9)


@pytest.mark.parametrize(("name", "reference"), [("digits", "digits"), ("pm25", "pm25"), ("pm25_gru", GRU)])
def test_a_golden_snapshots_state_is_written_directly_as_by_skops(name: str, reference: str) -> None:
    data = (ROOT / "tests" / "golden" / f"{name}-format3.snapshot").read_bytes()
    state = snapshot.loads(data, load(reference), snapshot.lineage_of(data)).state()
    assert DirectWriter().dumps(state) == write_by_skops(state)
