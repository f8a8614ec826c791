"""How far the served models are behind their streams: asked in the background while somebody asks."""

import threading
import time
from collections.abc import Mapping

import msgspec

from serving.state.model_cache import ModelCache
from streamlearn.broker.broker import Broker
from streamlearn.errors import NoModel, StreamlearnError
from streamlearn.settings import Settings

_POLL_EVERY_S = 2.0
_FIRST_WAIT_S = 0.5
"""How long the first question waits for the first answer."""
_IDLE_S = 60.0
"""How long polling goes on after the last question."""
_CONNECT_MS = 2000


class Backlog(msgspec.Struct, frozen=True):
    """By how much a served model is behind its stream."""

    records: int
    """Offsets of the input that the model has not learned."""
    seconds: float
    """For how long the oldest of them has stood there; 0 where there is none."""


class BacklogMonitor:
    """Knows by how much each served model is behind. Thread-safe.

    Parameters
    ----------
    models
        The models by the pipelines' names; they may come and go.
    """

    def __init__(self, settings: Settings, models: Mapping[str, ModelCache]) -> None:
        self._broker = Broker(settings, connect_ms=_CONNECT_MS)
        self._models = models
        self._backlogs: dict[str, Backlog] = {}
        self._until = 0.0
        self._lock = threading.Lock()
        self._polls = False
        self._polled = threading.Event()
        self._stopped = threading.Event()

    def list_backlogs(self) -> dict[str, Backlog]:
        """Return by how much each model is behind, by the pipeline's name; none while Kafka does not answer.

        What is returned is some seconds old; Kafka may take its time to answer, the caller need not.
        """
        if self._stopped.is_set():
            return {}
        self._until = time.monotonic() + _IDLE_S
        with self._lock:
            if not self._polls:
                self._polls = True
                self._polled.clear()
                threading.Thread(target=self._poll_repeatedly, daemon=True).start()
        self._polled.wait(_FIRST_WAIT_S)
        return self._backlogs

    def stop(self) -> None:
        """End polling for good; from now on nothing is known."""
        self._stopped.set()

    def _poll_repeatedly(self) -> None:
        try:
            while time.monotonic() < self._until and not self._stopped.is_set():
                try:
                    measured = {name: self._measure(cache) for name, cache in sorted(self._models.items())}
                    self._backlogs = {name: backlog for name, backlog in measured.items() if backlog}
                except StreamlearnError:
                    self._backlogs = {}
                self._polled.set()
                self._stopped.wait(_POLL_EVERY_S)
        finally:
            self._broker.close()
            with self._lock:
                self._polls = False

    def _measure(self, cache: ModelCache) -> Backlog | None:
        try:
            head = cache.current().head
        except NoModel:
            return None
        topic, records, since_s = cache.pipeline.topic, 0, time.time()
        for partition, version in enumerate(head.parts or (head.version,)):
            learned_to = version or 0
            missing = self._broker.stable_end(topic, partition) - learned_to
            if missing > 0:
                records += missing
                written_s = self._broker.written_at(topic, partition, learned_to)
                since_s = min(since_s, since_s if written_s is None else written_s)
        return Backlog(records, round(time.time() - since_s, 3) if records else 0.0)
