"""The Open Inference Protocol's tensors ⇄ numpy arrays, as JSON and in the binary extension.

A request is JSON. With the header `Inference-Header-Content-Length` it is that many bytes of JSON, followed
by the bytes of those tensors whose parameter `binary_data_size` says how long they are, one after the other:
little-endian numbers, row by row, or, for BYTES, each element's length as u32 before it.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import math
import struct
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from streamlearn.errors import BadRequest
from streamlearn.stream.records import encode

T = TypeVar("T")

Array = NDArray[Any]

DTYPES = {
    "BOOL": np.dtype("?"),
    **{f"{sign}{8 * size}": np.dtype(f"<{kind}{size}") for sign, kind in (("UINT", "u"), ("INT", "i"))
       for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}  # fmt: skip
"""The datatypes that are numbers; beside them there is BYTES."""

ALL_BINARY = "binary_data_output"
"""The parameter by which a client asks for all outputs as bytes."""

_LENGTH = struct.Struct("<I")
_MOST_NESTED = 9

Parameters = dict[str, Any]
Side = Annotated[int, Meta(ge=0, lt=1 << 31)]


class InputTensor(msgspec.Struct):
    """One input: `data` is nested as `shape` says, or flat; without it the tensor's bytes follow the JSON."""

    name: str
    shape: Annotated[list[Side], Meta(max_length=8)]
    datatype: str
    data: list[Any] | UnsetType = UNSET
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct):
    """What a client asks: inputs, and perhaps an id, parameters and the outputs that it wants.

    Each of `outputs` has a `name`; `"binary_data": true` among its `parameters` asks for bytes.
    """

    inputs: list[InputTensor] | None = None
    id: str | None = None
    parameters: Any = None
    outputs: Any = None


class OutputTensor(msgspec.Struct, omit_defaults=True):
    """One output; without `data`, its bytes follow the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | UnsetType = UNSET


class InferResponse(msgspec.Struct):
    """What is answered, by which version; `parameters` repeats the request's and names the lineage."""

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, Any]
    outputs: list[OutputTensor]


def request(body: bytes, header_length: str | None) -> tuple[InferRequest, dict[str, Array]]:
    """Read a request and its input tensors, by name.

    Raises
    ------
    BadRequest
        It is not of that form, or a tensor's data does not fit its shape or datatype.
    """
    length = _header_length(body, header_length)
    asked = decode_body(body[:length], InferRequest, "an inference request")
    arrays: dict[str, Array] = {}
    rest = memoryview(body)[length:]
    for number, tensor in enumerate(asked.inputs or []):
        field = f"inputs[{number}]"
        if tensor.name in arrays:
            raise BadRequest(f"there are two inputs called {tensor.name!r}", field=field)
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            arrays[tensor.name] = from_json(tensor, field)
            continue
        if not isinstance(size, int) or not 0 <= size <= len(rest):
            raise BadRequest("binary_data_size is not how many bytes follow the JSON", field=field)
        arrays[tensor.name] = _from_bytes(tensor, bytes(rest[:size]), field)
        rest = rest[size:]
    if rest:
        raise BadRequest(f"{len(rest)} bytes after the JSON belong to no input")
    return asked, arrays


def decode_body(body: bytes, kind: type[T], what: str, field: str | None = None) -> T:
    """Read a body that is JSON.

    Raises
    ------
    BadRequest
        It is not `what` is expected.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not {what}: {error}", field=field) from error


def _header_length(body: bytes, text: str | None) -> int:
    if text is None:
        return len(body)
    if not (text.isascii() and text.isdigit() and int(text) <= len(body)):
        raise BadRequest("Inference-Header-Content-Length is not the length of the JSON in the body")
    return int(text)


def from_json(tensor: InputTensor, field: str) -> Array:
    """Return the array of a tensor whose data is in the JSON."""
    if tensor.data is UNSET:
        raise BadRequest(f"input {tensor.name!r} has no data", field=f"{field}.data")
    flat = _flat(tensor.data, field)
    kinds = set(map(type, flat))
    if tensor.datatype == "BYTES":
        if not kinds <= {str}:
            raise BadRequest("the elements of BYTES are not all texts", field=f"{field}.data")
        return _shaped(np.array(flat, dtype=object), tensor, field)
    dtype = _dtype(tensor, field)
    # Before numpy sees it: among texts it would make every element as long as the longest.
    if not kinds <= {bool, int, float, type(None)}:
        raise BadRequest(f"the data is not {tensor.datatype}", field=f"{field}.data")
    try:
        found = np.array(flat)
        if found.dtype == object and dtype.kind == "f":
            found = found.astype(np.float64)  # null is a number that is missing
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRequest(f"the data is not {tensor.datatype}", field=f"{field}.data") from error
    return _shaped(_cast(found, dtype, tensor, field), tensor, field)


def _cast(found: Array, dtype: np.dtype[Any], tensor: InputTensor, field: str) -> Array:
    """Give an array the tensor's datatype, if that changes no value."""
    if found.size and (found.dtype.kind not in "biuf" or (found.dtype.kind == "b") != (dtype.kind == "b")):
        raise BadRequest(f"the data is not {tensor.datatype}", field=f"{field}.data")
    with np.errstate(invalid="ignore", over="ignore"):
        cast: Array = found.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(cast, found):
        raise BadRequest(f"the data does not fit {tensor.datatype}", field=f"{field}.data")
    return cast


