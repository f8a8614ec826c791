"""What goes on in one pipeline's stream, polled in the background for as long as somebody watches.

Kafka, Redis and Flink are polled on a thread each, so one that does not answer holds up none of the others:
what was seen last stays, and the trouble is shown beside it.
"""

import logging
import time
from collections.abc import Callable
from functools import partial

from serving.state.model_cache import ModelCache, Served
from serving.state.poller import Poller
from streamlearn.broker.broker import Broker
from streamlearn.broker.tail import Tail
from streamlearn.errors import NoModel, StreamlearnError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import Job, job_name
from streamlearn.operations.flow import Flow
from streamlearn.operations.job_state import JobTrouble, find_job_trouble
from streamlearn.operations.recent_score import find_recent_score
from streamlearn.operations.verdict import Facts, Serving
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.storage.versions import PinChange, Restore, VersionInfo

_log = logging.getLogger(__name__)

PARTS = {"kafka": "Kafka", "redis": "Redis", "flink": "Flink"}
"""The parts that are polled, and what people call them."""

_POLL_EVERY_S = 1.0
_CONNECT_MS = 2000
"""Short: the next poll comes soon, and a server that ends waits for connections that are being made."""
_IDLE_S = 30.0
"""How long polling goes on after the last watcher has left."""


class Watch:
    """Polls the stream of one pipeline for half a minute after each `keep_polling`.

    What was seen stands in the attributes: the polling threads write them, any thread may read them.
    """

    def __init__(self, settings: Settings, store: Store, models: ModelCache) -> None:
        self.pipeline: Pipeline = models.pipeline
        self.models = models
        self.flow = Flow(models.pipeline)
        self.versions: dict[int, VersionInfo] = {}
        self.restores: list[Restore] = []
        self.pin_changes: list[PinChange] = []
        self.progress: str | None = None
        """What a worker that learns records again reports; None when none does."""
        self.job: Job | None = None
        self.job_trouble: JobTrouble | None = None
        self.polled: set[str] = set()
        """The parts that have been polled at least once: `kafka`, `redis`, `flink`."""
        self.troubles: dict[str, str] = {}
        """Why a part could not be read, by the part's name; empty where all is well."""
        self._settings = settings
        self._store = store
        self._tail: Tail | None = None
        self._pollers = {
            "kafka": self._make_poller("kafka", self._poll_kafka, self._forget_flow),
            "redis": self._make_poller("redis", self._poll_redis),
            "flink": self._make_poller("flink", self._poll_flink),
        }

    def _make_poller(
        self, name: str, poll: Callable[[], None], close: Callable[[], None] = lambda: None
    ) -> Poller[None]:
        ask = partial(self._poll_once, name, poll)
        return Poller(ask, None, every_s=_POLL_EVERY_S, first_wait_s=0.0, idle_s=_IDLE_S, close=close)

    def keep_polling(self) -> None:
        """Start polling, or let it go on, for the next half minute."""
        for poller in self._pollers.values():
            poller.get()

    @property
    def polling(self) -> bool:
        """Whether any part is being polled."""
        return any(poller.polls for poller in self._pollers.values())

    def wait_for(self, part: str, timeout_s: float) -> None:
        """Return once a part has been polled, or after a while."""
        self._pollers[part].wait(timeout_s)

    def stop(self) -> None:
        """End polling for good."""
        for poller in self._pollers.values():
            poller.stop()

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
            flow = Flow(self.pipeline)
            self._tail = Tail(Broker(self._settings, connect_ms=_CONNECT_MS), flow.look_back_by_topic)
            self.flow = flow
        self.flow.look(self._tail)

    def _forget_flow(self) -> None:
        self._close_tail()
        self.flow = Flow(self.pipeline)
        self.polled.discard("kafka")

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
        self.pin_changes = self._store.pin_changes(name)
        self.progress = self._store.recovery_progress(name)
        self.versions = self.models.versions()

    def _poll_flink(self) -> None:
        self.job = flink_api.newest_job(self._settings, job_name(self.pipeline.name))
        self.job_trouble = find_job_trouble(self._settings, self.job)

    def find_served(self) -> Served | None:
        """Return the version that answers requests; None while there is none."""
        try:
            return self.models.current()
        except NoModel:
            return None

    def gather_facts(self) -> Facts:
        """Return what a verdict is made from, as it was seen last."""
        flow, now_s = self.flow, time.time()
        served = self.find_served()
        return Facts.of_flow(
            flow,
            now_s,
            find_recent_score(list(flow.answers), self.pipeline),
            looked=self.polled >= {"kafka", "flink"},
            away=tuple(title for name, title in PARTS.items() if name in self.troubles),
            job=self.job_trouble,
            progress=self.progress,
            serving=Serving(served.head.name, served.head.pinned) if served else None,
            serving_trouble=self.models.trouble,
        )
