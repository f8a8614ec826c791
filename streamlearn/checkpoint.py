"""Learner ⇄ bytes. The format, in order, integers little-endian:

    6 bytes   magic, ``b"slsnap"``
    u16       format version, 1
    u32       length of the header
    header    JSON: pipeline, lineage, version, parameters, score, libraries
    rest      what `Learner.state` returns, as a canonical skops archive
    32 bytes  SHA-256 of everything before it, the snapshot's digest

The same state gives the same bytes in any process: skops names parts by memory address and stamps its zip
with the time, so `_canonical` renumbers the parts in reading order and fixes the stamp. Arrays that are one
object stay one object. No part is a pickle, and nothing is decoded before the digest has been checked.

Raise the format version when a reader of the old one could misread the new; `loads` keeps reading every
older version, or says that the snapshot must be rebuilt.
"""

import hashlib
import io
import json
import struct
import zipfile
from functools import cache
from importlib.metadata import version as installed
from typing import Any

import msgspec
import skops.io

from streamlearn.errors import SnapshotRefused
from streamlearn.learner import Learner
from streamlearn.pipeline import Pipeline

MAGIC = b"slsnap"
FORMAT = 1
_PREFIX = struct.Struct("<6sHI")
_DIGEST_BYTES = 32
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """What a snapshot says of itself."""

    pipeline: str
    lineage: str
    version: int
    parameters: dict[str, Any]
    score: dict[str, Any]
    libraries: dict[str, str]


def dumps(learner: Learner, pipeline: Pipeline, lineage: str) -> bytes:
    """Write a learner's full training state."""
    header = msgspec.json.encode(
        Header(
            pipeline=pipeline.name,
            lineage=lineage,
            version=learner.version,
            parameters=learner.parameters,
            score=msgspec.to_builtins(learner.score),
            libraries=_libraries(),
        ),
        order="sorted",
    )
    payload = _canonical(skops.io.dumps(learner.state()))
    body = _PREFIX.pack(MAGIC, FORMAT, len(header)) + header + payload
    return body + hashlib.sha256(body).digest()


def digest(data: bytes) -> str:
    """Return the digest that a snapshot carries, in hexadecimal; `loads` checks it."""
    return data[-_DIGEST_BYTES:].hex()


def loads(data: bytes, pipeline: Pipeline, lineage: str) -> Learner:
    """Read a learner back.

    Raises
    ------
    SnapshotRefused
        The bytes are truncated or altered, of a newer format, or of another pipeline or lineage.
    """
    header, payload = _open(data)
    if (header.pipeline, header.lineage) != (pipeline.name, lineage):
        raise SnapshotRefused(
            f"the snapshot is of {header.pipeline} in lineage {header.lineage},"
            f" not of {pipeline.name} in {lineage}"
        )
    learner = pipeline.new_learner(header.parameters, header.version)
    try:
        state = skops.io.loads(payload, trusted=list(pipeline.trusted_types))
        learner.score = msgspec.convert(header.score, type(learner.score))
        learner.restore(state)
    except Exception as error:  # skops raises many kinds, all of which mean the same to us
        raise SnapshotRefused(f"the snapshot's state cannot be read: {error}") from error
    return learner


def unknown_types(learner: Learner) -> list[str]:
    """The types in a learner's state that skops does not know; a pipeline must list those it trusts."""
    found: list[str] = skops.io.get_untrusted_types(data=skops.io.dumps(learner.state()))
    return found


@cache
def _libraries() -> dict[str, str]:
    return {name: installed(name) for name in ("numpy", "scikit-learn", "skops")}


def _open(data: bytes) -> tuple[Header, bytes]:
    if len(data) < _PREFIX.size + _DIGEST_BYTES or not data.startswith(MAGIC):
        raise SnapshotRefused("these bytes are not a snapshot")
    body = data[:-_DIGEST_BYTES]
    if hashlib.sha256(body).digest() != data[-_DIGEST_BYTES:]:
        raise SnapshotRefused("the snapshot is truncated or altered: its digest does not match")
    _, number, length = _PREFIX.unpack_from(body)
    if number > FORMAT:
        raise SnapshotRefused(f"the snapshot has format {number}; this program reads up to {FORMAT}")
    payload = body[_PREFIX.size + length :]
    try:
        return msgspec.json.decode(body[_PREFIX.size : _PREFIX.size + length], type=Header), payload
    except msgspec.DecodeError as error:
        raise SnapshotRefused(f"the snapshot's header cannot be read: {error}") from error


def _canonical(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        schema = json.loads(source.read("schema.json"))
        parts = {name: source.read(name) for name in source.namelist() if name != "schema.json"}
    numbers: dict[Any, int] = {}
    renamed: dict[str, str] = {}
    _renumber(schema, numbers, renamed)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as copy:
        for name, new in renamed.items():
            copy.writestr(zipfile.ZipInfo(new, _EPOCH), parts[name])
        copy.writestr(zipfile.ZipInfo("schema.json", _EPOCH), json.dumps(schema, separators=(",", ":")))
    return target.getvalue()


def _renumber(node: Any, numbers: dict[Any, int], renamed: dict[str, str]) -> None:
    """Replace memory addresses by numbers in reading order, in place."""
    if isinstance(node, list):
        for child in node:
            _renumber(child, numbers, renamed)
    elif isinstance(node, dict):
        if "__id__" in node:
            # Whether two equal numbers or strings are one object is chance, so each gets its own number.
            shared = node["__id__"] if node.get("__loader__") != "JsonNode" else object()
            node["__id__"] = numbers.setdefault(shared, len(numbers))
        if isinstance(node.get("file"), str):
            renamed.setdefault(node["file"], f"{len(renamed)}{node['file'][node['file'].rindex('.') :]}")
            node["file"] = renamed[node["file"]]
        for child in node.values():
            _renumber(child, numbers, renamed)
