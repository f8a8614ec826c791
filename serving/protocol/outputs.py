"""Encodes an answer as the Open Inference Protocol's response: the wanted outputs, in the wanted forms.

The forms are those of requests: see `tensors.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from serving.protocol.signature import Tensor, match_name
from serving.protocol.tensors import (
    DTYPES,
    LENGTH,
    Array,
    InferRequest,
    refuse_repeated_names,
    refuse_shared_memory,
)
from streamlearn.errors import BadRequest
from streamlearn.stream.records import encode

ALL_BINARY = "binary_data_output"
"""The request parameter that asks for all outputs in binary form."""


class OutputTensor(msgspec.Struct, omit_defaults=True):
    """One output; without `data`, its bytes follow the JSON.

    Where its columns stand for classes, `parameters` names them, in their order, as `classes`.
    """

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


def choose_outputs(request: InferRequest, names: Sequence[str]) -> dict[str, bool]:
    """Return the outputs that a request wants, in its order: name → whether in binary form.

    `names` are those that there are; a request that names none wants all.

    Raises
    ------
    BadRequest
        There is no such output, it is named twice, or its parameters ask for what is not supported.
    """
    all_binary = _read_flag(request.parameters, ALL_BINARY, "parameters", default=False)
    wanted = request.outputs
    if not wanted:
        return dict.fromkeys(names, all_binary)
    refuse_repeated_names([output.name for output in wanted], "outputs")
    chosen = {}
    for number, output in enumerate(wanted):
        field, parameters = f"outputs[{number}]", output.parameters or {}
        name = match_name(output.name, names)
        if name is None or name not in names:
            raise BadRequest(
                f"there is no output {output.name!r}; the outputs are: {', '.join(names)}", field=field
            )
        refuse_shared_memory(parameters, field)
        if parameters.get("classification"):
            raise BadRequest(
                "the server does not support the classification extension; ask for the output itself",
                field=field,
            )
        chosen[name] = _read_flag(parameters, "binary_data", field, default=all_binary)
    return chosen


def _read_flag(parameters: Mapping[str, Any] | None, name: str, field: str, *, default: bool) -> bool:
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):
        raise BadRequest(f"the parameter {name} must be true or false", field=field)
    return value


def convert_outputs(arrays: Mapping[str, Array], tensors: Sequence[Tensor]) -> dict[str, Array]:
    """Return a learner's arrays as the metadata describes them: in that order, of those datatypes."""
    converted = {}
    for tensor in tensors:
        if tensor.name in arrays:
            array = np.asarray(arrays[tensor.name])
            dtype = DTYPES.get(tensor.datatype)
            converted[tensor.name] = array if dtype is None else array.astype(dtype, copy=False)
    return converted


def encode_response(
    response: InferResponse,
    arrays: Mapping[str, Array],
    tensors: Sequence[Tensor],
    chosen: Mapping[str, bool],
) -> tuple[bytes, int | None]:
    """Add the chosen arrays to a response, and encode it.

    Parameters
    ----------
    response
        The response, without outputs.
    arrays
        What `convert_outputs` has returned.
    tensors
        The metadata of the arrays.
    chosen
        What `choose_outputs` has returned.

    Returns
    -------
    body
        The response's bytes.
    json_length
        How many of them are JSON, if binary tensors follow; otherwise None.
    """
    metadata = {tensor.name: tensor for tensor in tensors}
    tail = b""
    for name, is_binary in chosen.items():
        array, described = arrays[name], metadata[name]
        output = OutputTensor(name, list(array.shape), described.datatype, dict(described.parameters))
        if is_binary:
            data = _encode_binary(array, described.datatype)
            output.parameters["binary_data_size"] = len(data)
            tail += data
        else:
            output.data = array.ravel().tolist()
        response.outputs.append(output)
    head = encode(response)
    return head + tail, len(head) if any(chosen.values()) else None


def _encode_binary(array: Array, datatype: str) -> bytes:
    if datatype != "BYTES":
        return array.tobytes()
    elements = [str(element).encode() for element in array.ravel()]
    return b"".join(LENGTH.pack(len(element)) + element for element in elements)
