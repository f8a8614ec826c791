"""How far the served models are behind their streams: asked in the background while somebody asks."""

import time
from collections.abc import Mapping

import msgspec

from serving.state.model_cache import ModelCache
from serving.state.poller import Poller
from streamlearn.broker.broker import Broker
from streamlearn.errors import NoModel, StreamlearnError
from streamlearn.settings import Settings

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
        self._poller: Poller[dict[str, Backlog]] = Poller(
            self._measure_all, {}, every_s=2.0, first_wait_s=0.5, idle_s=60.0, close=self._broker.close
        )

    def list_backlogs(self) -> dict[str, Backlog]:
        """Return by how much each model is behind, by pipeline; none while Kafka does not answer."""
        return self._poller.get()

    def stop(self) -> None:
        """End polling for good; from now on nothing is known."""
        self._poller.stop()

    def _measure_all(self) -> dict[str, Backlog]:
        try:
            measured = {name: self._measure(cache) for name, cache in sorted(self._models.items())}
        except StreamlearnError:
            return {}
        return {name: backlog for name, backlog in measured.items() if backlog}

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
