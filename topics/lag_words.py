"""The lags that a forecast is made from, in words: those in use, and what leads the value by how much."""

from collections.abc import Iterator

from streamlearn import lag_choice, lag_sets
from streamlearn.errors import BadLags
from streamlearn.forecast import ForecastLearner
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings
from topics import controlling


def asked(settings: Settings, pipeline: Pipeline, text: str) -> dict[str, list[int]]:
    """Return the lags that a text asks for; see `lag_choice.asked`."""
    return lag_choice.asked(pipeline, text, lambda: controlling.learner(settings, pipeline))


def shown(settings: Settings, pipeline: Pipeline) -> Iterator[str]:
    """Say which lags are in use, and how each driver has gone along with the value.

    Raises
    ------
    BadLags
        The pipeline does not choose its lags.
    """
    lag_choice.choosing(pipeline)
    learner = controlling.learner(settings, pipeline)
    assert learner.lags is not None
    yield f"in use at version {learner.version}: {lag_sets.written(learner.lags.chosen)}"
    yield from _drivers(pipeline, learner)


def _drivers(pipeline: Pipeline, learner: ForecastLearner) -> Iterator[str]:
    if learner.correlations is None:
        return
    found = learner.correlations
    value = pipeline.shown.title or pipeline.shown.value or "the value"
    yield f"what leads {value}, over {found.steps} steps so far, pre-whitened:"
    unit = f" {pipeline.shown.step_unit or 'steps'}"
    whitened = found.prewhitened()
    for driver, white in zip(pipeline.drivers, whitened, strict=True):
        lead = lag_choice.leading_lag(white)
        words = "no lag stands out" if lead is None else f"{lead}{unit}, r = {white.at(lead):+.2f}"
        yield f"  {driver.title or driver.name:<28} {words}"
    try:
        best = lag_sets.written(lag_choice.by_whitened(pipeline, whitened))
    except BadLags as error:
        best = str(error)
    yield f"chosen by that: {best}"
