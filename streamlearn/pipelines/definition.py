"""What is fixed with a lineage: everything about a pipeline that decides its predictions.

A definition is plain JSON. It stands in the register of lineages, and a lineage goes on only with a pipeline
of the same definition. It names no module's path, so code can be moved:

- a kind of learning by the name that it declares (`Learning.kind`);
- classes, such as estimators, by their package and name: `sklearn.SGDClassifier`;
- the record type and functions by a fingerprint of their code (`fingerprint.py`), so that an edit is noticed;
  where the pipeline has a `revision`, by that alone.

How numbers are read (`whole_numbers`) is fixed as well, but only with the lineage, not with the pipeline: one
that began without goes on without. So is what a lineage began from (`origin`), where that is not nothing.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from streamlearn.learning.learner import Learning
from streamlearn.pipelines.fingerprint import fingerprint, stable_name
from streamlearn.stream.lineage import ORIGIN, WHOLE_NUMBERS

_FORMAT = 2
_CODE = "code "
"""What stands before a fingerprint."""
_OF_THE_LINEAGE = frozenset({WHOLE_NUMBERS, ORIGIN})
"""What is fixed with a lineage alone."""
_FIRST_KINDS = {"streamlearn.learner.Rows": "tabular", "streamlearn.forecast.Forecast": "forecast"}
"""What kinds of learning are called in definitions of format 1."""


def describe(
    learning: Learning, record: type[Any], parameters: Mapping[str, Any], revision: str | None
) -> dict[str, Any]:
    """Return a pipeline's definition."""
    definition: dict[str, Any] = {
        "definition_format": _FORMAT,
        "learning": learning.kind,
        "parameters": dict(parameters),
        WHOLE_NUMBERS: True,
    }
    for name, value in {"record": record, **learning.definition()}.items():
        if _is_code(name, value):
            if revision is None:
                definition[name] = _CODE + fingerprint(value)
        else:
            definition[name] = stable_name(value) if callable(value) else value
    if revision is not None:
        definition["revision"] = revision
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(definition))
    return plain


def find_changes(
    before: Mapping[str, Any], now: Mapping[str, Any], learning: Learning, record: type[Any]
) -> dict[str, tuple[Any, Any]]:
    """Return what is not as it was in a lineage's definition: name → (before, now).

    `learning` and `record` are those that `now` describes. A definition of format 1 named functions by their
    modules' paths, which tells nothing of an edit: of those only the names are compared.
    """
    now = {name: part for name, part in now.items() if name not in _OF_THE_LINEAGE}
    before = {name: part for name, part in before.items() if name not in _OF_THE_LINEAGE}
    if "definition_format" in before:
        before, now = _flatten(before), _flatten(now)
    else:
        before, now = _name_as_in_format_1(before, now, learning, record)
    return {
        name: (before.get(name), now.get(name))
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    }


def carry_on(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition with which a lineage goes on: as it is now, but for what is fixed with it alone.

    That is how numbers are read, and what it began from.
    """
    origin = {ORIGIN: before[ORIGIN]} if ORIGIN in before else {}
    return {**now, WHOLE_NUMBERS: bool(before.get(WHOLE_NUMBERS)), **origin}


def _flatten(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Name each of the parameters by itself."""
    parameters = {f"parameter {name}": value for name, value in definition["parameters"].items()}
    return {**{name: part for name, part in definition.items() if name != "parameters"}, **parameters}


def is_edit(name: str, before: Any, now: Any) -> bool:
    """Whether a change need not change predictions: edited code, or a revision in place of code."""
    if name == "revision":
        return before is None or now is None
    return all(value is None or str(value).startswith(_CODE) for value in (before, now))


def _is_code(name: str, value: Any) -> bool:
    """Whether a part is the author's own code; other classes are somebody's, under a name that stays."""
    return callable(value) and (name == "record" or not isinstance(value, type))


def _name_as_in_format_1(
    before: Mapping[str, Any], now: Mapping[str, Any], learning: Learning, record: type[Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both definitions with classes and functions by package and name."""
    parts = {"record": record, **learning.definition()}
    code = {name: value for name, value in parts.items() if callable(value)}
    then = {name: _shorten(value) if name in code else value for name, value in before.items()}
    then["learning"] = _FIRST_KINDS.get(before["learning"], _shorten(before["learning"]).rpartition(".")[2])
    unknown_then = {"definition_format", "revision", "parameters"}
    today = {**now["parameters"], **{name: part for name, part in now.items() if name not in unknown_then}}
    today |= {name: stable_name(value) for name, value in code.items()}
    # A lambda had no name of its own, so it cannot be compared with anything.
    nameless = {name for name, value in before.items() if str(value).endswith("<lambda>")}
    return (
        {name: value for name, value in then.items() if name not in nameless},
        {name: value for name, value in today.items() if name not in nameless},
    )


def _shorten(path: Any) -> str:
    """Turn a module's path and a name into a package and a name.

    >>> _shorten("sklearn.linear_model._stochastic_gradient.SGDClassifier")
    'sklearn.SGDClassifier'
    """
    return f"{str(path).partition('.')[0]}.{str(path).rpartition('.')[2]}"
