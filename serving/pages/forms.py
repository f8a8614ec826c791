"""A form for one record of any pipeline, made from its record type."""

from dataclasses import dataclass
from typing import Any, Literal

from msgspec import inspect

from serving.protocol.signature import Tensor, find_signature, inspect_fields, strip_type
from streamlearn.pipelines.base import Pipeline


@dataclass(frozen=True)
class FormField:
    """One field of the form."""

    tensor: Tensor
    """What it becomes in a request."""
    kind: Literal["number", "integer", "text", "choice", "switch", "list"]
    required: bool
    choices: tuple[Any, ...] = ()
    low: float | None = None
    """The least number that the record type takes; of a list, of its elements."""
    high: float | None = None
    length: int | None = None
    """Of a list, how many elements it must have; None for any number."""
    picture: tuple[int, int] | None = None
    """Rows and columns, where a list is a picture."""

    @property
    def name(self) -> str:
        """The field's name in JSON."""
        return self.tensor.name


def make_form(pipeline: Pipeline) -> list[FormField]:
    """Return the fields of a record that a client can send, in the record's order; the label is none."""
    signature = find_signature(pipeline)
    return [
        _make_field(field, signature.fields[field.encode_name], pipeline)
        for field in inspect_fields(pipeline.record)
        if field.encode_name != signature.label_field
    ]


def _make_field(field: inspect.Field, tensor: Tensor, pipeline: Pipeline) -> FormField:
    kind: Any = strip_type(field.type)
    if len(tensor.shape) > 1:
        item: Any = strip_type(kind.item_type)
        length = tensor.shape[1] if tensor.shape[1] >= 0 else None
        shape = pipeline.display.picture
        picture = shape if shape and length == shape[0] * shape[1] else None
        return FormField(tensor, "list", field.required, (), *_find_limits(item), length, picture)
    if isinstance(kind, inspect.LiteralType):
        return FormField(tensor, "choice", field.required, tuple(kind.values))
    if isinstance(kind, inspect.EnumType):
        return FormField(tensor, "choice", field.required, tuple(member.value for member in kind.cls))
    names: dict[str, Literal["switch", "integer", "number"]] = {
        "BOOL": "switch",
        "INT64": "integer",
        "FP64": "number",
    }
    return FormField(tensor, names.get(tensor.datatype, "text"), field.required, (), *_find_limits(kind))


def _find_limits(kind: Any) -> tuple[float | None, float | None]:
    """Return the least and the largest number that a type takes, as far as it says."""
    low, high = getattr(kind, "ge", None), getattr(kind, "le", None)
    return low, high
