"""Control records: what changes a lineage from outside stands in its input topic, ordered among the data.

    {"streamlearn_control": {"kind": "rollback", "lineage": "…", "version": 1200}, "mac": "…"}
    {"streamlearn_control": {"kind": "lags", "lineage": "…", "lags": {"dew": [0, 3], …}}, "mac": "…"}

The job obeys one where it stands, and so does `streamlearn verify`. `mac` is the HMAC-SHA256 of the inner
object's bytes with STREAMLEARN_CHECKPOINT_KEY; without that key no control record is sent or obeyed. One that
is refused is a dead letter, like every record that cannot be taken.

`Rollback` is obeyed by `streamlearn/engine/answering.py`; every other kind has a `setting` and a `value` and
goes through `Learner.change_setting`.
"""

import hmac
from collections.abc import Callable
from typing import ClassVar

import msgspec

from streamlearn.errors import BadRecord, BadSetting

_PREFIX = b'{"streamlearn_control":'
_CONTEXT = b"streamlearn control record\0"


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="rollback"):
    """From here on, go on as the learner was at `version` of `lineage`."""

    lineage: str
    version: int


class Lags(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="lags"):
    """From here on, forecast from these lags of these series; what was learned of those that stay is kept."""

    lineage: str
    lags: dict[str, list[int]]

    setting: ClassVar[str] = "lags"
    """What `Learner.change_setting` calls it."""

    @property
    def value(self) -> dict[str, list[int]]:
        """The setting's new value."""
        return self.lags


Control = Rollback | Lags


class Obeyed(msgspec.Struct, rename={"version": "model_version"}):
    """An answer in the topic `<input>.control`: a control record that was obeyed."""

    control: Control
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


def sign(control: Control, key: str) -> bytes:
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


def verify_and_read(value: bytes, key: str) -> Control:
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
        return _decode(signed.streamlearn_control)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord(f"a control record that cannot be understood: {error}") from error


_decode: Callable[[msgspec.Raw], Control] = msgspec.json.Decoder(Control).decode


def _mac(body: bytes, key: str) -> str:
    return hmac.new(key.encode(), _CONTEXT + body, "sha256").hexdigest()
