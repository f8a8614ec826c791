"""The lags of a forecast: those in use, those that a text asks for, those that the stream suggests."""

from collections.abc import Callable, Iterator, Sequence

from streamlearn.engine.evaluate import evaluate
from streamlearn.errors import BadLags
from streamlearn.lags import lag_sets
from streamlearn.lags.choice import choose_lags, leading_lag
from streamlearn.lags.correlations import Correlations
from streamlearn.lags.lag_sets import LagSet
from streamlearn.learning.learner import Learner, SeriesSpec
from streamlearn.learning.metrics import Score
from streamlearn.pipelines.base import Pipeline

LagsBySeries = dict[str, list[int]]


def choosable(pipeline: Pipeline) -> tuple[SeriesSpec, LagSet]:
    """Return what a pipeline forecasts, and the lags that it begins with.

    Raises
    ------
    BadLags
        It does not choose its lags.
    """
    series, lags = pipeline.learning.series, pipeline.learning.first_lags
    if series is None or lags is None:
        raise BadLags(f"{pipeline.name} does not choose its lags")
    return series, lags


def choose_by_correlations(pipeline: Pipeline, learner: Learner) -> LagsBySeries:
    """Choose lags by how the drivers have gone along with the value so far.

    Raises
    ------
    BadLags
        The pipeline does not choose its lags, has no drivers, or too little has come yet.
    """
    if learner.correlations is None:
        raise BadLags(f"{pipeline.name} watches nothing that may drive its value")
    return choose_by_prewhitened(pipeline, learner.correlations.prewhitened())


def choose_by_prewhitened(pipeline: Pipeline, prewhitened: Sequence[Correlations]) -> LagsBySeries:
    """Choose lags by the pre-whitened correlations of each driver; see `choose_by_correlations`."""
    series, lags = choosable(pipeline)
    names = (driver.name for driver in pipeline.learning.drivers)
    by_driver = dict(zip(names, prewhitened, strict=True))
    return choose_lags(by_driver, lags.series, series.horizons, series.window_length)


def parse_choice(pipeline: Pipeline, text: str, learner: Callable[[], Learner]) -> LagsBySeries:
    """Return the lags that a text asks for: `chosen` by the correlations so far, the `default`, or a set.

    Raises
    ------
    BadLags
        The text cannot be understood; see also `choose_by_correlations`.
    """
    _, lags = choosable(pipeline)
    if text == "chosen":
        return choose_by_correlations(pipeline, learner())
    return lags.chosen if text == "default" else lag_sets.parse(text, lags.series)


def evaluate_with_lags(
    pipeline: Pipeline, *, passes: int = 1, skip: int = 0, lags: str | None = None
) -> Score:
    """Evaluate a pipeline on its data set (`engine/evaluate.py`), with other lags where a text asks for them.

    Those that are `chosen` are used after the records that are skipped.

    Raises
    ------
    BadLags
        The pipeline cannot take these.
    DataUnavailable
        The pipeline has no data set, or it cannot be had.
    """
    if lags is None:
        return evaluate(pipeline, passes=passes, skip=skip)

    def use_lags(learner: Learner) -> None:
        learner.change_setting("lags", parse_choice(pipeline, lags, lambda: learner))

    if lags != "chosen":
        return evaluate(pipeline, passes=passes, skip=skip, at_start=use_lags)
    if not skip:
        raise BadLags("lags are chosen by the records that are skipped: skip some, such as the first year's")
    return evaluate(pipeline, passes=passes, skip=skip, at_skip=use_lags)


def describe(pipeline: Pipeline, learner: Learner) -> Iterator[str]:
    """Yield lines that tell which lags are in use, and by how much each driver leads the value.

    Raises
    ------
    BadLags
        The pipeline does not choose its lags.
    """
    choosable(pipeline)
    assert learner.lags is not None
    yield f"in use at version {learner.version}: {lag_sets.format_lags(learner.lags.chosen)}"
    if learner.correlations is not None:
        yield from _describe_drivers(pipeline, learner)


def _describe_drivers(pipeline: Pipeline, learner: Learner) -> Iterator[str]:
    correlations, display = learner.correlations, pipeline.display
    assert correlations is not None
    value = display.title or display.value or "the value"
    yield f"what leads {value}, over {correlations.steps} steps so far, pre-whitened:"
    unit = f" {display.step_unit or 'steps'}"
    prewhitened = correlations.prewhitened()
    for driver, correlation in zip(pipeline.learning.drivers, prewhitened, strict=True):
        lead = leading_lag(correlation)
        result = "no lag stands out" if lead is None else f"{lead}{unit}, r = {correlation.at(lead):+.2f}"
        yield f"  {display.driver(driver.name).title:<28} {result}"
    try:
        suggestion = lag_sets.format_lags(choose_by_prewhitened(pipeline, prewhitened))
    except BadLags as error:
        suggestion = str(error)
    yield f"chosen by that: {suggestion}"
