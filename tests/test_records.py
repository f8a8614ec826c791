"""Records as they are read: where an integer is wanted, a whole float is one; reasons stay as they were."""

import base64
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from streamlearn.errors import BadRecord
from streamlearn.stream.records import Codec, explain_reason


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
    ("value", "is_explained"),
    [(b"\0\0\0\0\7{}", True), (b"{}", False), (b"", False), (b"\0", False), (b"\1\0\0\0\0\0\0", False)],
)
def test_what_a_schema_registry_puts_before_a_record_is_explained(value: bytes, is_explained: bool) -> None:
    explained = explain_reason("malformed", base64.b64encode(value).decode())
    assert explained.startswith("malformed")
    assert ("schema registry" in explained) is is_explained
    assert explain_reason("the value is null", None) == "the value is null"
