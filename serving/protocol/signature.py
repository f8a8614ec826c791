"""A pipeline's records and answers as the Open Inference Protocol's tensors.

Each field of a record that has no default is an input; the first axis counts the records. So digits takes `x`
of shape [n, 64], and pm25 one tensor a field of its hours. A field with a default may be sent too. The label
is no input: it comes as feedback.
"""

from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np
from msgspec import inspect
from numpy.typing import NDArray

from streamlearn.errors import BadRequest
from streamlearn.pipelines.base import Pipeline

Array = NDArray[Any]


class Tensor(msgspec.Struct):
    """What a tensor must be like; −1 stands for any number of records or elements."""

    name: str
    datatype: str
    shape: list[int]


def inputs(pipeline: Pipeline) -> list[Tensor]:
    """The tensors that a client must send."""
    label = label_field(pipeline)
    return [_tensor(field) for field in _fields(pipeline) if field.required and field.encode_name != label]


def outputs(pipeline: Pipeline) -> list[Tensor]:
    """Return the tensors that are answered."""
    fields = pipeline.learning.output_fields(pipeline.parameters)
    return [Tensor(field.name, field.datatype, list(field.shape)) for field in fields]


def label_field(pipeline: Pipeline) -> str | None:
    """Return the field of a record, by its name in JSON, that is its label, if it is one."""
    name = pipeline.learning.label_field
    return next((field.encode_name for field in _fields(pipeline) if field.name == name), None)


def is_windowed(pipeline: Pipeline) -> bool:
    """Whether the records of a request are one window, answered once."""
    return pipeline.learning.series is not None


def records(pipeline: Pipeline, arrays: dict[str, Array], most: int) -> list[Any]:
    """Turn input tensors into records.

    Raises
    ------
    BadRequest
        A tensor is missing, unknown or of another shape, or a record does not fit its type.
    """
    known = {field.encode_name: _tensor(field) for field in _fields(pipeline)}
    wanted = [tensor.name for tensor in inputs(pipeline)]
    if unknown := sorted(set(arrays) - set(known)):
        raise BadRequest(f"there is no input {unknown[0]!r}; there are: {', '.join(wanted)}", field="inputs")
    if missing := [name for name in wanted if name not in arrays]:
        raise BadRequest(f"input {missing[0]!r} is missing", field="inputs")
    columns = {name: _rows(known[name], array) for name, array in arrays.items()}
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        raise BadRequest(f"the inputs have unlike numbers of rows: {counts}", field="inputs")
    count = next(iter(counts.values()), 0)
    if not 0 < count <= most:
        raise BadRequest(f"there must be 1 to {most} rows, not {count}", field="inputs")
    columns |= {
        name: [value] * count for name, value in placeholder_label(pipeline).items() if name not in columns
    }
    named = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return of_objects(pipeline, named, "inputs")


def placeholder_label(pipeline: Pipeline) -> dict[str, Any]:
    """Return a value for the label where records must have one: no prediction looks at it."""
    label, classes = label_field(pipeline), pipeline.learning.classes
    required = {field.encode_name for field in _fields(pipeline) if field.required}
    if label is None or label not in required:
        return {}
    return {label: 0.0 if classes is None else classes[0]}


def of_objects(pipeline: Pipeline, objects: Sequence[Any], field: str) -> list[Any]:
    """Turn JSON objects into records.

    Raises
    ------
    BadRequest
        One does not fit the record's type; the message says which field, and why.
    """
    found = []
    for number, one in enumerate(objects):
        try:
            found.append(msgspec.convert(one, pipeline.record))
        except (msgspec.ValidationError, ValueError, RecursionError) as error:
            raise BadRequest(f"{field}, record {number}: {error}", field=f"{field}[{number}]") from error
    return found


def _rows(tensor: Tensor, array: Array) -> list[Any]:
    """The rows of a tensor as plain values; a NaN where one number is expected is a missing one."""
    if not array.size:
        return []
    if (array.dtype == object) != (tensor.datatype == "BYTES"):
        raise BadRequest(f"input {tensor.name!r} is not {tensor.datatype}", field=tensor.name)
    width = tensor.shape[1] if len(tensor.shape) > 1 else 1
    # One record without its first axis is one row.
    alone = array.ndim == 0 or (array.ndim == 1 and len(tensor.shape) > 1)
    whole = array.reshape(1, -1) if alone else array.reshape(len(array), -1)
    if width >= 0 and whole.shape[1] != width:
        raise BadRequest(
            f"input {tensor.name!r} has shape {list(array.shape)}, not {tensor.shape}", field=tensor.name
        )
    if array.dtype.kind == "f" and not _finite(whole, missing=len(tensor.shape) == 1):
        raise BadRequest(f"input {tensor.name!r} holds values that are no numbers", field=tensor.name)
    rows: list[Any] = (whole.astype(np.float64) if tensor.datatype == "FP64" else whole).tolist()
    if len(tensor.shape) == 1:
        return [None if value != value else value for (value,) in rows]
    return rows


def _finite(array: Array, *, missing: bool) -> bool:
    """Whether all numbers are finite; those that are `missing` (NaN) may be allowed."""
    return bool(np.isfinite(array).all() if not missing else not np.isinf(array).any())


def _fields(pipeline: Pipeline) -> Sequence[inspect.Field]:
    return _fields_of(pipeline.record)  # type: ignore[arg-type]  # every class is hashable


@cache
def _fields_of(record: Hashable) -> Sequence[inspect.Field]:
    found = inspect.type_info(record)
    assert isinstance(found, inspect.StructType), "a pipeline's record is a msgspec struct"
    return found.fields


def _tensor(field: inspect.Field) -> Tensor:
    kind = _bare(field.type)
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        length = kind.min_length if kind.min_length == kind.max_length else None
        item = _scalar(_bare(kind.item_type))
        return Tensor(field.encode_name, item, [-1, -1 if length is None else length])
    return Tensor(field.encode_name, _scalar(kind), [-1])


def _bare(kind: inspect.Type) -> inspect.Type:
    """A type without its metadata, and without None."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        others = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        numbers = all(isinstance(one, inspect.IntType | inspect.FloatType) for one in others)
        return _bare(others[0]) if len(others) == 1 else inspect.FloatType() if numbers else kind
    return kind


def _scalar(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.BoolType):
        return "BOOL"
    if isinstance(kind, inspect.IntType):
        return "INT64"
    if isinstance(kind, inspect.FloatType):
        return "FP64"
    if isinstance(kind, inspect.LiteralType) and all(isinstance(one, int) for one in kind.values):
        return "INT64"
    return "BYTES"
