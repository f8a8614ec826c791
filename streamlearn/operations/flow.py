"""What flows through one pipeline, put together from looks at its topics (`streamlearn/broker/tail.py`)."""

import base64
import math
import threading
import time
from collections import deque
from typing import Any, NamedTuple

import msgspec

from streamlearn.broker.tail import Seen, Tail
from streamlearn.pipelines.base import Pipeline
from streamlearn.stream.control import Obeyed
from streamlearn.stream.explanations import explain_reason

ANSWERS = 5_000
"""How many offsets of answers are read back: half a year of hours, a few minutes of digits."""

DEAD_LETTERS = 1_000
"""How many offsets of dead letters are read back."""

CONTROLS = 40
"""How many offsets of obeyed control records are read back."""

_RATE_S = 10.0
_LEAST_TREND_S = 1.5
"""Answers come in bursts, one a checkpoint: over a shorter time a trend would be any number."""

_MOMENTS = 10_000
_FEW = 10
"""So few records wait for the next checkpoint: since when is not asked."""
_NEWEST = 200
"""Among so many newest records of each partition those are counted that were set aside."""

_PREVIEW_BYTES = 400
_DECODED_CHARS = 8192
"""Of a dead letter's value in base64, so much is looked at; a multiple of four."""
_LONGEST_VALUE = 2048


class DeadLetterPreview(msgspec.Struct):
    """A dead letter; of its bytes the beginning is kept, as text."""

    offset: int
    reason: str
    value: str | None = None
    partition: int = 0
    time_s: float = 0.0
    """When it was written, in seconds since 1970."""


class ControlObeyed(NamedTuple):
    """A control record that was obeyed, and when that was written, in seconds since 1970."""

    time_s: float
    obeyed: Obeyed


class SetAside(NamedTuple):
    """Dead letters among the newest records, records looked at, and the newest reason."""

    dead_letters: int
    records: int
    reason: str


class _Place(msgspec.Struct):
    """Of any answer, where the record stands that it answers."""

    offset: int
    partition: int = 0


