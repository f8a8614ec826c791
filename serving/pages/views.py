"""What a watch has seen → the message that the pages' scripts show. Nothing is polled here.

The pages ask a kind of learning for what it declares (`streamlearn/learning/learner.py`), never for its
class: a kind that declares neither a label nor a series has a page without curves.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.pages.watch import PARTS, Watch
from streamlearn.learning import curves
from streamlearn.learning.learner import SeriesSpec
from streamlearn.learning.ranges import repeat_ranges
from streamlearn.operations.recent_score import (
    WEEK,
    WINDOW,
    compute_label_residuals,
    select_labelled,
    select_newest_run,
    select_one_series,
)
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Display
from streamlearn.storage.versions import Restore

_SHARE = 0.8
"""The share of truths that the range which is shown is made to hold."""

_POINTS = 150
_PACE_POINTS = 100
_LEAST_PACE_S = 2.0
_MOST_CLASSES = 20
_ROWS = 20

Values = list[float | None]


class Model(msgspec.Struct):
    """The served version: the one that answers requests."""

    version: int | str
    lineage: str
    samples: int
    """How many predictions its score is made of."""
    written_s: int
    """When it was written, in seconds since 1970."""
    pinned: bool
    score: dict[str, float | None]
    counts: dict[str, int]


class Part(msgspec.Struct):
    """Whether Kafka, Redis or Flink answers; if not, why."""

    name: str
    polled: bool
    """Whether it has been polled at least once."""
    trouble: str


class Curve(msgspec.Struct):
    """A figure over the newest answers, beside its baseline's."""

    figure: str
    """`accuracy` (0–1) or `rmse` (in the value's unit)."""
    baseline: str
    window: int
    x: list[int]
    values: Values
    baseline_values: Values
    times: list[float] | None = None
    """When each of these answers was written, in seconds since 1970."""
    horizon: int | None = None
    """Of a forecast, how many steps ahead."""


class Pace(msgspec.Struct):
    """How many answers were written in each of equally long stretches of time."""

    times: list[float]
    """Where each stretch ends, in seconds since 1970, ascending."""
    rates: list[float]
    """Answers a second."""


class Confusion(msgspec.Struct):
    """Labels and predictions of the newest answers that can be scored."""

    classes: list[str]
    counts: list[list[int]]
    """How often label i was predicted as j."""


class KeptVersion(msgspec.Struct):
    """A version that is kept, and its score."""

    version: int
    samples: int
    written_s: int
    score: dict[str, float | None]


class Outlook(msgspec.Struct):
    """The past, the forecast from its end, and how far such forecasts were off lately."""

    ts: str
    """The newest record's time, behind its key where the stream has several series."""
    steps: list[int]
    values: Values
    ahead: list[int]
    """The steps that are forecast."""
    forecast: Values
    low: Values
    high: Values
    """The range that is made to hold the true value of eight in ten forecasts."""
    scored: int
    """How many forecasts of the shortest horizon have been scored lately."""
    earlier: list[Values]
    """For each horizon, what was forecast for each of `steps`, that many steps before."""


class HorizonCurve(msgspec.Struct):
    """The error of one horizon over time."""

    horizon: int
    values: Values
    persistence: Values


class Errors(msgspec.Struct):
    """The errors of every horizon over the last week, step by step."""

    window: int
    x: list[int]
    horizons: list[HorizonCurve]


class Message(msgspec.Struct):
    """What goes on in one pipeline."""

    pipeline: str
    parts: list[Part]
    job: str | None
    """The state of its job in Flink, in small letters; None where there is none, or Flink does not answer."""
    job_id: str | None
    trouble: str
    """What the job or the server is held up by; empty where nothing is."""
    model: Model | None
    rate: float | None
    unanswered: int | None
    """How many offsets of the input topic have no answer yet."""
    curve: Curve | None
    pace: Pace | None
    confusion: Confusion | None
    versions: list[KeptVersion]
    dead_letters: list[tuple[int, str, int]]
    """The newest, the newest first: offset, reason and partition."""
    dead_letter_count: int
    more_dead_letters: bool
    """Whether there may be more than were counted."""
    restores: list[Restore]
    restarts: int
    rolled_back: int
    outlook: Outlook | None
    errors: Errors | None


