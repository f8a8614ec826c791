"""Describes a pipeline's records and answers as the Open Inference Protocol's tensors, and reads records.

Each field of a record that has no default is an input; the first axis counts the records. So digits takes `x`
of shape [n, 64], and pm25 one tensor for each field of its hours. A field with a default may be sent too. The
label is not an input: it comes as feedback. In place of all these, `record` may be sent, each element a
record as JSON: for clients that have only one input.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from msgspec import inspect
from numpy.typing import NDArray

from streamlearn.errors import BadRequest
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.records import make_whole, retry_with_whole_numbers

Array = NDArray[Any]

RECORD = "record"
"""An input that every pipeline takes in place of its own: whole records, as JSON texts."""


class Tensor(msgspec.Struct, omit_defaults=True):
    """The form of a tensor; −1 in its shape stands for any number of records or elements.

    Where its columns stand for classes, `parameters` names them, in their order, as `classes`.
    """

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}


@dataclass(frozen=True)
class Signature:
    """What is known of a pipeline's requests and answers, made once."""

    fields: dict[str, Tensor]
    """The tensors of all fields of a record, by name."""
    inputs: list[Tensor]
    """Those that a client must send."""
    optional_inputs: list[Tensor]
    """Those that a client may send."""
    outputs: list[Tensor]
    label_field: str | None
    placeholder_label: dict[str, Any]
    """See `make_placeholder_label`."""


_signatures: dict[int, tuple[Pipeline, Signature]] = {}
"""By the pipeline's identity: it has no hash. Each is kept, so no other can have its identity."""


def find_signature(pipeline: Pipeline) -> Signature:
    """Return a pipeline's signature; make it at the first call."""
    known = _signatures.get(id(pipeline))
    if known is None:
        known = _signatures[id(pipeline)] = pipeline, _make_signature(pipeline)
    return known[1]


def _make_signature(pipeline: Pipeline) -> Signature:
    fields = inspect_fields(pipeline.record)
    name, classes = pipeline.learning.label_field, pipeline.learning.classes
    label = next((field.encode_name for field in fields if field.name == name), None)
    required = {field.encode_name for field in fields if field.required}
    tensors = {field.encode_name: _describe_field(field) for field in fields}
    return Signature(
        fields=tensors,
        inputs=[tensor for tensor in tensors.values() if tensor.name in required - {label}],
        optional_inputs=[
            tensor for tensor in tensors.values() if tensor.name not in required and tensor.name != label
        ],
        outputs=[
            Tensor(
                field.name,
                field.datatype,
                list(field.shape),
                {"classes": [_as_plain(label) for label in field.classes]} if field.classes else {},
            )
            for field in pipeline.output_fields
        ],
        label_field=label,
        placeholder_label={label: 0.0 if classes is None else next(iter(classes), "")}
        if label in required
        else {},
    )


def describe_inputs(pipeline: Pipeline) -> list[Tensor]:
    """Return the tensors that a client must send."""
    return find_signature(pipeline).inputs


def describe_optional_inputs(pipeline: Pipeline) -> list[Tensor]:
    """Return the tensors that a client may send: of fields that have a default."""
    return find_signature(pipeline).optional_inputs


def describe_outputs(pipeline: Pipeline, learner: Learner | None = None) -> list[Tensor]:
    """Return the tensors of an answer; of a learner whose classes come as they do, with those so far."""
    outputs = find_signature(pipeline).outputs
    if learner is None or learner.classes is None:
        return outputs
    classes = [_as_plain(label) for label in learner.classes]
    return [
        Tensor(output.name, output.datatype, [-1, len(classes)], {"classes": classes})
        if output.shape == [-1, -1]
        else output
        for output in outputs
    ]


def _as_plain(label: Any) -> Any:
    """Return a class as JSON can hold it: numpy's numbers and texts as Python's."""
    return label.item() if isinstance(label, np.generic) else label


def find_label_field(pipeline: Pipeline) -> str | None:
    """Return the field that holds a record's label, by its name in JSON; None where no single field does."""
    return find_signature(pipeline).label_field


