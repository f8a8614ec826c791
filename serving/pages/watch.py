"""What goes on in one pipeline's stream, polled in the background for as long as somebody watches.

Kafka, Redis and Flink are polled on a thread each, so one that does not answer holds up none of the others:
what was seen last stays, and the trouble is shown beside it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from serving.state.model_cache import ModelCache
from streamlearn.broker.broker import Broker
from streamlearn.broker.tail import Seen, Tail
from streamlearn.errors import StreamlearnError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import Job, job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Restore, VersionInfo
from streamlearn.stream.records import explain_reason

_log = logging.getLogger(__name__)

ANSWERS = 5_000
"""How many offsets of answers are read back: half a year of hours, a few minutes of digits."""

DEAD_LETTERS = 1_000
"""How many offsets of dead letters are read back."""

CONTROLS = 10
"""How many offsets of obeyed control records are read back."""

_POLL_EVERY_S = 1.0
_CONNECT_MS = 2000
"""Short: the next poll comes soon, and a server that ends waits for connections that are being made."""
_IDLE_S = 30.0
"""How long polling goes on after the last watcher has left."""

_RATE_S = 10.0
_LEAST_RATE_S = 5.0
"""Answers come in bursts, one a checkpoint: over a shorter time their rate would be any number."""


class DeadLetter(msgspec.Struct):
    """A dead letter; its bytes are dropped once it has been read."""

    offset: int
    reason: str
    value: str | None = None


class _Place(msgspec.Struct):
    """Of any answer, where the record stands that it answers."""

    offset: int
    partition: int = 0


@dataclass
class Flow:
    """What was read from the topics."""

    answers: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=ANSWERS))
    """The newest predictions, the oldest first."""
    dead_letters: deque[DeadLetter] = field(default_factory=lambda: deque(maxlen=DEAD_LETTERS))
    more_dead_letters: bool = False
    """Whether there may be older dead letters than those."""
    ends: list[int] = field(default_factory=list)
    """The offset after the newest input record of each partition; empty until Kafka has answered."""
    answered: dict[int, int] = field(default_factory=dict)
    """The newest offset of a partition that has an answer."""
    count: int = 0
    """Answers that have come since watching began."""
    rate: float | None = None
    """Answers a second, over the last ten seconds; None until they have been counted for some."""

    @property
    def unanswered(self) -> int | None:
        """How many offsets of the input have no answer yet; None while that is not known."""
        if not self.answered:
            return None
        return sum(max(0, end - 1 - self.answered.get(k, -1)) for k, end in enumerate(self.ends))


class AnswerRate:
    """Answers a second, over the last ten seconds."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()

    def measure(self, now_s: float, count: int) -> float | None:
        """Return the rate, with `count` answers until now; None until it has been counted for long enough.

        >>> rate = AnswerRate()
        >>> [rate.measure(second, 5000 + 10 * second) for second in (0, 1, 4, 5, 20)]
        [None, None, None, 10.0, 10.0]
        """
        self._counts.append((now_s, count))
        while now_s - self._counts[0][0] > _RATE_S and len(self._counts) > 2:
            self._counts.popleft()
        then_s, count_then = self._counts[0]
        return (count - count_then) / (now_s - then_s) if now_s - then_s >= _LEAST_RATE_S else None


