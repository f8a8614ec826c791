"""Prequential scores: each record is scored by the model that had not yet learned it.

A. P. Dawid, "Statistical theory: the prequential approach", J. R. Stat. Soc. A 147 (1984).
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec


class Accuracy(msgspec.Struct):
    """How many labelled records were predicted, how many rightly, and which labels were seen.

    Records answered before there was a model are not scored, but their labels are counted.

    >>> score = Accuracy()
    >>> score.value is None
    True
    >>> score.add([3, 5, 5], [3, 4, None])
    >>> score.samples, score.right, score.value
    (2, 1, 0.5)
    """

    samples: int = 0
    right: int = 0
    labels: dict[str, int] = {}

    def add(self, truths: Sequence[int], predictions: Iterable[int | None]) -> None:
        """Count one chunk: `truths[i]` was predicted as `predictions[i]`, or not at all if that is None."""
        for truth, prediction in zip(truths, predictions, strict=True):
            if prediction is not None:
                self.samples += 1
                self.right += truth == prediction
        for truth, count in Counter(truths).items():
            self.labels[str(truth)] = self.labels.get(str(truth), 0) + count

    @property
    def value(self) -> float | None:
        """The share of right predictions, 0–1; None before the first is scored."""
        return self.right / self.samples if self.samples else None
