"""Prequential scores: each record is scored by the model that had not yet learned it.

A. P. Dawid, "Statistical theory: the prequential approach", J. R. Stat. Soc. A 147 (1984).

A score is part of its learner's state: every snapshot contains it, so it continues after a restart. A figure
is None, never 0, until there is something to count.
"""

import math
from collections.abc import Iterable, Sequence
from operator import add
from typing import Any, Protocol

import msgspec

from streamlearn.errors import BadRecord


class Score(Protocol):
    """The score of a learner's predictions."""

    @property
    def samples(self) -> int:
        """The number of predictions that have been scored."""
        ...

    @property
    def right(self) -> int:
        """The number of predictions that were exactly right; 0 for scores of numbers."""
        ...

    def summary(self) -> dict[str, float | None]:
        """Return the figures that a person reads, by name; None where there is none yet."""
        ...

    def gauges(self) -> dict[str, int]:
        """Return the figures that Flink shows, as whole numbers; -1 where there is none yet."""
        ...

    def counts(self) -> dict[str, int]:
        """Return totals over the lineage, as Flink shows them."""
        ...


class Accuracy(msgspec.Struct):
    """Count labelled records that were predicted, those predicted rightly, and the labels.

    Records that came before there was a model are not scored, but their labels are counted.

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

    @classmethod
    def of(cls, classes: Iterable[int]) -> "Accuracy":
        """Return a new score that knows every class, so that each is shown from the start."""
        return cls(labels={str(label): 0 for label in classes})

    def add(self, truths: Iterable[Any], predictions: Iterable[Any]) -> None:
        """Count a chunk. `predictions[i]` is the prediction of `truths[i]`, or None if there was none."""
        for truth, prediction in zip(truths, predictions, strict=True):
            label = str(truth)
            self.labels[label] = self.labels.get(label, 0) + 1
            if prediction is not None:
                self.samples += 1
                self.right += truth == prediction

    @property
    def value(self) -> float | None:
        """The share of right predictions, 0–1; None before the first is scored."""
        return self.right / self.samples if self.samples else None

    def summary(self) -> dict[str, float | None]:
        """Return the accuracy, 0–1."""
        return {"accuracy": self.value}

    def gauges(self) -> dict[str, int]:
        """Return the accuracy in whole percent."""
        return {"prediction_acc": -1 if self.value is None else round(100 * self.value)}

    def counts(self) -> dict[str, int]:
        """Return how often each label has come."""
        return {f"label_{label}_count": count for label, count in self.labels.items()}


class _NumericScore(msgspec.Struct):
    """What scores of numbers share."""

    @property
    def right(self) -> int:
        """0: numbers are close, not right."""
        return 0


class Errors(_NumericScore):
    """Sum the errors of numeric predictions and those of a baseline, over the same records.

    >>> score = Errors()
    >>> score.add(truth=10.0, predicted=13.0, baseline=14.0)
    >>> score.rmse, score.mae, score.baseline_rmse
    (3.0, 3.0, 4.0)
    """

    samples: int = 0
    squares: float = 0.0
    absolutes: float = 0.0
    baseline_squares: float = 0.0
    baseline_absolutes: float = 0.0

    def add(self, *, truth: float, predicted: float, baseline: float) -> None:
        """Count one prediction.

        Raises
        ------
        BadRecord
            Its squared error is larger than any number; nothing is counted.
        """
        error, baseline_error = predicted - truth, baseline - truth
        try:
            square, baseline_square = error**2, baseline_error**2
        except OverflowError:
            raise BadRecord(f"an error of {error:.3g} is too large to be scored") from None
        self.samples += 1
        self.squares += square
        self.absolutes += abs(error)
        self.baseline_squares += baseline_square
        self.baseline_absolutes += abs(baseline_error)

    @property
    def rmse(self) -> float | None:
        """Root mean squared error, in the label's unit."""
        return math.sqrt(self.squares / self.samples) if self.samples else None

    @property
    def mae(self) -> float | None:
        """Mean absolute error, in the label's unit."""
        return self.absolutes / self.samples if self.samples else None

    @property
    def baseline_rmse(self) -> float | None:
        """The baseline's root mean squared error."""
        return math.sqrt(self.baseline_squares / self.samples) if self.samples else None

    @property
    def baseline_mae(self) -> float | None:
        """The baseline's mean absolute error."""
        return self.baseline_absolutes / self.samples if self.samples else None

    def summary(self) -> dict[str, float | None]:
        """Return RMSE and MAE, and the baseline's, in the label's unit."""
        return {
            "rmse": self.rmse,
            "mae": self.mae,
            "baseline_rmse": self.baseline_rmse,
            "baseline_mae": self.baseline_mae,
        }

    def gauges(self) -> dict[str, int]:
        """Return the same in thousandths of the unit."""
        return {
            f"{name}_x1000": -1 if value is None else round(1000 * value)
            for name, value in self.summary().items()
        }

    def counts(self) -> dict[str, int]:
        """Return nothing: no other totals are kept."""
        return {}


