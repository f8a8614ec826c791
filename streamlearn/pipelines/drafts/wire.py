"""Columns of a topic: a file's values are converted as they are sent, a topic's are read as they stand."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from streamlearn.datasets.values import to_text
from streamlearn.pipelines.drafts.columns import Column

_TYPES = {bool: "bool", int: "int", float: "float", str: "str"}
_READERS = {"number": "to_number", "epoch": "to_number", "boolean": "to_boolean", "time": "to_time"}


def fit_to_topic(column: Column, values: Sequence[Any], taken: Collection[str]) -> Column:
    """Return a column as a topic has it: the types of its values, and what has to be made of them.

    Parameters
    ----------
    values
        What the records have in this column, as JSON has it; None where they lack it.
    taken
        The names of all fields, which a property must not have.
    """
    present = [value for value in values if value is not None]
    if column.kind == "left out" or all(_is_of_kind(value, column) for value in present):
        return column
    types = {_TYPES[type(value)] for value in present}
    if "float" in types and (column.kind == "number" or column.values):
        types.discard("int")  # a float takes whole numbers, too
    column = replace(column, wire_types=tuple(sorted(types)))
    if column.kind == "identifier":
        return column
    is_of_numbers = bool(column.values) and not isinstance(column.values[0], str | bool)
    reader = "to_number" if is_of_numbers else _READERS.get(column.kind, "to_text")
    return replace(column, reader=reader, attribute=_name_property(column.field, taken))


def _is_of_kind(value: Any, column: Column) -> bool:
    """Tell whether a value needs no conversion."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match column.kind:
        case "number" | "epoch":
            return is_number
        case "boolean":
            return isinstance(value, bool)
        case "time":
            return isinstance(value, str) and column.form is None and _is_iso(value)
        case "identifier" if column.is_whole:
            return is_number
        case "category" if column.values and not isinstance(column.values[0], str):
            return is_number
        case "category":
            return isinstance(value, str) and to_text(value) in (value, None)
    return isinstance(value, str)


def _is_iso(value: str) -> bool:
    try:
        msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return False
    return True


def _name_property(field: str, taken: Collection[str]) -> str:
    name = f"{field}_value"
    while name in taken:
        name += "_"
    return name
