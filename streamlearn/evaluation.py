"""A prequential evaluation offline: the data set once through the learner, with no stream around it."""

from collections.abc import Iterator

from streamlearn.errors import BadLags, DataUnavailable
from streamlearn.lag_choice import asked, by_correlations
from streamlearn.messages import encode
from streamlearn.pipeline import Pipeline
from streamlearn.scores import HorizonErrors, Score

_CHUNK = 256


def evaluate(pipeline: Pipeline, *, passes: int = 1, skip: int = 0, lags: str | None = None) -> Score:
    """Predict and learn `passes` passes of the data set; return the score without the first `skip` records.

    Of `lags` see `lag_choice.asked`; those that are `chosen` are used after the records that are skipped.

    Raises
    ------
    BadLags
        The pipeline cannot take these.
    DataUnavailable
        The pipeline has no data set, or it cannot be had.
    """
    if pipeline.data is None:
        raise DataUnavailable(f"{pipeline.name} has no data set")
    pipeline.data.prepare()
    learner, rows = pipeline.new_learner(), pipeline.rows_a_step(_CHUNK)
    if lags == "chosen" and not skip:
        raise BadLags("lags are chosen by the records that are skipped: skip some, such as the first year's")
    if lags and lags != "chosen":
        learner.use_lags(asked(pipeline, lags, lambda: learner))
    chunk = []
    for number, record in enumerate(pipeline.data.records(seed=0, passes=passes), start=1):
        chunk.append(pipeline.codec.decode(encode(record)))
        if len(chunk) == rows or number == skip:
            learner.test_then_train(chunk, number)
            chunk = []
        if number == skip:
            if lags == "chosen":
                learner.use_lags(by_correlations(pipeline, learner))
            learner.score = pipeline.new_learner().score
    if chunk:
        learner.test_then_train(chunk, learner.version + len(chunk))
    return learner.score


def table(score: Score) -> Iterator[str]:
    """The score as the lines of a Markdown table."""
    if isinstance(score, HorizonErrors):
        yield "| horizon | RMSE | persistence | MAE | persistence | scored |"
        yield "|---|---|---|---|---|---|"
        for horizon, errors in score.horizons.items():
            figures = (errors.rmse, errors.baseline_rmse, errors.mae, errors.baseline_mae)
            shown = " | ".join("–" if figure is None else f"{figure:.2f}" for figure in figures)
            yield f"| {horizon} | {shown} | {errors.samples} |"
        return
    yield "| figure | value |"
    yield "|---|---|"
    yield f"| scored | {score.samples} |"
    for name, value in score.summary().items():
        yield f"| {name} | {'–' if value is None else f'{value:.4f}'} |"
