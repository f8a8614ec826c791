"""Parses a request of the Open Inference Protocol into numpy arrays, from JSON and from binary form.

A request is JSON. With the header `Inference-Header-Content-Length`, the first so many bytes of it are JSON,
and the bytes of its binary tensors follow, one tensor after the other; the parameter `binary_data_size` is
the length of each. Their numbers are little-endian, in row-major order; before each element of a BYTES tensor
stands its length as u32. How outputs are encoded, in the same forms, is in `outputs.py`.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import math
import struct
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from streamlearn.errors import BadRequest
from streamlearn.stream.records import decode_whole_numbers, make_whole

T = TypeVar("T")

Array = NDArray[Any]

DTYPES = {
    "BOOL": np.dtype("?"),
    **{f"{sign}{8 * size}": np.dtype(f"<{kind}{size}") for sign, kind in (("UINT", "u"), ("INT", "i"))
       for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}  # fmt: skip
"""The datatypes of numbers; the only other one is BYTES."""

LENGTH = struct.Struct("<I")
"""What stands before each element of a BYTES tensor in binary form: how many bytes it has."""

_MAX_NESTING = 9
_SHOWN_CHARS = 40

_ELEMENT_TYPES: dict[str, set[type]] = {
    "b": {bool},
    "i": {int, float},
    "u": {int, float},
    "f": {int, float, type(None)},
}
"""What JSON may hold for a datatype, by numpy's kind."""

Side = Annotated[int, Meta(ge=0, lt=1 << 31)]


class InputTensor(msgspec.Struct):
    """One input: `data` is nested as `shape` says, or flat; without it the tensor's bytes follow the JSON."""

    name: str
    shape: Annotated[list[Side], Meta(max_length=8)]
    datatype: str
    data: list[Any] | UnsetType = UNSET
    parameters: dict[str, Any] | None = None


