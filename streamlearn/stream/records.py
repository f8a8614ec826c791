"""Wire records ⇄ typed structs: what comes out of a topic and what goes into one (JSON, msgspec).

A record that cannot be read becomes a dead letter: the bytes as received, where they stood, and why.
Which fields a pipeline's records have is in `pipelines/`; what each is answered is in `engine/answering.py`.
"""

import base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import is_
from typing import Any, TypeVar

import msgspec

from streamlearn.errors import BadRecord, NotSupported
from streamlearn.learning.labels_later import ANSWER_GIVEN

DEAD_LETTER_SUFFIX = ".dead_letter"
CONTROL_SUFFIX = ".control"

MAX_RECORD_BYTES = 1 << 20
"""The largest record that a pipeline takes (1 MiB). Kafka's own limit is on what it gets compressed."""

encode = msgspec.json.Encoder().encode

_ANSWER_GIVEN = f'"{ANSWER_GIVEN}"'.encode()

T = TypeVar("T")

MAX_EXACT = 2**53
"""Up to here, floats hold every whole number."""


def check_size(value: bytes) -> bytes:
    """Return a record's bytes if a pipeline takes so many.

    Raises
    ------
    BadRecord
        There are more than 1 MiB of them.
    """
    if len(value) > MAX_RECORD_BYTES:
        raise BadRecord(f"the value of {len(value)} bytes is over the limit of {MAX_RECORD_BYTES}")
    return value


