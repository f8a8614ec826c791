import subprocess
import sys

import numpy as np
import pytest
from helpers import learner, records
from stacks import ROOT

from streamlearn.errors import SnapshotRefused
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines.digits import first, pipeline
from streamlearn.pipelines.registry import load
from streamlearn.storage import snapshot

GOLDEN = ROOT / "tests" / "golden"

ROUND_TRIP = """
import sys
sys.path.insert(0, "tests")
from helpers import learner
from streamlearn.storage import snapshot
from streamlearn.pipelines.digits import pipeline
sys.stdout.write(snapshot.digest(snapshot.dumps(learner(300, cuts=[90]), pipeline, "aaaa")))
"""


def test_a_learner_comes_back_whole_and_learns_on_the_same() -> None:
    first = learner(300, cuts=[100])
    second = snapshot.loads(snapshot.dumps(first, pipeline, "aaaa"), pipeline, "aaaa")
    assert (second.version, second.score, second.parameters) == (300, first.score, first.parameters)
    more = records(200, seed=11)
    assert predict_then_learn(first, more, 500) == predict_then_learn(second, more, 500)
    np.testing.assert_array_equal(first.model.coef_, second.model.coef_)
    assert snapshot.dumps(first, pipeline, "aaaa") == snapshot.dumps(second, pipeline, "aaaa")


def test_a_learner_without_a_model_comes_back_without_one() -> None:
    assert not snapshot.loads(snapshot.dumps(learner(), pipeline, "aaaa"), pipeline, "aaaa").trained


def test_the_same_state_has_the_same_digest_in_another_process() -> None:
    here = snapshot.digest(snapshot.dumps(learner(300, cuts=[90]), pipeline, "aaaa"))
    process = subprocess.run([sys.executable, "-c", ROUND_TRIP], capture_output=True, text=True, check=True)
    assert process.stdout == here
    assert here != snapshot.digest(snapshot.dumps(learner(300, cuts=[91]), pipeline, "aaaa"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data + b"\0",
        lambda data: b"pickle" + data[6:],
        lambda data: data[:2000] + bytes([data[2000] ^ 1]) + data[2001:],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:6] + b"\xff\xff" + data[8:],
    ],
)
def test_damaged_bytes_are_refused(damage) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SnapshotRefused):
        snapshot.loads(damage(snapshot.dumps(learner(60), pipeline, "aaaa")), pipeline, "aaaa")


def test_a_newer_format_says_so() -> None:
    import hashlib

    body = snapshot.dumps(learner(60), pipeline, "aaaa")[:-32]
    body = body[:6] + b"\x05\x00" + body[8:]
    with pytest.raises(SnapshotRefused, match="has format 5"):
        snapshot.loads(body + hashlib.sha256(body).digest(), pipeline, "aaaa")


def test_another_lineage_is_refused() -> None:
    with pytest.raises(SnapshotRefused, match="bbbb"):
        snapshot.loads(snapshot.dumps(learner(60), pipeline, "bbbb"), pipeline, "aaaa")


def test_with_a_key_only_what_is_signed_with_it_is_read() -> None:
    plain, signed = (snapshot.dumps(learner(60), pipeline, "aaaa", key) for key in ("", "mine"))
    assert snapshot.loads(signed, pipeline, "aaaa", "mine").version == 60
    assert snapshot.loads(signed, pipeline, "aaaa").version == 60
    for data, key in ((plain, "mine"), (signed, "other")):
        with pytest.raises(SnapshotRefused, match="not signed"):
            snapshot.loads(data, pipeline, "aaaa", key)
    with pytest.raises(SnapshotRefused, match="not signed"):
        snapshot.loads((GOLDEN / "digits-format1.snapshot").read_bytes(), pipeline, "golden", "mine")


def test_nothing_is_decoded_before_it_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    data = snapshot.dumps(learner(60), pipeline, "aaaa", "mine")
    monkeypatch.setattr("skops.io.loads", decode)
    monkeypatch.setattr("msgspec.json.decode", decode)
    for bad, key in ((data[:500] + b"?" + data[501:], "mine"), (data, "other")):
        with pytest.raises(SnapshotRefused):
            snapshot.loads(bad, pipeline, "aaaa", key)


def test_an_older_snapshot_of_the_digits_is_read_and_learns_on_the_same() -> None:
    older = snapshot.loads((GOLDEN / "digits-format1.snapshot").read_bytes(), pipeline, "golden")
    assert older.version == 300
    assert [answer["predict_y"] for answer in older.answer(records(5, seed=8))] == [8, 2, 0, 9, 6]
    more = records(50, seed=9)
    again, digits = first.new_learner(), records(300)
    for end in (100, 200, 300):
        predict_then_learn(again, digits[end - 100 : end], end)
    assert predict_then_learn(older, more, 350) == predict_then_learn(again, more, 350)
    np.testing.assert_array_equal(older.model.coef_, again.model.coef_)


def test_a_snapshot_that_these_libraries_cannot_read_says_who_wrote_it() -> None:
    """scikit-learn 1.6 kept its loss function under another name; such a model is rebuilt from Kafka."""
    data = (GOLDEN / "digits-sklearn-1.6.snapshot").read_bytes()
    with pytest.raises(
        SnapshotRefused, match=r"written by scikit-learn 1.6.1 \(installed is .*CyHalfBinomialLoss"
    ):
        snapshot.loads(data, pipeline, "golden")


@pytest.mark.parametrize("number", [1, 2])
def test_older_snapshots_of_the_forecast_are_read(number: int) -> None:
    pm25 = load("pm25")
    data = (GOLDEN / f"pm25-format{number}.snapshot").read_bytes()
    older = snapshot.loads(data, pm25, "golden")
    assert older.version == 60
    assert snapshot.loads(snapshot.dumps(older, pm25, "a"), pm25, "a").version == 60
    (answer,) = older.answer([])
    assert answer["forecast"]["24"] == pytest.approx(266.27886124060876, rel=1e-12)


def test_learners_that_differ_are_told_apart_by_their_parts() -> None:
    first, other = learner(300, cuts=[100]), learner(300, cuts=[100])
    assert snapshot.find_differences(first, other) == []
    other.model.coef_[3, 40] += 1e-9
    other.score.right += 1
    assert snapshot.find_differences(first, other) == ["score.right", "state.model.coef_"]


UNPICKLING = """
import sys
lookups = []
sys.addaudithook(lambda event, args: lookups.append(args) if event == "pickle.find_class" else None)
from pathlib import Path
from streamlearn.storage import snapshot
from streamlearn.pipelines.registry import load
lookups.clear()  # libraries may unpickle when they are imported
for name in ("digits", "pm25"):
    data = Path(f"tests/golden/{name}-format1.snapshot").read_bytes()
    learner = snapshot.loads(data, load(name), "golden")
    snapshot.loads(snapshot.dumps(learner, load(name), "golden"), load(name), "golden")
print(len(lookups))
import pickle
pickle.loads(pickle.dumps(Path))
print(len(lookups))
"""


def test_no_snapshot_is_unpickled() -> None:
    """Python's audit hook gets every class that pickle looks up; the last line shows that it works."""
    process = subprocess.run(
        [sys.executable, "-c", UNPICKLING], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert process.stdout == "0\n1\n"
