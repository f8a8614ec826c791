"""What learning and verifying cost, in memory: no Kafka, no Flink, no Redis. `scripts/bench engine`.

Each contender learns the same records, in chunks of 256 for digits and of 1 for pm25, and its CPU time is
divided by their number. They take turns within every round, so that whatever else the machine does meets all
of them; what is compared is the ratio within a round.

estimator   predict and partial_fit of the estimator of digits, on arrays that are there already
json        msgspec decodes each record and encodes it again, and nothing else
bare        the two above: what cannot be had for less, and what the ratios are to
engine      streamlearn: decode, check, predict, score, learn, stamp, encode; bad records set aside
snapshots   the engine, and a snapshot after every call of 1,024 records (pm25: 256)
verify      everything that `snapshots` has answered and stored learned again and compared
river       River's one-vs-rest logistic regression, record by record, where River is installed
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from benchmarks.measuring import Results, compare, spread, take_turns, takes_output
from benchmarks.peers.loops import make_river
from streamlearn.engine.answering import Answering, cut_into_chunks
from streamlearn.engine.verify import verify
from streamlearn.errors import LineageError
from streamlearn.learning.learner import Learner
from streamlearn.learning.process import pin_blas_threads, relieve_collector
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load
from streamlearn.storage import snapshot
from streamlearn.stream.control import Obeyed
from streamlearn.stream.journal import read_entry
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Entry, Input, Journal, Output
from streamlearn.stream.records import encode

_CHUNK_ROWS = 256
_LINEAGE = "benchmark"
_CALL_ROWS = {"digits": 1024, "pm25": 256}
_ROWS = {"digits": 8192, "pm25": 2048}

Contender = Callable[[], object]
"""Does once what is measured."""


class MemoryJournal:
    """A `Journal` in memory."""

    cut_off = False

    def __init__(self, entries: Iterator[Entry]) -> None:
        self.strays: list[Entry] = []
        self._entries = entries
        self._next = next(entries, None)

    @property
    def ahead(self) -> bool:
        """Whether there are later answers."""
        return self._next is not None

    def take(self, offset: int, wait_s: float) -> Entry | None:
        """Return the answer to the record at `offset`."""
        while self._next and self._next.offset < offset:
            self.strays.append(self._next)
            self._next = next(self._entries, None)
        if self._next is None or self._next.offset > offset:
            return None
        entry, self._next = self._next, next(self._entries, None)
        return entry


class MemoryStream:
    """A `Stream` in memory: records at the offsets from 0 on, and their answers."""

    def __init__(self, rows: list[Input], outputs: list[Output]) -> None:
        self._rows, self._outputs = rows, outputs

    def oldest(self) -> int:
        """Return 0."""
        return 0

    def end(self) -> int:
        """Return the number of records."""
        return len(self._rows)

    def committed(self) -> int | None:
        """Return the number of records: all are answered."""
        return len(self._rows)

    def offsets(self, start: int, end: int) -> list[int]:
        """Return the offsets from `start` to `end`."""
        return [row.offset for row in self._rows[start:end]]

    def is_hole(self, start: int, end: int) -> bool:
        """Return whether `start` is `end`: there are no holes."""
        return start >= end

    def rows(self, start: int, end: int) -> Iterator[Input]:
        """Yield the records from `start` to `end`."""
        return iter(self._rows[start:end])

    def rows_of(self, topic: str, start: int, end: int) -> Iterator[Input]:
        """Yield nothing: there is no other topic."""
        return iter(())

    def obeyed_controls(self, lineage: str) -> list[Obeyed]:
        """Return none."""
        return []

    @contextmanager
    def journal(self, lineage: str, start: int) -> Iterator[Journal]:
        """Open the journal; answers are read as from Kafka."""
        entries = (read_entry(output.value, output.topic) for output in self._outputs[start:])
        yield MemoryJournal(entry for entry in entries if entry)


def learn(pipeline: Pipeline, rows: list[Input]) -> Iterator[tuple[Learner, list[Output]]]:
    """Answer the records; after each call yield the learner and the call's answers."""
    answering = Answering(pipeline, _LINEAGE, "", _refuse_version)
    learner, call_rows = pipeline.new_learner(), _CALL_ROWS[pipeline.name]
    for start in range(0, len(rows), call_rows):
        outputs: list[Output] = []
        for chunk in cut_into_chunks(rows[start : start + call_rows], pipeline.chunk_limit(_CHUNK_ROWS)):
            learner, answers = answering.answer(learner, chunk)
            outputs += answers
        yield learner, outputs


def _refuse_version(version: int) -> Learner:
    raise LineageError(f"version {version} is not kept")


