"""The newest answers and dead letters of a pipeline as rows, and one record as it stands in its topic.

The rows come from what the watch has read anyway. A single record is read from Kafka where somebody asks for
it: one at a time, and the last few hundred are kept, since a record never changes.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from serving.pages.pictures import draw_picture
from serving.pages.watch import Watch
from streamlearn.broker.broker import Broker
from streamlearn.errors import BadRecord, StreamlearnError
from streamlearn.operations.flow import Flow
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.records import Stamp

ROWS = 50
"""How many rows are shown at most."""

SHOWN = ("all", "wrong", "dead")
"""What can be shown: everything, predictions that differ from their label, dead letters."""

STATES = {
    "not_yet": "No record stands at this offset yet.",
    "gone": "Kafka no longer holds the record at this offset: its retention has taken it.",
    "hole": "No record ever stood at this offset: a transaction's marker took it.",
    "away": "Kafka does not answer; try again in a moment.",
    "busy": "Other records are being read; try again in a moment.",
}
"""Why a record cannot be shown."""

_STAMPS = frozenset(stamp.encode_name for stamp in msgspec.structs.fields(Stamp))
_CONNECT_MS = 2000
_KEPT = 256
_BODY_CHARS = 4096
_FIELD_CHARS = 80
_TURN_S = 3.0
_LARGEST_EXAMPLE = 16 << 10
_UNREADABLE = 20
"""So many more records are read for an example: some cannot be read, and some are no records but controls."""


@dataclass(frozen=True)
class Filter:
    """Which rows are wanted."""

    show: str = "all"
    """One of `SHOWN`."""
    partition: int | None = None


@dataclass(frozen=True)
class Row:
    """One record of the input, and what it was answered."""

    partition: int
    offset: int
    version: int | str | None
    fields: dict[str, str]
    """The other fields of the answer, shortened."""
    label: str | None = None
    prediction: str | None = None
    is_right: bool | None = None
    """None where the label is not known, or where there is no right or wrong."""
    reason: str | None = None
    """Of a dead letter."""
    picture: str | None = None
    """A data URL, where the record is a picture."""


@dataclass(frozen=True)
class Rows:
    """What the page shows."""

    rows: list[Row] = field(default_factory=list)
    partitions: list[int] = field(default_factory=list)
    """Those of the input topic."""
    can_be_wrong: bool = False
    has_labels: bool = False
    is_read: bool = False
    """Whether Kafka has been read since somebody watches."""
    searched: int = 0
    """Among how many of the newest answers and dead letters the rows were searched."""


def select_rows(watch: Watch, wanted: Filter) -> Rows:
    """Return the newest rows that fit, the newest first; at most `ROWS`."""
    flow = watch.flow
    rows: list[Row] = []
    if wanted.show != "wrong":
        rows += _take(_list_dead_letters(flow), wanted)
    if wanted.show != "dead":
        wrong_only = wanted.show == "wrong"
        rows += _take(
            _list_answers(flow, lambda answer: not wrong_only or _compare(answer, flow.pipeline) is False),
            wanted,
        )
    rows.sort(key=lambda row: (row.offset, row.partition), reverse=True)
    return Rows(
        rows[:ROWS],
        list(range(len(flow.ends))),
        watch.pipeline.learning.classes is not None,
        watch.pipeline.label_name is not None,
        "kafka" in watch.polled,
        len(flow.answers) + len(flow.dead_letters),
    )


def _take(rows: Iterator[Row], wanted: Filter) -> list[Row]:
    """Return the first rows of the wanted partition."""
    taken: list[Row] = []
    for row in rows:
        if wanted.partition in (None, row.partition):
            taken.append(row)
            if len(taken) == ROWS:
                break
    return taken


def _list_dead_letters(flow: Flow) -> Iterator[Row]:
    for letter in reversed([*flow.dead_letters]):
        fields = {} if letter.value is None else {"": _shorten(letter.value)}
        yield Row(letter.partition, letter.offset, None, fields, reason=letter.reason)


def _list_answers(flow: Flow, wanted: Callable[[dict[str, Any]], bool]) -> Iterator[Row]:
    """Yield the rows of the answers that are wanted, the newest first."""
    for answer, value in zip(reversed([*flow.answers]), reversed([*flow.values]), strict=False):
        if wanted(answer):
            whole = answer if value is None else msgspec.json.decode(value)
            # The watch goes on meanwhile: what was copied a moment later may have one answer more.
            is_same = (whole["offset"], whole.get("partition")) == (answer["offset"], answer.get("partition"))
            yield _make_row(whole if is_same else answer, flow.pipeline)


def _compare(answer: dict[str, Any], pipeline: Pipeline) -> bool | None:
    """Return whether a classification was right; None where its label is not known, or for other kinds."""
    learning, label = pipeline.learning, pipeline.label_name
    if learning.classes is None or label is None or len(learning.answer_fields) != 1:
        return None
    truth, prediction = answer.get(label), answer.get(learning.answer_fields[0])
    return None if truth is None or prediction is None else bool(truth == prediction)


def _make_row(answer: dict[str, Any], pipeline: Pipeline) -> Row:
    learning, label = pipeline.learning, pipeline.label_name or ""
    shown, prediction = {label, *_STAMPS}, None
    if learning.series is not None:
        prediction = _describe_forecast(answer.get("forecast"), pipeline.display.step_unit)
        shown |= {*learning.answer_fields}
    elif len(learning.answer_fields) == 1:
        (name,) = learning.answer_fields
        prediction = _as_text(answer.get(name))
        shown.add(name)
    return Row(
        int(answer.get("partition", 0)),
        int(answer["offset"]),
        answer.get("model_version"),
        {name: _shorten(_as_text(value) or "–") for name, value in answer.items() if name not in shown},
        _as_text(answer.get(label)),
        prediction,
        _compare(answer, pipeline),
        picture=draw_picture(answer, pipeline),
    )


def _describe_forecast(forecast: Any, unit: str) -> str | None:
    """Return the values of a forecast by horizon, such as `1 h: 24.3`; None where nothing can be said yet."""
    if not isinstance(forecast, dict):
        return None
    values = [
        f"{steps} {unit}".strip() + f": {value:.1f}" for steps, value in forecast.items() if value is not None
    ]
    return " · ".join(values) or None


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return f"{value:.6g}" if isinstance(value, float) else msgspec.json.encode(value).decode()


def _shorten(text: str) -> str:
    return text if len(text) <= _FIELD_CHARS else text[: _FIELD_CHARS - 2] + " …"


@dataclass(frozen=True)
class Record:
    """One record as it stands in the input topic."""

    partition: int
    offset: int
    body: str = ""
    """Its bytes as text, JSON in lines; cut off where they are many."""
    time_s: float | None = None
    """Kafka's timestamp of it, in seconds since 1970."""
    state: str = "here"
    """`here`, or why it cannot be shown: a key of `STATES`."""
    picture: str | None = None