def is_windowed(pipeline: Pipeline) -> bool:
    """Return whether the records of a request are one window, answered once."""
    return pipeline.learning.series is not None


def read_records(pipeline: Pipeline, arrays: dict[str, Array], max_rows: int) -> list[Any]:
    """Return the records that input tensors hold, by the tensors' names; there are 1 to `max_rows`.

    Raises
    ------
    BadRequest
        A tensor is missing, unknown or of another shape, or a record does not fit its type.
    """
    signature = find_signature(pipeline)
    tensors, required = signature.fields, [tensor.name for tensor in signature.inputs]
    sent, arrays = arrays, {match_name(name, tensors) or name: array for name, array in arrays.items()}
    if len(arrays) < len(sent):
        raise BadRequest(f"two of the inputs {', '.join(sent)} differ by capitals alone", field="inputs")
    if list(arrays) == [RECORD] and RECORD not in tensors:
        return _read_whole_records(pipeline, arrays[RECORD], max_rows)
    if unknown := sorted(arrays.keys() - tensors.keys()):
        raise BadRequest(
            f"there is no input {unknown[0]!r}; the inputs are: {', '.join(tensors)}", field="inputs"
        )
    if missing := [name for name in required if name not in arrays]:
        raise BadRequest(f"input {missing[0]!r} is missing", field="inputs")
    columns = {name: _read_column(tensors[name], array) for name, array in arrays.items()}
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        raise BadRequest(f"the inputs have different numbers of rows: {counts}", field="inputs")
    count = next(iter(counts.values()), 0)
    if not 0 < count <= max_rows:
        raise BadRequest(f"there must be 1 to {max_rows} rows, not {count}", field="inputs")
    for name, value in signature.placeholder_label.items():
        columns.setdefault(name, [value] * count)
    objects = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return convert_objects(pipeline, objects, "inputs")


def match_name(name: str, names: Collection[str]) -> str | None:
    """Return what of some names, or of `record`, a client means: the very name, else the one in other case.

    Flink's SQL writes all names in capitals.

    >>> match_name("X", ["x", "y"]), match_name("A", ["a", "A"]), match_name("T", ["tt"])
    ('x', 'A', None)
    """
    if name in names:
        return name
    similar = [other for other in (*names, RECORD) if other.lower() == name.lower()]
    return similar[0] if len(similar) == 1 else None


def _read_whole_records(pipeline: Pipeline, array: Array, max_rows: int) -> list[Any]:
    """Return the records that stand in texts, as JSON; a text may hold a list of them."""
    if array.dtype != object:
        raise BadRequest(f"input {RECORD!r} is not BYTES: each element is a record as JSON", field=RECORD)
    objects: list[Any] = []
    for number, text in enumerate(array.ravel().tolist()):
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(f"element {number} of {RECORD!r} is not JSON: {error}", field=RECORD) from error
        objects += value if isinstance(value, list) else [value]
    if not 0 < len(objects) <= max_rows:
        raise BadRequest(f"there must be 1 to {max_rows} records, not {len(objects)}", field=RECORD)
    label = find_signature(pipeline).placeholder_label
    return convert_objects(
        pipeline, [{**label, **value} if isinstance(value, dict) else value for value in objects], RECORD
    )


def make_placeholder_label(pipeline: Pipeline) -> dict[str, Any]:
    """Return a label as {field: value} where records must have one, otherwise {}; no prediction reads it."""
    return find_signature(pipeline).placeholder_label


def convert_objects(pipeline: Pipeline, objects: Sequence[Any], field: str) -> list[Any]:
    """Return JSON objects as the pipeline's records; where a field wants an integer, 7.0 is one.

    Raises
    ------
    BadRequest
        An object does not fit the record's type; the message says which field, and why.
    """
    with suppress(msgspec.ValidationError, ValueError, RecursionError):
        return msgspec.convert(objects, list[pipeline.record])  # type: ignore[name-defined]
    records = []
    for number, value in enumerate(objects):
        try:
            records.append(_convert(value, pipeline.record))
        except (msgspec.ValidationError, ValueError, RecursionError) as error:
            raise BadRequest(f"{field}, record {number}: {error}", field=f"{field}[{number}]") from error
    return records


