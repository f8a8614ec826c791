"""What other people's producers write: each record is answered, or a dead letter with one line of reason."""

import gzip
import json
import struct
import zlib
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from streamlearn.engine.answering import Answering, cut_into_chunks
from streamlearn.errors import LineageError
from streamlearn.estimators import Standardized
from streamlearn.learning import Columns, Tabular
from streamlearn.learning.learner import Learner
from streamlearn.pipelines import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.ports import Input, Output


class Sale(msgspec.Struct, kw_only=True):
    """A record as `streamlearn init` drafts it."""

    size: Annotated[float, Meta(ge=0, le=1000)] | None = None
    shop: str | None = None
    at: datetime
    note: str | None = None
    paid: bool | None = None
    kind: Literal["p", "q"] | None = None


SALES = Pipeline(
    name="sales",
    topic="sales",
    prediction_topic="sales_predict",
    record=Sale,
    learning=Tabular(
        features=Columns(
            numbers=("size", "paid"),
            categories={"shop": ("u", "v")},
            texts={"note": 16},
            times={"at": "iso"},
        ),
        label="kind",
        estimator=Standardized,
        classes=("p", "q"),
    ),
    parameters={"estimator": "PartlyLinearSoftmax", "parameters": {"units": 20}},
    passthrough_fields=("at", "size"),
)
SALE = {"size": 3.5, "shop": "u", "at": "2026-01-02T10:00:00", "note": "two words", "paid": True, "kind": "p"}
GOOD = [
    json.dumps({**SALE, "size": n % 9, "kind": "pq"[n % 9 > 4], "shop": "uv"[n % 2]}).encode()
    for n in range(60)
]


def write(**changes: Any) -> bytes:
    return json.dumps({**SALE, **changes}).encode()


def write_raw(name: str, text: str) -> bytes:
    """Write a record in which one field stands as it is."""
    rest = json.dumps({key: value for key, value in SALE.items() if key != name})
    return f'{rest[:-1]}, "{name}": {text}}}'.encode()