class RecordReader:
    """Reads single records of input topics. Thread-safe; one is read at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, int], Record] = OrderedDict()

    def read(self, pipeline: Pipeline, partition: int, offset: int) -> Record:
        """Return the record at an offset; its `state` says so where it cannot be had. Nothing is raised."""
        key = (pipeline.topic, partition, offset)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        if not self._lock.acquire(timeout=_TURN_S):
            return Record(partition, offset, state="busy")
        try:
            record = self._read(pipeline, partition, offset)
        except StreamlearnError:
            return Record(partition, offset, state="away")
        finally:
            self._lock.release()
        if record.state == "here":
            self._kept[key] = record
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return record

    def read_newest(self, pipeline: Pipeline, partition: int, end: int, count: int) -> list[Any]:
        """Return the newest records before an offset that can be read, at most `count`, in their order.

        None are where Kafka does not answer, or where others are being read.
        """
        if not self._lock.acquire(timeout=_TURN_S):
            return []
        try:
            with Broker(self._settings, connect_ms=_CONNECT_MS) as broker:
                start = max(broker.oldest(pipeline.topic, partition), end - count - _UNREADABLE)
                rows = list(broker.read(pipeline.topic, start, end, partition)) if start < end else []
        except StreamlearnError:
            return []
        finally:
            self._lock.release()
        values = [row.value for row in rows if _is_example(row.value, pipeline)]
        return [msgspec.json.decode(value) for value in values[-count:]]

    def _read(self, pipeline: Pipeline, partition: int, offset: int) -> Record:
        nothing = Record(partition, offset)
        with Broker(self._settings, connect_ms=_CONNECT_MS) as broker:
            topic = pipeline.topic
            if partition not in broker.partitions(topic) or offset >= broker.stable_end(topic, partition):
                return replace(nothing, state="not_yet")
            if offset < broker.oldest(topic, partition):
                return replace(nothing, state="gone")
            for row in broker.read(topic, offset, offset + 1, partition):
                return _make_record(row, pipeline, nothing)
        return replace(nothing, state="hole")


def choose_window(records: Sequence[Any], key: str | None, count: int) -> list[Any]:
    """Return the newest `count` records of one series: the one that the newest record belongs to.

    `key` is the field that tells the series of a record; None where there is one only.

    >>> choose_window([{"at": "a", "t": 1}, {"at": "b", "t": 2}, {"at": "a", "t": 3}], "at", 5)
    [{'at': 'a', 't': 1}, {'at': 'a', 't': 3}]
    """
    if key is not None and records:
        newest = records[-1].get(key)
        records = [record for record in records if record.get(key) == newest]
    return list(records[-count:])


def _is_example(value: bytes | None, pipeline: Pipeline) -> bool:
    """Whether bytes are a record with which a form can be filled in."""
    if value is None or len(value) > _LARGEST_EXAMPLE:
        return False
    try:
        return isinstance(pipeline.codec.decode(value), pipeline.record)
    except BadRecord:
        return False


def _make_record(row: Any, pipeline: Pipeline, nothing: Record) -> Record:
    value = row.value or b""
    decoded = _decode(value)
    picture = draw_picture(decoded, pipeline) if isinstance(decoded, dict) else None
    body = value.decode(errors="replace")
    # A picture's numbers, a line each, would push away all that stands beside them.
    if decoded is not None and not picture and len(value) <= _BODY_CHARS:
        body = msgspec.json.format(value, indent=2).decode()
    if len(body) > _BODY_CHARS:
        body = body[:_BODY_CHARS] + " …"
    return replace(nothing, body=body, time_s=row.timestamp / 1000, picture=picture)


def _decode(value: bytes) -> Any:
    """Return what bytes hold as JSON; None where they are none."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def find_row(watch: Watch, partition: int, offset: int) -> Row | None:
    """Return what a record was answered, if that is among the newest answers."""
    place = (partition, offset)
    letters = (row for row in _list_dead_letters(watch.flow) if (row.partition, row.offset) == place)
    answers = _list_answers(
        watch.flow, lambda answer: (answer.get("partition", 0), answer["offset"]) == place
    )
    return next(letters, None) or next(answers, None)
