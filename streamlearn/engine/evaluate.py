"""A prequential evaluation offline: the data set once through the learner, with no stream around it."""

from collections.abc import Callable, Iterator

from streamlearn.engine.offline import run_offline
from streamlearn.learning.learner import Learner
from streamlearn.learning.metrics import HorizonErrors, Score
from streamlearn.pipelines.base import Pipeline


def evaluate(
    pipeline: Pipeline,
    *,
    passes: int = 1,
    skip: int = 0,
    at_start: Callable[[Learner], None] = lambda learner: None,
    at_skip: Callable[[Learner], None] = lambda learner: None,
) -> Score:
    """Predict and learn `passes` passes of the data set; return the score without the first `skip` records.

    `at_start` is called with the learner before the first record, `at_skip` when the records that are skipped
    have been learned; both may change its settings.

    Raises
    ------
    DataUnavailable
        The pipeline has no data set, or it cannot be had.
    """
    learner = pipeline.new_learner()
    at_start(learner)
    for chunk in run_offline(pipeline, passes=passes, cut_at=skip, learner=learner):
        learner = chunk.learner
        if learner.version == skip:
            at_skip(learner)
            learner.score = pipeline.new_learner().score
    return learner.score


def format_table(score: Score) -> Iterator[str]:
    """Yield the lines of a Markdown table of the score."""
    if isinstance(score, HorizonErrors):
        yield "| horizon | RMSE | persistence | MAE | persistence | scored |"
        yield "|---|---|---|---|---|---|"
        for horizon, errors in score.horizons.items():
            figures = (errors.rmse, errors.baseline_rmse, errors.mae, errors.baseline_mae)
            cells = " | ".join("–" if figure is None else f"{figure:.2f}" for figure in figures)
            yield f"| {horizon} | {cells} | {errors.samples} |"
        return
    yield "| figure | value |"
    yield "|---|---|"
    yield f"| scored | {score.samples} |"
    for name, value in score.summary().items():
        yield f"| {name} | {'–' if value is None else f'{value:.4f}'} |"
