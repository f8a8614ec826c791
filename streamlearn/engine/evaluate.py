"""A prequential evaluation offline: the data set once through the learner, with no stream around it."""

from collections.abc import Callable, Iterator, Sequence

from streamlearn.engine.offline import run_offline
from streamlearn.learning.learner import Learner
from streamlearn.learning.metrics import HorizonErrors, RangedHorizonErrors, Score
from streamlearn.pipelines.base import Pipeline


def evaluate(
    pipeline: Pipeline,
    *,
    passes: int = 1,
    skip: int = 0,
    at_start: Callable[[Learner], None] = lambda learner: None,
    at_skip: Callable[[Learner], None] = lambda learner: None,
    show_progress: Callable[[int, int], None] = lambda at, end: None,
) -> Score:
    """Predict and learn `passes` passes of the data set; return the score without the first `skip` records.

    `at_start` is called with the learner before the first record, `at_skip` when the records that are skipped
    have been learned; both may change its settings. `show_progress` is called after each chunk with the
    number of records that are done, and of all.

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
        assert pipeline.dataset is not None
        show_progress(chunk.rows[-1].offset + 1, passes * pipeline.dataset.size)
    return learner.score


def format_table(score: Score, shares: Sequence[float] = ()) -> Iterator[str]:
    """Yield the lines of Markdown tables of the score; `shares` are those of the ranges, if it has any."""
    if isinstance(score, HorizonErrors):
        yield "| horizon | RMSE | persistence | MAE | persistence | scored |"
        yield "|---|---|---|---|---|---|"
        for horizon, errors in score.horizons.items():
            figures = (errors.rmse, errors.baseline_rmse, errors.mae, errors.baseline_mae)
            cells = " | ".join("–" if figure is None else f"{figure:.2f}" for figure in figures)
            yield f"| {horizon} | {cells} | {errors.samples} |"
        if isinstance(score, RangedHorizonErrors):
            yield from _format_ranges(score, shares)
        return
    yield "| figure | value |"
    yield "|---|---|"
    yield f"| scored | {score.samples} |"
    for name, value in score.summary().items():
        yield f"| {name} | {'–' if value is None else f'{value:.4f}'} |"


def _format_ranges(score: RangedHorizonErrors, shares: Sequence[float]) -> Iterator[str]:
    """Yield a table of the interval score, and of how many truths were inside the ranges."""
    yield ""
    yield f"| horizon | interval score | {' | '.join(f'in {share:.0%}' for share in shares)} | scored |"
    yield f"|---|---|{'---|' * len(shares)}---|"
    for horizon, errors in score.horizons.items():
        coverages = [errors.coverage(number) for number in range(len(shares))]
        cells = " | ".join("–" if coverage is None else f"{coverage:.1%}" for coverage in coverages)
        interval_score = "–" if errors.interval_score is None else f"{errors.interval_score:.2f}"
        yield f"| {horizon} | {interval_score} | {cells} | {errors.ranged} |"
