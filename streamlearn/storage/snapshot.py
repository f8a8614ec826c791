"""Learner ⇄ bytes. The format, in order, integers little-endian:

    6 bytes   magic, ``b"slsnap"``
    u16       format version, 4
    u32       length of the header
    header    JSON: pipeline, lineage, version, parameters, score, libraries
    rest      what `Learner.state` returns, as a canonical skops archive; beside it, under `recent_ids`, the
              ids of the newest records, where the pipeline recognises records that are sent again
    32 bytes  HMAC-SHA256 of everything before it with STREAMLEARN_CHECKPOINT_KEY, or zeros without that key
    32 bytes  SHA-256 of everything before it, the snapshot's digest

Formats 1 to 3 name estimators of streamlearn's own by their modules' paths, format 4 by `streamlearn` and
their class: both are found by the class's name, so code can be moved. In format 2 a forecast's state
lacks lags and correlations: it goes on with its pipeline's lags, and its correlations begin there. Format 1
also lacks the HMAC. With a key set, what is not signed with it is refused.

The same state gives the same bytes in any process: see `archive.py`. No part is a pickle, and nothing is
decoded before digest and signature have been checked.

Raise the format version when a reader of the old one could misread the new; `loads` keeps reading every
older format, or says that the snapshot must be rebuilt.
"""

import hashlib
import hmac
import logging
import struct
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version as installed
from typing import Any

import msgspec
import numpy as np
import skops.io

from streamlearn import estimators
from streamlearn.errors import SnapshotRefused
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import archive

_log = logging.getLogger(__name__)

MAGIC = b"slsnap"
FORMAT = 4
_PREFIX = struct.Struct("<6sHI")
_DIGEST_BYTES = 32
_RECENT_IDS = "recent_ids"
"""Its name in the state; a learner has no part of that name."""


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """What a snapshot tells about itself, before its state is read."""

    pipeline: str
    lineage: str
    version: int
    parameters: dict[str, Any]
    score: dict[str, Any]
    libraries: dict[str, str]


def dumps(learner: Learner, pipeline: Pipeline, lineage: str, key: str = "") -> bytes:
    """Write a learner's full training state, signed with `key` if there is one."""
    header = msgspec.json.encode(
        Header(
            pipeline=pipeline.name,
            lineage=lineage,
            version=learner.version,
            parameters=learner.parameters,
            score=msgspec.to_builtins(learner.score),
            libraries=installed_libraries(),
        ),
        order="sorted",
    )
    payload = archive.dumps(_collect_state(learner))
    body = _PREFIX.pack(MAGIC, FORMAT, len(header)) + header + payload
    body += _mac(body, key) if key else bytes(_DIGEST_BYTES)
    return body + hashlib.sha256(body).digest()


def digest(data: bytes) -> str:
    """Return the digest that a snapshot carries, in hexadecimal; `loads` checks it."""
    return data[-_DIGEST_BYTES:].hex()


def loads(data: bytes, pipeline: Pipeline, lineage: str, key: str = "") -> Learner:
    """Read a learner back.

    Raises
    ------
    SnapshotRefused
        The bytes are truncated or altered, not signed with `key`, of a newer format, or of another pipeline
        or lineage; or the libraries installed cannot read them.
    """
    header, payload = _check_and_split(data, key)
    if (header.pipeline, header.lineage) != (pipeline.name, lineage):
        raise SnapshotRefused(
            f"the snapshot is of {header.pipeline} in lineage {header.lineage},"
            f" not of {pipeline.name} in {lineage}"
        )
    learner = pipeline.new_learner(header.parameters, header.version)
    try:
        state = skops.io.loads(archive.locate_types(payload), trusted=_trusted_types(pipeline))
        learner.score = msgspec.convert(header.score, type(learner.score))
        if learner.recent_ids is not None:
            learner.recent_ids.restore(state.pop(_RECENT_IDS))
        learner.restore(state)
    except Exception as error:  # skops raises many kinds, all of which mean the same to us
        raise SnapshotRefused(
            f"the snapshot's state cannot be read{_describe_other_libraries(header)}: {error}"
        ) from error
    if others := _describe_other_libraries(header):
        _log.info("version %d of %s was read, although%s", header.version, pipeline.name, others)
    return learner


def _collect_state(learner: Learner) -> dict[str, Any]:
    """Return all that decides what comes next, but for the score."""
    ids = learner.recent_ids
    return learner.state() if ids is None else {**learner.state(), _RECENT_IDS: ids.state()}


