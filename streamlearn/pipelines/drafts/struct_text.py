"""The text of a record type: a field for each column, and properties where a topic has text for numbers."""

from collections.abc import Iterator

from streamlearn.pipelines.drafts.columns import Column
from streamlearn.pipelines.drafts.inference import Inference
from streamlearn.pipelines.drafts.python_text import WIDTH, make_plain, quote, write_value
from streamlearn.stream.explanations import NONE_OF_THE_FIELDS

_MAX_NAMED_CLASSES = 6
"""More are not repeated in the record's type: a label is compared with the pipeline's classes anyway."""
_FIELDS_OF_ANSWERS = {"predict_y", "forecast", "partition", "offset", "model_version", "lineage"}
"""What a prediction has itself, so that it cannot repeat a field of that name."""
_CHECK_THAT_IT_HOLDS_SOMETHING = (
    "",
    "    def __post_init__(self) -> None:",
    '        """Refuse a record without any of the fields: it is of another kind, such as a change event."""',
    "        if all(value is None for value in msgspec.structs.astuple(self)):",
    f"            raise ValueError({quote(NONE_OF_THE_FIELDS)})",
)
_EXPLANATIONS = {
    "to_number": "The number; the topic has it as text",
    "to_boolean": "Whether it is so; the topic has words or numbers",
    "to_time": "The time as ISO 8601 writes it",
    "to_text": "The text without spaces around it; the topic has several types",
}


def write_standard_imports(
    inference: Inference, *, has_datetime: bool, has_timedelta: bool = False
) -> Iterator[str]:
    """Write the imports up to that of msgspec, which a record type needs."""
    names = ["datetime"] * has_datetime + ["timedelta"] * (has_datetime and has_timedelta)
    if names:
        yield f"from datetime import {', '.join(names)}"
    types = [write_type(column) for column in inference.columns if column.kind != "left out"]
    types.append(write_label_type(inference))
    words = [word for word in ("Annotated", "Literal") if any(f"{word}[" in text for text in types)]
    if words:
        yield f"from typing import {', '.join(words)}"
    if names or words:
        yield ""
    yield "import msgspec"


def write_struct(inference: Inference) -> Iterator[str]:
    """Write the record type."""
    yield "class Row(msgspec.Struct, kw_only=True):"
    yield '    """A record. One that does not fit is a dead letter.'
    yield ""
    what = "topic" if inference.source.is_topic else "file"
    yield f"    Bounds lie ten times or more beyond the {what}'s numbers: better put those that you know."
    yield '    """'
    yield ""
    for column in inference.columns:
        if column.kind == "left out":
            yield f"    # {quote(column.name)} is left out: {make_plain(column.note)}."
            continue
        if column.kind == "identifier":
            yield f"    # {column.note.capitalize()}: repeated by predictions, not learned from."
        elif column.note:
            yield f"    # {make_plain(column.note)}"
        yield _write_field(column, required=not column.may_miss)
    if inference.label.may_miss:
        yield "    # The label; a record without one is predicted, and not learned."
    else:
        yield "    # The label, also of records that come without: those are predicted, and not learned."
    yield _write_field(inference.label, required=False, type_=write_label_type(inference))
    if all(column.may_miss for column in inference.columns if column.kind != "left out"):
        yield from _CHECK_THAT_IT_HOLDS_SOMETHING
    for column in [*inference.columns, inference.label]:
        if column.reader:
            yield from _write_property(column, inference.decimal)
    yield ""
    yield ""


def write_label_type(inference: Inference) -> str:
    """Write the type of the label's field."""
    label, classes = inference.label, inference.classes
    if classes is None or label.kind == "boolean" or label.wire_types:
        return write_type(label)
    if len(classes) <= _MAX_NAMED_CLASSES and not any(isinstance(value, float) for value in classes):
        return f"Literal[{', '.join(map(write_value, classes))}]"
    return type(classes[0]).__name__ if len({*map(type, classes)}) == 1 else "float"


def _write_property(column: Column, decimal: str) -> Iterator[str]:
    """Write what makes a value of a field that the topic has as text, or as several types."""
    result = {"to_number": "float", "to_boolean": "bool"}.get(column.reader, "str")
    arguments = f"self.{column.field}"
    arguments += {"to_number": f", {quote(decimal)}", "to_time": f", {write_value(column.form)}"}.get(
        column.reader, ""
    )
    yield ""
    yield "    @property"
    yield f"    def {column.attribute}(self) -> {result} | None:"
    yield f'        """{_EXPLANATIONS[column.reader]}."""'
    yield f"        return {column.reader}({arguments})"


def _write_field(column: Column, *, required: bool, type_: str = "") -> str:
    text = f"    {column.field}: {type_ or write_type(column)}{'' if required else ' | None'}"
    options = [f"name={quote(column.name)}"] if column.name != column.field else []
    if options:
        options += [] if required else ["default=None"]
        line = f"{text} = msgspec.field({', '.join(options)})"
        inner = "\n".join([f"{text} = msgspec.field(", f"        {', '.join(options)}", "    )"])
        return line if len(line) <= WIDTH else inner
    return text if required else f"{text} = None"


def write_type(column: Column) -> str:
    """Write the type of a column's field."""
    if column.wire_types:
        return " | ".join(column.wire_types)
    if column.bounds:
        low, high = column.bounds
        return f"Annotated[float, Meta(ge={low!r}, le={high!r})]"
    return {
        "boolean": "bool",
        "time": "datetime",
        "epoch": "float",
        "identifier": "int" if column.is_whole else "str",
    }.get(column.kind, "str")


def list_passthrough(inference: Inference) -> tuple[str, ...]:
    """Return what predictions repeat, by the names in JSON: what tells rows apart, the times, the label."""
    named = [column for column in inference.columns if column.kind in ("identifier", "time", "epoch")]
    return tuple(column.name for column in [*named, inference.label] if column.name not in _FIELDS_OF_ANSWERS)