PLAIN = json.dumps(SALE)
ANSWERED: dict[str, bytes] = {
    "white space around it": b" \t" + PLAIN.encode() + b"\r\n",
    "keys with escapes": PLAIN.replace('"size"', '"\\u0073ize"').encode(),
    "a key twice": PLAIN.encode()[:-1] + b', "size": 5}',
    "minus zero": write_raw("size", "-0.0"),
    "an exponent": write_raw("size", "1E+2"),
    "sixty digits": write_raw("size", "3." + "1" * 60),
    "too small for a float": write_raw("size", "1e-400"),
    "a missing number": write(size=None),
    "a zone": write(at="2026-01-02T10:00:00+14:00"),
    "an unknown zone": write(at="2026-01-02T10:00:00-00:00"),
    "nanoseconds": write(at="2026-01-02T10:00:00.123456789"),
    "the first year": write(at="0001-01-01T00:00:00+14:00"),
    "the last year": write(at="9999-12-31T23:59:59-14:00"),
    "a shop that is new": write(shop="a shop that is new"),
    "a text of half a million words": write(note="x " * 500_000),
    "a text with a zero": write(note="a\0b"),
    "a line separator": write(note="\u2028"),
    "no label": write(kind=None),
    "twenty thousand other fields": write(**{f"field {n}": n for n in range(20_000)}),
}
SET_ASIDE: dict[str, tuple[bytes | None, str]] = {
    "a tombstone": (None, "the value is null"),
    "nothing": (b"", "Input data was truncated"),
    "null": (b"null", "Expected `object`, got `null`"),
    "a list of records": (b"[" + PLAIN.encode() + b"]", "Expected `object`, got `array`"),
    "several records": (PLAIN.encode() + b"\n" + PLAIN.encode(), "trailing characters"),
    "encoded twice": (json.dumps(PLAIN).encode(), "Expected `object`, got `str`"),
    "a change event": (json.dumps({"before": None, "after": SALE, "op": "c"}).encode(), "field `at`"),
    "a change event with its schema": (json.dumps({"schema": {}, "payload": SALE}).encode(), "field `at`"),
    "a cloud event": (json.dumps({"specversion": "1.0", "data": SALE}).encode(), "field `at`"),
    "keys in capitals": (json.dumps({key.upper(): SALE[key] for key in SALE}).encode(), "field `at`"),
    "a byte order mark": (b"\xef\xbb\xbf" + PLAIN.encode(), "malformed"),
    "UTF-16": (PLAIN.encode("utf-16"), "malformed"),
    "UTF-32 without a mark": (PLAIN.encode("utf-32-le"), "malformed"),
    "Latin-1": (write(note="x").replace(b'"x"', b'"\xfc"'), "utf-8"),
    "half of a pair": (write(note="x").replace(b'"x"', b'"\\ud800"'), "surrogate"),
    "gzip": (gzip.compress(PLAIN.encode()), "malformed"),
    "zlib": (zlib.compress(PLAIN.encode()), "malformed"),
    "zstd": (b"\x28\xb5\x2f\xfd" + b"x" * 20, "malformed"),
    "snappy": (b"\x82SNAPPY\0" + b"x" * 20, "malformed"),
    "an Avro file": (b"Obj\1" + b"x" * 20, "malformed"),
    "a registry's prefix": (b"\0\0\0\0\7" + PLAIN.encode(), "malformed"),
    "Protobuf": (b"\x0a\x03abc\x10\x05", "malformed"),
    "MessagePack": (msgspec.msgpack.encode(SALE), "malformed"),
    "BSON": (struct.pack("<i", 30) + b"\2a\0" + b"x" * 23, "malformed"),
    "CSV": (b"1,2,3", "Expected `object`, got `int`"),
    "XML": (b"<sale/>", "malformed"),
    "a Python dict": (str(SALE).encode(), "malformed"),
    "NaN": (write_raw("size", "NaN"), "malformed"),
    "minus infinity": (write_raw("size", "-Infinity"), "malformed"),
    "1e999": (write_raw("size", "1e999"), "out of range"),
    "four hundred digits": (write_raw("size", "9" * 400), "out of range"),
    "a number over its bound": (write_raw("size", "1e308"), "<= 1000"),
    "hexadecimal": (write_raw("size", "0x10"), "malformed"),
    "a leading zero": (write_raw("size", "01"), "malformed"),
    "a number as text": (write(size="5.5"), "got `str` - at `$.size`"),
    "a decimal comma": (write(size="5,5"), "got `str` - at `$.size`"),
    "a boolean for a number": (write(size=True), "got `bool` - at `$.size`"),
    "a boolean as 0": (write(paid=0), "got `int` - at `$.paid`"),
    "a boolean as text": (write(paid="true"), "got `str` - at `$.paid`"),
    "milliseconds": (write(at=1767222000000), "got `int` - at `$.at`"),
    "a leap second": (write(at="2016-12-31T23:59:60Z"), "datetime - at `$.at`"),
    "a day that was not": (write(at="2025-02-29T00:00:00"), "datetime - at `$.at`"),
    "a date alone": (write(at="2026-01-02"), "datetime - at `$.at`"),
    "a label that is new": (write(kind="r"), "'r' - at `$.kind`"),
    "a label with spaces": (write(kind=" p "), "' p ' - at `$.kind`"),
    "a label of another type": (write(kind=1), "got `int` - at `$.kind`"),
    "a list for a label": (write(kind=["p"]), "got `array` - at `$.kind`"),
    "more than a megabyte": (write(note="x" * (1 << 20)), "over the limit"),
    "lists in lists": (write_raw("other", "[" * 5000 + "]" * 5000), "recursion"),
    "objects in objects": (write_raw("other", '{"a":' * 5000 + "1" + "}" * 5000), "recursion"),
}


def answer(values: list[bytes | None]) -> tuple[Learner, list[Output]]:
    def find_no_version(version: int) -> Learner:
        raise LineageError(str(version))

    answering, learner = Answering(SALES, "aaaa", "", find_no_version), SALES.new_learner()
    outputs: list[Output] = []
    rows = [Input(0, offset, value) for offset, value in enumerate(values)]
    for chunk in cut_into_chunks(rows, 16):
        learner, answers = answering.answer(learner, chunk)
        outputs += answers
    return learner, outputs


@pytest.mark.parametrize("name", list(ANSWERED))
def test_what_is_odd_and_right_is_answered(name: str) -> None:
    _, outputs = answer([*GOOD, ANSWERED[name], *GOOD])
    assert [output.topic for output in outputs] == ["sales_predict"] * 121
    assert json.loads(outputs[60].value)["predict_y"] in ("p", "q")


def test_what_cannot_be_read_is_set_aside_with_its_reason_and_leaves_no_trace() -> None:
    values = [value for value, _ in SET_ASIDE.values()]
    learner, outputs = answer([*GOOD[:16], *values, *[None] * (-len(values) % 16), *GOOD[16:]])
    letters = outputs[16 : 16 + len(values)]
    for (name, (_, words)), letter in zip(SET_ASIDE.items(), letters, strict=True):
        assert letter.topic == "sales.dead_letter", name
        reason = json.loads(letter.value)["reason"]
        assert words in reason, name
        assert len(reason.splitlines()) == 1, name
    plain, without = answer([*GOOD])
    learner.version = plain.version
    assert snapshot.dumps(learner, SALES, "aaaa") == snapshot.dumps(plain, SALES, "aaaa")
    answers = [json.loads(output.value) for output in outputs if output.topic == "sales_predict"]
    predicted = [answer["predict_y"] for answer in answers]
    assert predicted == [json.loads(output.value)["predict_y"] for output in without]
