"""What the bytes of a record that is no JSON look like: a hint beside the reason in its dead letter.

The reason itself stays as it is, since `verify` compares it. A hint is made when it is shown.
"""

import re

_COMPRESSED = "let the producer compress its batches (compression.type), not each value"
_PLAIN = "records must be plain JSON"
_BEGINNINGS = (
    (b"\xef\xbb\xbf", "with a byte order mark: send UTF-8 without it"),
    (b"\xff\xfe", "as UTF-16 does: send UTF-8"),
    (b"\xfe\xff", "as UTF-16 does: send UTF-8"),
    (b"\x1f\x8b", f"as gzip does: {_COMPRESSED}"),
    (b"\x28\xb5\x2f\xfd", f"as zstd does: {_COMPRESSED}"),
    (b"\x04\x22\x4d\x18", f"as lz4 does: {_COMPRESSED}"),
    (b"\xff\x06\x00\x00sNaPpY", f"as snappy does: {_COMPRESSED}"),
    (b"\x82SNAPPY\x00", f"as snappy does: {_COMPRESSED}"),
    (b"Obj\x01", f"as an Avro file does: {_PLAIN}"),
    (b"PAR1", f"as a Parquet file does: {_PLAIN}"),
    (b"\xac\xed\x00\x05", f"as what Java serializes: {_PLAIN}"),
    (b"\x80\x04\x95", f"as a pickle does: {_PLAIN}"),
    (b"<", f"as XML does: {_PLAIN}"),
    (b"{'", "as a Python dict prints: JSON has double quotes, as json.dumps writes them"),
)
_WIDE = re.compile(rb"\s*(?:[{\[]\0|\0+[{\[])")
_NOT_A_NUMBER = re.compile(rb"[:,\[]\s*(-?(?:NaN|Infinity))\s*[,}\]]")
_SEVERAL = re.compile(rb"\}\s*\{")
NONE_OF_THE_FIELDS = "it has none of the fields"
"""What a drafted record type says of a record of another kind."""
_ENVELOPE = re.compile(rb'"(after|before|payload|data|record|value)"\s*:\s*\{')


def explain_reason(reason: str, value: bytes | None) -> str:
    r"""Return a dead letter's reason, with a hint where its bytes show what they are.

    `value` is the record, or its beginning.

    >>> explain_reason("JSON is malformed", b"\0\0\0\0\7{}")[:44]
    'JSON is malformed (it begins with a zero byt'
    >>> explain_reason("JSON is malformed", b'{"a": NaN}')
    'JSON is malformed (JSON has no NaN: a missing number is null)'
    """
    hint = _find_hint(reason, value or b"")
    return f"{reason} ({hint})" if hint else reason


def _find_hint(reason: str, value: bytes) -> str:
    if reason.startswith(("Object missing required field", NONE_OF_THE_FIELDS)):
        envelope = _ENVELOPE.search(value)
        return (
            f"its fields may be those in {envelope[1].decode()!r}: records must be flat; of change events"
            " send the row alone, as Debezium's ExtractNewRecordState does"
            if envelope
            else ""
        )
    if reason == "Expected `object`, got `str`" and value.startswith(b'"{'):
        return "it is JSON within a JSON text: it has been encoded twice"
    if "malformed" not in reason:
        return ""
    if "trailing characters" in reason and _SEVERAL.search(value):
        return "there are several objects: a message is one record"
    for beginning, what in _BEGINNINGS:
        if value.startswith(beginning):
            return f"it begins {what}"
    if _WIDE.match(value):
        return "it looks like UTF-16 or UTF-32: send UTF-8"
    if value.startswith(b"\0") and len(value) > 5:
        return (
            f"it begins with a zero byte and an id, as what a schema registry's serializer writes: {_PLAIN}"
        )
    number = _NOT_A_NUMBER.search(value)
    return f"JSON has no {number[1].decode()}: a missing number is null" if number else ""
