"""The snapshots of several partitions in one piece, of which a served model is made: to pin it, or export it.

    magic       6 bytes   b"slbndl"
    snapshots   msgpack   an array with a snapshot for each partition, nil where there is none

Each snapshot has its own signature and says its version and lineage (see `snapshot.py`).
"""

from collections.abc import Sequence

import msgspec

from streamlearn.errors import SnapshotRefused

MAGIC = b"slbndl"


def is_bundle(data: bytes) -> bool:
    """Whether bytes hold the snapshots of several partitions."""
    return data.startswith(MAGIC)


def pack(snapshots: Sequence[bytes | None]) -> bytes:
    """Return snapshots, one for each partition or None, in one piece.

    >>> unpack(pack([b"a", None]))
    [b'a', None]
    """
    return MAGIC + msgspec.msgpack.encode(snapshots)


def unpack(data: bytes) -> list[bytes | None]:
    """Return the snapshots by partition; a snapshot that is no bundle is that of partition 0.

    Raises
    ------
    SnapshotRefused
        It is truncated or altered.
    """
    if not is_bundle(data):
        return [data]
    try:
        snapshots = msgspec.msgpack.decode(data[len(MAGIC) :], type=list[bytes | None])
    except msgspec.DecodeError as error:
        raise SnapshotRefused(f"it is truncated or altered ({error})") from None
    if not any(snapshots):
        raise SnapshotRefused("it holds no snapshot")
    return snapshots
