"""Learn a history, and begin a lineage from it: `streamlearn backfill` once the records are in a topic."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
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


def learn_history(
    broker: Broker,
    pipeline: Pipeline,
    topic: str,
    partitions: int,
    show_progress: Callable[[int, int, int], None] = lambda partition, at, end: None,
) -> History:
    """Predict, then learn all records of a topic, each partition by itself.

    Raises
    ------
    PipelineFails
        The pipeline's own code fails on more records in a row than the settings allow.
    NoModel
        Not one record could be learned from.
    """
    settings, chunk_rows = broker.settings, pipeline.chunk_limit(broker.settings.chunk_rows)
    whole_numbers = bool(pipeline.definition[WHOLE_NUMBERS])
    ends = [broker.stable_end(topic, partition) for partition in range(partitions)]
    learners, dead_letters = [], _DeadLetters(pipeline.dead_letter_topic)
    for partition, end in enumerate(ends):

        def see_chunk(learner: Learner, outputs: Sequence[Output], partition: int, end: int) -> None:
            dead_letters.count_in(outputs)
            show_progress(partition, learner.version, end)

        learner = fold(
            pipeline,
            pipeline.new_learner(),
            KafkaStream(broker, pipeline, partition).rows_of(topic, 0, end),
            chunk_rows,
            whole_numbers,
            max_in_a_row=settings.set_aside_in_a_row,
            see_chunk=partial(see_chunk, partition=partition, end=end),
        )
        learners.append(learner)
    if not any(learner.trained for learner in learners):
        raise NoModel(f"the {sum(ends)} records of {topic} taught {pipeline.name} nothing: has any a label?")
    digests = tuple(digest_learner(pipeline, learner) for learner in learners)
    starts = tuple(0 for _ in ends)
    origin = Origin(topic, starts, tuple(ends), digests, chunk_rows, snapshot.installed_libraries())
    return History(origin, learners, sum(ends), dead_letters.count, dead_letters.first_reason)


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