def _convert(value: Any, record: type[Any]) -> Any:
    try:
        return msgspec.convert(value, record)
    except msgspec.ValidationError as error:
        return retry_with_whole_numbers(error, value, lambda whole: msgspec.convert(whole, record))


def _read_column(tensor: Tensor, array: Array) -> list[Any]:
    """Return a field's plain value in each record; NaN becomes None where one number is expected."""
    if not array.size:
        return []
    given = {"O": "BYTES", "b": "BOOL"}.get(array.dtype.kind)
    # A number may be of any size and kind; a text or a truth value is none.
    if given != (tensor.datatype if tensor.datatype in ("BYTES", "BOOL") else None):
        raise BadRequest(
            f"input {tensor.name!r} is not {tensor.datatype} but {given or 'a number'}", field=tensor.name
        )
    width = tensor.shape[1] if len(tensor.shape) > 1 else 1
    # A single record may come without its first axis.
    is_single = array.ndim == 0 or (array.ndim == 1 and len(tensor.shape) > 1)
    table = array.reshape(1, -1) if is_single else array.reshape(len(array), -1)
    if width >= 0 and table.shape[1] != width:
        raise BadRequest(
            f"input {tensor.name!r} has shape {list(array.shape)}, not {tensor.shape}", field=tensor.name
        )
    if array.dtype.kind == "f" and not _is_finite(table, allow_nan=len(tensor.shape) == 1):
        raise BadRequest(f"input {tensor.name!r} holds infinite or missing numbers", field=tensor.name)
    if tensor.datatype == "FP64":
        table = table.astype(np.float64, copy=False)
    if tensor.datatype == "INT64" and table.dtype.kind == "f":
        rows = [[_as_integer(value, tensor) for value in row] for row in table.tolist()]
    else:
        rows = table.tolist()
    if len(tensor.shape) == 1:
        return [None if value != value else value for (value,) in rows]
    return rows


def _as_integer(value: float, tensor: Tensor) -> Any:
    """Return a whole float as an integer; NaN, which stands for None, as it is."""
    whole = make_whole(value)
    if isinstance(whole, float) and not np.isnan(whole):
        raise BadRequest(
            f"input {tensor.name!r} is INT64: {value} is not a whole number of at most 2⁵³", field=tensor.name
        )
    return whole


def _is_finite(array: Array, *, allow_nan: bool) -> bool:
    return bool(not np.isinf(array).any() if allow_nan else np.isfinite(array).all())


def inspect_fields(record: type[Any]) -> Sequence[inspect.Field]:
    """Return the fields of a record type, in their order."""
    info = inspect.type_info(record)
    assert isinstance(info, inspect.StructType), "a pipeline's record is a msgspec struct"
    return info.fields


def _describe_field(field: inspect.Field) -> Tensor:
    kind = strip_type(field.type)
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        length = kind.min_length if kind.min_length == kind.max_length else None
        datatype = _choose_datatype(strip_type(kind.item_type))
        return Tensor(field.encode_name, datatype, [-1, -1 if length is None else length])
    return Tensor(field.encode_name, _choose_datatype(kind), [-1])


def strip_type(kind: inspect.Type) -> inspect.Type:
    """Return a type without its metadata and without None; a union of numbers is a float."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        others = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        numeric = all(isinstance(member, inspect.IntType | inspect.FloatType) for member in others)
        return strip_type(others[0]) if len(others) == 1 else inspect.FloatType() if numeric else kind
    return kind


def _choose_datatype(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.BoolType):
        return "BOOL"
    if isinstance(kind, inspect.IntType):
        return "INT64"
    if isinstance(kind, inspect.FloatType):
        return "FP64"
    if isinstance(kind, inspect.LiteralType) and all(isinstance(value, int) for value in kind.values):
        return "INT64"
    return "BYTES"
