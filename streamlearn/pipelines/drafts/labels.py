"""What is to be predicted: a class or a number, and which classes there are."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from streamlearn.datasets.values import (
    FALSE_WORDS,
    TRUE_WORDS,
    is_missing_text,
    to_boolean,
    to_number,
    to_text,
)
from streamlearn.errors import FileError
from streamlearn.lags.readers.raw_table import RawTable, is_missing, show
from streamlearn.pipelines.drafts.columns import MOST, Column, Kind, find_bounds, fits

Task = Literal["classification", "regression", "forecast"]

_MAX_CLASSES = 200
_MAX_WHOLE_CLASSES = 10
"""More whole numbers than that are no classes, unless the user says so."""


def infer_label(
    table: RawTable, name: str, field: str, decimal: str, task: Task | None
) -> tuple[Task, Column, tuple[Any, ...] | None]:
    """Return the task, the label's column, and the classes of a classification.

    Raises
    ------
    FileError
        The label is empty, or no label of that task.
    """
    values = list(table.values(name))
    texts = [text for value in values if (text := to_text(value)) is not None]
    present = [value for value in values if not is_missing_text(value)]
    if not present:
        raise FileError(f"{table.source}: the label {name} is empty")
    if odd := next((value for value in present if isinstance(value, list | dict)), None):
        raise FileError(
            f"{table.source}: the label {name} is {show(odd)}; a label is a number, a text or a boolean"
        )
    may_miss = len(present) < len(values)
    words = {text.casefold() for text in texts}
    is_boolean = words <= {"true", "false"} or (
        words <= TRUE_WORDS | FALSE_WORDS
        and len({*map(to_boolean, words)}) < len(set(texts))
        and not words <= {"0", "1"}
    )
    known = [value for value in present if not is_missing(value)]
    numbers = _read_numbers([value for value in known if not isinstance(value, bool)], decimal)
    is_number = not is_boolean and bool(numbers) and len(numbers) >= MOST * len(known)
    whole = {int(number) for number in numbers if number == int(number)}
    if task is None:
        few = len(whole) == len(set(numbers)) <= min(_MAX_WHOLE_CLASSES, max(2, len(present) // 10))
        task = "regression" if is_number and not few else "classification"
    if task in ("regression", "forecast"):
        if not is_number:
            raise FileError(f"{table.source}: the label {name} is {show(present[0])}, not a number")
        bounds = find_bounds(numbers)
        return task, Column(name, field, "number", may_miss, bounds=bounds, attribute=field), None
    if is_boolean:
        classes: tuple[Any, ...] = tuple(sorted({bool(to_boolean(value)) for value in present}))
        kind: Kind = "boolean"
    elif is_number and len(numbers) == len(known):
        if len(whole) < len(set(numbers)):
            raise FileError(
                f"{table.source}: the label {name} has numbers with fractions, such as"
                f" {next(number for number in numbers if number != int(number))}, which are no classes: leave"
                " --task classification out, or write the classes as words"
            )
        classes, kind = tuple(sorted(whole)), "category"
    else:
        classes, kind = tuple(sorted(set(texts))), "category"
    if len(classes) < 2:
        raise FileError(
            f"{table.source}: the label {name} is always {show(classes[0])}; a classification needs rows of"
            " two classes or more"
        )
    if len(classes) > _MAX_CLASSES:
        raise FileError(
            f"{table.source}: the label {name} has {len(classes)} different values: is it an identifier?"
            f" A classification takes at most {_MAX_CLASSES} classes"
            + ("; --task regression predicts it as a number" if is_number else "")
        )
    return task, Column(name, field, kind, may_miss, values=classes, attribute=field), classes


def is_sorted(labels: Sequence[Any], task: Task, decimal: str) -> bool:
    """Tell whether rows seem to be sorted by their labels."""
    present = [label for label in labels if not is_missing_text(label)]
    if task != "classification":
        keys = _read_numbers(present, decimal)
        rises = sum(later > sooner for sooner, later in pairwise(keys))
        falls = sum(later < sooner for sooner, later in pairwise(keys))
        return min(rises, falls) < 0.05 * max(rises, falls)
    texts = [str(to_text(label)) for label in present]
    expected = len(texts) - sum(count * count for count in Counter(texts).values()) / len(texts)
    changes = sum(later != sooner for sooner, later in pairwise(texts))
    return changes < 0.2 * expected


def _read_numbers(values: Sequence[Any], decimal: str) -> list[int | float]:
    """Return those values that are numbers."""
    numbers = [to_number(value, decimal) for value in values if fits(lambda v: to_number(v, decimal), value)]
    return [number for number in numbers if number is not None]