class RequestedOutput(msgspec.Struct):
    """An output that is wanted; `"binary_data": true` among its `parameters` asks for binary form."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct):
    """An inference request: inputs, and optionally an id, parameters and the wanted outputs.

    The answer has the outputs that are named, in their order; all of them where none is.
    """

    inputs: list[InputTensor] | None = None
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[RequestedOutput] | None = None


def parse_request(body: bytes, header_length: str | None) -> tuple[InferRequest, dict[str, Array]]:
    """Return a request and its input arrays by name.

    `header_length` is the value of the header `Inference-Header-Content-Length`, if there is one.

    Raises
    ------
    BadRequest
        The body is no such request, or a tensor's data does not fit its shape or datatype.
    """
    length = _parse_header_length(body, header_length)
    parsed = decode_body(body[:length], InferRequest, "an inference request")
    refuse_repeated_names([tensor.name for tensor in parsed.inputs or []], "inputs")
    arrays: dict[str, Array] = {}
    rest = memoryview(body)[length:]
    for number, tensor in enumerate(parsed.inputs or []):
        field = f"inputs[{number}]"
        refuse_shared_memory(tensor.parameters, field)
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            arrays[tensor.name] = decode_tensor(tensor, field)
            continue
        if tensor.data is not UNSET:
            raise BadRequest(
                f"input {tensor.name!r} has both data and binary_data_size; send one of them", field=field
            )
        if type(size) is not int or not 0 <= size <= len(rest):
            raise BadRequest(
                "binary_data_size must be a number of bytes that follow the JSON in the body", field=field
            )
        arrays[tensor.name] = _decode_binary(tensor, bytes(rest[:size]), field)
        rest = rest[size:]
    if rest:
        raise BadRequest(f"{len(rest)} bytes after the JSON belong to no input")
    return parsed, arrays


def refuse_repeated_names(names: Sequence[str], field: str) -> None:
    """Raise `BadRequest` if a name is there twice; `field` holds the tensors of these names."""
    if len(names) < 2:
        return
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            raise BadRequest(f"there are two {field} called {name!r}", field=f"{field}[{number}]")
        seen.add(name)


def refuse_shared_memory(parameters: dict[str, Any] | None, field: str) -> None:
    """Raise `BadRequest` if a tensor is said to be in shared memory, an extension that is not supported."""
    if parameters and "shared_memory_region" in parameters:
        raise BadRequest(
            "the server does not support shared memory; send tensors as JSON or in binary form", field=field
        )


def decode_body(body: bytes, kind: type[T], description: str, field: str | None = None) -> T:
    """Return a JSON body as a `kind`; `description` says in errors what is expected.

    Where an integer is expected, 7.0 is one.

    Raises
    ------
    BadRequest
        The body is not JSON, or is not a `kind`.
    """
    try:
        decoder: msgspec.json.Decoder[T] = _make_decoder(kind)  # type: ignore[arg-type]  # a class has a hash
        return decode_whole_numbers(body, decoder.decode)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Python's own encoder writes them.
        no_json = next((name for name in ("NaN", "Infinity") if name.encode() in body), "")
        hint = f"; JSON has no {no_json}, a missing number is null" if no_json else ""
        raise BadRequest(f"the body is not {description}: {error}{hint}", field=field) from error


@cache
def _make_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _parse_header_length(body: bytes, text: str | None) -> int:
    if text is None:
        return len(body)
    if not (text.isascii() and text.isdigit() and int(text) <= len(body)):
        raise BadRequest("Inference-Header-Content-Length must be the length of the JSON in the body")
    return int(text)


def decode_tensor(tensor: InputTensor, field: str) -> Array:
    """Return the array of a tensor whose data is in the JSON; null becomes NaN where numbers are floats.

    Raises
    ------
    BadRequest
        The data is missing, or does not fit the tensor's shape or datatype; `field` names the tensor.
    """
    if tensor.data is UNSET:
        raise BadRequest(f"input {tensor.name!r} has no data", field=f"{field}.data")
    elements, kinds = _flatten(tensor.data, tensor.shape, field)
    if tensor.datatype == "BYTES":
        if not kinds <= {str}:
            raise BadRequest("the elements of a BYTES tensor must be texts", field=f"{field}.data")
        return _reshape(np.array(elements, dtype=object), tensor, field)
    dtype = _find_dtype(tensor, field)
    # Checked before numpy sees it: one long text would make every element of the array as long.
    if not kinds <= _ELEMENT_TYPES[dtype.kind]:
        raise BadRequest(f"the data is not {tensor.datatype}", field=f"{field}.data")
    if dtype.kind in "iu":
        elements = make_whole(elements) if float in kinds else elements
        _check_integers(elements, dtype, tensor, field)
    try:
        with np.errstate(over="ignore"):
            array = np.array(elements, dtype=dtype)  # null becomes NaN
    except OverflowError as error:
        raise BadRequest(f"the data does not fit {tensor.datatype}", field=f"{field}.data") from error
    return _reshape(array, tensor, field)


def _check_integers(elements: list[Any], dtype: np.dtype[Any], tensor: InputTensor, field: str) -> None:
    """Raise `BadRequest` unless all elements are integers that the datatype holds."""
    limits = np.iinfo(dtype)
    fits = set(map(type, elements)) <= {int}
    if fits and limits.min <= min(elements, default=0) and max(elements, default=0) <= limits.max:
        return
    wrong = next(e for e in elements if isinstance(e, float) or not limits.min <= e <= limits.max)
    raise BadRequest(f"{str(wrong)[:_SHOWN_CHARS]} does not fit {tensor.datatype}", field=f"{field}.data")


def _flatten(data: list[Any], shape: list[int], field: str) -> tuple[list[Any], set[type]]:
    """Return the elements of nested lists, in order, and their types; lists must divide them as the shape."""
    sides = [len(data)]
    for _ in range(_MAX_NESTING):
        kinds = set(map(type, data))
        if list not in kinds:
            break
        lengths = {len(part) for part in data if isinstance(part, list)}
        if len(kinds) > 1 or len(lengths) > 1:
            raise BadRequest("the lists in the data are not of equal length and depth", field=f"{field}.data")
        sides.append(lengths.pop())
        data = [element for part in data for element in part]
    else:
        raise BadRequest("the data is nested too deep", field=f"{field}.data")
    if len(sides) > 1 and len(data) == math.prod(shape) and not _block_sizes(sides) <= _block_sizes(shape):
        raise BadRequest(
            f"the data is nested as {sides}, not as the shape {shape} says", field=f"{field}.data"
        )
    return data, kinds


def _block_sizes(shape: list[int]) -> set[int]:
    """Return how many elements there are in a whole tensor, in each part of it, in each part of those, …"""
    return {math.prod(shape[axis:]) for axis in range(len(shape) + 1)}


def _decode_binary(tensor: InputTensor, data: bytes, field: str) -> Array:
    if tensor.datatype == "BYTES":
        return _reshape(np.array(list(_read_texts(data, field)), dtype=object), tensor, field)
    dtype = _find_dtype(tensor, field)
    if len(data) != dtype.itemsize * math.prod(tensor.shape):
        raise BadRequest(
            f"{len(data)} bytes do not make a {tensor.datatype} tensor of shape {tensor.shape}", field=field
        )
    return _reshape(np.frombuffer(data, dtype=dtype), tensor, field)


def _read_texts(data: bytes, field: str) -> Iterable[str]:
    """Yield the elements of a BYTES tensor."""
    position = 0
    while position < len(data):
        if position + LENGTH.size > len(data):
            raise BadRequest("the data ends within the length of an element", field=field)
        (length,) = LENGTH.unpack_from(data, position)
        position += LENGTH.size
        if position + length > len(data):
            raise BadRequest("the data ends within an element", field=field)
        try:
            yield data[position : position + length].decode()
        except UnicodeDecodeError as error:
            raise BadRequest(f"an element is not UTF-8: {error}", field=field) from error
        position += length


def _find_dtype(tensor: InputTensor, field: str) -> np.dtype[Any]:
    if tensor.datatype not in DTYPES:
        raise BadRequest(
            f"there is no datatype {tensor.datatype!r}; use one of {', '.join([*DTYPES, 'BYTES'])}",
            field=f"{field}.datatype",
        )
    return DTYPES[tensor.datatype]


def _reshape(array: Array, tensor: InputTensor, field: str) -> Array:
    if array.size != math.prod(tensor.shape):
        raise BadRequest(
            f"{array.size} elements do not make a tensor of shape {tensor.shape}", field=f"{field}.shape"
        )
    # numpy refuses some shapes without elements: those whose other sides are too long.
    return array.reshape(tensor.shape if array.size else [0])
