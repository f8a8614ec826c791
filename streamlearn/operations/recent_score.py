"""How good the newest answers were, by the learner's own rules: for curves, and for a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from streamlearn.learning import curves
from streamlearn.learning.learner import Learning, SeriesSpec
from streamlearn.pipelines.base import Pipeline

WINDOW = 500
"""How many labelled records a rolling accuracy or error is taken over."""

WEEK = 168
"""Steps over which a forecast's error is taken: a week of hours."""

_LEAST = 24
"""No figure is taken over fewer."""


@dataclass(frozen=True)
class RecentScore:
    """The score of the newest answers, beside its baseline over the same ones."""

    figure: str
    """`accuracy` (0–1) or `rmse` (in the value's unit)."""
    value: float
    baseline: str
    """`the commonest label`, `the last value` or `persistence`."""
    baseline_value: float
    horizon: int | None = None
    """Steps ahead, of a forecast: the shortest."""

    @property
    def is_worse_than_baseline(self) -> bool:
        """Whether the baseline did better."""
        if self.figure == "accuracy":
            return self.value < self.baseline_value
        return self.value > self.baseline_value


def find_recent_score(answers: Sequence[dict[str, Any]], pipeline: Pipeline) -> RecentScore | None:
    """Return the score of the newest answers, given in their order; None where too few can be scored."""
    spec = pipeline.learning.series
    if spec is None:
        return _score_labels(answers, pipeline)
    answers, _ = select_one_series(answers, pipeline)
    series = select_newest_run(answers[-WEEK - spec.horizons[0] :], pipeline, spec)
    if series is None:
        return None
    residuals, persistence = (
        all_horizons[-WEEK:, 0] for all_horizons in curves.compute_residuals(series, spec.horizons[:1])
    )
    if (~np.isnan(residuals)).sum() < _LEAST:
        return None
    model, baseline = curves.rmse(residuals), curves.rmse(persistence)
    return RecentScore("rmse", float(model), "persistence", float(baseline), spec.horizons[0])


def _score_labels(answers: Sequence[dict[str, Any]], pipeline: Pipeline) -> RecentScore | None:
    labelled = select_labelled(answers, pipeline, WINDOW)
    if len(labelled) < _LEAST:
        return None
    _, truths, predictions, _ = zip(*labelled, strict=True)
    if pipeline.learning.classes is not None:
        right, commonest = curves.rolling_accuracy(truths, predictions, WINDOW)
        return RecentScore("accuracy", float(right[-1]), "the commonest label", float(commonest[-1]))
    model, last = curves.rmse(compute_label_residuals(truths, predictions))
    return RecentScore("rmse", float(model), "the last value", float(last))


def compute_label_residuals(truths: Sequence[float], predictions: Sequence[float]) -> curves.Floats:
    """Return the residuals of a regression and of the label before, shape (n, 2)."""
    truth = np.array(truths, dtype=np.float64)
    last = np.concatenate([[np.nan], truth[:-1]])
    return np.stack([np.array(predictions, dtype=np.float64) - truth, last - truth], axis=1)


class Labelled(NamedTuple):
    """An answer that can be scored."""

    offset: int
    truth: Any
    """The label."""
    prediction: Any
    position: int
    """Where the answer stands among those that were looked through."""


def select_labelled(
    answers: Sequence[dict[str, Any]], pipeline: Pipeline, most: int | None = None
) -> list[Labelled]:
    """Return the answers that can be scored, the newest `most` of them, in their order.

    None are for learning without a label field or with several answer fields, or where answers do not repeat
    their label.
    """
    learning, label = pipeline.learning, pipeline.label_name
    if label is None or len(learning.answer_fields) != 1:
        return []
    (prediction,) = learning.answer_fields
    labelled: list[Labelled] = []
    for position in reversed(range(len(answers))):
        answer = answers[position]
        truth, predicted = answer.get(label), answer.get(prediction)
        if is_comparable(truth, learning) and is_comparable(predicted, learning):
            labelled.append(Labelled(int(answer["offset"]), truth, predicted, position))
            if len(labelled) == most:
                break
    return labelled[::-1]


def is_comparable(value: Any, learning: Learning) -> bool:
    """Return whether a label or prediction can be scored: any class; of a regression, a number."""
    return value is not None if learning.classes is not None else isinstance(value, Real)


def select_one_series(
    answers: Sequence[dict[str, Any]], pipeline: Pipeline
) -> tuple[Sequence[dict[str, Any]], Any]:
    """Return the answers of the key that is shown, and the key; all of them where there are no keys."""
    name = pipeline.series_key
    if name is None or name not in pipeline.passthrough_fields or not answers:
        return answers, None
    key = curves.choose_key(answer.get(name) for answer in answers)
    return [answer for answer in answers if answer.get(name) == key], key


def select_newest_run(
    answers: Sequence[dict[str, Any]], pipeline: Pipeline, spec: SeriesSpec
) -> curves.Series | None:
    """Return the newest run of forecasts in which time runs forward.

    None where there is no answer yet, or answers do not repeat the value or the fields that tell the step.
    """

    def number_step(answer: Any) -> int:
        return spec.step(SimpleNamespace(**pipeline.take_fields(vars(answer))))

    value = pipeline.display.value
    if not value or value not in pipeline.passthrough_fields:
        return None
    try:
        return curves.collect_series(answers, spec.horizons, number_step, value, spec.window_length)
    except AttributeError:
        return None  # the step is told by a field that answers do not repeat
