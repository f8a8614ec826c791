"""Control records: what changes a lineage from outside stands in its input topic, ordered among the data.

    {"streamlearn_control": {"kind": "rollback", "lineage": "…", "version": 1200}, "mac": "…"}

The job obeys one where it stands, and so does `streamlearn verify`. `mac` is the HMAC-SHA256 of the inner
object's bytes with STREAMLEARN_CHECKPOINT_KEY; without that key no control record is sent or obeyed. One that
is refused is a dead letter, like every record that cannot be taken.
"""

import hmac

import msgspec

from streamlearn.errors import BadRecord, BadSetting

_PREFIX = b'{"streamlearn_control":'
_CONTEXT = b"streamlearn control record\0"


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="rollback"):
    """From here on, go on as the learner was at `version` of `lineage`."""

    lineage: str
    version: int


class Obeyed(msgspec.Struct, rename={"version": "model_version"}):
    """What the topic `<input>.control` says of a control record that was obeyed."""

    control: Rollback
    partition: int
    offset: int
    version: int
    """The version until then; the next one is `offset + 1`."""
    lineage: str


class _Signed(msgspec.Struct, forbid_unknown_fields=True):
    streamlearn_control: msgspec.Raw
    mac: str


def is_control(value: bytes | None) -> bool:
    """Whether a record is to be taken as a control record."""
    return value is not None and value.startswith(_PREFIX)


def sign(control: Rollback, key: str) -> bytes:
    """Write a control record.

    Raises
    ------
    BadSetting
        There is no key to sign with.
    """
    if not key:
        raise BadSetting("control records are signed: set STREAMLEARN_CHECKPOINT_KEY, for the job as well")
    body = msgspec.json.encode(control)
    return _PREFIX + body + b',"mac":"' + _mac(body, key).encode() + b'"}'


def read(value: bytes, key: str) -> Rollback:
    """Read a control record.

    Raises
    ------
    BadRecord
        It is not signed with `key`, or cannot be understood.
    """
    if not key:
        raise BadRecord("a control record, but no STREAMLEARN_CHECKPOINT_KEY is set to check it with")
    try:
        signed = msgspec.json.decode(value, type=_Signed)
        if not hmac.compare_digest(
            signed.mac.encode(), _mac(bytes(signed.streamlearn_control), key).encode()
        ):
            raise BadRecord("a control record whose signature is not of this key")
        return msgspec.json.decode(signed.streamlearn_control, type=Rollback)
    except msgspec.DecodeError as error:
        raise BadRecord(f"a control record that cannot be understood: {error}") from error


def _mac(body: bytes, key: str) -> str:
    return hmac.new(key.encode(), _CONTEXT + body, "sha256").hexdigest()