class Flow:
    """What was read from a pipeline's topics, from the first look on. One thread adds, any may read.

    Parameters
    ----------
    look_back
        How many of the newest answers are kept.

    Attributes
    ----------
    answers
        The newest predictions, the oldest first, without their lists: those of thousands would fill memory.
    values
        The bytes of each of them, or None where they are many.
    times
        When each of them was written, in seconds since 1970.
    dead_letters
        The newest dead letters, the oldest first.
    controls
        The newest control records that were obeyed, the oldest first.
    more_dead_letters
        Whether there may be older dead letters than those.
    ends
        The offset after the newest input record of each partition; empty where there is no such topic.
    answered
        The newest offset of each partition that has an answer.
    waiting_since_s
        When the oldest record without an answer was written, in seconds since 1970; None while few wait.
    """

    def __init__(self, pipeline: Pipeline, look_back: int = ANSWERS) -> None:
        self.pipeline = pipeline
        self.answers: deque[dict[str, Any]] = deque(maxlen=look_back)
        self.values: deque[bytes | None] = deque(maxlen=look_back)
        self.times: deque[float] = deque(maxlen=look_back)
        self.dead_letters: deque[DeadLetterPreview] = deque(maxlen=DEAD_LETTERS)
        self.controls: deque[ControlObeyed] = deque(maxlen=CONTROLS)
        self.more_dead_letters = False
        self.ends: list[int] = []
        self.answered: dict[int, int] = {}
        self.waiting_since_s: float | None = None
        self._adding = threading.Lock()
        self._look_back = look_back
        self._moments: deque[float] = deque(maxlen=_MOMENTS)
        self._known_since = -math.inf
        self._noted: set[str] = set()
        self._waiting: deque[tuple[float, int]] = deque()

    @property
    def look_back_by_topic(self) -> dict[str, int]:
        """How many offsets of each topic are read back; 0: only its end."""
        return {
            self.pipeline.topic: 0,
            self.pipeline.prediction_topic: self._look_back,
            self.pipeline.dead_letter_topic: DEAD_LETTERS,
            self.pipeline.control_topic: CONTROLS,
        }

    def look(self, tail: Tail) -> None:
        """Read on in the topics.

        Raises
        ------
        BrokerUnavailable
            Kafka does not answer; a new `Tail` is needed then.
        """
        self.add(tail.look())
        moments: list[float | None] = []
        if (self.unanswered or 0) > _FEW:
            topic, places = self.pipeline.topic, self.list_first_unanswered()
            moments = [tail.written_at(topic, partition, offset) for partition, offset in places]
        self.waiting_since_s = min((moment for moment in moments if moment is not None), default=None)

    def add(self, seen: Seen, now_s: float | None = None) -> None:
        """Add what one look has seen; `now_s` is in seconds since 1970, by default the clock's."""
        now_s = time.time() if now_s is None else now_s
        self._add_answers(seen.records[self.pipeline.prediction_topic])
        self._add_dead_letters(seen.records[self.pipeline.dead_letter_topic])
        decode = msgspec.json.Decoder(Obeyed).decode
        for record in seen.records[self.pipeline.control_topic]:
            self.controls.append(ControlObeyed(record.timestamp / 1000, decode(record.value)))
        self._note_places(seen)
        ends = seen.ends[self.pipeline.dead_letter_topic]
        self.more_dead_letters = any(end > DEAD_LETTERS for end in ends)
        self.ends = seen.ends[self.pipeline.topic]
        if self.unanswered is not None:
            self._waiting.append((now_s, self.unanswered))
        while self._waiting and now_s - self._waiting[0][0] > _RATE_S:
            self._waiting.popleft()

    def _add_answers(self, records: list[Any]) -> None:
        decode = msgspec.json.Decoder().decode
        for record in records:
            answer = decode(record.value)
            with self._adding:
                self.answers.append({k: value for k, value in answer.items() if not isinstance(value, list)})
                self.values.append(record.value if len(record.value) <= _LONGEST_VALUE else None)
                self.times.append(record.timestamp / 1000)

    def list_timed_answers(self) -> list[tuple[float, dict[str, Any]]]:
        """Return when each of the answers was written, in seconds since 1970, and the answer."""
        with self._adding:
            return [*zip(self.times, self.answers, strict=True)]

    def _add_dead_letters(self, records: list[Any]) -> None:
        decode = msgspec.json.Decoder(DeadLetterPreview).decode
        for record in records:
            letter = decode(record.value)
            if letter.value is not None:
                start = base64.b64decode(letter.value[:_DECODED_CHARS])
                letter.reason = explain_reason(letter.reason, start)
                letter.value = start[:_PREVIEW_BYTES].decode(errors="replace")
            letter.time_s = record.timestamp / 1000
            self.dead_letters.append(letter)

    def _note_places(self, seen: Seen) -> None:
        decode = msgspec.json.Decoder(_Place).decode
        for topic, records in seen.records.items():
            self._note_moments([record.timestamp / 1000 for record in records], seen.ends[topic], topic)
            # The last one in each partition answers the newest record there.
            for record in {record.partition: record for record in records}.values():
                place = decode(record.value)
                answered_to = self.answered.get(place.partition, -1)
                self.answered[place.partition] = max(answered_to, place.offset)

    def _note_moments(self, moments: list[float], ends: list[int], topic: str) -> None:
        """Note when answers were written, and since when all of them are known."""
        if moments and topic not in self._noted and any(end > self.look_back_by_topic[topic] for end in ends):
            self._known_since = max(self._known_since, min(moments))
        self._noted.add(topic)
        self._moments.extend(moments)
        if len(self._moments) == _MOMENTS:
            self._known_since = max(self._known_since, min(self._moments))

    @property
    def unanswered(self) -> int | None:
        """How many offsets of the input have no answer yet; None while that is not known."""
        if not self.answered:
            return None
        return sum(max(0, end - 1 - self.answered.get(k, -1)) for k, end in enumerate(self.ends))

    @property
    def first_unanswered(self) -> tuple[int, int] | None:
        """Partition and offset after the newest answer, in the first partition where a record waits."""
        return next(iter(self.list_first_unanswered()), None)

    def list_first_unanswered(self) -> list[tuple[int, int]]:
        """Return partition and offset after the newest answer, of each partition where a record waits."""
        return [
            (partition, self.answered[partition] + 1)
            for partition, end in enumerate(self.ends)
            if partition in self.answered and end > self.answered[partition] + 1
        ]

    @property
    def newest_set_aside(self) -> SetAside | None:
        """Dead letters among the newest records; None if there are none."""
        newest = [
            letter
            for letter in list(self.dead_letters)
            if letter.offset > self.answered.get(letter.partition, -1) - _NEWEST
        ]
        if not newest:
            return None
        of = sum(min(_NEWEST, answered_to + 1) for answered_to in list(self.answered.values()))
        return SetAside(len(newest), of, newest[-1].reason)

    def behind_s(self, now_s: float) -> float | None:
        """Return for how many seconds the oldest record without an answer has waited; None while few wait."""
        return None if self.waiting_since_s is None else max(0.0, now_s - self.waiting_since_s)

    def quiet_s(self, now_s: float) -> float | None:
        """Return the seconds since the newest answer was written; None where there is none."""
        return max(0.0, now_s - max(self._moments)) if self._moments else None

    def rate(self, now_s: float) -> float | None:
        """Return the answers a second over the ten seconds until the newest; None where there is none yet.

        0 where none has come for ten seconds.
        """
        quiet_s = self.quiet_s(now_s)
        if quiet_s is None:
            return None
        if quiet_s > _RATE_S:
            return 0.0
        moments = list(self._moments)
        newest, oldest = max(moments), min(moments)
        start = max(newest - _RATE_S, self._known_since)
        if start >= oldest:
            count = sum(moment > start for moment in moments)
        else:
            start, count = oldest, len(moments)
        return count / max(1.0, newest - start)

    @property
    def catching_up(self) -> float | None:
        """How fast the backlog shrinks, in records a second, over ten seconds; None until that is known."""
        if len(self._waiting) < 2:
            return None
        (then_s, before), (now_s, waiting) = self._waiting[0], self._waiting[-1]
        return (before - waiting) / (now_s - then_s) if now_s - then_s >= _LEAST_TREND_S else None
