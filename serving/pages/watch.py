"""What goes on in one pipeline's stream, looked at in the background for as long as somebody watches.

Kafka, Redis and Flink are looked at apart from each other, so one that is away hides none of the others: what
was seen last stays, and the trouble is told beside it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from serving.model_cache import ModelCache
from streamlearn.broker.broker import Broker
from streamlearn.broker.tail import Seen, Tail
from streamlearn.errors import StreamlearnError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import Job, job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Restore, VersionInfo

_log = logging.getLogger(__name__)

ANSWERS = 5_000
"""How many offsets of answers are looked back on: half a year of hours, a few minutes of digits."""

LETTERS = 1_000
"""How many offsets of dead letters are looked back on."""

CONTROLS = 10
"""How many offsets of obeyed control records are looked back on."""

_LOOK_S = 1.0
_CONNECT_MS = 2000
"""Short: the next look comes soon, and a server that ends waits for those who connect."""
_IDLE_S = 30.0
"""How long after the last watcher the looking goes on."""

_RATE_S = 10.0


class Letter(msgspec.Struct):
    """A dead letter without its bytes."""

    offset: int
    reason: str


class _Answered(msgspec.Struct):
    """Any answer: which record it is to."""

    offset: int


@dataclass
class Flow:
    """What the topics say."""

    answers: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=ANSWERS))
    """The newest predictions, the oldest first."""
    letters: deque[Letter] = field(default_factory=lambda: deque(maxlen=LETTERS))
    letters_cut: bool = False
    """Whether older dead letters than those were left out."""
    end: int | None = None
    """The offset after the newest input record; None until Kafka has said."""
    answered: int | None = None
    """The newest offset with an answer."""
    count: int = 0
    """Answers that have come since the watching began."""
    rate: float = 0.0
    """Answers a second, over the last ten."""


class Watch:
    """Looks at the stream of one pipeline; `watched` begins it and keeps it going."""

    def __init__(self, settings: Settings, store: Store, models: ModelCache) -> None:
        self.pipeline: Pipeline = models.pipeline
        self.models = models
        self.flow = Flow()
        self.versions: dict[int, VersionInfo] = {}
        self.restores: list[Restore] = []
        self.progress: str | None = None
        """What a worker that learns again says of it."""
        self.job: Job | None = None
        self.job_trouble: str | None = None
        self.looked: set[str] = set()
        """The parts that have been looked at."""
        self.troubles: dict[str, str] = {}
        """What keeps a part from being seen, by the part's name; empty where all is well."""
        self._settings = settings
        self._store = store
        self._tail: Tail | None = None
        self._counts: deque[tuple[float, int]] = deque()
        self._until = 0.0
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._running: set[str] = set()

    def watched(self) -> None:
        """Say that somebody watches."""
        self._until = time.monotonic() + _IDLE_S
        for name, look in (("kafka", self._kafka), ("redis", self._redis), ("flink", self._flink)):
            with self._lock:
                if name in self._running:
                    continue
                self._running.add(name)
            threading.Thread(target=self._look_on, args=(name, look), daemon=True).start()

    @property
    def looking(self) -> bool:
        """Whether anything is being looked at."""
        return bool(self._running)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _look_on(self, name: str, look: Callable[[], None]) -> None:
        try:
            while time.monotonic() < self._until and not self._stopped.is_set():
                self._look(name, look)
                self._stopped.wait(_LOOK_S)
        finally:
            if name == "kafka":
                self._leave()
                self.flow = Flow()
            with self._lock:
                self._running.discard(name)

    def _look(self, name: str, look: Callable[[], None]) -> None:
        try:
            look()
            self.troubles.pop(name, None)
        except StreamlearnError as error:
            self.troubles[name] = str(error)
        except Exception as error:
            # A look that fails must not end the looking.
            _log.exception("looking at %s for %s failed", name, self.pipeline.name)
            self.troubles[name] = f"{type(error).__name__}: {error}"
        self.looked.add(name)
        if name == "kafka" and name in self.troubles:
            self._leave()

    def _kafka(self) -> None:
        if self._tail is None:
            mine = self.pipeline
            self._tail = Tail(
                Broker(self._settings, connect_ms=_CONNECT_MS),
                {
                    mine.topic: 0,
                    mine.prediction_topic: ANSWERS,
                    mine.dead_letter_topic: LETTERS,
                    mine.control_topic: CONTROLS,
                },
            )
            self.flow = Flow()
            self._counts.clear()
        self._take(self._tail.look())

    def _take(self, seen: Seen) -> None:
        flow, decode = self.flow, msgspec.json.Decoder().decode
        for record in seen.records[self.pipeline.prediction_topic]:
            # Whole pictures are not shown, and there are thousands.
            answer = {
                name: value for name, value in decode(record.value).items() if not isinstance(value, list)
            }
            flow.answers.append(answer)
        letters = msgspec.json.Decoder(Letter).decode
        for record in seen.records[self.pipeline.dead_letter_topic]:
            flow.letters.append(letters(record.value))
        flow.count += sum(map(len, seen.records.values()))
        newest = msgspec.json.Decoder(_Answered).decode
        offsets = [newest(records[-1].value).offset for records in seen.records.values() if records]
        flow.answered = max([*offsets, *([] if flow.answered is None else [flow.answered])], default=None)
        flow.letters_cut = seen.ends[self.pipeline.dead_letter_topic] > LETTERS
        flow.end = seen.ends[self.pipeline.topic]
        flow.rate = self._rate(time.monotonic(), flow.count)

    def _rate(self, now: float, count: int) -> float:
        self._counts.append((now, count))
        while now - self._counts[0][0] > _RATE_S:
            self._counts.popleft()
        (then, before) = self._counts[0]
        return (count - before) / (now - then) if now > then else 0.0

    def _leave(self) -> None:
        if self._tail is not None:
            tail, self._tail = self._tail, None
            try:
                tail.close()
            except StreamlearnError as error:
                _log.info("closing a reader of %s: %s", self.pipeline.topic, error)

    def _redis(self) -> None:
        name = self.pipeline.name
        self.restores = self._store.restores(name)
        self.progress = self._store.recovery_progress(name)
        self.versions = self.models.versions()

    def _flink(self) -> None:
        self.job = flink_api.newest_job(self._settings, job_name(self.pipeline.name))
        self.job_trouble = flink_api.trouble(self._settings, self.job) if self.job and self.job.live else None
