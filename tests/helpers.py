"""Records, learners and lineages for quick tests."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from itertools import islice, pairwise

import msgspec
from flask import Flask
from flask.testing import FlaskClient

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.datasets import digits
from streamlearn.engine.partitions import Partitions
from streamlearn.engine.worker import Worker
from streamlearn.errors import LineageError
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.digits import Digit, pipeline
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo
from streamlearn.storage.writer import Writer
from streamlearn.stream import control
from streamlearn.stream.control import Obeyed
from streamlearn.stream.journal import read_entry
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Entry, Input, Output
from streamlearn.stream.records import encode
from streamlearn.waiting import wait_until

KEY = "a key of the tests"

MakeApp = Callable[..., Flask]
"""Makes the server's application; the arguments are settings."""

Make = Callable[..., Worker]
"""Makes a worker; the arguments replace what the fixture `make` takes by default."""

LINEAGE = Lineage(
    pipeline="digits",
    reference="digits",
    id="aaaa",
    parameters=dict(pipeline.parameters),
    start=0,
    epoch=1,
)


def records(count: int, seed: int = 3) -> list[Digit]:
    """Return the first digits of a replay."""
    return [msgspec.convert(record, Digit) for record in islice(digits.records(seed=seed), count)]


def inputs(count: int, seed: int = 3, start: int = 0) -> list[Input]:
    """Return the same as they come from Kafka, at the offsets from `start` on."""
    values = islice(digits.records(seed=seed), count)
    return [Input(0, start + number, encode(value)) for number, value in enumerate(values)]


def learner(count: int = 0, cuts: Iterable[int] = ()) -> Learner:
    """Return a learner that has learned `count` records in chunks that end at `cuts` and at the end."""
    return deepcopy(_learn(count, tuple(cuts)))


@cache
def _learn(count: int, cuts: tuple[int, ...]) -> Learner:
    """Learn them once: many tests begin with the same model."""
    learner = pipeline.new_learner()
    start, digits = 0, records(count)
    for end in [*cuts, count]:
        if end > start:
            predict_then_learn(learner, digits[start:end], end)
        start = end
    return learner


class ListJournal:
    """A journal of answers in memory."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self.strays: list[Entry] = []
        self.cut_off = False

    @property
    def ahead(self) -> bool:
        return bool(self._entries)

    def take(self, offset: int, wait_s: float) -> Entry | None:
        while self._entries and self._entries[0].offset < offset:
            self.strays.append(self._entries.pop(0))
        if self._entries and self._entries[0].offset == offset:
            return self._entries.pop(0)
        return None


class ListStream:
    """A pipeline's stream in memory: the records, and the answers that are committed."""

    def __init__(self) -> None:
        self.records: list[Input] = []
        self.answers: list[Output] = []
        self.first = 0
        self.first_answered = 0
        """The first record whose answer Kafka still holds."""
        self.commit: int | None = None
        self.others: dict[str, list[Input]] = {}
        """The records of other topics."""

    def oldest(self) -> int:
        return self.first

    def end(self) -> int:
        return self.records[-1].offset + 1 if self.records else 0

    def offsets(self, start: int, end: int) -> list[int]:
        return [row.offset for row in self.rows(start, end)]

    def is_hole(self, start: int, end: int) -> bool:
        return start >= end or (self.first <= start and not any(True for _ in self.rows(start, end)))

    def committed(self) -> int | None:
        return self.commit

    def rows(self, start: int, end: int) -> Iterator[Input]:
        yield from (row for row in self.records if max(start, self.first) <= row.offset < end)

    def rows_of(self, topic: str, start: int, end: int) -> Iterator[Input]:
        rows = [row for row in self.others.get(topic, ()) if start <= row.offset < end]
        if start < end and (not rows or rows[0].offset > start):
            raise LineageError(f"Kafka has no topic {topic} any more")
        yield from rows

    def obeyed_controls(self, lineage: str) -> list[Obeyed]:
        controls = [
            msgspec.json.decode(output.value, type=Obeyed)
            for output in self.answers
            if "control" in output.topic
        ]
        return [control for control in controls if control.lineage == lineage]

    @contextmanager
    def journal(self, lineage: str, start: int) -> Iterator[ListJournal]:
        first = max(start, self.first_answered)
        entries = (read_entry(output.value, output.topic) for output in self.answers)
        journal = ListJournal(
            [entry for entry in entries if entry and entry.lineage == lineage and entry.offset >= first]
        )
        journal.cut_off = start < first
        yield journal


