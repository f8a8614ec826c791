"""Writes canonical archives of states itself, without skops: see `archive.py`.

An archive is a zip, stored, of a file for each array (`0.npy`, `1.npy`, …, in reading order) and
`schema.json`, the tree of the parts. Each part has its class, its module, the loader that skops reads it
with, its content and a number; what is one object has one number. A dictionary's part tells the types of its
keys as well.
"""

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from json.encoder import encode_basestring_ascii as quote
from typing import Any, cast

import numpy as np
import skops.io

from streamlearn import estimators

ZIP_TIME = (1980, 1, 1, 0, 0, 0)
OWN_MODULE = "streamlearn"
"""The module by which archives name estimators of streamlearn's own."""

_LOCAL_FILE = struct.Struct("<4s5H3I2H")
_CENTRAL_FILE = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_ZIP_VERSION, _UNIX, _FIRST_OF_1980, _READ_WRITE = 20, 3, 1 << 5 | 1, 0o600 << 16
_MAX_ZIP_BYTES, _MAX_ZIP_FILES = 1 << 30, 1 << 15
"""Well below where a zip is written in another form."""

_LOSS_MODULES = ("sklearn._loss._loss", "sklearn.linear_model._sgd_fast")
_PLAIN = {None: "null", True: "true", False: "false"}


class NotDirect(Exception):
    """A state holds something that only skops knows how to write."""


class DirectWriter:
    """Writes one state.

    Attributes
    ----------
    object_types
        The types of the objects that were in it, other than plain values and arrays; dict, of course.
    """

    def __init__(self) -> None:
        self.object_types: set[type] = {dict}
        self._schema: list[str] = []
        self._files: list[bytes] = []
        self._file_of: dict[int, int] = {}
        self._number_of: dict[int, int] = {}
        self._next_number = 0
        # As long as all parts exist, no two have the same `id`.
        self._kept: list[Any] = []

    def dumps(self, state: dict[str, Any]) -> bytes:
        """Return the archive.

        Raises
        ------
        NotDirect
            The state holds something that only skops knows how to write.
        """
        self._write(state)
        self._schema[-1] = self._schema[-1][:-1] + _end_schema()
        files = [(f"{number}.npy", data) for number, data in enumerate(self._files)]
        return _zip([*files, ("schema.json", "".join(self._schema).encode("ascii"))])

    def _write(self, value: Any) -> None:
        """Add a part to the schema, and its arrays to the files."""
        kind: Any = type(value)
        if kind is float or kind is int or kind is str or kind is bool or value is None:
            self._schema.append(
                '{"__class__":"str","__module__":"builtins","__loader__":"JsonNode","content":'
                f'{quote(_write_plain(value))},"is_json":true,"__id__":{self._next_number}}}'
            )
            self._next_number += 1
        elif kind is dict:
            self._write_dict(value)
        elif kind is list or kind is tuple:
            number, loader = self._count(value), "ListNode" if kind is list else "TupleNode"
            self._schema.append(f'{_begin(kind)},"__loader__":"{loader}","content":[')
            self._write_all(value)
            self._schema.append(f'],"__id__":{number}}}')
        elif kind is np.ndarray or isinstance(value, np.generic):
            number, name = self._count(value), self._add_array(value)
            self._schema.append(
                f'{_begin(kind)},"__loader__":"NdArrayNode","type":"numpy","file":"{name}.npy",'
                f'"__id__":{number}}}'
            )
        else:
            self._write_object(value)

    def _write_all(self, values: Any) -> None:
        for position, value in enumerate(values):
            if position:
                self._schema.append(",")
            self._write(value)

    def _write_dict(self, value: dict[Any, Any]) -> None:
        if not all(type(key) is str for key in value) or "__id__" in value:
            raise NotDirect
        number = self._count(value)
        self._schema.append(f'{_begin(dict)},"__loader__":"DictNode","content":{{')
        for position, (name, part) in enumerate(value.items()):
            self._schema.append(f"{',' if position else ''}{quote(name)}:")
            self._write(part)
        list_number = self._count([])
        key_type = f'{_begin(str)},"__loader__":"TypeNode","__id__":{self._count(str)}}}' if value else ""
        self._schema.append(
            f'}},"key_types":{_begin(list)},"__loader__":"ListNode",'
            f'"content":[{",".join([key_type] * len(value))}],"__id__":{list_number}}},"__id__":{number}}}'
        )

    def _write_object(self, value: Any) -> None:
        kind: Any = type(value)
        self.object_types.add(kind)
        if isinstance(value, np.random.RandomState):
            with self._object(value, "RandomStateNode"):
                self._write(value.get_state(legacy=False))
        elif kind.__module__ in _LOSS_MODULES:
            self._write_loss(value)
        elif kind.__reduce__ is object.__reduce__ and not isinstance(value, type):
            with self._object(value, "ObjectNode"):
                self._write(value.__getstate__())
        else:
            raise NotDirect

    def _write_loss(self, value: Any) -> None:
        """Write a loss function of scikit-learn: what makes it anew."""
        make, arguments, *rest = value.__reduce__()
        if make is not type(value):
            arguments = arguments[2]
        if rest or not isinstance(arguments, tuple):
            raise NotDirect
        number, kind = self._count(value), cast(Any, type(value))
        self._schema.append(f'{_begin(kind)},"__reduce__":{{"args":')
        self._write(arguments)
        self._schema.append('},"content":')
        self._write({})
        self._schema.append(f',"__loader__":"LossNode","__id__":{number}}}')

    @contextmanager
    def _object(self, value: Any, loader: str) -> Iterator[None]:
        """Add the part of an object whose content is one other part."""
        number, kind = self._count(value), cast(Any, type(value))
        self._schema.append(f'{_begin(kind)},"__loader__":"{loader}","content":')
        yield
        self._schema.append(f',"__id__":{number}}}')

    def _count(self, value: Any) -> int:
        """Return the number of an object: the next one, or what it has got before."""
        number = self._number_of.setdefault(id(value), self._next_number)
        if number == self._next_number:
            self._next_number += 1
            self._kept.append(value)
        return number

    def _add_array(self, value: Any) -> int:
        file = self._file_of.setdefault(id(value), len(self._files))
        if file == len(self._files):
            self._files.append(_write_array(np.asanyarray(value)))
        return file