class DeadLetter(msgspec.Struct, rename={"version": "model_version"}):
    """A record that was not learned.

    `version` and `lineage` tell at which version of the learner it stood. `value` is base64, as the bytes may
    be anything, or null as it was; of a value over the limit it is the first MiB. `length` is how many bytes
    were received.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    value: str | None
    length: int
    version: int
    lineage: str


class Stamp(msgspec.Struct, rename={"version": "model_version"}, gc=False):
    """Where a record stood and which model answered it; every answer carries these fields."""

    partition: int
    offset: int
    version: int
    lineage: str


_STAMP_FIELDS = Stamp.__struct_encode_fields__


class Codec:
    """Reads the records of one pipeline and writes its predictions.

    Parameters
    ----------
    record
        The struct that a record must fit.
    passthrough_fields
        The fields of the record that its prediction repeats, byte for byte as received.
    answer_fields
        The fields that the learner adds, such as `predict_y`.
    late_label
        The struct of records that hold a label alone, if there may be such.
    answered
        The struct of records that come with the answer that was given, if there may be such.
    """

    def __init__(
        self,
        record: type[Any],
        passthrough_fields: Sequence[str],
        answer_fields: Sequence[str],
        late_label: type[Any] | None = None,
        answered: type[Any] | None = None,
    ) -> None:
        self._decode_answered = msgspec.json.Decoder(answered).decode if answered else None
        self._decode_late_label = msgspec.json.Decoder(late_label).decode if late_label else None
        self._decode_strictly = msgspec.json.Decoder(record).decode
        _check_names(passthrough_fields, answer_fields)
        # A field's name in JSON, such as "PM2.5", need not be one in Python.
        attributes = {f"field_{number}": name for number, name in enumerate(passthrough_fields)}
        fields = [(attribute, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for attribute in attributes]
        self._passthrough = msgspec.json.Decoder(
            msgspec.defstruct("Passthrough", fields, rename=attributes, gc=False)
        )
        names = (*attributes, *answer_fields, *_STAMP_FIELDS)
        self._prediction = msgspec.defstruct(
            "Prediction", [(name, Any, msgspec.UNSET) for name in names], rename=attributes, gc=False
        )

    def decode(self, value: bytes | None, *, whole_numbers: bool = True) -> Any:
        """Read one record.

        `whole_numbers`: whether a field of type int takes 7.0 for 7. A lineage that has begun without goes on
        without: see `stream/lineage.py`.

        Raises
        ------
        BadRecord
            `value` is null, is not JSON, or does not fit the record type.
        """
        if value is None:
            raise BadRecord("the value is null")
        check_size(value)
        try:
            if self._decode_answered is not None and _ANSWER_GIVEN in value:
                # If the record does not fit, the field is another program's: decode it as an ordinary record.
                # Lineages without `whole_numbers` began before there were answered records and late labels.
                with suppress(msgspec.ValidationError):
                    return decode_whole_numbers(value, self._decode_answered)
            try:
                return self._decode_strictly(value)
            except msgspec.ValidationError:
                if self._decode_late_label is not None:
                    with suppress(msgspec.ValidationError):
                        return decode_whole_numbers(value, self._decode_late_label)
                if not whole_numbers:
                    raise
                return decode_whole_numbers(value, self._decode_strictly)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRecord(str(error) or "the value cannot be decoded") from error

    def encode(self, value: bytes, answer: dict[str, Any], stamp: Stamp) -> bytes:
        """Write the prediction for a record that `decode` has accepted."""
        return encode(
            self._prediction(
                *msgspec.structs.astuple(self._passthrough.decode(value)),
                **answer,
                partition=stamp.partition,
                offset=stamp.offset,
                model_version=stamp.version,
                lineage=stamp.lineage,
            )
        )


def decode_whole_numbers(value: bytes, decode: Callable[[bytes], T]) -> T:
    """Decode JSON by `decode`, a decoder that checks types; where it wants an integer, 7.0 is one.

    Raises
    ------
    msgspec.DecodeError, UnicodeDecodeError, RecursionError
        The value is not JSON, or does not fit the type.

    >>> decode_whole_numbers(b"[7.0, 8]", msgspec.json.Decoder(list[int]).decode)
    [7, 8]
    """
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        try:
            plain = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise error from None
        return retry_with_whole_numbers(error, plain, lambda whole: decode(encode(whole)))


def retry_with_whole_numbers(error: msgspec.ValidationError, value: Any, attempt: Callable[[Any], T]) -> T:
    """Call `attempt`, which has failed with `error` for a JSON value, with its whole floats as integers.

    Raises
    ------
    msgspec.ValidationError
        It fails again. Of two errors at one place it is the first: that one names what was sent.
    """
    whole = make_whole(value)
    if whole is value:
        raise error
    try:
        return attempt(whole)
    except msgspec.ValidationError as second:
        raise (error if _find_place(error) == _find_place(second) else second) from None


def _find_place(error: msgspec.ValidationError) -> str:
    """Return where in a value an error is, such as `$.rooms`; empty for the value as a whole."""
    _, separator, place = str(error).rpartition(" - at ")
    return place if separator else ""


def make_whole(value: Any) -> Any:
    """Return a JSON value with an integer in place of each whole float; the value itself if it has none.

    Beyond 2⁵³ floats stay: which integer was meant is not known.

    >>> make_whole({"rooms": 3.0, "area": 61.5})
    {'rooms': 3, 'area': 61.5}
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= MAX_EXACT else value
    if isinstance(value, list):
        items = [make_whole(item) for item in value]
        return value if all(map(is_, items, value)) else items
    if isinstance(value, dict):
        fields = {name: make_whole(item) for name, item in value.items()}
        return value if all(map(is_, fields.values(), value.values())) else fields
    return value


def _check_names(passthrough_fields: Sequence[str], answer_fields: Sequence[str]) -> None:
    """Raise `NotSupported` if a prediction would have two fields of one name."""
    names = [*passthrough_fields, *answer_fields, *_STAMP_FIELDS]
    for name in passthrough_fields:
        if names.count(name) > 1:
            raise NotSupported(
                f"the passthrough field {name!r} is also a field of every prediction: leave it out of"
                " passthrough_fields, or rename it in the record"
            )


def encode_dead_letter(topic: str, value: bytes | None, stamp: Stamp, error: BadRecord) -> bytes:
    """Write the dead letter for a record that could not be taken."""
    kept = None if value is None else base64.b64encode(value[:MAX_RECORD_BYTES]).decode("ascii")
    return encode(
        DeadLetter(
            topic=topic,
            partition=stamp.partition,
            offset=stamp.offset,
            reason=str(error),
            value=kept,
            length=len(value or b""),
            version=stamp.version,
            lineage=stamp.lineage,
        )
    )