class Watch:
    """Polls the stream of one pipeline for half a minute after each `keep_polling`.

    What was seen stands in the attributes: the polling threads write them, any thread may read them.
    """

    def __init__(self, settings: Settings, store: Store, models: ModelCache) -> None:
        self.pipeline: Pipeline = models.pipeline
        self.models = models
        self.flow = Flow()
        self.versions: dict[int, VersionInfo] = {}
        self.restores: list[Restore] = []
        self.progress: str | None = None
        """What a worker that learns records again reports; None when none does."""
        self.job: Job | None = None
        self.job_trouble: str | None = None
        self.polled: set[str] = set()
        """The parts that have been polled at least once: `kafka`, `redis`, `flink`."""
        self.troubles: dict[str, str] = {}
        """Why a part could not be read, by the part's name; empty where all is well."""
        self._settings = settings
        self._store = store
        self._tail: Tail | None = None
        self._rate = AnswerRate()
        self._until = 0.0
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._running: set[str] = set()

    def keep_polling(self) -> None:
        """Start polling, or let it go on, for the next half minute."""
        self._until = time.monotonic() + _IDLE_S
        parts = (("kafka", self._poll_kafka), ("redis", self._poll_redis), ("flink", self._poll_flink))
        for name, poll in parts:
            with self._lock:
                if name in self._running:
                    continue
                self._running.add(name)
            threading.Thread(target=self._poll_repeatedly, args=(name, poll), daemon=True).start()

    @property
    def polling(self) -> bool:
        """Whether any part is being polled."""
        return bool(self._running)

    def stop(self) -> None:
        """End polling for good."""
        self._stopped.set()

    def _poll_repeatedly(self, name: str, poll: Callable[[], None]) -> None:
        try:
            while time.monotonic() < self._until and not self._stopped.is_set():
                self._poll_once(name, poll)
                self._stopped.wait(_POLL_EVERY_S)
        finally:
            if name == "kafka":
                self._close_tail()
                self.flow = Flow()
            with self._lock:
                self._running.discard(name)

    def _poll_once(self, name: str, poll: Callable[[], None]) -> None:
        try:
            poll()
            self.troubles.pop(name, None)
        except StreamlearnError as error:
            self.troubles[name] = str(error)
        except Exception as error:
            # One poll that fails must not end polling.
            _log.exception("polling %s for %s failed", name, self.pipeline.name)
            self.troubles[name] = f"{type(error).__name__}: {error}"
        self.polled.add(name)
        if name == "kafka" and name in self.troubles:
            self._close_tail()

    def _poll_kafka(self) -> None:
        if self._tail is None:
            pipeline = self.pipeline
            self._tail = Tail(
                Broker(self._settings, connect_ms=_CONNECT_MS),
                {
                    pipeline.topic: 0,
                    pipeline.prediction_topic: ANSWERS,
                    pipeline.dead_letter_topic: DEAD_LETTERS,
                    pipeline.control_topic: CONTROLS,
                },
            )
            self.flow = Flow()
            self._rate = AnswerRate()
        self._add_records(self._tail.look())

    def _add_records(self, seen: Seen) -> None:
        flow, decode_answer = self.flow, msgspec.json.Decoder().decode
        for record in seen.records[self.pipeline.prediction_topic]:
            # Lists are left out: pages do not show whole pictures, and there are thousands of them.
            answer = {
                name: value
                for name, value in decode_answer(record.value).items()
                if not isinstance(value, list)
            }
            flow.answers.append(answer)
        decode_letter = msgspec.json.Decoder(DeadLetter).decode
        for record in seen.records[self.pipeline.dead_letter_topic]:
            letter = decode_letter(record.value)
            flow.dead_letters.append(DeadLetter(letter.offset, explain_reason(letter.reason, letter.value)))
        flow.count += sum(map(len, seen.records.values()))
        decode_place = msgspec.json.Decoder(_Place).decode
        for records in seen.records.values():
            # The last one in each partition answers the newest record there.
            for record in {record.partition: record for record in records}.values():
                place = decode_place(record.value)
                answered_to = flow.answered.get(place.partition, -1)
                flow.answered[place.partition] = max(answered_to, place.offset)
        flow.more_dead_letters = any(end > DEAD_LETTERS for end in seen.ends[self.pipeline.dead_letter_topic])
        flow.ends = seen.ends[self.pipeline.topic]
        flow.rate = self._rate.measure(time.monotonic(), flow.count)

    def _close_tail(self) -> None:
        if self._tail is not None:
            tail, self._tail = self._tail, None
            try:
                tail.close()
            except StreamlearnError as error:
                _log.info("cannot close the reader of %s: %s", self.pipeline.topic, error)

    def _poll_redis(self) -> None:
        name = self.pipeline.name
        self.restores = self._store.restores(name)
        self.progress = self._store.recovery_progress(name)
        self.versions = self.models.versions()

    def _poll_flink(self) -> None:
        self.job = flink_api.newest_job(self._settings, job_name(self.pipeline.name))
        trouble = flink_api.find_trouble(self._settings, self.job) if self.job else None
        self.job_trouble = trouble.reason if trouble else None
