"""The lags of a forecast: those in use, those that a text names, and those that the stream suggests."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from streamlearn.engine.evaluate import evaluate
from streamlearn.errors import BadLags
from streamlearn.lags import lag_sets
from streamlearn.lags.choice import choose_lags, leading_lag
from streamlearn.lags.correlations import Correlations
from streamlearn.lags.lag_sets import LagSet
from streamlearn.learning.learner import Learner, SeriesSpec
from streamlearn.learning.metrics import Score
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.control import Lags

LagsBySeries = dict[str, list[int]]


def require_lags(pipeline: Pipeline) -> tuple[SeriesSpec, LagSet]:
    """Return what a pipeline whose lags can be chosen forecasts, and the lags that it begins with.

    Raises
    ------
    BadLags
        The pipeline's lags cannot be chosen.
    """
    series, lags = pipeline.learning.series, pipeline.learning.first_lags
    if series is None or lags is None:
        raise BadLags(f"{pipeline.name} does not choose its lags")
    return series, lags


def choose_by_correlations(pipeline: Pipeline, learner: Learner) -> LagsBySeries:
    """Choose lags by the correlations of each driver with the value so far.

    Raises
    ------
    BadLags
        The pipeline's lags cannot be chosen, it has no drivers, or too little has come yet.
    """
    if learner.correlations is None:
        raise BadLags(f"{pipeline.name} has no drivers by whose correlations lags could be chosen")
    return choose_by_prewhitened(pipeline, learner.correlations.prewhitened())


def choose_by_prewhitened(pipeline: Pipeline, prewhitened: Sequence[Correlations]) -> LagsBySeries:
    """Choose lags by the pre-whitened correlations of each driver, given in the drivers' order.

    Raises
    ------
    BadLags
        The pipeline's lags cannot be chosen, or too little has come yet.
    """
    series, lags = require_lags(pipeline)
    names = (driver.name for driver in pipeline.learning.drivers)
    by_driver = dict(zip(names, prewhitened, strict=True))
    return choose_lags(by_driver, lags.series, series.horizons, series.window_length)


def parse_choice(pipeline: Pipeline, text: str, learner: Callable[[], Learner]) -> LagsBySeries:
    """Return the lags that a text names: `chosen` by the correlations so far, the `default`, or a set.

    `learner` is called only for `chosen`.

    Raises
    ------
    BadLags
        The text cannot be understood, or see `choose_by_correlations`.
    """
    _, lags = require_lags(pipeline)
    if text == "chosen":
        return choose_by_correlations(pipeline, learner())
    return lags.chosen if text == "default" else lag_sets.parse_lags(text, lags.series)


def evaluate_with_lags(
    pipeline: Pipeline,
    *,
    passes: int = 1,
    skip: int = 0,
    lags: str | None = None,
    show_progress: Callable[[int, int], None] = lambda at, end: None,
) -> Score:
    """Return a pipeline's prequential score on its data set, with its own lags or those that a text names.

    Lags that are `chosen` are chosen by the records that are skipped, and used after them. `show_progress` is
    called now and then with the number of records that are done, and of all.

    Raises
    ------
    BadLags
        The pipeline cannot use these lags, or see `parse_choice`.
    DataUnavailable
        The pipeline has no data set, or it can neither be fetched nor found.
    """
    run = partial(evaluate, pipeline, passes=passes, skip=skip, show_progress=show_progress)
    if lags is None:
        return run()

    def use_lags(learner: Learner) -> None:
        learner.change_setting(Lags.setting, parse_choice(pipeline, lags, lambda: learner))

    if lags != "chosen":
        return run(at_start=use_lags)
    if not skip:
        raise BadLags(
            "lags are chosen by the records that are skipped: skip some with --skip, such as the first year's"
        )
    return run(at_skip=use_lags)


def describe(pipeline: Pipeline, learner: Learner) -> Iterator[str]:
    """Yield lines for people: the lags in use, and the lag at which each driver leads the value.

    Raises
    ------
    BadLags
        The pipeline's lags cannot be chosen.
    """
    require_lags(pipeline)
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
