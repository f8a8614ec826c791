"""Other parameters over records that are there: each variant predicts and learns all of them by itself.

Every variant gets the same records in the same chunks, so only the parameters differ. With the chunks of a
lineage's journal, the variant with the lineage's own parameters is the live model once more, bit for bit.
Nothing is written anywhere.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from streamlearn.engine.answering import Answering
from streamlearn.errors import LineageError, PipelineFails
from streamlearn.learning.learner import Learner
from streamlearn.learning.metrics import Errors, HorizonErrors, add_scores, subtract_scores
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.stream.journal import AnsweredRecord
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input

_MARKS = 100
"""At so many places along the records the score is noted, for a curve."""
_WINDOW_MARKS = 10
"""A point of a curve is of the records since so many marks before."""

Figures = dict[str, float | None]
"""Figures of a score by name; None where there is none yet."""

ShowProgress = Callable[[int, int, int], None]
"""Called with the partition, the offset reached and the one to reach."""


@dataclass(frozen=True)
class Part:
    """The records of one partition, as they are learned again."""

    lineage: Lineage
    """The lineage as that of this partition alone."""
    partition: int
    start: int
    """The offset of the first record."""
    end: int
    """The offset after the last one."""
    chunks: Iterable[Sequence[AnsweredRecord]]
    """The records, with the answers that tell of control records, in the chunks in which they are learned."""
    origin_chunks: Iterable[Sequence[Input]] = ()
    """The records of what the lineage begins from, in chunks; empty where it begins from nothing."""
    rollback_targets: frozenset[int] = frozenset()
    """The versions that control records among them go back to."""
    whole_rows: int | None = None
    """How many records a whole chunk has, where more are to come that the last one is to be learned with."""


class Point(NamedTuple):
    """A point of a curve."""

    records: int
    """How many records had come."""
    figures: Figures
    """The score over the last tenth of all records before."""


@dataclass(frozen=True)
class Outcome:
    """What became of one variant, over all partitions."""

    name: str
    score: Any
    records: int
    set_aside: int
    """How many records became dead letters."""
    seconds: float
    """How long predicting and learning took, in seconds of this machine's CPU."""
    curve: list[Point] = field(default_factory=list)
    learners: list[Learner] = field(default_factory=list)
    """The learner of each partition, after its last record."""
    whole_learners: list[Learner] = field(default_factory=list)
    """The learner of each partition, after its last chunk that is whole; see `Part.whole_rows`."""

    @property
    def cost_us(self) -> float:
        """Microseconds of CPU a record: to decode, predict and learn it and to write the answer."""
        return 1e6 * self.seconds / max(1, self.records)


def backtest(
    pipeline: Pipeline,
    variants: Mapping[str, Mapping[str, Any]],
    parts: Iterable[Part],
    *,
    key: str = "",
    skip: int = 0,
    max_in_a_row: int | None = None,
    show_progress: ShowProgress = lambda partition, at, end: None,
) -> list[Outcome]:
    """Let each variant predict, then learn the records; return what became of each, in their order.

    Parameters
    ----------
    variants
        Name → parameters.
    key
        What control records are signed with.
    skip
        Leave so many records at the beginning of each partition out of the score.
    max_in_a_row
        On how many records in a row the pipeline's code may fail with a variant's parameters.

    Raises
    ------
    PipelineFails
        It fails on more; the message names the variant.
    """
    trials: dict[str, list[_Trial]] = {name: [] for name in variants}
    for part in parts:
        running = {
            name: _Trial(pipeline, parameters, part, key=key, skip=skip, max_in_a_row=max_in_a_row)
            for name, parameters in variants.items()
        }
        for origin_chunk in part.origin_chunks:
            for name, trial in running.items():
                with _naming(name):
                    trial.learn_origin(origin_chunk)
        for trial in running.values():
            trial.begin()
        for chunk in part.chunks:
            for name, trial in running.items():
                with _naming(name):
                    trial.learn(chunk)
            show_progress(part.partition, chunk[-1][0].offset + 1, part.end)
        for name, trial in running.items():
            trials[name].append(trial)
    return [_sum_up(name, by_part) for name, by_part in trials.items() if by_part]


@contextmanager
def _naming(variant: str) -> Iterator[None]:
    """Name the variant in what the pipeline's code is said to fail on."""
    try:
        yield
    except PipelineFails as error:
        raise PipelineFails(f"with {variant}: {error}") from error