def commit(stream: ListStream, worker: Worker, rows: list[Input], *cuts: int) -> list[dict[str, object]]:
    """Let a worker answer rows, a call up to each cut, commit the answers and return them."""
    stream.records += rows
    outputs = []
    for call in _split(rows, cuts):
        outputs += worker.answer(call)
    stream.answers += outputs
    return [json.loads(output.value) for output in outputs]


def append(broker: Broker, values: Iterable[tuple[str, bytes, int]]) -> None:
    """Append many values, each to a partition of a topic."""
    with broker.bulk_writer(2 << 20) as writer:
        for topic, value, partition in values:
            writer.send(topic, value, lambda error: None, partition)


def read_snapshots(store: Store, pipeline: str, partition: int = 0) -> dict[int, bytes]:
    """Return the snapshot of each version that Redis keeps of a partition."""
    snapshots = {}
    for version in store.versions(pipeline, LINEAGE.id, partition):
        data = store.snapshot(pipeline, LINEAGE.id, version, partition)
        assert data is not None
        snapshots[version] = data
    return snapshots


def _split(rows: list[Input], cuts: Sequence[int]) -> list[list[Input]]:
    edges = [rows[0].offset, *cuts, rows[-1].offset + 1]
    calls = [[row for row in rows if start <= row.offset < end] for start, end in pairwise(edges)]
    return [call for call in calls if call]


def rollback(offset: int, version: int, lineage: str = "aaaa", key: str = KEY) -> Input:
    """Return a control record that goes back to a version."""
    return Input(0, offset, control.sign(control.Rollback(lineage, version), key))


def put(
    store: Store, pipeline: Pipeline, learner: Learner, writer: Writer | None = None, key: str = ""
) -> Writer:
    """Write a version as a worker would."""
    writer = writer or store.admit(pipeline.name, LINEAGE.id, 1)
    data = snapshot.dumps(learner, pipeline, LINEAGE.id, key)
    info = VersionInfo(snapshot.digest(data), learner.score.samples, learner.score.summary())
    writer.save(learner.version, data, info)
    return writer


def write(store: Store, count: int, writer: Writer | None = None) -> Writer:
    """Write the model of `count` records as a worker would."""
    writer = writer or store.admit("digits", "aaaa", 1)
    data = snapshot.dumps(learner(count, cuts=range(256, count, 256)), pipeline, "aaaa")
    writer.save(count, data, VersionInfo(snapshot.digest(data), count, {}))
    return writer


def serve(client: FlaskClient, store: Store, count: int, writer: Writer | None = None) -> Writer:
    """Write a model and wait until it is the one that answers."""
    writer = write(store, count, writer)
    wait_until(lambda: version(client) == count, 5, f"version {count} to be served", every_s=0.01)
    return writer


def version(client: FlaskClient) -> int | None:
    number: int | None = client.get("/v2/models/digits").get_json()["parameters"].get("version")
    return number


def admit_partitions(broker: Broker, pipeline: Pipeline, lineage: Lineage, store: Store) -> Partitions:
    """Return what answers all partitions of a topic on the real broker, admitted as the one writer."""
    partitions = Partitions(
        pipeline,
        lineage,
        broker.settings,
        store=store,
        open_stream=lambda partition: KafkaStream(broker, pipeline, partition),
        committed=lambda partition: None,
        alone=True,
    )
    partitions.admit()
    return partitions
