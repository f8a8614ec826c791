"""State → canonical skops archive: the same state gives the same bytes in any process.

skops names parts by memory address and stamps its zip with the time. In a canonical archive parts are
numbered in reading order, the stamp is fixed, and estimators of streamlearn's own are named by `streamlearn`
and their class. Arrays that are one object stay one object.

`canonicalize` makes one of what skops has written, whatever that holds. `DirectWriter` (`direct_archive.py`)
writes the same bytes itself, many times faster, where a state holds nothing but plain values, arrays and
ordinary objects. How skops takes an object apart is its own affair, so a state that holds a type of object
for the first time is written both ways; types are written directly alone once both were equal.
"""

import io
import json
import zipfile
from typing import Any

import skops.io

from streamlearn import estimators
from streamlearn.storage.direct_archive import OWN_MODULE, ZIP_TIME, DirectWriter, NotDirect, is_own

_proven_types: set[type] = set()
"""The types of objects that have been written directly as skops writes them, in this process."""


def dumps(state: dict[str, Any]) -> bytes:
    """Write a state as a canonical archive."""
    writer = DirectWriter()
    try:
        archive = writer.dumps(state)
    except NotDirect:
        return canonicalize(skops.io.dumps(state))
    if writer.object_types <= _proven_types:
        return archive
    canonical = canonicalize(skops.io.dumps(state))
    if archive == canonical:
        _proven_types.update(writer.object_types)
    return canonical


def canonicalize(archive: bytes) -> bytes:
    """Return the canonical archive of the state in an archive of skops."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        schema = json.loads(source.read("schema.json"))
        parts = {name: source.read(name) for name in source.namelist() if name != "schema.json"}
    numbers: dict[Any, int] = {}
    renamed: dict[str, str] = {}
    _renumber(schema, numbers, renamed)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as copy:
        for name, new in renamed.items():
            copy.writestr(zipfile.ZipInfo(new, ZIP_TIME), parts[name])
        copy.writestr(zipfile.ZipInfo("schema.json", ZIP_TIME), json.dumps(schema, separators=(",", ":")))
    return target.getvalue()


def _renumber(node: Any, numbers: dict[Any, int], renamed: dict[str, str]) -> None:
    """Replace memory addresses by numbers in reading order, and own modules by one name, in place."""
    if isinstance(node, list):
        for child in node:
            _renumber(child, numbers, renamed)
    elif isinstance(node, dict):
        if "__id__" in node:
            # Whether two equal numbers or strings are one object is chance, so each gets its own number.
            shared = node["__id__"] if node.get("__loader__") != "JsonNode" else object()
            node["__id__"] = numbers.setdefault(shared, len(numbers))
        if _names_own_type(node):
            node["__module__"] = OWN_MODULE
        if isinstance(node.get("file"), str):
            renamed.setdefault(node["file"], f"{len(renamed)}{node['file'][node['file'].rindex('.') :]}")
            node["file"] = renamed[node["file"]]
        for child in node.values():
            _renumber(child, numbers, renamed)


def locate_types(archive: bytes) -> bytes:
    """Return an archive in which types of streamlearn's own are named by where they are now."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        schema = source.read("schema.json")
        if b'"streamlearn' not in schema:
            return archive
        parts = {name: source.read(name) for name in source.namelist()}
    tree = json.loads(schema)
    _locate(tree)
    parts["schema.json"] = json.dumps(tree).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as copy:
        for name, part in parts.items():
            copy.writestr(name, part)
    return target.getvalue()


def _locate(node: Any) -> None:
    """Name the modules where types of streamlearn's own are now, in place."""
    if isinstance(node, list):
        for child in node:
            _locate(child)
    elif isinstance(node, dict):
        if _names_own_type(node):
            node["__module__"] = estimators.KNOWN[node["__class__"]].__module__
        for child in node.values():
            _locate(child)


def _names_own_type(node: dict[str, Any]) -> bool:
    module, name = node.get("__module__"), node.get("__class__")
    return isinstance(module, str) and isinstance(name, str) and is_own(module, name)
