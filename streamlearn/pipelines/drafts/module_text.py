"""The text of a module that learns what a file holds: short, plain, and for a person to go on with."""

import json
from collections.abc import Iterator
from typing import Any

from streamlearn.learning.columns import Columns
from streamlearn.pipelines.drafts.columns import Column
from streamlearn.pipelines.drafts.inference import Inference

_WIDTH = 110
_COMMENTS = {
    "categories": "Other values than these have no feature.",
    "hashed": "Any value falls into one of so many buckets.",
    "texts": "Each word falls into one of so many buckets.",
}
"""What is said of columns in the module."""
_FIELDS_OF_ANSWERS = {"predict_y", "partition", "offset", "model_version", "lineage"}
"""What a prediction has itself, so that it cannot repeat a field of that name."""
_MAX_NAMED_CLASSES = 6
"""More are not repeated in the record's type: a label is compared with the pipeline's classes anyway."""
_CLASSIFIER_RATE = 0.05
_MOST_EXACT_FEATURES = 300
"""Least squares take the square of their number in time and memory."""


def write_module(name: str, file: str, inference: Inference) -> str:
    """Return the text of the module `name`; `file` is the file's path as the module is to name it."""
    return "\n".join(
        [*_write_head(name, inference), *_write_struct(inference), *_write_pipeline(name, file, inference)]
    )


def declare_columns(inference: Inference) -> Columns:
    """Return the features of the columns that are neither label nor identifier."""
    columns = inference.columns
    return Columns(
        numbers=tuple(column.field for column in columns if column.kind in ("number", "boolean")),
        categories={column.field: column.values for column in columns if column.kind == "category"},
        hashed={column.field: column.buckets for column in columns if column.kind == "hashed"},
        texts={column.field: column.buckets for column in columns if column.kind == "text"},
        times={
            column.field: column.form or "iso" if column.kind == "epoch" else "iso"
            for column in columns
            if column.kind in ("time", "epoch")
        },
    )


def _write_head(name: str, inference: Inference) -> Iterator[str]:
    columns = [*inference.columns, inference.label]
    what = f"one of {len(inference.classes)} classes" if inference.classes else "a number"
    yield f'"""{name}: predict {_make_plain(inference.label.name)}, {what}."""'
    yield ""
    if any(column.kind == "time" for column in columns):
        yield "from datetime import datetime"
    types = [_write_type(column) for column in inference.columns if column.kind != "left out"]
    types.append(_write_label_type(inference))
    words = [word for word in ("Annotated", "Literal") if any(f"{word}[" in text for text in types)]
    if words:
        yield f"from typing import {', '.join(words)}"
        yield ""
    yield "import msgspec"
    if "Annotated" in words:
        yield "from msgspec import Meta"
    yield ""
    yield "from streamlearn.datasets import Table"
    yield "from streamlearn.estimators import Standardized"
    yield "from streamlearn.learning import Columns, Tabular"
    yield "from streamlearn.pipelines import Pipeline"
    yield ""
    yield ""


def _write_struct(inference: Inference) -> Iterator[str]:
    yield "class Row(msgspec.Struct, kw_only=True):"
    yield '    """A record. One that does not fit is a dead letter.'
    yield ""
    yield "    Bounds lie ten times or more beyond the file's numbers: better put those that you know."
    yield '    """'
    yield ""
    for column in inference.columns:
        if column.kind == "left out":
            yield f"    # {_quote(column.name)} is left out: {_make_plain(column.note)}."
            continue
        if column.kind == "identifier":
            yield "    # Each value comes once: repeated by predictions, not learned from."
        elif column.note:
            yield f"    # {_make_plain(column.note)}"
        yield _write_field(column, required=not column.may_miss)
    if inference.label.may_miss:
        yield "    # The label; a record without one is predicted, and not learned."
    else:
        yield "    # The label, also of records that come without: those are predicted, and not learned."
    yield _write_field(inference.label, required=False, type_=_write_label_type(inference))
    yield ""
    yield ""


def _write_label_type(inference: Inference) -> str:
    label, classes = inference.label, inference.classes
    if classes is None or label.kind == "boolean":
        return _write_type(label)
    if len(classes) <= _MAX_NAMED_CLASSES and not any(isinstance(value, float) for value in classes):
        return f"Literal[{', '.join(map(_write_value, classes))}]"
    return type(classes[0]).__name__ if len({*map(type, classes)}) == 1 else "float"


def _write_field(column: Column, *, required: bool, type_: str = "") -> str:
    text = f"    {column.field}: {type_ or _write_type(column)}{'' if required else ' | None'}"
    options = [f"name={_quote(column.name)}"] if column.name != column.field else []
    if options:
        options += [] if required else ["default=None"]
        line = f"{text} = msgspec.field({', '.join(options)})"
        inner = "\n".join([f"{text} = msgspec.field(", f"        {', '.join(options)}", "    )"])
        return line if len(line) <= _WIDTH else inner
    return text if required else f"{text} = None"


