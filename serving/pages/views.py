"""What a watch has seen → the message that the pages' scripts show. Nothing is asked here, only arranged."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.model_cache import Served
from serving.pages.watch import Watch
from streamlearn.errors import NoModel
from streamlearn.learning import curves
from streamlearn.learning.forecasting import Forecast
from streamlearn.learning.tabular import Tabular
from streamlearn.storage.versions import Restore

WINDOW = 500
"""How many records a figure of rows is taken over."""

WEEK = 168
"""Steps shown of the past, and over which a forecast's error is taken: a week of hours."""

_POINTS = 150
_ROWS = 20

Values = list[float | None]


class Model(msgspec.Struct):
    """The version that is served."""

    version: int
    lineage: str
    samples: int
    written_s: int
    """When it was written, in seconds since 1970."""
    pinned: bool
    score: dict[str, float | None]
    counts: dict[str, int]


class Part(msgspec.Struct):
    """Whether a part can be seen; if not, why."""

    name: str
    looked: bool
    """Whether there has been time to look."""
    trouble: str


class Curve(msgspec.Struct):
    """A figure over the newest answers, beside its baseline."""

    figure: str
    """`accuracy` (0–1) or `rmse` (in the value's unit)."""
    baseline: str
    window: int
    x: list[int]
    ours: Values
    theirs: Values


class Learned(msgspec.Struct):
    """A version that is kept, and its figures."""

    version: int
    samples: int
    written_s: int
    score: dict[str, float | None]


class Outlook(msgspec.Struct):
    """The past, the forecast from its end, and how far such forecasts were off lately."""

    ts: str
    steps: list[int]
    values: Values
    ahead: list[int]
    """The steps that are forecast."""
    forecast: Values
    low: Values
    high: Values
    """Between which the truth came, in eight of ten of the newest forecasts."""
    judged: int
    """How many forecasts of the shortest horizon that is taken from."""


class HorizonCurve(msgspec.Struct):
    """The error of one horizon over time."""

    horizon: int
    ours: Values
    persistence: Values


class Errors(msgspec.Struct):
    """The errors of every horizon over the last week, step by step."""

    window: int
    x: list[int]
    horizons: list[HorizonCurve]


class Message(msgspec.Struct):
    """What is going on in one pipeline."""

    pipeline: str
    parts: list[Part]
    job: str | None
    job_id: str | None
    trouble: str
    model: Model | None
    rate: float | None
    lag: int | None
    curve: Curve | None
    learned: list[Learned]
    letters: list[tuple[int, str]]
    dead: int
    """How many dead letters there are among the newest."""
    dead_more: bool
    """Whether there may be more than could be counted."""
    restores: list[Restore]
    restarts: int
    rolled_back: int
    outlook: Outlook | None
    errors: Errors | None


def message(watch: Watch) -> Message:
    """Arrange what a watch has seen."""
    flow, learning = watch.flow, watch.pipeline.learning
    answers = list(flow.answers)
    found = series_of(watch, answers) if isinstance(learning, Forecast) else None
    curve = rows_curve(answers, learning) if isinstance(learning, Tabular) else None
    outlook = errors = None
    if found is not None and isinstance(learning, Forecast):
        missed, persistence = curves.errors(found, learning.horizons)
        outlook = _outlook(found, missed, learning, answers[-1])
        errors = _errors(found, missed, persistence, learning.horizons)
        curve = _first(errors)
    lag = None if flow.end is None or flow.answered is None else max(0, flow.end - 1 - flow.answered)
    return Message(
        pipeline=watch.pipeline.name,
        parts=[
            Part(name, name in watch.looked, watch.troubles.get(name, ""))
            for name in ("kafka", "redis", "flink")
        ],
        job=watch.job.state.lower() if watch.job else None,
        job_id=watch.job.id if watch.job else None,
        trouble=watch.progress or watch.job_trouble or watch.models.trouble,
        model=model(watch),
        rate=None if flow.end is None else round(flow.rate, 1),
        lag=lag,
        curve=curve,
        learned=[
            Learned(version, about.samples, about.time_s, about.score)
            for version, about in sorted(watch.versions.items())
        ],
        letters=[(one.offset, one.reason) for one in reversed(flow.letters)][:_ROWS],
        dead=len(flow.letters),
        dead_more=flow.letters_cut,
        restores=watch.restores[: -_ROWS - 1 : -1],
        restarts=len(watch.restores),
        rolled_back=sum(one.dropped for one in watch.restores),
        outlook=outlook,
        errors=errors,
    )