def make_message(watch: Watch) -> Message:
    """Put what a watch has seen into a message."""
    flow, pipeline = watch.flow, watch.pipeline
    rate = flow.rate(time.time())
    times = list(flow.times)
    # Others may have come since the times were read.
    all_answers = list(flow.answers)[: len(times) or None]
    answers, key = select_one_series(all_answers, pipeline)
    shown = {id(answer) for answer in answers}
    written = [time_s for time_s, answer in zip(times, all_answers, strict=False) if id(answer) in shown]
    curve = make_label_curve(answers, pipeline, written)
    outlook = errors = None
    spec = pipeline.learning.series
    series = None if spec is None else select_newest_run(answers, pipeline, spec)
    if spec is not None and series is not None:
        residuals, persistence = curves.compute_residuals(series, spec.horizons)
        outlook = _make_outlook(series, residuals, spec, answers[-1], pipeline.display)
        outlook.ts = outlook.ts if key is None else f"{key}, {outlook.ts}"
        errors = _make_errors(series, residuals, persistence, spec.horizons)
        curve = _make_shortest_horizon_curve(errors, series, written)
    return Message(
        pipeline=pipeline.name,
        parts=[Part(name, name in watch.polled, watch.troubles.get(name, "")) for name in PARTS],
        job=watch.job.state.lower() if watch.job else None,
        job_id=watch.job.id if watch.job else None,
        trouble=watch.progress
        or (watch.job_trouble.reason if watch.job_trouble else "")
        or watch.models.trouble,
        model=describe_served_model(watch),
        rate=None if rate is None else round(rate, 1),
        unanswered=flow.unanswered,
        curve=curve,
        pace=make_pace(times, time.time()),
        confusion=make_confusion(answers, pipeline),
        versions=[
            KeptVersion(version, info.samples, info.time_s, info.score)
            for version, info in sorted(watch.versions.items())
        ],
        dead_letters=[
            (letter.offset, letter.reason, letter.partition) for letter in reversed(flow.dead_letters)
        ][:_ROWS],
        dead_letter_count=len(flow.dead_letters),
        more_dead_letters=flow.more_dead_letters,
        restores=watch.restores[: -_ROWS - 1 : -1],
        # The first start of each lineage is none.
        restarts=len(watch.restores) - len({restore.lineage for restore in watch.restores}),
        rolled_back=sum(restore.dropped for restore in watch.restores),
        outlook=outlook,
        errors=errors,
    )


def describe_served_model(watch: Watch) -> Model | None:
    """Return the served version with its score; None while there is none."""
    served = watch.find_served()
    if served is None:
        return None
    head, score = served.head, served.learner.score
    return Model(
        head.label, head.lineage, head.samples, head.time_s, head.pinned, score.summary(), score.counts()
    )


def make_pace(times: Sequence[float], now_s: float) -> Pace | None:
    """Return the answers a second until now, from the moments at which they were written.

    Answers are committed about once a second, so no stretch is shorter than two. None where fewer than two
    answers are known, or all are of the same moment.

    >>> make_pace([100.0, 101.0, 103.0, 104.0], 108.0)
    Pace(times=[102.0, 104.0, 106.0, 108.0], rates=[1.0, 0.5, 0.5, 0.0])
    """
    if len(times) < 2 or now_s - min(times) <= 0:
        return None
    first = min(times)
    count = int(np.clip((now_s - first) / _LEAST_PACE_S, 1, _PACE_POINTS))
    counts, edges = np.histogram(np.minimum(times, now_s), bins=count, range=(first, now_s))
    rates = counts / ((now_s - first) / count)
    return Pace(edges[1:].round(1).tolist(), rates.round(2).tolist())


def make_confusion(answers: Sequence[dict[str, Any]], pipeline: Pipeline) -> Confusion | None:
    """Return how often each label was predicted as which; None where there are no classes, or very many."""
    labelled = select_labelled(answers, pipeline) if pipeline.learning.classes is not None else []
    seen = {answer.truth for answer in labelled} | {answer.prediction for answer in labelled}
    declared = [label for label in pipeline.learning.classes or () if label in seen]
    classes = [*declared, *sorted(seen.difference(declared), key=str)]
    if not labelled or len(classes) > _MOST_CLASSES:
        return None
    rows = {label: number for number, label in enumerate(classes)}
    counts = [[0] * len(classes) for _ in classes]
    for answer in labelled:
        counts[rows[answer.truth]][rows[answer.prediction]] += 1
    return Confusion([str(label) for label in classes], counts)


