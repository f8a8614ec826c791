"""Labels that come later than the record that was predicted, by its id.

A record that has an id and no label is predicted, and waits. Its label is a record of its own, of two fields:
the id and the label. When it arrives, the features are learned as they were, once, and the label is scored
against the answer that was given. What waits is bounded: the newest are kept, and the oldest let go.

A record that the server was asked about, and has answered, comes with that answer, in its field
`answer_given`: then this is the answer against which its label is scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
from msgspec.structs import FieldInfo
from numpy.typing import NDArray

from streamlearn.errors import BadRecord, ConfigurationError

Answer = dict[str, Any]

ANSWER_GIVEN = "answer_given"
"""The field of a record that was answered before it came into the stream."""


@dataclass(frozen=True)
class LabelsLater:
    """That labels may come later, by an id; for `Tabular.labels_later`.

    A waiting record stands in every snapshot with its features: a thousand of a hundred features are 0.8 MB.

    Parameters
    ----------
    id
        The record's field that names it, as the struct calls it: text or a whole number, or None where the
        record has none and so does not wait. Of two waiting records with one id the newer counts.
    most
        How many records may wait; of more, the oldest are let go. A label that comes for one of those, or for
        one that never was, is a dead letter.
    """

    id: str = "id"
    most: int = 1000

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ConfigurationError(f"labels_later: {self.most} records cannot wait; let it be at least one")


class LateLabel(msgspec.Struct, forbid_unknown_fields=True):
    """The base class of records that hold a label alone: see `make_late_label`."""


class GivenAnswer(msgspec.Struct):
    """What the server has answered, and by which version."""

    predict_y: Any = None
    model_version: str = ""


class Waiting(NamedTuple):
    """A record that was predicted, and whose label has not come."""

    x: NDArray[Any]
    """Its features, shape (n_features,)."""
    answer: Any
    """What was predicted; None where there was no model yet."""


class Lesson(NamedTuple):
    """What is to be learned of one record of a chunk."""

    row: int
    """Its place in the chunk."""
    x: NDArray[Any]
    label: Any
    answer: Any
    """What was predicted for it."""


class WaitingRecords:
    """The records that wait for their labels, the oldest first.

    Attributes
    ----------
    let_go
        How many were evicted since the lineage began.
    """

    def __init__(self, most: int, waiting: dict[Any, Waiting] | None = None, let_go: int = 0) -> None:
        self._most = most
        self._waiting = {} if waiting is None else waiting
        self.let_go = let_go

    def __len__(self) -> int:
        return len(self._waiting)

    def copy(self) -> "WaitingRecords":
        """Return a copy, which can be tried on."""
        return WaitingRecords(self._most, dict(self._waiting), self.let_go)

    def add(self, identity: Any, x: NDArray[Any], answer: Any) -> None:
        """Let a record wait; the oldest goes where there are too many."""
        self._waiting.pop(identity, None)
        self._waiting[identity] = Waiting(x, answer)
        if len(self._waiting) > self._most:
            del self._waiting[next(iter(self._waiting))]
            self.let_go += 1

    def take(self, identity: Any) -> Waiting:
        """Return what waits under an id, which waits no longer.

        Raises
        ------
        BadRecord
            Nothing does.
        """
        try:
            return self._waiting.pop(identity)
        except KeyError:
            raise BadRecord(
                f"no prediction with the id {identity!r} waits for its label: it was never asked for, has its"
                " label already, or was let go"
            ) from None

    def state(self) -> dict[str, Any]:
        """Return all of it: ids and answers as MessagePack, features as one array."""
        pairs = [(identity, record.answer) for identity, record in self._waiting.items()]
        return {
            "ids": np.frombuffer(msgspec.msgpack.encode(pairs), dtype=np.uint8),
            "x": np.array([record.x for record in self._waiting.values()]),
            "let_go": self.let_go,
        }

    @classmethod
    def of(cls, most: int, state: dict[str, Any]) -> "WaitingRecords":
        """Return those that `state` has described."""
        pairs = msgspec.msgpack.decode(state["ids"].tobytes())
        waiting = {
            identity: Waiting(x, answer) for (identity, answer), x in zip(pairs, state["x"], strict=True)
        }
        return cls(most, waiting, state["let_go"])


def make_late_label(record: type[Any], id_field: str, label_field: str) -> type[LateLabel]:
    """Return the struct of a late label: the two fields of the record type, both required.

    Raises
    ------
    ConfigurationError
        The record type has no such fields.
    """
    fields = {field.name: field for field in msgspec.structs.fields(record)}
    missing = [name for name in (id_field, label_field) if name not in fields]
    if missing:
        raise ConfigurationError(
            f"labels_later needs the fields {id_field} and {label_field}, and {record.__name__} has no"
            f" {missing[0]}"
        )
    chosen: Sequence[FieldInfo] = [fields[id_field], fields[label_field]]
    late: Any = msgspec.defstruct(
        "Late",
        [(field.name, field.type) for field in chosen],
        bases=(LateLabel,),
        rename={field.name: field.encode_name for field in chosen},
        forbid_unknown_fields=True,
    )
    return cast(type[LateLabel], late)


def make_answered_record(record: type[Any]) -> type[Any]:
    """Return the struct of a record that may come with the answer that was given: one more field.

    Raises
    ------
    ConfigurationError
        The record type has a field of that name.
    """
    if any(ANSWER_GIVEN in (field.name, field.encode_name) for field in msgspec.structs.fields(record)):
        raise ConfigurationError(
            f"labels_later: {record.__name__} cannot have a field {ANSWER_GIVEN}: it holds what the server"
            " has answered"
        )
    given = (ANSWER_GIVEN, GivenAnswer | None, None)
    return msgspec.defstruct(
        record.__name__, [given], bases=(record,), rename={ANSWER_GIVEN: ANSWER_GIVEN}, kw_only=True
    )


def find_given_answer(record: Any) -> GivenAnswer | None:
    """Return the answer that a record came with, if it did."""
    given = getattr(record, ANSWER_GIVEN, None)
    return given if isinstance(given, GivenAnswer) else None


def list_lessons(
    records: Sequence[Any],
    identities: Sequence[Any],
    labels: Sequence[Any],
    features: Iterator[NDArray[Any]],
    answers: Sequence[Any],
    waiting: WaitingRecords,
) -> Iterator[Lesson]:
    """Yield what a chunk teaches, in its order, while its records begin to wait, and late labels come.

    `features` yields those of the records that are no late labels; `answers` holds what was predicted for
    each of these, and anything for a late label. The answer that a record came with stands in its place.

    Raises
    ------
    BadRecord
        Nothing waits for a label.
    """
    for row, (record, identity, label) in enumerate(zip(records, identities, labels, strict=True)):
        if isinstance(record, LateLabel):
            question = waiting.take(identity)
            yield Lesson(row, question.x, label, question.answer)
            continue
        x, given = next(features), find_given_answer(record)
        answer = answers[row] if given is None else given.predict_y
        if label is not None:
            yield Lesson(row, x, label, answer)
        elif identity is not None:
            waiting.add(identity, x, answer)
