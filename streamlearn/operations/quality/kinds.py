"""The score by kind of record: those that come for the first time, those that came before, and feedback.

Every answer is prequential: given before its record was learned. But where a data set is replayed again, the
model has learned the same features with the same label in an earlier pass, so its score on repeats says how
well it remembers, and only that on new records how well it does on what it has never seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

KINDS = ("new", "repeated", "feedback")

Place = tuple[int, int]
"""Partition and offset."""


@dataclass(frozen=True)
class Origin:
    """What tells the kind of one record."""

    place: Place
    key: int
    """A hash of its features."""
    is_feedback: bool


class KindScore(msgspec.Struct):
    """The score of one kind of record."""

    kind: str
    """`new`, `repeated` or `feedback`."""
    count: int
    value: float
    """Accuracy, 0–1; of a regression the RMSE, in the label's unit."""


def classify_origins(older: Iterable[int], origins: Sequence[Origin]) -> dict[Place, str]:
    """Return the kind of each record, by its place.

    Parameters
    ----------
    older
        The hashes of records that came before all of `origins`.
    origins
        The records in the order in which they came.

    >>> kinds = classify_origins([7], [Origin((0, n), key, False) for n, key in enumerate([7, 8, 8])])
    >>> list(kinds.values())
    ['repeated', 'new', 'repeated']
    """
    seen = set(older)
    kinds: dict[Place, str] = {}
    for origin in origins:
        kinds[origin.place] = (
            "feedback" if origin.is_feedback else "repeated" if origin.key in seen else "new"
        )
        seen.add(origin.key)
    return kinds


def score_kinds(
    kinds: Mapping[Place, str], answers: Iterable[tuple[Place, Any, Any]], *, is_classification: bool
) -> list[KindScore]:
    """Return the score of each kind that any answer is of.

    `answers` holds the place of each answer that can be scored, its label, and its prediction.
    """
    errors: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for place, truth, prediction in answers:
        if place in kinds:
            error = float(truth == prediction) if is_classification else float(prediction) - float(truth)
            errors[kinds[place]].append(error)
    return [
        KindScore(kind, len(values), _summarize(values, is_classification))
        for kind, values in errors.items()
        if values
    ]


def _summarize(values: list[float], is_classification: bool) -> float:
    return float(np.mean(values)) if is_classification else float(np.sqrt(np.mean(np.square(values))))
