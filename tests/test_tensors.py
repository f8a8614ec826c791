"""Tensors of the Open Inference Protocol: any array comes back as it was, and no body breaks the reader."""

from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from serving.protocol.outputs import InferResponse, encode_response
from serving.protocol.signature import Tensor
from serving.protocol.tensors import DTYPES, parse_request
from streamlearn.errors import BadRequest

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=60)
"""The same examples each time, however long one takes."""

shapes = arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
numbers = st.sampled_from(list(DTYPES.values())).flatmap(
    lambda dtype: arrays_of.arrays(
        dtype,
        shapes,
        elements=arrays_of.from_dtype(dtype, allow_nan=False, allow_infinity=False)
        if dtype.kind == "f"
        else None,
    )
)
texts = arrays_of.arrays(object, shapes, elements=st.text(max_size=20))


def send_back(array: np.ndarray, *, binary: bool) -> np.ndarray:
    """Encode an array as an output, and read the same bytes as an input."""
    datatype = next((name for name, dtype in DTYPES.items() if dtype == array.dtype), "BYTES")
    tensor = Tensor("x", datatype, list(array.shape))
    answer = InferResponse("m", "1", "i", {}, [])
    body, length = encode_response(answer, {"x": array}, [tensor], {"x": binary})
    head = msgspec.json.decode(body[:length])
    assert (length is not None) == binary
    sent = msgspec.json.encode({"inputs": head["outputs"]})
    rest = b"" if length is None else body[length:]
    _, read = parse_request(sent + rest, str(len(sent)) if binary else None)
    return read["x"]


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
@repeatable
@given(array=st.one_of(numbers, texts))
def test_an_array_comes_back_as_it_was(array: np.ndarray, binary: bool) -> None:
    back = send_back(array, binary=binary)
    assert back.dtype == array.dtype
    assert back.shape == (array.shape if array.size else (0,))
    assert back.ravel().tolist() == array.ravel().tolist()


def test_what_is_no_number_comes_back_in_binary_form() -> None:
    array = np.array([np.nan, np.inf, -np.inf, -0.0])
    assert send_back(array, binary=True).tobytes() == array.tobytes()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from("xy"),
        "shape": st.lists(st.integers(-1, 4) | st.just(1 << 31), max_size=3),
        "datatype": st.sampled_from([*DTYPES, "BYTES", "FP128"]),
    },
    optional={
        "data": st.lists(values, max_size=6),
        "parameters": st.none() | st.fixed_dictionaries({"binary_data_size": st.integers(-1, 40) | values}),
    },
)


@repeatable
@example(inputs=[{"name": "x", "shape": [2], "datatype": "INT8", "data": [1, 2]}], rest=b"", cut=0)
@example(inputs=[{"name": "x", "shape": [1], "datatype": "INT8", "data": [1 << 70]}], rest=b"", cut=0)
@given(inputs=st.lists(tensors, max_size=2), rest=st.binary(max_size=40), cut=st.integers(-3, 3))
def test_a_body_is_read_whole_or_refused(inputs: list[dict[str, Any]], rest: bytes, cut: int) -> None:
    head = msgspec.json.encode({"inputs": inputs})
    read = None
    with suppress(BadRequest):
        _, read = parse_request(head + rest, str(len(head) + cut))
    if read is not None:
        assert {name: array.size for name, array in read.items()} == {
            tensor["name"]: np.prod(tensor["shape"], dtype=int) for tensor in inputs
        }


@repeatable
@given(body=st.binary(max_size=60), length=st.none() | st.text(max_size=4))
def test_bytes_are_read_or_refused(body: bytes, length: str | None) -> None:
    with suppress(BadRequest):
        parse_request(body, length)
