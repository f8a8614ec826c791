"""The text of a module that learns what a file holds: short, plain, and for a person to go on with."""

from collections.abc import Iterator
from typing import Any

from streamlearn.learning.columns import Columns
from streamlearn.pipelines.drafts.forecast_text import write_forecast
from streamlearn.pipelines.drafts.inference import Inference
from streamlearn.pipelines.drafts.python_text import format_value, make_plain, quote
from streamlearn.pipelines.drafts.struct_text import list_passthrough, write_standard_imports, write_struct

_COMMENTS = {
    "categories": "Other values than these have no feature.",
    "hashed": "Any value falls into one of so many buckets.",
    "texts": "Each word falls into one of so many buckets.",
}
"""What is said of columns in the module."""
_CLASSIFIER_STEP = 0.25
_REGRESSOR_DRIFT = 5e-5
_MOST_EXACT_FEATURES = 200
"""Least squares take the square of their number in time and memory."""


def write_module(name: str, file: str, inference: Inference) -> str:
    """Return the text of the module `name`; `file` is the file's path as the module is to name it."""
    table = "" if inference.source.is_topic else _write_table(file, inference)
    if inference.series is not None:
        return write_forecast(name, table, inference, inference.series)
    return "\n".join(
        [*_write_head(name, inference), *write_struct(inference), *_write_pipeline(name, table, inference)]
    )


def declare_columns(inference: Inference) -> Columns:
    """Return the features of the columns that are neither label nor identifier."""
    columns = inference.columns
    return Columns(
        numbers=tuple(column.attribute for column in columns if column.kind in ("number", "boolean")),
        categories={column.attribute: column.values for column in columns if column.kind == "category"},
        hashed={column.attribute: column.buckets for column in columns if column.kind == "hashed"},
        texts={column.attribute: column.buckets for column in columns if column.kind == "text"},
        times={
            column.attribute: column.form or "iso" if column.kind == "epoch" else "iso"
            for column in columns
            if column.kind in ("time", "epoch")
        },
    )


def _write_head(name: str, inference: Inference) -> Iterator[str]:
    columns = [*inference.columns, inference.label]
    what = f"one of {len(inference.classes)} classes" if inference.classes else "a number"
    yield f'"""{name}: predict {make_plain(inference.label.name)}, {what}."""'
    yield ""
    has_datetime = any(column.kind == "time" and not column.reader for column in columns)
    yield from write_standard_imports(inference, has_datetime=has_datetime)
    if any(column.bounds and not column.wire_types for column in columns):
        yield "from msgspec import Meta"
    yield ""
    if not inference.source.is_topic:
        yield "from streamlearn.datasets import Table"
    if readers := sorted({column.reader for column in columns if column.reader}):
        yield f"from streamlearn.datasets.values import {', '.join(readers)}"
    yield "from streamlearn.estimators import Standardized"
    yield "from streamlearn.learning import Columns, Tabular"
    yield "from streamlearn.pipelines import Pipeline"
    yield ""
    yield ""


def _write_pipeline(name: str, table: str, inference: Inference) -> Iterator[str]:
    columns, label = declare_columns(inference), inference.label
    features = {
        part: value
        for part in ("numbers", "categories", "hashed", "texts", "times")
        if (value := getattr(columns, part))
    }
    yield "pipeline = Pipeline("
    yield f"    name={quote(name)},"
    yield f"    topic={quote(inference.source.name if inference.source.is_topic else name)},"
    yield f"    prediction_topic={quote(name + '_predict')},"
    yield "    record=Row,"
    yield "    learning=Tabular("
    yield "        features=Columns("
    for part, value in features.items():
        if part in _COMMENTS:
            yield f"            # {_COMMENTS[part]}"
        yield f"            {part}={format_value(value, 12, len(part) + 2)},"
    yield "        ),"
    yield f"        label={quote(label.attribute)},"
    yield "        estimator=Standardized,"
    if inference.classes is not None:
        yield f"        classes={format_value(inference.classes, 8, 9)},"
    yield "    ),"
    yield "    parameters={"
    inner, parameters, why = _choose_estimator(inference, len(columns.names))
    yield f'        "estimator": {quote(inner)},'
    yield f"        # {why}"
    yield f'        "parameters": {format_value(parameters, 8, 15)},'
    yield "    },"
    yield f"    passthrough_fields={format_value(list_passthrough(inference), 4, 20)},"
    if inference.shuffle:
        yield "    # The file is sorted by its label: learned in that order, each would be forgotten in turn."
    if table:
        yield f"    dataset={table},"
    if inference.key is not None:
        yield "    # Records with the same value stay in one partition of the topic, in order."
        yield f"    key={quote(inference.key)},"
    yield ")"
    yield ""


def _write_table(file: str, inference: Inference) -> str:
    """Write what makes the data set."""
    options = [quote(file), "Row"]
    if inference.decimal != ".":
        options.append(f"decimal={quote(inference.decimal)}")
    times = {
        column.field: column.form for column in inference.columns if column.kind == "time" and column.form
    }
    if times:
        options.append(f"times={format_value(times, 4, 20)}")
    if inference.order:
        options.append(f"order={quote(inference.order)}")
    if inference.shuffle:
        options.append("shuffle=True")
    return f"Table({', '.join(options)})"


def _choose_estimator(inference: Inference, features: int) -> tuple[str, dict[str, Any], str]:
    """Return the estimator that is standardised, its parameters, and the reason for them."""
    if inference.classes is not None:
        why = "A constant step goes on following what changes."
        return "PartlyLinearSoftmax", {"step": _CLASSIFIER_STEP, "seed": 0}, why
    if features <= _MOST_EXACT_FEATURES:
        why = "The drift lets it go on following what changes; 0 forgets nothing."
        return "PartlyLinearLeastSquares", {"drift": _REGRESSOR_DRIFT, "seed": 0}, why
    why = f"A step grows with the {features} features: a larger eta0 may diverge."
    return "SGDRegressor", {"eta0": float(f"{0.5 / features:.1g}"), "random_state": 0}, why