class _Trial:
    """One variant's fold of one partition."""

    def __init__(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any],
        part: Part,
        *,
        key: str,
        skip: int,
        max_in_a_row: int | None,
    ) -> None:
        self._pipeline = replace(pipeline, parameters=parameters, earlier=())
        self._part = part
        self._scored_from = part.start + skip if skip else None
        self._answering = Answering.of_lineage(
            self._pipeline, part.lineage, key, self._state_at, max_in_a_row=max_in_a_row
        )
        self._origin_answering = Answering(
            self._pipeline,
            "",
            "",
            self._state_at,
            max_in_a_row=max_in_a_row,
            whole_numbers=part.lineage.takes_whole_numbers,
        )
        self._kept: dict[int, bytes] = {}
        self._before_short: bytes | None = None
        origin = part.lineage.origin if part.start == part.lineage.start else None
        self.learner = self._pipeline.new_learner(version=origin.starts[0] if origin else part.start)
        self.records = self.set_aside = 0
        self.seconds = 0.0
        self.marks: dict[int, tuple[int, Any]] = {}
        """Number of the mark → how many records had come by then, and the score."""

    def learn_origin(self, chunk: Sequence[Input]) -> None:
        """Predict, then learn records that the lineage begins from."""
        self.learner, _ = self._origin_answering.answer(self.learner, chunk)

    def begin(self) -> None:
        """Come to the first record of the lineage."""
        self.learner.version = self._part.start
        self._keep_target()

    def learn(self, chunk: Sequence[AnsweredRecord]) -> None:
        """Predict, then learn records of the lineage."""
        if self._part.whole_rows and len(chunk) < self._part.whole_rows:
            self._before_short = self._dump()
        start = time.process_time()
        self.learner, outputs = self._answering.answer_again(self.learner, list(chunk))
        self.seconds += time.process_time() - start
        self.records += len(chunk)
        self.set_aside += sum(output.topic == self._pipeline.dead_letter_topic for output in outputs)
        self._keep_target()
        version = self.learner.version
        if self._scored_from is not None and version >= self._scored_from:
            self._scored_from = None
            self.learner.score = self._pipeline.new_learner().score
        if self._scored_from is None:
            done = (version - self._part.start) / max(1, self._part.end - self._part.start)
            self.marks.setdefault(int(done * _MARKS), (self.records, _copy_score(self.learner.score)))

    def _keep_target(self) -> None:
        version = self.learner.version
        if version in self._part.rollback_targets:
            self._kept[version] = self._dump()

    def load_whole(self) -> Learner:
        """Return the learner after the last chunk that is whole."""
        return self.learner if self._before_short is None else self._load(self._before_short)

    def _state_at(self, version: int) -> Learner:
        if version not in self._kept:
            raise LineageError("no step ended there")
        return self._load(self._kept[version])

    def _dump(self) -> bytes:
        return snapshot.dumps(self.learner, self._pipeline, self._part.lineage.id)

    def _load(self, data: bytes) -> Learner:
        return snapshot.loads(data, self._pipeline, self._part.lineage.id)


def _copy_score(score: Any) -> Any:
    return subtract_scores(score, None)


def _sum_up(name: str, trials: Sequence[_Trial]) -> Outcome:
    """Add what a variant has come to in each partition."""
    return Outcome(
        name,
        _add([trial.learner.score for trial in trials]),
        sum(trial.records for trial in trials),
        sum(trial.set_aside for trial in trials),
        sum(trial.seconds for trial in trials),
        list(_draw_curve(trials)),
        [trial.learner for trial in trials],
        [trial.load_whole() for trial in trials],
    )


def _draw_curve(trials: Sequence[_Trial]) -> Iterator[Point]:
    """Yield, at each mark that all partitions have, the score since some marks before."""
    shared = sorted(set.intersection(*(set(trial.marks) for trial in trials)))
    scores = {mark: _add([trial.marks[mark][1] for trial in trials]) for mark in shared}
    for number, mark in enumerate(shared):
        before = [earlier for earlier in shared[:number] if earlier <= mark - _WINDOW_MARKS]
        score = subtract_scores(scores[mark], scores[before[-1]] if before else None)
        yield Point(sum(trial.marks[mark][0] for trial in trials), main_figures(score))


def _add(scores: Sequence[Any]) -> Any:
    return add_scores(scores) if len(scores) > 1 else scores[0]


def main_figures(score: Any) -> Figures:
    """Return the figures by which variants are compared: of a forecast its errors at each horizon."""
    if isinstance(score, HorizonErrors):
        return {f"h{horizon}_rmse": errors.rmse for horizon, errors in score.horizons.items()}
    if isinstance(score, Errors):
        return {"rmse": score.rmse, "mae": score.mae}
    return dict(score.summary())


def baseline_figures(score: Any) -> Figures:
    """Return the same of the baseline that the score was kept beside; empty where there is none."""
    if isinstance(score, HorizonErrors):
        return {f"h{horizon}_rmse": errors.baseline_rmse for horizon, errors in score.horizons.items()}
    if isinstance(score, Errors):
        return {"rmse": score.baseline_rmse, "mae": score.baseline_mae}
    return {}


def format_table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the lines of a Markdown table, a variant a line; the last line is the baseline's, if any."""
    names = list(main_figures(outcomes[0].score))
    has_dead_letters = any(outcome.set_aside for outcome in outcomes)
    aside = ["set aside"] if has_dead_letters else []
    head = ["parameters", "scored", *names, *aside, "µs a record"]
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for outcome in outcomes:
        figures = [_format_figure(value) for value in main_figures(outcome.score).values()]
        aside = [str(outcome.set_aside)] if has_dead_letters else []
        cells = [outcome.name, str(outcome.score.samples), *figures, *aside, f"{outcome.cost_us:.0f}"]
        yield f"| {' | '.join(cells)} |"
    if baseline := baseline_figures(outcomes[0].score):
        samples = str(outcomes[0].score.samples)
        cells = ["(baseline)", samples, *map(_format_figure, baseline.values()), *[""] * (len(aside) + 1)]
        yield f"| {' | '.join(cells)} |"


def _format_figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
