"""Odd records, made from a good one and a record type: what streams bring sooner or later."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.records import encode

ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 0.5, 1e308, -1e308, 1e-308, 2**53 + 1, 2**63 - 1, -(2**63), 10**30,
    "", " ", "no such value", "x" * 10_000, "\u2028 \U0001f600", [], {}, [None],
)  # fmt: skip
"""What may stand where another value is expected."""


class OddRecord(NamedTuple):
    """A record that differs from a good one in one place."""

    what: str
    """How it differs, for people."""
    value: bytes


def make_odd_records(pipeline: Pipeline, good: bytes) -> Iterator[OddRecord]:
    """Yield records that differ from a good one in one field: left out, null, extreme, of another type.

    Fields that the record type has and the good record lacks are set as well. Of a list the first element is
    changed too.
    """
    record = msgspec.json.decode(good)
    if not isinstance(record, dict):
        return
    fields = list(dict.fromkeys([*record, *_list_fields(pipeline.record)]))
    for name in fields:
        if name in record:
            yield OddRecord(f"{name} left out", encode({k: v for k, v in record.items() if k != name}))
        for value in ODD_VALUES:
            yield OddRecord(f"{name} = {_show(value)}", encode({**record, name: value}))
        if isinstance(record.get(name), list) and record[name]:
            for value in ODD_VALUES:
                changed = copy.deepcopy(record)
                changed[name][0] = value
                yield OddRecord(f"{name}[0] = {_show(value)}", encode(changed))
    yield OddRecord("a field that nobody knows", encode({**record, "no_such_field": 1}))


def _list_fields(record: type[Any]) -> list[str]:
    """Return the fields of a record type by their names in JSON; none where it is not a struct."""
    if not (isinstance(record, type) and issubclass(record, msgspec.Struct)):
        return []
    return [field.encode_name for field in msgspec.structs.fields(record)]


def _show(value: Any) -> str:
    """Write a value as JSON, not too long.

    >>> _show(None), _show("x" * 100)
    ('null', '"xxxxxxxxxxxxxxxxxx…')
    """
    text = encode(value).decode()
    return text if len(text) <= 20 else text[:19] + "…"