def make_label_curve(
    answers: Sequence[dict[str, Any]], pipeline: Pipeline, times: Sequence[float] = ()
) -> Curve | None:
    """Return the rolling accuracy of a classification, or the rolling error of a regression.

    `times` are those at which the answers were written, in seconds since 1970.

    None for learning without a label field or with several answer fields, and where fewer than two answers
    repeat their label.
    """
    labelled = select_labelled(answers, pipeline)
    if len(labelled) < 2:
        return None
    offsets, truths, predictions, positions = zip(*labelled, strict=True)
    if pipeline.learning.classes is not None:
        values, baseline_values = curves.rolling_accuracy(truths, predictions, WINDOW)
        names = "accuracy", "the commonest label"
    else:
        residuals = compute_label_residuals(truths, predictions)
        values, baseline_values = curves.rolling_rmse(residuals, WINDOW).T
        names = "rmse", "the last value"
    # The first figures are of a few records only, and would show as leaps.
    start = min(WINDOW, len(labelled)) // 2
    rows = start + curves.thin_indices(len(labelled) - start, _POINTS)
    x = [offsets[row] for row in rows]
    written = [round(times[positions[row]], 1) for row in rows] if len(times) == len(answers) else None
    return Curve(*names, WINDOW, x, _round(values[rows], 4), _round(baseline_values[rows], 4), written)


def _make_outlook(
    series: curves.Series,
    residuals: curves.Floats,
    spec: SeriesSpec,
    newest: dict[str, Any],
    display: Display,
) -> Outlook:
    low, high = _find_range(series, spec, newest).T
    forecast, last = series.forecasts[-1], int(series.steps[-1])
    earlier = curves.align_forecasts(series, spec.horizons)[-WEEK:]
    return Outlook(
        ts=str(newest.get("ts", display.name_step(last))),
        steps=series.steps[-WEEK:].tolist(),
        values=_round(series.values[-WEEK:]),
        ahead=[last + horizon for horizon in spec.horizons],
        forecast=_round(forecast),
        low=_round(low),
        high=_round(high),
        scored=int((~np.isnan(residuals[:, 0])).sum()),
        earlier=[_round(column) for column in earlier.T],
    )


def _find_range(series: curves.Series, spec: SeriesSpec, newest: dict[str, Any]) -> curves.Floats:
    """Return the range of each horizon, shape (h, 2): that of the answer, or one by the same rule.

    An answer without ranges is given what they would be, had they begun two weeks ago.
    """
    if "ranges" in newest:
        ranges = [newest["ranges"].get(str(horizon)) or {} for horizon in spec.horizons]
        return np.array([named.get(f"{100 * _SHARE:g}", [np.nan, np.nan]) for named in ranges])
    forecasts, values = series.forecasts[-2 * WEEK :], series.values[-2 * WEEK :]
    ends = repeat_ranges(spec.ranges, forecasts, values, spec.horizons, spec.lowest)[-1]
    low = spec.ranges.shares[::-1].index(_SHARE)
    shown: curves.Floats = ends[:, [low, -1 - low]]
    return shown


def _make_errors(
    series: curves.Series, residuals: curves.Floats, persistence: curves.Floats, horizons: Sequence[int]
) -> Errors:
    values = curves.rolling_rmse(residuals, WEEK, at_least=24)
    baseline_values = curves.rolling_rmse(persistence, WEEK, at_least=24)
    rows = curves.thin_indices(len(series.steps), _POINTS)
    horizon_curves = [
        HorizonCurve(horizon, _round(values[rows, column]), _round(baseline_values[rows, column]))
        for column, horizon in enumerate(horizons)
    ]
    return Errors(WEEK, series.steps[rows].tolist(), horizon_curves)


def _make_shortest_horizon_curve(errors: Errors, series: curves.Series, written: Sequence[float]) -> Curve:
    shortest, times = errors.horizons[0], None
    if series.positions is not None and len(written):
        rows = np.array(errors.x) - series.steps[0]
        times = [round(written[position], 1) for position in series.positions[rows]]
    return Curve(
        "rmse",
        "persistence",
        errors.window,
        errors.x,
        shortest.values,
        shortest.persistence,
        times,
        shortest.horizon,
    )


def _round(values: NDArray[Any], digits: int = 2) -> Values:
    """Round for JSON, with None for what is missing."""
    return [None if np.isnan(value) else round(float(value), digits) for value in values]
