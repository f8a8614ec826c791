"""Classes that are not all known at the beginning: each takes the next free slot when its label first comes.

The estimator sees slots, numbers from 0 on, and is told from the start that there are `max_classes` of them.
Which class has which slot follows from the order of the labels alone, and is part of the learner's state. A
slot without a class is never predicted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import BadRecord
from streamlearn.learning.classification import classify

Array = NDArray[Any]


class OpenClasses:
    """The classes that have come so far, in the order in which they did.

    Parameters
    ----------
    first
        Those that are known at the beginning.
    most
        How many there may be.
    """

    def __init__(self, first: Sequence[Any], most: int) -> None:
        self.most = most
        self._slot_of = {label: slot for slot, label in enumerate(first)}

    @property
    def labels(self) -> tuple[Any, ...]:
        """The classes, in the order of their slots."""
        return tuple(self._slot_of)

    def rejection_reason(self, label: Any) -> str | None:
        """Return why a label is neither a known class nor allowed as a new one."""
        try:
            if label in self._slot_of:
                return None
        except TypeError:
            return f"the label {label!r} cannot be a class"
        if not isinstance(label, str | int):
            return f"the label {label!r} cannot be a class: a class is text, a whole number or a boolean"
        first = next(iter(self._slot_of), label)
        if type(first) is not type(label):
            return f"the label {label!r} is not of the type of the classes, such as {first!r}"
        if len(self._slot_of) >= self.most:
            return f"the label {label!r} is new, and there are {self.most} classes already, the most allowed"
        return None

    def find_slots(self, labels: Sequence[Any]) -> Array:
        """Return the labels' slots, shape (n,); new ones take the next.

        Raises
        ------
        BadRecord
            One more class than there may be.
        """
        for label in labels:
            if reason := self.rejection_reason(label):
                raise BadRecord(reason)
            self._slot_of.setdefault(label, len(self._slot_of))
        return np.array([self._slot_of[label] for label in labels], dtype=np.int64)

    def classify(self, model: Any, x: Array) -> tuple[list[Any], Array | None]:
        """Return the classes that a model predicts for rows, and their probabilities if it has them.

        The probabilities have shape (n, number of classes so far).
        """
        slots, probabilities = classify(model, x)
        known = len(self._slot_of)
        if probabilities is not None:
            probabilities = _normalize(probabilities[:, :known])
            slots = probabilities.argmax(axis=1)
        elif hasattr(model, "decision_function"):
            scores = np.asarray(model.decision_function(x))
            slots = scores[:, :known].argmax(axis=1) if scores.ndim > 1 else np.minimum(slots, known - 1)
        labels = self.labels
        return [labels[slot if slot < known else 0] for slot in slots.tolist()], probabilities


def _normalize(probabilities: Array) -> Array:
    """Let each row's probabilities add up to 1; where all are 0, none is likelier than another."""
    sums = probabilities.sum(axis=1, keepdims=True)
    even = np.full_like(probabilities, 1 / probabilities.shape[1])
    return np.where(sums > 0, probabilities / np.where(sums > 0, sums, 1), even)