def list_contenders(pipeline: Pipeline, rows: list[Input]) -> dict[str, Contender]:
    """Return what is measured for a pipeline, by name."""
    stored = {
        learner.version: (snapshot.dumps(learner, pipeline, _LINEAGE), outputs)
        for learner, outputs in learn(pipeline, rows)
    }
    snapshots = {version: data for version, (data, _) in stored.items()}
    stream = MemoryStream(rows, [output for _, outputs in stored.values() for output in outputs])
    lineage = Lineage(
        pipeline=pipeline.name,
        reference=pipeline.name,
        id=_LINEAGE,
        parameters=dict(pipeline.parameters),
        start=0,
        epoch=1,
        definition=pipeline.definition,
    )

    def verify_all() -> None:
        report = verify(pipeline, lineage, stream, snapshots, wait_s=0)
        if report.exit_code or report.snapshots != len(snapshots) or report.predictions != len(rows):
            raise AssertionError(f"the benchmark's own stream does not verify: {report}")

    contenders: dict[str, Contender] = {
        "json": decode_and_encode(pipeline, rows),
        "engine": lambda: deque(learn(pipeline, rows), maxlen=0),
        "snapshots": lambda: [
            len(snapshot.dumps(learner, pipeline, _LINEAGE)) for learner, _ in learn(pipeline, rows)
        ],
        "verify": verify_all,
    }
    if pipeline.name == "digits":
        contenders = {"estimator": predict_and_learn(pipeline, rows), **contenders}
        if find_spec("river"):
            few = [msgspec.json.decode(row.value or b"") for row in rows[: len(rows) // 8]]
            contenders["river"] = lambda: make_river()(few)
    return contenders


def decode_and_encode(pipeline: Pipeline, rows: list[Input]) -> Contender:
    """Return what decodes each record by msgspec, and encodes it again."""
    decode = msgspec.json.Decoder(pipeline.record).decode

    def run() -> None:
        for row in rows:
            encode(decode(row.value or b""))

    return run


def predict_and_learn(pipeline: Pipeline, rows: list[Input]) -> Contender:
    """Return what has an estimator predict and learn the records, as arrays that are there already.

    It is that of the pipeline, and is returned.
    """
    records = [pipeline.codec.decode(row.value) for row in rows]
    x: Any = pipeline.learning.features_of(records)
    y = np.array([record.actual_y for record in records])
    classes = np.array(pipeline.learning.classes)

    def run() -> Any:
        estimator = getattr(pipeline.learning, "estimator")(**pipeline.parameters)  # noqa: B009 (a Tabular)
        for start in range(0, len(x), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            if start:
                estimator.predict(x[chunk])
            estimator.partial_fit(x[chunk], y[chunk], classes=classes)
        return estimator

    return run


def measure(contenders: dict[str, Contender], rows: int, rounds: int) -> dict[str, list[float]]:
    """Return each contender's CPU time in microseconds a record, one number a round."""

    def time_once(name: str) -> float:
        start = time.process_time()
        contenders[name]()
        return 1e6 * (time.process_time() - start) / (rows // 8 if name == "river" else rows)

    return take_turns({name: partial(time_once, name) for name in contenders}, rounds)


def summarize(times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return a row for each contender: median, spread and ratio to bare, or to the engine."""
    if "estimator" in times:
        bare = [sum(pair) for pair in zip(times["estimator"], times["json"], strict=True)]
        times = {**times, "bare": bare}
    reference = times.get("bare", times["engine"])
    return [
        {"name": name, **spread(values, "us"), "ratio": compare(values, reference)}
        for name, values in times.items()
    ]


@click.command(help=__doc__.replace("\n\nestimator", "\n\n\b\nestimator"))
@click.option("--quick", is_flag=True, help="Half of the records, three rounds: some ten seconds.")
@click.option("--rounds", type=click.IntRange(min=1), help="How often each contender runs; 9, or 3 if quick.")
@click.option("--pipeline", "names", multiple=True, type=click.Choice(list(_ROWS)), help="Only this one.")
@takes_output("engine")
def main(quick: bool, rounds: int | None, names: tuple[str, ...], output: Path) -> None:
    """Measure and print."""
    rounds = rounds or (3 if quick else 9)
    pin_blas_threads()
    relieve_collector()
    rows: list[dict[str, Any]] = []
    for name in names or _ROWS:
        pipeline, count = load(name), _ROWS[name] // (2 if quick else 1)
        assert pipeline.dataset is not None
        pipeline.dataset.prepare()
        records = islice(pipeline.dataset.records(seed=0, passes=10), count)
        inputs = [Input(0, number, encode(record)) for number, record in enumerate(records)]
        summary = summarize(measure(list_contenders(pipeline, inputs), count, rounds))
        rows += [{**row, "name": f"{name}: {row['name']}"} for row in summary]
    title = "Learning and verifying in memory, CPU time in µs a record"
    results = Results(title, rows, {"rounds": rounds, "ratio": "to bare (digits), to the engine (pm25)"})
    results.print()
    results.write(output)
    results.draw(output.with_suffix(".svg"), "us", "CPU time, µs a record")


if __name__ == "__main__":
    main()
