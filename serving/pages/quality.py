"""How good a pipeline's stream and answers are lately, and what happened to it: `/live/<pipeline>/quality`.

It is measured every few seconds, by a thread of its own, while a page asks for it. What is read is bounded:
as many records of the input topic as there are answers in the watch, each once.
"""

import logging
import math
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from serving.pages.watch import Watch
from serving.protocol.signature import inspect_fields
from serving.state.model_cache import Served
from serving.state.poller import Poller
from streamlearn.broker.broker import Broker
from streamlearn.broker.tail import Tail
from streamlearn.errors import StreamlearnError
from streamlearn.operations.quality.calibration import Calibration, measure_calibration
from streamlearn.operations.quality.delays import Delays, count_waiting, find_stretches, measure_delays
from streamlearn.operations.quality.kinds import KindScore, classify_origins, score_kinds
from streamlearn.operations.quality.sample import COMPARED, LOOK_BACK, Sample, SampledRecord
from streamlearn.operations.quality.shift import LEAST, Row, Shift, compare_samples
from streamlearn.operations.recent_score import select_labelled
from streamlearn.settings import Settings

_log = logging.getLogger(__name__)

_EVERY_S = 5.0
_HOUR_S = 3600.0
_HOUR_AGO_EVERY_S = 60.0
"""How often the records of an hour ago are read anew."""
_FIRST_WAIT_S = 2.0
_IDLE_S = 30.0
_CONNECT_MS = 2000

_LEAST_CALIBRATED = 300
"""A version is asked about so many records that came after it."""
_MOST_FIELDS = 12


class Event(msgspec.Struct):
    """Something that happened to the stream from outside, or to its job."""

    kind: str
    """`restart`, `rollback`, `setting`, `pin`, `unpin` or `feedback`."""
    time_s: float
    """When, in seconds since 1970."""
    offset: int | None = None
    """Where in the input; None for what stands in no offset."""
    version: str | None = None
    """The version that was gone back to, or pinned."""


class KindScores(msgspec.Struct):
    """The score of each kind of record."""

    figure: str
    """`accuracy` or `rmse`."""
    scores: list[KindScore]
    is_whole: bool
    """Whether every record was read; otherwise, one that seems new may have come before those that were."""
    looked_at: int
    """Among how many records it was looked for the same."""


class VersionCalibration(msgspec.Struct):
    """How calibrated a version was on the records that came after it."""

    version: str
    calibration: Calibration


class Comparison(msgspec.Struct):
    """How the newest inputs differ from older ones."""

    shift: Shift
    """Of the fields that moved most."""
    fields: int
    """How many fields were compared."""
    moved: dict[str, int]
    """How many fields moved how much: `little`, `some`, `much`."""


class Quality(msgspec.Struct):
    """What was measured; a part is None where there is nothing to measure, or too little."""

    looked: bool = False
    """Whether the topics have been read."""
    trouble: str = ""
    delays: Delays | None = None
    kinds: KindScores | None = None
    calibration: VersionCalibration | None = None
    since_start: Comparison | None = None
    """The newest inputs against the oldest that Kafka holds."""
    since_hour: Comparison | None = None
    """The newest inputs against those of an hour ago."""
    events: list[Event] = []
    """The oldest first."""