class RangedErrors(Errors):
    """Errors of forecasts that have ranges: also how many ranges held the truth, and how good they are.

    >>> score = RangedErrors()
    >>> score.add_ranges([True, False], 2.5)
    >>> score.interval_score, score.coverage(1)
    (2.5, 0.0)
    """

    ranged: int = 0
    interval_scores: float = 0.0
    inside: list[int] = []

    def add_ranges(self, inside: Sequence[bool], score: float) -> None:
        """Count which ranges of a forecast held the truth, and their weighted interval score."""
        self.ranged += 1
        self.interval_scores += score
        self.inside = list(map(add, self.inside or [0] * len(inside), inside))

    @property
    def interval_score(self) -> float | None:
        """The mean weighted interval score, in the label's unit."""
        return self.interval_scores / self.ranged if self.ranged else None

    def coverage(self, number: int) -> float | None:
        """Return the share of truths inside the range of this number, 0–1."""
        return self.inside[number] / self.ranged if self.ranged else None

    def summary(self) -> dict[str, float | None]:
        """Return the figures of the errors and the interval score, in the label's unit."""
        return {**Errors.summary(self), "interval_score": self.interval_score}


class HorizonErrors(_NumericScore):
    """Sum errors for each forecast horizon; the baseline is persistence, the last known value."""

    horizons: dict[str, Errors]

    @classmethod
    def of(cls, horizons: Iterable[int]) -> "HorizonErrors":
        """Return a new score for these horizons, in steps."""
        return cls({str(horizon): Errors() for horizon in horizons})

    @property
    def samples(self) -> int:
        """The number of forecasts of the shortest horizon that have been scored."""
        return next(iter(self.horizons.values())).samples

    def summary(self) -> dict[str, float | None]:
        """Return each horizon's figures, such as `h24_rmse` and `h24_persistence_rmse`."""
        return self._prefix_by_horizon(lambda errors: errors.summary())

    def gauges(self) -> dict[str, int]:
        """Return each horizon's figures in thousandths of the unit."""
        return self._prefix_by_horizon(lambda errors: errors.gauges())

    def counts(self) -> dict[str, int]:
        """Return how many forecasts of each horizon have been scored."""
        return {f"h{horizon}_count": errors.samples for horizon, errors in self.horizons.items()}

    def _prefix_by_horizon(self, figures: Any) -> dict[str, Any]:
        return {
            f"h{horizon}_" + name.replace("baseline", "persistence"): value
            for horizon, errors in self.horizons.items()
            for name, value in figures(errors).items()
        }


class RangedHorizonErrors(HorizonErrors):
    """Sum errors for each horizon of forecasts that have ranges."""

    horizons: dict[str, RangedErrors]  # type: ignore[assignment]

    @classmethod
    def of(cls, horizons: Iterable[int]) -> "RangedHorizonErrors":
        """Return a new score for these horizons, in steps."""
        return cls({str(horizon): RangedErrors() for horizon in horizons})


def add_scores(scores: Sequence[Any]) -> Any:
    """Return the score of all predictions that these have counted, all of one class.

    >>> add_scores([Accuracy(2, 1, {"3": 2}), Accuracy(1, 1, {"3": 1, "5": 4})])
    Accuracy(samples=3, right=2, labels={'3': 3, '5': 4})
    >>> parts = [RangedHorizonErrors.of([1]) for _ in range(3)]
    >>> for part in parts[1:]:
    ...     part.horizons["1"].add_ranges([True, False], 2.0)
    >>> add_scores(parts).horizons["1"].inside
    [2, 0]
    """
    return type(scores[0])(
        *(
            _add([getattr(score, field.name) for score in scores])
            for field in msgspec.structs.fields(type(scores[0]))
        )
    )


def _add(counts: Sequence[Any]) -> Any:
    """Add numbers; of dicts and lists what stands in the same place, of scores their counts."""
    first = counts[0]
    if isinstance(first, msgspec.Struct):
        return add_scores(counts)
    if isinstance(first, list):
        return [sum(column) for column in zip(*filter(None, counts), strict=True)]
    if not isinstance(first, dict):
        return sum(counts)
    keys = dict.fromkeys(key for by_key in counts for key in by_key)
    return {key: _add([by_key[key] for by_key in counts if key in by_key]) for key in keys}


def subtract_scores(later: Any, earlier: Any | None) -> Any:
    """Return the score of the predictions that `later` has counted and `earlier`, of the same learner, not.

    With None for `earlier`, that is a copy.

    >>> subtract_scores(Accuracy(5, 3, {"3": 4, "5": 1}), Accuracy(2, 1, {"3": 2}))
    Accuracy(samples=3, right=2, labels={'3': 2, '5': 1})
    """
    before = None if earlier is None else msgspec.to_builtins(earlier)
    return msgspec.convert(_subtract(msgspec.to_builtins(later), before), type(later))


def _subtract(later: Any, earlier: Any) -> Any:
    """Subtract numbers; of dicts and lists what stands in the same place, where there was something yet."""
    if not earlier:
        return later
    if isinstance(later, dict):
        return {key: _subtract(value, earlier.get(key)) for key, value in later.items()}
    if isinstance(later, list):
        return [_subtract(value, before) for value, before in zip(later, earlier, strict=True)]
    return later - earlier