def _describe_other_libraries(header: Header) -> str:
    """Name the libraries that wrote a snapshot, where they are not those installed."""
    return "".join(
        f", written by {name} {version} (installed is {installed_libraries().get(name, 'none')})"
        for name, version in header.libraries.items()
        if version != installed_libraries().get(name)
    )


def lineage_of(data: bytes, key: str = "") -> str:
    """Return the lineage that a snapshot is of.

    Raises
    ------
    SnapshotRefused
        It is truncated, altered, foreign or not signed with `key`.
    """
    return _check_and_split(data, key)[0].lineage


def find_differences(left: Learner, right: Learner) -> list[str]:
    """Name the parts in which two learners differ, as far as they have names."""
    pairs = [("version", left.version, right.version), ("parameters", left.parameters, right.parameters)]
    pairs += [("score", msgspec.to_builtins(left.score), msgspec.to_builtins(right.score))]
    pairs += [("state", _collect_state(left), _collect_state(right))]
    return [path for name, a, b in pairs for path in _differing_paths(name, a, b)]


def _differing_paths(path: str, left: Any, right: Any) -> Iterator[str]:
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        same = np.shape(left) == np.shape(right) and np.asarray(left).tobytes() == np.asarray(right).tobytes()
        yield from () if same else (path,)
    elif isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}, key=str):
            yield from _differing_paths(f"{path}.{key}", left.get(key), right.get(key))
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        for number, (a, b) in enumerate(zip(left, right, strict=True)):
            yield from _differing_paths(f"{path}[{number}]", a, b)
    elif type(left) is type(right) and isinstance(left, estimators.River | estimators.RandomFeatureMixture):
        # They hold more than they store.
        yield from _differing_paths(path, left.__getstate__(), right.__getstate__())
    elif type(left) is type(right) and hasattr(left, "__dict__"):
        yield from _differing_paths(path, vars(left), vars(right))
    elif type(left) is type(right) and vars(type(left)).get("__eq__") is None and not _is_plain(left):
        return  # opaque: nothing can be seen from here
    elif not (left == right or (left != left and right != right)):
        yield path


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | bytes | np.generic)


def untrusted_types(learner: Learner, pipeline: Pipeline) -> list[str]:
    """Return the types in a learner's state that a pipeline must list as trusted and does not, sorted."""
    unknown = skops.io.get_untrusted_types(data=skops.io.dumps(learner.state()))
    return sorted(set(unknown) - set(_trusted_types(pipeline)))


def _trusted_types(pipeline: Pipeline) -> list[str]:
    return [
        *pipeline.trusted_types,
        *(f"{known.__module__}.{name}" for name, known in estimators.KNOWN.items()),
    ]


@cache
def installed_libraries() -> dict[str, str]:
    """Return the versions of the libraries that write a state."""
    return {name: installed(name) for name in ("numpy", "scikit-learn", "skops")}


def _check_and_split(data: bytes, key: str) -> tuple[Header, bytes]:
    """Check digest and signature; return header and payload."""
    if len(data) < _PREFIX.size + 2 * _DIGEST_BYTES or not data.startswith(MAGIC):
        raise SnapshotRefused("these bytes are not a snapshot")
    _, number, length = _PREFIX.unpack_from(data)
    if number > FORMAT:
        raise SnapshotRefused(f"the snapshot has format {number}; this program reads up to {FORMAT}")
    body = data[:-_DIGEST_BYTES]
    if hashlib.sha256(body).digest() != data[-_DIGEST_BYTES:]:
        raise SnapshotRefused("the snapshot is truncated or altered: its digest does not match")
    body, mac = (body, b"") if number == 1 else (body[:-_DIGEST_BYTES], body[-_DIGEST_BYTES:])
    if key and not hmac.compare_digest(mac, _mac(body, key)):
        raise SnapshotRefused("the snapshot is not signed with the STREAMLEARN_CHECKPOINT_KEY that is set")
    payload = body[_PREFIX.size + length :]
    try:
        return msgspec.json.decode(body[_PREFIX.size : _PREFIX.size + length], type=Header), payload
    except msgspec.DecodeError as error:
        raise SnapshotRefused(f"the snapshot's header cannot be read: {error}") from error


def _mac(body: bytes, key: str) -> bytes:
    return hmac.digest(key.encode(), b"streamlearn snapshot\0" + body, "sha256")
