"""The answers of a classifier beside the labels, as arrays; and which records are hardest.

Time runs forward along the first axis. Records without a label, and those answered before there was a model,
are left out, as in the learner's own score.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import NothingToReport, NotSupported
from streamlearn.learning.curves import Floats
from streamlearn.learning.learner import Learner
from streamlearn.reports.sources import AnsweredRecords


@dataclass(frozen=True)
class Decisions:
    """The predictions for n records with f features, each beside its label, of k classes."""

    classes: tuple[Any, ...]
    truths: NDArray[np.int64]
    """Shape (n,): the labels, as indices of `classes`."""
    predictions: NDArray[np.int64]
    """Shape (n,): the predicted labels, as indices of `classes`."""
    features: NDArray[Any] | None
    """Shape (n, f); None where a record has no features by itself."""
    image_shape: tuple[int, int] | None
    """Rows and columns, where the features are an image; otherwise None."""
    weights: Floats | None
    """Shape (k, f), or (1, f) for two classes: those of the newest model, where it is linear."""
    late: NDArray[np.bool_]
    """Shape (n,): whether the label came later than its record."""
    unmatched: int = 0
    """Labels that came later for records that are not among these answers: they are left out."""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Shape (n,): whether each prediction is correct."""
        return np.equal(self.truths, self.predictions)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Shape (k, k): how often label i was predicted as j."""
        size = len(self.classes)
        counts = np.bincount(self.truths * size + self.predictions, minlength=size * size)
        return counts.reshape(size, size)

    @property
    def recall(self) -> Floats:
        """Shape (k,): of the records of a class, the share predicted as it; NaN where there are none."""
        return _divide(np.diag(self.confusion), self.confusion.sum(axis=1))

    @property
    def precision(self) -> Floats:
        """Shape (k,): of the records predicted as a class, the share of it; NaN where there are none."""
        return _divide(np.diag(self.confusion), self.confusion.sum(axis=0))


class _Labelled(NamedTuple):
    """A record, its label, and the answer that was given before the label was known."""

    record: Any
    label: Any
    prediction: Any
    is_late: bool


@dataclass(frozen=True)
class HardRecord:
    """Records with equal features, counted together, of which some were predicted wrongly."""

    features: NDArray[Any]
    """Shape (f,)."""
    truth: Any
    """The label."""
    wrong: int
    """How often the prediction was wrong."""
    seen: int
    """How often the record came."""
    mistaken_for: Any
    """The most frequent of the wrong predictions."""


def arrange_decisions(answered_records: AnsweredRecords, skip: int = 0) -> Decisions:
    """Arrange the answers, without the first `skip`, beside the labels.

    A label that came later stands where it came, with its record's features and the answer that was given
    then.

    Raises
    ------
    NotSupported
        The pipeline does not classify.
    NothingToReport
        Not one answer can be scored.
    """
    pipeline = answered_records.pipeline
    learning, classes = pipeline.learning, pipeline.learning.classes
    if classes is None:
        raise NotSupported(f"{pipeline.name} does not classify")
    if answered_records.learner is not None and answered_records.learner.classes:
        classes = answered_records.learner.classes  # those that have come
    index = {label: number for number, label in enumerate(classes)}
    comparable = [
        labelled
        for labelled in _list_labelled(answered_records, skip)
        if labelled.label in index and labelled.prediction in index
    ]
    scored = [labelled for labelled in comparable if labelled.record is not None]
    if not scored:
        raise NothingToReport(f"not one answer of {pipeline.name} has a label and a prediction to compare")
    features = learning.features_of([labelled.record for labelled in scored])
    return Decisions(
        classes=classes,
        truths=np.array([index[labelled.label] for labelled in scored]),
        predictions=np.array([index[labelled.prediction] for labelled in scored]),
        features=features,
        image_shape=pipeline.display.picture,
        weights=_get_weights(answered_records.learner, features),
        late=np.array([labelled.is_late for labelled in scored]),
        unmatched=len(comparable) - len(scored),
    )


def _list_labelled(answered_records: AnsweredRecords, skip: int) -> Iterator[_Labelled]:
    """Yield what the answers after the first `skip` can be compared with.

    The record of a late label is the newest one before it that has its id; None where there is none.
    """
    learning, record_type = answered_records.pipeline.learning, answered_records.pipeline.record
    late_label = learning.late_label(record_type)
    id_field = msgspec.structs.fields(late_label)[0].name if late_label else ""
    waiting: dict[Any, Any] = {}
    pairs = zip(answered_records.records, answered_records.answers, strict=True)
    for row, (record, answer) in enumerate(pairs):
        is_late = not isinstance(record, record_type)
        label, prediction = learning.label_of(record), answer.get("predict_y")
        if is_late:
            record = waiting.pop(getattr(record, id_field), None)  # each label counts once
        elif id_field and label is None:
            waiting[getattr(record, id_field)] = record
        if row >= skip:
            yield _Labelled(record, label, prediction, is_late)


def find_hardest(decisions: Decisions, count: int) -> list[HardRecord]:
    """Return the `count` records most often predicted wrongly, the hardest first; equal ones count as one.

    Among those with equally many mistakes, those seen less often come first, then those that came first.
    There are none where records have no features by themselves.
    """
    if decisions.features is None:
        return []
    _, first_rows, group = np.unique(decisions.features, axis=0, return_index=True, return_inverse=True)
    group = group.ravel()
    wrong, seen = np.bincount(group, weights=~decisions.correct).astype(int), np.bincount(group)
    order = np.lexsort((first_rows, seen, -wrong))
    return [_summarize_equal(decisions, group == at) for at in order[:count] if wrong[at]]


def _summarize_equal(decisions: Decisions, equal: NDArray[np.bool_]) -> HardRecord:
    """Summarize the records where `equal`, shape (n,), is true; at least one was predicted wrongly."""
    assert decisions.features is not None
    wrong = equal & ~decisions.correct
    return HardRecord(
        features=decisions.features[equal][0],
        truth=decisions.classes[decisions.truths[wrong][0]],
        wrong=int(wrong.sum()),
        seen=int(equal.sum()),
        mistaken_for=decisions.classes[np.bincount(decisions.predictions[wrong]).argmax()],
    )


def _get_weights(learner: Learner | None, features: NDArray[Any] | None) -> Floats | None:
    """Return the weights of a linear model, a row a class; None where they are not those of the features."""
    weights = getattr(learner.model, "coef_", None) if learner else None
    rows = None if weights is None else np.atleast_2d(np.asarray(weights, dtype=np.float64))
    if rows is None or (features is not None and rows.shape[1] != features.shape[1]):
        return None
    return rows


def _divide(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
