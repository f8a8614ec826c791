import subprocess
import sys

import numpy as np
import pytest
from helpers import learner, records

from streamlearn import checkpoint
from streamlearn.errors import SnapshotRefused
from streamlearn.pipelines.digits import pipeline

ROUND_TRIP = """
import sys
sys.path.insert(0, "tests")
from helpers import learner
from streamlearn import checkpoint
from streamlearn.pipelines.digits import pipeline
sys.stdout.write(checkpoint.digest(checkpoint.dumps(learner(300, cuts=[90]), pipeline, "aaaa")))
"""


def test_a_learner_comes_back_whole_and_learns_on_the_same() -> None:
    first = learner(300, cuts=[100])
    second = checkpoint.loads(checkpoint.dumps(first, pipeline, "aaaa"), pipeline, "aaaa")
    assert (second.version, second.score, second.parameters) == (300, first.score, first.parameters)
    more = records(200, seed=11)
    assert first.test_then_train(more, 500) == second.test_then_train(more, 500)
    np.testing.assert_array_equal(first.model.coef_, second.model.coef_)
    assert checkpoint.dumps(first, pipeline, "aaaa") == checkpoint.dumps(second, pipeline, "aaaa")


def test_a_learner_without_a_model_comes_back_without_one() -> None:
    assert not checkpoint.loads(checkpoint.dumps(learner(), pipeline, "aaaa"), pipeline, "aaaa").trained


def test_the_same_state_has_the_same_digest_in_another_process() -> None:
    here = checkpoint.digest(checkpoint.dumps(learner(300, cuts=[90]), pipeline, "aaaa"))
    done = subprocess.run([sys.executable, "-c", ROUND_TRIP], capture_output=True, text=True, check=True)
    assert done.stdout == here
    assert here != checkpoint.digest(checkpoint.dumps(learner(300, cuts=[91]), pipeline, "aaaa"))


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
        checkpoint.loads(damage(checkpoint.dumps(learner(60), pipeline, "aaaa")), pipeline, "aaaa")


def test_a_newer_format_says_so() -> None:
    import hashlib

    body = checkpoint.dumps(learner(60), pipeline, "aaaa")[:-32]
    body = body[:6] + b"\x02\x00" + body[8:]
    with pytest.raises(SnapshotRefused, match="has format 2"):
        checkpoint.loads(body + hashlib.sha256(body).digest(), pipeline, "aaaa")


def test_another_lineage_is_refused() -> None:
    with pytest.raises(SnapshotRefused, match="bbbb"):
        checkpoint.loads(checkpoint.dumps(learner(60), pipeline, "bbbb"), pipeline, "aaaa")