def _write_type(column: Column) -> str:
    if column.bounds:
        low, high = column.bounds
        return f"Annotated[float, Meta(ge={low!r}, le={high!r})]"
    return {
        "boolean": "bool",
        "time": "datetime",
        "epoch": "float",
        "identifier": "int" if column.is_whole else "str",
    }.get(column.kind, "str")


def _write_pipeline(name: str, file: str, inference: Inference) -> Iterator[str]:
    columns, label = declare_columns(inference), inference.label
    features = {
        part: value
        for part in ("numbers", "categories", "hashed", "texts", "times")
        if (value := getattr(columns, part))
    }
    yield "pipeline = Pipeline("
    yield f"    name={_quote(name)},"
    yield f"    topic={_quote(name)},"
    yield f"    prediction_topic={_quote(name + '_predict')},"
    yield "    record=Row,"
    yield "    learning=Tabular("
    yield "        features=Columns("
    for part, value in features.items():
        if part in _COMMENTS:
            yield f"            # {_COMMENTS[part]}"
        yield f"            {part}={_format(value, 12, len(part) + 2)},"
    yield "        ),"
    yield f"        label={_quote(label.field)},"
    yield "        estimator=Standardized,"
    if inference.classes is not None:
        yield f"        classes={_format(inference.classes, 8, 9)},"
    yield "    ),"
    yield "    parameters={"
    inner, parameters, why = _choose_estimator(inference, len(columns.names))
    yield f'        "estimator": {_quote(inner)},'
    yield f"        # {why}"
    yield f'        "parameters": {_format(parameters, 8, 15)},'
    yield "    },"
    yield f"    passthrough_fields={_format(_list_passthrough(inference), 4, 20)},"
    yield from _write_table(file, inference)
    yield ")"
    yield ""


def _write_table(file: str, inference: Inference) -> Iterator[str]:
    options = [_quote(file), "Row"]
    if inference.decimal != ".":
        options.append(f"decimal={_quote(inference.decimal)}")
    times = {
        column.field: column.form for column in inference.columns if column.kind == "time" and column.form
    }
    if times:
        options.append(f"times={_format(times, 4, 20)}")
    if inference.order:
        options.append(f"order={_quote(inference.order)}")
    if inference.shuffle:
        yield "    # The file is sorted by its label: learned in that order, each would be forgotten in turn."
        options.append("shuffle=True")
    yield f"    dataset=Table({', '.join(options)}),"


def _choose_estimator(inference: Inference, features: int) -> tuple[str, dict[str, Any], str]:
    """Return the estimator that is standardised, its parameters, and the reason for them."""
    if inference.classes is not None:
        parameters = {
            "loss": "log_loss",
            "learning_rate": "constant",
            "eta0": _CLASSIFIER_RATE,
            "random_state": 0,
        }
        return "SGDClassifier", parameters, "A constant rate goes on following what changes."
    if features <= _MOST_EXACT_FEATURES:
        return "RecursiveLeastSquares", {"ridge": 10.0}, "Exact linear regression: there is no rate to tune."
    why = f"A step grows with the {features} features: a larger eta0 may diverge."
    return "SGDRegressor", {"eta0": float(f"{0.5 / features:.1g}"), "random_state": 0}, why


def _list_passthrough(inference: Inference) -> tuple[str, ...]:
    """Return what predictions repeat, by the names in JSON: what tells rows apart, the times, the label."""
    named = [column for column in inference.columns if column.kind in ("identifier", "time", "epoch")]
    return tuple(column.name for column in [*named, inference.label] if column.name not in _FIELDS_OF_ANSWERS)


def _format(value: Any, indent: int, used: int) -> str:
    """Write a tuple, mapping or plain value: on one line if it fits, else an item a line."""
    line = _write_value(value)
    if indent + used + len(line) <= _WIDTH or not isinstance(value, tuple | dict):
        return line
    inner = " " * (indent + 4)
    if isinstance(value, dict):
        items = [
            f"{_write_value(key)}: {_format(item, indent + 4, len(key) + 5)}," for key, item in value.items()
        ]
        return "\n".join(["{", *(inner + item for item in items), " " * indent + "}"])
    return "\n".join(["(", *(f"{inner}{_write_value(item)}," for item in value), " " * indent + ")"])


def _write_value(value: Any) -> str:
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_write_value(key)}: {_write_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_write_value, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def _quote(text: str) -> str:
    """Write a text as Python does, in double quotes."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _make_plain(text: str) -> str:
    """Return a text that can end neither a comment nor a docstring, and escapes nothing."""
    return "".join(
        character if character.isprintable() and character not in '"\\' else "�" for character in text
    )
