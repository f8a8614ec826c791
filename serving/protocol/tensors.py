"""Converts between the Open Inference Protocol's tensors and numpy arrays, in JSON and in binary form.

A request is JSON. With the header `Inference-Header-Content-Length`, the first so many bytes of it are JSON,
and the bytes of its binary tensors follow, one tensor after the other; the parameter `binary_data_size` is
the length of each. Their numbers are little-endian, in row-major order; before each element of a BYTES tensor
stands its length as u32.

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
"""The datatypes of numbers; the only other one is BYTES."""

ALL_BINARY = "binary_data_output"
"""The request parameter that asks for all outputs in binary form."""

_LENGTH = struct.Struct("<I")
_MAX_NESTING = 9

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
    """An inference request: inputs, and optionally an id, parameters and the wanted outputs.

    Each of `outputs` has a `name`; `"binary_data": true` among its `parameters` asks for binary form.
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
    """The outputs and the version that made them; `parameters` repeats the request's and adds the lineage."""

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, Any]
    outputs: list[OutputTensor]


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
    arrays: dict[str, Array] = {}
    rest = memoryview(body)[length:]
    for number, tensor in enumerate(parsed.inputs or []):
        field = f"inputs[{number}]"
        if tensor.name in arrays:
            raise BadRequest(f"there are two inputs called {tensor.name!r}", field=field)
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            arrays[tensor.name] = decode_tensor(tensor, field)
            continue
        if not isinstance(size, int) or not 0 <= size <= len(rest):
            raise BadRequest(
                "binary_data_size must be a number of bytes that follow the JSON in the body", field=field
            )
        arrays[tensor.name] = _decode_binary(tensor, bytes(rest[:size]), field)
        rest = rest[size:]
    if rest:
        raise BadRequest(f"{len(rest)} bytes after the JSON belong to no input")
    return parsed, arrays


def decode_body(body: bytes, kind: type[T], description: str, field: str | None = None) -> T:
    """Return a JSON body as a `kind`; `description` says in errors what is expected.

    Raises
    ------
    BadRequest
        The body is not JSON, or is not a `kind`.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not {description}: {error}", field=field) from error


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
    elements = _flatten(tensor.data, field)
    kinds = set(map(type, elements))
    if tensor.datatype == "BYTES":
        if not kinds <= {str}:
            raise BadRequest("the elements of a BYTES tensor must be texts", field=f"{field}.data")
        return _reshape(np.array(elements, dtype=object), tensor, field)
    dtype = _find_dtype(tensor, field)
    # Checked before numpy sees it: one long text would make every element of the array as long.
    if not kinds <= {bool, int, float, type(None)}:
        raise BadRequest(f"the data is not {tensor.datatype}", field=f"{field}.data")
    try:
        array = np.array(elements)
        if array.dtype == object and dtype.kind == "f":
            array = array.astype(np.float64)  # null becomes NaN
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRequest(f"the data is not {tensor.datatype}", field=f"{field}.data") from error
    return _reshape(_cast(array, dtype, tensor, field), tensor, field)


def _cast(array: Array, dtype: np.dtype[Any], tensor: InputTensor, field: str) -> Array:
    """Give an array the tensor's datatype; refuse it where that would change an integer or a truth value."""
    if array.size and (array.dtype.kind not in "biuf" or (array.dtype.kind == "b") != (dtype.kind == "b")):
        raise BadRequest(f"the data is not {tensor.datatype}", field=f"{field}.data")
    with np.errstate(invalid="ignore", over="ignore"):
        cast: Array = array.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(cast, array):
        raise BadRequest(f"the data does not fit {tensor.datatype}", field=f"{field}.data")
    return cast


def _flatten(data: list[Any], field: str) -> list[Any]:
    """Return the elements of nested lists, in order."""
    for _ in range(_MAX_NESTING):
        if list not in set(map(type, data)):
            return data
        data = [element for part in data for element in (part if isinstance(part, list) else (part,))]
    raise BadRequest("the data is nested too deep", field=f"{field}.data")


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
        if position + _LENGTH.size > len(data):
            raise BadRequest("the data ends within the length of an element", field=field)
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
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


def request_parameters(request: InferRequest) -> Parameters:
    """Return a request's parameters; empty where they are not a JSON object."""
    return _dict_or_empty(request.parameters)


def _dict_or_empty(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name_datatype(array: Array) -> str:
    """Return the protocol's name for an array's dtype."""
    names = {dtype.newbyteorder("="): name for name, dtype in DTYPES.items()}
    return names.get(array.dtype, "BYTES")


def encode_response(
    response: InferResponse, arrays: dict[str, Array], request: InferRequest
) -> tuple[bytes, int | None]:
    """Add the arrays that the request wants to a response, and encode it.

    Returns
    -------
    body
        The response's bytes.
    json_length
        How many of them are JSON, if binary tensors follow; otherwise None.
    """
    all_binary = request_parameters(request).get(ALL_BINARY) is True
    tail = b""
    for name, parameters in _find_wanted_outputs(request, arrays).items():
        array = arrays[name]
        tensor = OutputTensor(name, list(array.shape), _name_datatype(array))
        if parameters.get("binary_data", all_binary) is True:
            data = _encode_binary(array)
            tensor.parameters = {"binary_data_size": len(data)}
            tail += data
        else:
            tensor.data = array.ravel().tolist()
        response.outputs.append(tensor)
    head = encode(response)
    has_binary = any("binary_data_size" in output.parameters for output in response.outputs)
    return head + tail, len(head) if has_binary else None


def _find_wanted_outputs(request: InferRequest, arrays: dict[str, Array]) -> dict[str, Parameters]:
    """Return the parameters of each output that a request names; all outputs where it names none."""
    entries = request.outputs if isinstance(request.outputs, list) else []
    names = list(arrays)
    wanted = {
        entry["name"]: _dict_or_empty(entry.get("parameters"))
        for entry in entries
        if isinstance(entry, dict) and entry.get("name") in names
    }
    return wanted or {name: {} for name in arrays}


def _encode_binary(array: Array) -> bytes:
    if _name_datatype(array) != "BYTES":
        return array.astype(array.dtype.newbyteorder("<")).tobytes()
    elements = [str(element).encode() for element in array.ravel()]
    return b"".join(_LENGTH.pack(len(element)) + element for element in elements)
