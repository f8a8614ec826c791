"""The register of lineages, in a Kafka topic of its own: outside of everything that a reset deletes.

A lineage (`stream/lineage.py`) stays open until a reset ends it, and what ends it stands here. So a
learner that is *new*, one whose snapshots were *lost*, and one that was *reset* never look alike.

Each submission of a pipeline's job takes the next epoch. Two at once append the same epoch; the one that
stands first in the topic has it, the other is refused.
"""

import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from streamlearn.broker import kafka_journal
from streamlearn.broker.broker import Broker
from streamlearn.broker.topics import LINEAGES
from streamlearn.errors import Fenced, LineageError
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.definition import carry_on, is_edit
from streamlearn.stream.lineage import Lineage, Origin


def group_id(pipeline: Pipeline) -> str:
    """Return the consumer group whose committed offset tells how far a pipeline's job has come."""
    return f"streamlearn-{pipeline.name}"


class LineageSummary(NamedTuple):
    """A lineage as it stands last in the register; when it was begun, in seconds since 1970."""

    lineage: Lineage
    begun_s: float
    submissions: int


class LineageRegister:
    """The lineages of one pipeline."""

    def __init__(self, broker: Broker, pipeline: Pipeline) -> None:
        self._broker = broker
        self._pipeline = pipeline

    def current(self) -> Lineage | None:
        """Return the pipeline's newest lineage, open or ended; None if there has been none."""
        # `max` returns the first of equals: the submission that stands first in the topic won the epoch.
        return max(self._entries(), key=lambda entry: entry.epoch, default=None)

    def summarize_lineages(self) -> list[LineageSummary]:
        """Return the pipeline's lineages as they came."""
        summaries: dict[str, LineageSummary] = {}
        for time_s, entry in self._timed_entries():
            _, begun_s, submissions = summaries.get(entry.id, (None, time_s, 0))
            summaries[entry.id] = LineageSummary(entry, begun_s, submissions + (not entry.ended))
        return list(summaries.values())

    def number_lineages(self) -> dict[str, int]:
        """Return the pipeline's lineages, numbered as they came."""
        return {id_: number for number, id_ in enumerate(dict.fromkeys(e.id for e in self._entries()))}

    def claim(
        self,
        *,
        fresh: bool = False,
        accept_edits: bool = False,
        origin: Origin | None = None,
        parallelism: int | None = None,
    ) -> Lineage:
        """Take the next epoch of the open lineage, or open a new one.

        A new one begins, in each partition, after the last record that an earlier lineage has answered,
        else at the oldest record. Partitions that the topic did not have before are learned from their
        oldest record on. `fresh` ends the open lineage first; `accept_edits` goes on although code that
        decides predictions has been edited. `origin` is what a new lineage begins from, in place of nothing.
        `parallelism` is how many workers a person wants to share the partitions, 0 for as many as the
        settings say; None leaves that as it is.

        Raises
        ------
        LineageError
            The pipeline is not what its lineage began with, or another submission was quicker; or there is an
            open lineage, which began from something else than `origin`.
        """
        last = self.current()
        claim_id, pipeline = uuid.uuid4().hex, self._pipeline
        if last is None or last.ended or fresh:
            starts = [self._start_after(last, partition) for partition in self._topic_partitions()]
            entry = Lineage(
                pipeline=pipeline.name,
                reference=pipeline.reference,
                id=uuid.uuid4().hex[:12],
                parameters=dict(pipeline.parameters),
                definition=pipeline.definition,
                start=starts[0],
                epoch=1 if last is None else last.epoch + 1,
                claim=claim_id,
            )
            entry = entry.begin_from(origin).add_partitions(starts[1:])
        elif origin is not None:
            raise LineageError(
                f"{pipeline.name} has the open lineage {last.id}, which has begun already; another beginning"
                " is another lineage"
            )
        else:
            self._check_can_continue(last, accept_edits=accept_edits)
            entry = msgspec.structs.replace(
                last,
                reference=pipeline.reference,
                definition=carry_on(last.definition, pipeline.going_on_from(last.definition).definition),
                epoch=last.epoch + 1,
                claim=claim_id,
            ).add_partitions(self._find_starts_of_new_partitions(last))
        if parallelism is not None:
            entry = msgspec.structs.replace(entry, parallelism=parallelism or msgspec.UNSET)
        return self._append(entry)

    def _topic_partitions(self) -> range:
        return range(self._broker.count_partitions(self._pipeline.topic))

    def _find_starts_of_new_partitions(self, lineage: Lineage) -> list[int]:
        """Return where the partitions begin that the topic has and the lineage has not yet."""
        new_partitions = self._topic_partitions()[len(lineage.partitions) :]
        return [self._broker.oldest(self._pipeline.topic, partition) for partition in new_partitions]

    def count_new_partitions(self) -> int:
        """Return how many partitions the topic has that the open lineage has not yet; 0 if none is open."""
        last = self.current()
        if last is None or last.ended:
            return 0
        return max(0, len(self._topic_partitions()) - len(last.partitions))

    def wanted_parallelism(self) -> int:
        """Return how many workers a person has let share the open lineage's partitions; 0 if nobody has."""
        last = self.current()
        return 0 if last is None or last.ended else last.parallelism or 0

    def epoch_of_newest_partition(self, lineage: Lineage) -> int:
        """Return the epoch since which a lineage has had all of its partitions; 0 if it has only one."""
        if len(lineage.partitions) == 1:
            return 0
        same = (entry for entry in self._entries() if entry.id == lineage.id)
        return min(entry.epoch for entry in same if entry.partitions == lineage.partitions)

    def check_can_continue(self, *, accept_edits: bool = False) -> None:
        """Make sure that the open lineage, if there is one, can go on; see `claim`.

        Raises
        ------
        LineageError
            The pipeline is not what its lineage began with.
        """
        last = self.current()
        if last is not None and not last.ended:
            self._check_can_continue(last, accept_edits=accept_edits)

    def check_newest(self, lineage: Lineage) -> None:
        """Make sure that a submission is the newest; Redis knows as well, unless it was emptied.

        Raises
        ------
        Fenced
            The lineage was ended, or its job submitted again.
        """
        newest = self.current()
        if newest is not None and newest.epoch > lineage.epoch:
            raise Fenced(
                f"submission {lineage.epoch} of {self._pipeline.name} is over:"
                f" lineage {newest.id} {'was ended' if newest.ended else 'went on'} with {newest.epoch}"
            )

    def end(self) -> Lineage | None:
        """End the open lineage, so that no submission of it counts any more; return it, or None.

        Raises
        ------
        LineageError
            A submission was quicker.
        """
        last = self.current()
        if last is None or last.ended:
            return None
        return self._append(
            msgspec.structs.replace(last, ended=True, epoch=last.epoch + 1, claim=uuid.uuid4().hex)
        )

    def check_skippable(self, offset: int, partition: int = 0) -> Lineage:
        """Return the open lineage, if it can set the record at `offset` of a partition aside.

        Raises
        ------
        LineageError
            There is no open lineage, no such partition or record, or the record is answered already.
        """
        last, name, topic = self.current(), self._pipeline.name, self._pipeline.topic
        if last is None or last.ended:
            raise LineageError(f"{name} has no open lineage: `streamlearn train {name}` begins one")
        if offset < self.first_unanswered(last, partition):
            raise LineageError(
                f"the record at offset {offset} is answered already; `streamlearn models {name} rollback`"
                " goes back to a version that has not learned it"
            )
        end = self._broker.stable_end(topic, partition)
        if offset >= end or self._broker.is_hole(topic, offset, offset + 1, partition):
            raise LineageError(f"{topic} has no record at offset {offset}; it ends at {end}")
        return last

    def skip(self, offset: int, partition: int = 0) -> Lineage:
        """Set the record at `offset` of a partition aside, from the next submission on; return the lineage.

        Raises
        ------
        LineageError
            It cannot; see `check_skippable`.
        """
        last = self.check_skippable(offset, partition).skip(offset, partition)
        return self._append(msgspec.structs.replace(last, epoch=last.epoch + 1, claim=uuid.uuid4().hex))

    def first_unanswered(self, lineage: Lineage, partition: int = 0) -> int:
        """Return the offset of the first record of a partition without a committed answer of a lineage."""
        start = lineage.in_partition(partition).start
        answered = kafka_journal.last_answered(self._broker, self._pipeline, lineage.id, partition)
        return start if answered is None else max(start, answered + 1)

    def is_answered(self, lineage: Lineage, ends: Sequence[int]) -> bool:
        """Return whether every record of a lineage below the end of its partition has a committed answer."""
        return all(self.is_answered_below(lineage, end, partition) for partition, end in enumerate(ends))

    def is_answered_below(self, lineage: Lineage, offset: int, partition: int = 0) -> bool:
        """Return whether every record of a partition below an offset has a committed answer of a lineage."""
        unanswered = self.first_unanswered(lineage, partition)
        return self._broker.is_hole(self._pipeline.topic, unanswered, offset, partition)

    def _check_can_continue(self, last: Lineage, *, accept_edits: bool) -> None:
        """Make sure that a learner can go on: nothing that it is fixed to has changed."""
        name, changes = self._pipeline.name, self._pipeline.changes_since(last.definition)
        edits = {part for part, (before, now) in changes.items() if is_edit(part, before, now)}
        if accept_edits:
            changes = {part: change for part, change in changes.items() if part not in edits}
        if not changes:
            return
        differences = "; ".join(
            f"the code of {part} was edited"
            if before and now and part in edits
            else f"{part} was {before!r} and is {now!r}"
            for part, (before, now) in changes.items()
        )
        advice = f"`streamlearn train {name} --fresh` opens a new one"
        if edits == set(changes):
            advice += (
                f"; if the edit changes no prediction (check with `streamlearn verify {name}`),"
                f" `streamlearn train {name} --accept-edits` goes on"
            )
        raise LineageError(f"{name} is not what its lineage {last.id} began with: {differences}. {advice}")

    def _start_after(self, last: Lineage | None, partition: int) -> int:
        """Return where a new lineage begins: where the last one's answers end, or at the oldest record.

        The committed offset may be a transaction ahead of the answers, or behind; it counts where there are
        none.
        """
        broker, pipeline = self._broker, self._pipeline
        oldest = broker.oldest(pipeline.topic, partition)
        if last is None or partition not in last.partitions:
            return oldest
        answered = kafka_journal.last_answered(broker, pipeline, last.id, partition)
        if answered is not None:
            return max(oldest, answered + 1)
        committed = broker.committed_offset(group_id(pipeline), pipeline.topic, partition)
        return max(oldest, last.starts[partition], committed or 0)

    def _append(self, entry: Lineage) -> Lineage:
        """Append an entry, and make sure that it is the one that took its epoch."""
        key, value = entry.pipeline.encode(), msgspec.json.encode(entry)
        self._broker.send(LINEAGES, value, key=key)
        winner = self.current()
        if winner is None or winner.claim != entry.claim:
            raise LineageError(f"another submission of {self._pipeline.name} was quicker; it has the job now")
        return entry

    def _entries(self) -> list[Lineage]:
        return [entry for _, entry in self._timed_entries()]

    def _timed_entries(self) -> Iterator[tuple[float, Lineage]]:
        return _read_entries(self._broker, self._pipeline.name)


def list_open_lineages(broker: Broker) -> list[Lineage]:
    """Return the open lineage of each pipeline that has one, also of pipelines that are not known here."""
    entries = [entry for _, entry in _read_entries(broker)]
    by_pipeline = {name: [e for e in entries if e.pipeline == name] for name in {e.pipeline for e in entries}}
    newest = (max(own, key=lambda entry: entry.epoch) for own in by_pipeline.values())
    return sorted((entry for entry in newest if not entry.ended), key=lambda entry: entry.pipeline)


def _read_entries(broker: Broker, pipeline: str | None = None) -> Iterator[tuple[float, Lineage]]:
    """Yield the entries of one pipeline or of all, each with when it was written, in seconds since 1970."""
    if LINEAGES not in broker.topics():
        return
    decode, key = msgspec.json.Decoder(Lineage).decode, pipeline and pipeline.encode()
    for record in broker.read(LINEAGES):
        if key is None or record.key == key:
            yield record.timestamp / 1000, decode(record.value)