def _flat(data: list[Any], field: str) -> list[Any]:
    """The elements of nested lists, in order."""
    for _ in range(_MOST_NESTED):
        if list not in set(map(type, data)):
            return data
        data = [element for part in data for element in (part if isinstance(part, list) else (part,))]
    raise BadRequest("the data is nested too deep", field=f"{field}.data")


def _from_bytes(tensor: InputTensor, data: bytes, field: str) -> Array:
    if tensor.datatype == "BYTES":
        return _shaped(np.array(list(_texts(data, field)), dtype=object), tensor, field)
    dtype = _dtype(tensor, field)
    if len(data) != dtype.itemsize * math.prod(tensor.shape):
        raise BadRequest(f"{len(data)} bytes are not {tensor.datatype} of shape {tensor.shape}", field=field)
    return _shaped(np.frombuffer(data, dtype=dtype), tensor, field)


def _texts(data: bytes, field: str) -> Iterable[str]:
    at = 0
    while at < len(data):
        if at + _LENGTH.size > len(data):
            raise BadRequest("the bytes end within the length of an element", field=field)
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + length > len(data):
            raise BadRequest("the bytes end within an element", field=field)
        try:
            yield data[at : at + length].decode()
        except UnicodeDecodeError as error:
            raise BadRequest(f"an element is not UTF-8: {error}", field=field) from error
        at += length


def _dtype(tensor: InputTensor, field: str) -> np.dtype[Any]:
    if tensor.datatype not in DTYPES:
        raise BadRequest(
            f"{tensor.datatype!r} is not one of {', '.join([*DTYPES, 'BYTES'])}", field=f"{field}.datatype"
        )
    return DTYPES[tensor.datatype]


def _shaped(found: Array, tensor: InputTensor, field: str) -> Array:
    if found.size != math.prod(tensor.shape):
        raise BadRequest(
            f"{found.size} elements are not an array of shape {tensor.shape}", field=f"{field}.shape"
        )
    # No elements, whatever the other sides: numpy refuses some of those.
    return found.reshape(tensor.shape if found.size else [0])


def parameters(asked: InferRequest) -> Parameters:
    """Return a request's parameters; what is no object has none."""
    return _dict(asked.parameters)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def datatype(array: Array) -> str:
    """Return the protocol's name for an array's type."""
    named = {dtype.newbyteorder("="): name for name, dtype in DTYPES.items()}
    return named.get(array.dtype, "BYTES")


def response(
    answer: InferResponse, arrays: dict[str, Array], asked: InferRequest
) -> tuple[bytes, int | None]:
    """Write a response; return its bytes, and how many of them are JSON if others follow."""
    everything = parameters(asked).get(ALL_BINARY) is True
    outputs = asked.outputs if isinstance(asked.outputs, list) else []
    named = [one for one in outputs if isinstance(one, dict)]
    found = {one["name"]: _dict(one.get("parameters")) for one in named if one.get("name") in arrays}
    wanted = found or {name: {} for name in arrays}
    tail = b""
    for name, how in wanted.items():
        array = arrays[name]
        tensor = OutputTensor(name, list(array.shape), datatype(array))
        if how.get("binary_data", everything) is True:
            data = _to_bytes(array)
            tensor.parameters = {"binary_data_size": len(data)}
            tail += data
        else:
            tensor.data = array.ravel().tolist()
        answer.outputs.append(tensor)
    head = encode(answer)
    binary = any("binary_data_size" in output.parameters for output in answer.outputs)
    return head + tail, len(head) if binary else None


def _to_bytes(array: Array) -> bytes:
    if datatype(array) != "BYTES":
        return array.astype(array.dtype.newbyteorder("<")).tobytes()
    elements = [str(element).encode() for element in array.ravel()]
    return b"".join(_LENGTH.pack(len(element)) + element for element in elements)