def is_own(module: str, name: str) -> bool:
    """Whether a class is an estimator of streamlearn's own."""
    return module.partition(".")[0] == OWN_MODULE and name in estimators.KNOWN


@cache
def _end_schema() -> str:
    """Return what skops writes after the parts: its protocol and its version."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(None))) as archive:
        schema = json.loads(archive.read("schema.json"))
    return f',"protocol":{schema["protocol"]},"_skops_version":{quote(schema["_skops_version"])}}}'


@lru_cache(maxsize=256)
def _begin(kind: Any) -> str:
    """Return the beginning of a part of this type."""
    module, name = kind.__module__, kind.__name__
    module = OWN_MODULE if is_own(module, name) else module
    return f'{{"__class__":{quote(name)},"__module__":{quote(module)}'


def _write_plain(value: Any) -> str:
    """Write what JSON has a form for."""
    if type(value) is float:
        return repr(value) if value - value == 0 else json.dumps(value)
    if type(value) is int:
        if not -(1 << 63) <= value < 1 << 63:
            raise NotDirect
        return repr(value)
    return quote(value) if type(value) is str else _PLAIN[value]


def _write_array(array: Any) -> bytes:
    """Write an array in numpy's format."""
    if array.dtype.kind not in "biufcSU":
        raise NotDirect
    fortran_order = array.flags.f_contiguous and not array.flags.c_contiguous
    header = _array_header(array.dtype, array.shape, fortran_order)
    data: bytes = header + array.tobytes("F" if fortran_order else "C")
    return data


@lru_cache(maxsize=256)
def _array_header(dtype: Any, shape: tuple[int, ...], fortran_order: bool) -> bytes:
    written = io.BytesIO()
    np.save(written, np.empty(shape, dtype, order="F" if fortran_order else "C"))
    size = math.prod(shape) * dtype.itemsize
    return written.getvalue()[: written.tell() - size]


def _zip(files: list[tuple[str, bytes]]) -> bytes:
    """Return files as a zip, stored, as the standard library would write it."""
    if len(files) > _MAX_ZIP_FILES or sum(len(data) for _, data in files) > _MAX_ZIP_BYTES:
        raise NotDirect
    parts: list[bytes] = []
    directory: list[bytes] = []
    position = 0
    for file_name, data in files:
        name, size = file_name.encode("ascii"), len(data)
        about = (0, 0, 0, _FIRST_OF_1980, zlib.crc32(data), size, size, len(name), 0)
        parts += [_LOCAL_FILE.pack(b"PK\3\4", _ZIP_VERSION, *about), name, data]
        made_by = _UNIX << 8 | _ZIP_VERSION
        directory += [
            _CENTRAL_FILE.pack(b"PK\1\2", made_by, _ZIP_VERSION, *about, 0, 0, 0, _READ_WRITE, position),
            name,
        ]
        position += _LOCAL_FILE.size + len(name) + size
    entries = b"".join(directory)
    end = _END.pack(b"PK\5\6", 0, 0, len(files), len(files), len(entries), position, 0)
    return b"".join([*parts, entries, end])