def model(watch: Watch) -> Model | None:
    """What is known of the version that is served; None while there is none."""
    try:
        served: Served = watch.models.current()
    except NoModel:
        return None
    head, score = served.head, served.learner.score
    return Model(
        head.version, head.lineage, head.samples, head.time_s, head.pinned, score.summary(), score.counts()
    )


def rows_curve(answers: list[dict[str, Any]], how: Tabular) -> Curve | None:
    """The share of right answers beside that of the commonest label; of a regression, its error."""
    label = how.label_field
    if label is None:
        return None
    known = [one for one in answers if one.get(label) is not None and one["predict_y"] is not None]
    if len(known) < 2:
        return None
    truths, said = [one[label] for one in known], [one["predict_y"] for one in known]
    if how.classes is not None:
        ours, theirs = curves.rolling_accuracy(truths, said, WINDOW)
        named = "accuracy", "the commonest label"
    else:
        truth = np.array(truths, dtype=np.float64)
        last = np.concatenate([[np.nan], truth[:-1]])
        missed = np.stack([np.array(said, dtype=np.float64) - truth, last - truth], axis=1)
        ours, theirs = curves.rolling_rmse(missed, WINDOW).T
        named = "rmse", "the last value"
    # Figures of a few records only would show as leaps.
    first = min(WINDOW, len(known)) // 2
    at = first + curves.thinned(len(known) - first, _POINTS)
    x = [int(known[row]["offset"]) for row in at]
    return Curve(*named, WINDOW, x, plain(ours[at], 4), plain(theirs[at], 4))


def series_of(watch: Watch, answers: list[dict[str, Any]]) -> curves.Series | None:
    """The newest run of a forecasting pipeline's answers; None where they do not say what is forecast."""
    how, shown = watch.pipeline.learning, watch.pipeline.display
    if (
        not isinstance(how, Forecast)
        or not shown.value
        or shown.value not in watch.pipeline.passthrough_fields
    ):
        return None
    try:
        return curves.series(answers, how.horizons, how.step, shown.value, how.length)
    except AttributeError:
        return None  # its step is told by a field that its answers do not repeat


def _outlook(found: curves.Series, missed: curves.Floats, how: Forecast, newest: dict[str, Any]) -> Outlook:
    low, high = curves.spread(missed).T
    forecast, last = found.forecasts[-1], int(found.steps[-1])
    return Outlook(
        ts=str(newest.get("ts", last)),
        steps=found.steps[-WEEK:].tolist(),
        values=plain(found.values[-WEEK:]),
        ahead=[last + horizon for horizon in how.horizons],
        forecast=plain(forecast),
        low=plain(np.maximum(forecast + low, how.lowest)),
        high=plain(forecast + high),
        judged=int((~np.isnan(missed[:, 0])).sum()),
    )


def _errors(
    found: curves.Series, missed: curves.Floats, persistence: curves.Floats, horizons: tuple[int, ...]
) -> Errors:
    ours = curves.rolling_rmse(missed, WEEK, at_least=24)
    theirs = curves.rolling_rmse(persistence, WEEK, at_least=24)
    at = curves.thinned(len(found.steps), _POINTS)
    horizon_curves = [
        HorizonCurve(horizon, plain(ours[at, column]), plain(theirs[at, column]))
        for column, horizon in enumerate(horizons)
    ]
    return Errors(WEEK, found.steps[at].tolist(), horizon_curves)


def _first(errors: Errors) -> Curve:
    first = errors.horizons[0]
    return Curve("rmse", "persistence", errors.window, errors.x, first.ours, first.persistence)


def plain(values: NDArray[Any], digits: int = 2) -> Values:
    """As JSON has it: rounded, and null for what is missing."""
    return [None if np.isnan(value) else round(float(value), digits) for value in values]