class QualityMonitor:
    """Measures one pipeline's stream while somebody asks. Thread-safe."""

    def __init__(self, settings: Settings, watch: Watch) -> None:
        self._settings = settings
        self._watch = watch
        self._broker: Broker | None = None
        self._tail: Tail | None = None
        self._sample = Sample(watch.pipeline)
        self._hour_ago_read_s = -math.inf
        self._poller: Poller[Quality] = Poller(
            self._measure,
            Quality(),
            every_s=_EVERY_S,
            first_wait_s=_FIRST_WAIT_S,
            idle_s=_IDLE_S,
            close=self._close,
        )

    def get(self) -> Quality:
        """Return what was measured last, which is at most some seconds old."""
        self._watch.keep_polling()
        return self._poller.get()

    def stop(self) -> None:
        """End measuring for good."""
        self._poller.stop()

    def _measure(self) -> Quality:
        events = list_events(self._watch, self._sample)
        try:
            self._watch.wait_for("kafka", _FIRST_WAIT_S)
            tail = self._connect()
            self._sample.look(tail, {**self._watch.flow.answered}, self._read_oldest)
            self._look_at_hour_ago(tail)
            return make_quality(self._watch, self._sample, tail)
        except StreamlearnError as error:
            self._close()
            return Quality(trouble=str(error), events=events)
        except Exception as error:
            # One measurement that fails must not end the others.
            _log.exception("measuring the quality of %s failed", self._watch.pipeline.name)
            self._close()
            return Quality(trouble=f"{type(error).__name__}: {error}", events=events)

    def _connect(self) -> Tail:
        if self._tail is None:
            self._broker = Broker(self._settings, connect_ms=_CONNECT_MS)
            pipeline = self._watch.pipeline
            share = max(1, LOOK_BACK // max(1, len(self._watch.flow.ends)))
            self._sample = Sample(pipeline)
            self._hour_ago_read_s = -math.inf
            self._tail = Tail(self._broker, {pipeline.topic: share})
        return self._tail

    def _look_at_hour_ago(self, tail: Tail) -> None:
        if time.monotonic() - self._hour_ago_read_s < _HOUR_AGO_EVERY_S:
            return
        (ends,) = tail.find_ends_at(self._watch.pipeline.topic, [time.time() - _HOUR_S])
        self._sample.look_at_hour_ago(ends, self._read_before)
        self._hour_ago_read_s = time.monotonic()

    def _read_oldest(self, partition: int, end: int, most: int) -> Sequence[Any]:
        start = self._find_oldest(partition)
        return self._read(partition, start, min(end, start + most))

    def _read_before(self, partition: int, end: int, most: int) -> Sequence[Any]:
        return self._read(partition, max(self._find_oldest(partition), end - most), end)

    def _find_oldest(self, partition: int) -> int:
        assert self._broker is not None
        return self._broker.oldest(self._watch.pipeline.topic, partition)

    def _read(self, partition: int, start: int, stop: int) -> Sequence[Any]:
        assert self._broker is not None
        topic = self._watch.pipeline.topic
        return list(self._broker.read(topic, start, stop, partition)) if start < stop else []

    def _close(self) -> None:
        tail, self._tail = self._tail, None
        broker, self._broker = self._broker, None
        try:
            if tail is not None:
                tail.close()
            if broker is not None:
                broker.close()
        except StreamlearnError as error:
            _log.info("cannot close the reader of %s: %s", self._watch.pipeline.topic, error)


def make_quality(watch: Watch, sample: Sample, tail: Tail) -> Quality:
    """Measure what was read. Only how far the input reached at some moments is asked of Kafka."""
    answers = watch.flow.list_timed_answers()
    return Quality(
        looked=True,
        delays=_measure_delays(watch, sample, answers, tail),
        kinds=score_by_kind(watch, sample, [answer for _, answer in answers]),
        calibration=calibrate(watch, sample),
        since_start=compare_inputs(sample, sample.oldest),
        since_hour=compare_inputs(sample, sample.hour_ago),
        events=list_events(watch, sample),
    )


def _measure_delays(
    watch: Watch, sample: Sample, answers: Sequence[tuple[float, dict[str, Any]]], tail: Tail
) -> Delays | None:
    places = [(time_s, answer.get("partition", 0), answer["offset"]) for time_s, answer in answers]
    pairs = [
        (sample.written_s[partition, offset], time_s)
        for time_s, partition, offset in places
        if (partition, offset) in sample.written_s
    ]
    if not pairs:
        return None
    # A dead letter is an answer, too.
    places += [(letter.time_s, letter.partition, letter.offset) for letter in [*watch.flow.dead_letters]]
    stretches = find_stretches(min(answered for _, answered in pairs), time.time())
    ends = tail.find_ends_at(watch.pipeline.topic, stretches)
    return measure_delays(pairs, stretches, count_waiting(ends, places, stretches))


def score_by_kind(watch: Watch, sample: Sample, answers: Sequence[dict[str, Any]]) -> KindScores | None:
    """Return the score of new records, of repeated ones and of feedback; None where none can be scored."""
    pipeline = watch.pipeline
    labelled = select_labelled(answers, pipeline)
    if not labelled:
        return None
    older = sample.list_older()
    kinds = classify_origins(older, [*sample.origins])
    is_classification = pipeline.learning.classes is not None
    scores = score_kinds(
        kinds,
        (
            ((answers[row.position].get("partition", 0), row.offset), row.truth, row.prediction)
            for row in labelled
        ),
        is_classification=is_classification,
    )
    figure = "accuracy" if is_classification else "rmse"
    return KindScores(figure, scores, sample.is_whole, len(kinds) + len(older)) if scores else None


def calibrate(watch: Watch, sample: Sample) -> VersionCalibration | None:
    """Return how calibrated a kept version is on the records that came after it.

    Answers hold no probabilities, and the served version has learned all of these records: so the newest
    version is asked that is older than enough of them. None where the pipeline has no probabilities, or no
    such version is kept.
    """
    pipeline, learning = watch.pipeline, watch.pipeline.learning
    if "probabilities" not in [field.name for field in pipeline.output_fields]:
        return None
    labelled = [(row, learning.label_of(row.record)) for row in [*sample.newest]]
    labelled = [(row, label) for row, label in labelled if label is not None]
    partition = labelled[-1][0].place[0] if labelled else 0
    labelled = [(row, label) for row, label in labelled if row.place[0] == partition]
    version, served = _load_version_before(watch, partition, [row.place[1] for row, _ in labelled])
    if served is None:
        return None
    learner = served.learner
    later = [(row.record, label) for row, label in labelled if row.place[1] >= version]
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            probabilities = learner.outputs([record for record, _ in later])["probabilities"]
    except Exception:  # code of the pipeline's own: such records are set aside in the stream
        return None
    classes = list(learner.classes or learning.classes or ())
    labels = [label for _, label in later]
    return VersionCalibration(
        served.head.name, measure_calibration(np.asarray(probabilities), labels, classes)
    )


def _load_version_before(watch: Watch, partition: int, offsets: Sequence[int]) -> tuple[int, Served | None]:
    """Return the newest version that has learned none of the newest 300 records at `offsets`.

    None with it where there are too few of these, or where no such version is kept, or can be read now.
    """
    if len(offsets) < _LEAST_CALIBRATED:
        return 0, None
    limit = offsets[-_LEAST_CALIBRATED]
    try:
        kept = [version for version in watch.models.versions(partition) if version <= limit]
        if not kept:
            return 0, None
        return kept[-1], watch.models.load_version(".".join(["-"] * partition + [str(kept[-1])]))
    except StreamlearnError:
        return 0, None  # it has just been thinned out, or Redis is away, which the page says


def compare_inputs(sample: Sample, older: Sequence[SampledRecord]) -> Comparison | None:
    """Return how much each field of the newest records differs from older ones.

    The two samples are of the same size and do not overlap. None where too few records have come for that.
    """
    newest = [*sample.newest]
    # While few records have come, the two overlap: then each takes its end.
    both = {row.place for row in newest} | {row.place for row in older}
    size = min(COMPARED, len(both) // 2, len(newest), len(older))
    if size < LEAST:
        return None
    names = [field.encode_name for field in inspect_fields(sample.pipeline.record)]
    shift = compare_samples(_decode(older[:size]), _decode(newest[-size:]), names)
    if shift is None:
        return None
    levels = [field.level for field in shift.fields]
    shift.fields = shift.fields[:_MOST_FIELDS]
    return Comparison(
        shift, len(levels), {level: levels.count(level) for level in ("little", "some", "much")}
    )


def _decode(rows: Sequence[SampledRecord]) -> list[Row]:
    return [msgspec.json.decode(row.value) for row in rows]


def list_events(watch: Watch, sample: Sample) -> list[Event]:
    """Return what happened lately, the oldest first."""
    restores = [*watch.restores]
    lineages = [restore.lineage for restore in restores]
    events = [
        Event("rollback" if restore.dropped else "restart", restore.time_s, restore.offset)
        for number, restore in enumerate(restores)
        # The first start of each lineage is no restart.
        if restore.lineage in lineages[:number]
    ]
    for time_s, obeyed in [*watch.flow.controls]:
        version = getattr(obeyed.control, "version", None)
        kind = "setting" if version is None else "rollback"
        events.append(Event(kind, time_s, obeyed.offset, None if version is None else str(version)))
    events += [
        Event("unpin" if change.version is None else "pin", change.time_s, None, change.version)
        for change in [*watch.pin_changes]
    ]
    events += [Event("feedback", time_s, offset) for time_s, (_, offset) in [*sample.feedback]]
    return sorted(events, key=lambda event: event.time_s)
