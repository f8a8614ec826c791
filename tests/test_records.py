"""Records as they are read: where an integer is wanted, a whole float is one; reasons stay as they were."""

import gzip
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from streamlearn.errors import BadRecord
from streamlearn.stream.explanations import explain_reason
from streamlearn.stream.records import Codec, encode


class Room(msgspec.Struct):
    """Fields of several types."""

    number: int
    floor: Annotated[int, Meta(ge=0, le=9)] | None = None
    side: Literal[1, 2] = 1
    sizes: list[int] = []
    name: str = ""
    area: float = 0.0


CODEC = Codec(Room, (), ("predict_y",))


@pytest.mark.parametrize(
    ("value", "room"),
    [
        (b'{"number": 7.0}', Room(7)),
        (b'{"number": 7e2, "floor": 3.0, "side": 2.0}', Room(700, 3, 2)),
        (b'{"number": -0.0, "sizes": [1.0, 2], "area": 2.0}', Room(0, sizes=[1, 2], area=2.0)),
        (b'{"number": 9007199254740992.0, "floor": null}', Room(2**53)),
    ],
)
def test_a_whole_float_is_an_integer_where_one_is_wanted(value: bytes, room: Room) -> None:
    assert CODEC.decode(value) == room
    with pytest.raises(BadRecord, match="got `float`"):
        CODEC.decode(value, whole_numbers=False)


@pytest.mark.parametrize(
    "value",
    [
        b'{"number": 7.5}',
        b'{"number": 1e300}',
        b'{"number": 1e400}',
        b'{"number": 18014398509481984.0}',
        b'{"number": 7, "floor": 70.0}',
        b'{"number": 7, "name": 7.0}',
        b'{"number": "7"}',
        b'{"number": true}',
        b'{"number": 7.0, "floor": 3.0',
        b'{"number": "x", "area": 1.0, }',
        b"[7.0]",
        b"7.0",
        b'{"area": 7.0}',
    ],
)
def test_what_does_not_fit_has_the_same_reason_as_ever(value: bytes) -> None:
    reasons: list[Any] = []
    for whole_numbers in (True, False):
        with pytest.raises(BadRecord) as refused:
            CODEC.decode(value, whole_numbers=whole_numbers)
        reasons.append(str(refused.value))
    assert reasons[0] == reasons[1]


def test_the_reason_is_what_is_wrong_beside_a_whole_float() -> None:
    with pytest.raises(BadRecord, match=r"Expected `str`, got `int` - at `\$.name`"):
        CODEC.decode(b'{"number": 7.0, "name": 5}')


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (b"\0\0\0\0\7{}", "a schema registry's serializer"),
        (b"\0\0\0\0\7\2\4xy", "a schema registry's serializer"),
        (b"\0", ""),
        (b"", ""),
        (b"\xef\xbb\xbf{}", "a byte order mark"),
        ("{}".encode("utf-16"), "as UTF-16 does"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16 or UTF-32"),
        ('{"a": 1}'.encode("utf-32-be"), "UTF-16 or UTF-32"),
        (gzip.compress(b"{}", mtime=0), "as gzip does: let the producer compress its batches"),
        (b"\x28\xb5\x2f\xfdxx", "as zstd does"),
        (b"\x82SNAPPY\0\0", "as snappy does"),
        (b"\x04\x22\x4d\x18xx", "as lz4 does"),
        (b"Obj\x01\4\x14avro.codec", "as an Avro file does"),
        (b"<row/>", "as XML does"),
        (str({"a": 1}).encode(), "as a Python dict prints"),
        (b'{"a": NaN, "b": 1}', "JSON has no NaN"),
        (b'{"a": [1, -Infinity]}', "JSON has no -Infinity"),
        (b'{"text": "an NaN, a", "a": }', ""),
        (b'{"before": null, "after": {"number": 7, "name": "x"}, "op": "c"}', "those in 'after'"),
        (b'{"schema": {}, "payload": {"number": 7, "name": "x"}}', "those in 'payload'"),
        (b'{"number": "7"}', ""),
        (encode('{"number": 7}'), "encoded twice"),
        (b'"number"', ""),
        (b'{"number": 7}\n{"number": 8}', "there are several objects"),
        (b'{"number": 7}}', ""),
    ],
)
def test_what_cannot_be_read_is_explained_by_how_it_begins(value: bytes, hint: str) -> None:
    with pytest.raises(BadRecord) as refused:
        CODEC.decode(value)
    reason = str(refused.value)
    explained = explain_reason(reason, value)
    assert explained.startswith(reason)
    assert hint in explained
    assert (explained == reason) is (not hint)
    assert explain_reason("the value is null", None) == "the value is null"
