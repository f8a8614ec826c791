"""Learn a history, and begin a lineage from it: `streamlearn backfill` once the records are in a topic."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
from streamlearn.engine.backtest import ShowProgress
from streamlearn.engine.relearning import digest_learner, fold
from streamlearn.errors import LineageError, NoModel
from streamlearn.learning.learner import Learner
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo
from streamlearn.stream.lineage import WHOLE_NUMBERS, Lineage, Origin
from streamlearn.stream.ports import Output


class History(NamedTuple):
    """A history that has been learned."""

    origin: Origin
    learners: list[Learner]
    """The learner of each partition, as the history has made it."""
    records: int
    set_aside: int
    """How many of them could not be taken."""
    reason: str
    """Why the first of these could not; empty where there is none."""


def check_can_begin(broker: Broker, pipeline: Pipeline, *, fresh: bool) -> None:
    """Make sure that a new lineage may begin: that none is open which has answered a record, unless `fresh`.

    Raises
    ------
    LineageError
        There is one.
    """
    register = LineageRegister(broker, pipeline)
    last = register.current()
    if last is None or last.ended or fresh:
        return
    for partition, start in enumerate(last.starts):
        reached = register.first_unanswered(last, partition)
        if reached > start:
            raise LineageError(
                f"{pipeline.name} has the open lineage {last.id}, which has learned records up to offset"
                f" {reached - 1} already: a history cannot come before them. --fresh ends that lineage and"
                " begins one that goes on from the history, after those records"
            )


class HistoryLearning:
    """Predicts, then learns all records of a topic from which a lineage is to begin, in several goes.

    Between two goes the topic may grow. However it does, the learners are those of one go over all of it.

    Parameters
    ----------
    learners
        The learner of each partition: new ones, or such as have learned whole chunks of the topic already.
    """

    def __init__(self, broker: Broker, pipeline: Pipeline, topic: str, learners: Sequence[Learner]) -> None:
        self._broker = broker
        self._pipeline = pipeline
        self._topic = topic
        self._chunk_rows = pipeline.chunk_limit(broker.settings.chunk_rows)
        self._learners = list(learners)
        self._dead_letters = _DeadLetters(pipeline.dead_letter_topic)

    def learn_whole_chunks(self, show_progress: ShowProgress = lambda partition, at, end: None) -> None:
        """Learn what the topic holds by now, up to the last chunk of each partition that is whole.

        Raises
        ------
        PipelineFails
            The pipeline's own code fails on more records in a row than the settings allow.
        """
        self._learn(self._find_ends(), show_progress, only_whole=True)

    def count_left(self) -> int:
        """Return how many offsets of the topic are not learned yet."""
        return sum(self._find_ends()) - sum(learner.version for learner in self._learners)

    def finish(self, show_progress: ShowProgress = lambda partition, at, end: None) -> History:
        """Learn all the rest; no records may come after that.

        Raises
        ------
        PipelineFails
            The pipeline's own code fails on more records in a row than the settings allow.
        NoModel
            Not one record could be learned from.
        """
        pipeline, topic, ends = self._pipeline, self._topic, self._find_ends()
        self._learn(ends, show_progress, only_whole=False)
        if not any(learner.trained for learner in self._learners):
            raise NoModel(
                f"the {sum(ends)} records of {topic} taught {pipeline.name} nothing: has any a label?"
            )
        digests = tuple(digest_learner(pipeline, learner) for learner in self._learners)
        starts, libraries = tuple(0 for _ in ends), snapshot.installed_libraries()
        origin = Origin(topic, starts, tuple(ends), digests, self._chunk_rows, libraries)
        return History(
            origin, self._learners, sum(ends), self._dead_letters.count, self._dead_letters.first_reason
        )

    def _find_ends(self) -> list[int]:
        return [self._broker.stable_end(self._topic, partition) for partition in range(len(self._learners))]

    def _learn(self, ends: Sequence[int], show_progress: ShowProgress, *, only_whole: bool) -> None:
        broker, pipeline = self._broker, self._pipeline
        for partition, (learner, end) in enumerate(zip(self._learners, ends, strict=True)):

            def see_chunk(learner: Learner, outputs: Sequence[Output], partition: int, end: int) -> None:
                self._dead_letters.count_in(outputs)
                show_progress(partition, learner.version, end)

            self._learners[partition] = fold(
                pipeline,
                learner,
                KafkaStream(broker, pipeline, partition).rows_of(self._topic, learner.version, end),
                self._chunk_rows,
                bool(pipeline.definition[WHOLE_NUMBERS]),
                max_in_a_row=broker.settings.set_aside_in_a_row,
                only_whole=only_whole,
                see_chunk=partial(see_chunk, partition=partition, end=end),
            )


def learn_history(
    broker: Broker,
    pipeline: Pipeline,
    topic: str,
    partitions: int,
    show_progress: ShowProgress = lambda partition, at, end: None,
) -> History:
    """Predict, then learn all records of a topic in one go; raises as `HistoryLearning.finish` does."""
    learners = [pipeline.new_learner() for _ in range(partitions)]
    return HistoryLearning(broker, pipeline, topic, learners).finish(show_progress)


def begin_lineage(broker: Broker, pipeline: Pipeline, history: History, *, fresh: bool) -> Lineage:
    """Open a lineage that begins from a history, and store what that has taught, to be served from now on.

    An open one is ended. The lineage is open once the register says so: whatever fails after that, its first
    worker learns the history again.

    Raises
    ------
    LineageError
        See `check_can_begin`; or another submission was quicker; or the history's topic was deleted.
    """
    check_can_begin(broker, pipeline, fresh=fresh)
    if history.origin.topic not in broker.topics():
        raise LineageError(f"{history.origin.topic} was deleted meanwhile: call this again")
    lineage = LineageRegister(broker, pipeline).claim(fresh=True, origin=history.origin)
    with Store.of(broker.settings) as store:
        admission = store.admit(pipeline.name, lineage.id, lineage.epoch)
        admission.announce_partitions(len(lineage.partitions))
        for partition, (learner, start) in enumerate(zip(history.learners, lineage.starts, strict=False)):
            learner.version = start
            data = snapshot.dumps(learner, pipeline, lineage.id, broker.settings.checkpoint_key)
            info = VersionInfo(snapshot.digest(data), learner.score.samples, learner.score.summary())
            admission.take_partition(partition, alone=True).save(start, data, info)
    return lineage


class _DeadLetters:
    """Counts the records that could not be taken, and keeps the first reason."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.count = 0
        self.first_reason = ""

    def count_in(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            if output.topic == self._topic:
                self.count += 1
                self.first_reason = self.first_reason or str(msgspec.json.decode(output.value)["reason"])
