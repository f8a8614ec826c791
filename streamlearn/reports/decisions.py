"""Answers of a classification → what was right, what was taken for what, and which records are hardest.

Time runs along the first axis, forward. Records without a label, and those answered before there was a
model, are not counted, as in the learner's own score.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import NothingToReport, NotSupported
from streamlearn.learning.curves import Floats
from streamlearn.reports.sources import Answered


@dataclass(frozen=True)
class Decisions:
    """n records that were decided upon, each beside its label; k classes."""

    classes: tuple[Any, ...]
    truths: NDArray[np.int64]
    """Shape (n,): the label, as its place in `classes`."""
    guesses: NDArray[np.int64]
    """Shape (n,): what was predicted, likewise."""
    features: NDArray[Any] | None
    """Shape (n, f): what the model saw; None where records have no features by themselves."""
    picture: tuple[int, int] | None
    """Rows and columns, where the features are a picture."""
    weights: Floats | None
    """Shape (k or 1, f): the newest model's, where it is linear."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """Shape (n,): whether each was right."""
        return np.equal(self.truths, self.guesses)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Shape (k, k): how often label i was taken for j."""
        size = len(self.classes)
        counts = np.bincount(self.truths * size + self.guesses, minlength=size * size)
        return counts.reshape(size, size)

    @property
    def recall(self) -> Floats:
        """Shape (k,): of the records of a class, the share that was found; NaN where there are none."""
        return _shares(np.diag(self.confusion), self.confusion.sum(axis=1))

    @property
    def precision(self) -> Floats:
        """Shape (k,): of what was said to be of a class, the share that is; NaN where nothing was."""
        return _shares(np.diag(self.confusion), self.confusion.sum(axis=0))


@dataclass(frozen=True)
class Hard:
    """Equal records, which were predicted again and again."""

    features: NDArray[Any]
    truth: Any
    wrong: int
    seen: int
    guess: Any
    """What it was most often taken for."""


def decided(found: Answered, skip: int = 0) -> Decisions:
    """Arrange the answers but for the first `skip`.

    Raises
    ------
    NotSupported
        The pipeline does not classify.
    NothingToReport
        Nothing could be scored.
    """
    learning, classes = found.pipeline.learning, found.pipeline.learning.classes
    if classes is None:
        raise NotSupported(f"{found.pipeline.name} does not classify")
    place = {label: number for number, label in enumerate(classes)}
    pairs = [
        (record, learning.label_of(record), answer.get("predict_y"))
        for record, answer in zip(found.records[skip:], found.answers[skip:], strict=True)
    ]
    scored = [(record, place[y], place[guess]) for record, y, guess in pairs if y in place and guess in place]
    if not scored:
        raise NothingToReport(
            f"not one answer of {found.pipeline.name} has a label and a prediction to compare"
        )
    return Decisions(
        classes=classes,
        truths=np.array([y for _, y, _ in scored]),
        guesses=np.array([guess for _, _, guess in scored]),
        features=learning.features_of([record for record, _, _ in scored]),
        picture=found.pipeline.display.picture,
        weights=_weights(found),
    )


def hardest(found: Decisions, count: int) -> list[Hard]:
    """Return the records that were most often wrong, equal ones together, the hardest first.

    Of those as often wrong, those seen less often come first, then those that came first.
    """
    if found.features is None:
        return []
    _, first, group = np.unique(found.features, axis=0, return_index=True, return_inverse=True)
    group = group.ravel()
    wrong, seen = np.bincount(group, weights=~found.right).astype(int), np.bincount(group)
    order = np.lexsort((first, seen, -wrong))
    return [_hard(found, group == at, int(first[at])) for at in order[:count] if wrong[at]]


def _hard(found: Decisions, same: NDArray[np.bool_], first: int) -> Hard:
    assert found.features is not None
    missed = same & ~found.right
    taken = np.bincount(found.guesses[missed]).argmax()
    return Hard(
        features=found.features[first],
        truth=found.classes[found.truths[missed][0]],
        wrong=int(missed.sum()),
        seen=int(same.sum()),
        guess=found.classes[taken],
    )


def _weights(found: Answered) -> Floats | None:
    weights = getattr(found.learner.model, "coef_", None) if found.learner else None
    return None if weights is None else np.atleast_2d(np.asarray(weights, dtype=np.float64))


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
