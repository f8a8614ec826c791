import base64
import json

import pytest

from streamlearn.errors import BadRecord
from streamlearn.pipelines.digits import pipeline
from streamlearn.stream import records

STAMP = records.Stamp(partition=0, offset=7, version=5, lineage="abc")
GOOD = {"ts": "2026-01-01 00:00:00", "x": [0, 16] * 32, "actual_y": 3}


def test_a_prediction_repeats_the_record_as_it_was_sent() -> None:
    value = json.dumps({**GOOD, "x": [0, 1.50, 16] + [2] * 61, "more": "ignored"}).encode()
    pipeline.codec.decode(value)
    written = pipeline.codec.encode(value, {"predict_y": 4}, STAMP)
    assert json.loads(written) == {
        **GOOD,
        "x": [0, 1.5, 16] + [2] * 61,
        "predict_y": 4,
        "partition": 0,
        "offset": 7,
        "model_version": 5,
        "lineage": "abc",
    }
    assert b'"x":[0, 1.5, 16' in written


def test_fields_that_a_record_lacks_are_absent_from_its_prediction() -> None:
    value = json.dumps({"x": GOOD["x"]}).encode()
    written = json.loads(pipeline.codec.encode(value, {"predict_y": None}, STAMP))
    assert "actual_y" not in written
    assert "ts" not in written
    assert written["predict_y"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": [0] * 63}, "64"),
        ({"x": [0] * 65}, "64"),
        ({"x": [17] + [0] * 63}, "<= 16"),
        ({"x": [-0.1] + [0] * 63}, ">= 0"),
        ({"x": ["0"] + [0] * 63}, "str"),
        ({"x": None}, "null"),
        ({"actual_y": 10}, "<= 9"),
        ({"actual_y": 1.5}, "int"),
        ({"actual_y": False}, "bool"),
        ({"ts": 5}, "str"),
    ],
)
def test_a_record_that_does_not_fit_says_why(change: dict[str, object], reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        pipeline.codec.decode(json.dumps({**GOOD, **change}).encode())


@pytest.mark.parametrize("value", [None, b"", b"{", b"null", b"3", b"\xff", b"[" * 10_000, b'{"x": [NaN]}'])
def test_bytes_that_are_no_record_are_refused(value: bytes | None) -> None:
    with pytest.raises(BadRecord):
        pipeline.codec.decode(value)


def test_a_dead_letter_keeps_the_bytes_as_received() -> None:
    stamp = records.Stamp(partition=0, offset=9, version=7, lineage="aaaa")
    letter = json.loads(records.encode_dead_letter("t", b"\xff\x00", stamp, BadRecord("why")))
    assert base64.b64decode(letter.pop("value")) == b"\xff\x00"
    assert letter == {
        **{"topic": "t", "partition": 0, "offset": 9, "reason": "why", "length": 2},
        **{"model_version": 7, "lineage": "aaaa"},
    }
    assert json.loads(records.encode_dead_letter("t", None, stamp, BadRecord("why")))["value"] is None
