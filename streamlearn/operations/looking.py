"""One look at all that the verdicts on some pipelines are made from, for a command that runs once."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from streamlearn.broker.broker import Broker
from streamlearn.broker.tail import Tail
from streamlearn.errors import StreamlearnError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.operations.flow import Flow
from streamlearn.operations.job_state import JobTrouble, find_job_trouble
from streamlearn.operations.recent_score import find_recent_score
from streamlearn.operations.verdict import Facts, Serving, is_behind
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Head

_CONNECT_MS = 2000
_LOOK_BACK = 1_000
_TREND_S = 2.0


def gather_facts(settings: Settings, pipelines: Sequence[Pipeline]) -> list[Facts]:
    """Return what the verdict on each pipeline is made from.

    Where records wait, Kafka is asked twice, two seconds apart, to tell whether they become fewer. What does
    not answer is named in the facts; nothing is raised.
    """
    away: set[str] = set()
    looks = [_Look(settings, pipeline, away) for pipeline in pipelines]
    with ExitStack() as opened:
        for look in looks:
            look.begin(opened)
        if any(is_behind(look.facts) for look in looks):
            time.sleep(_TREND_S)
            for look in looks:
                look.read()
        return [look.facts for look in looks]


@dataclass
class _Look:
    """What was seen of one pipeline so far."""

    settings: Settings
    pipeline: Pipeline
    away: set[str]
    """The parts that do not answer; shared by all looks, so that none waits for a part again."""
    job: JobTrouble | None = None
    progress: str | None = None
    head: Head | None = None
    """The version that is served; of a topic of several partitions, that of partition 0 alone."""

    def __post_init__(self) -> None:
        self.flow = Flow(self.pipeline, _LOOK_BACK)
        self._tail: Tail | None = None

    def begin(self, opened: ExitStack) -> None:
        """Ask every part; `opened` closes the connection to Kafka, which is kept for another look."""
        self._ask("Redis", self._ask_redis)
        self._ask("Flink", self._ask_flink)

        def open_tail() -> None:
            broker = opened.enter_context(Broker(self.settings, connect_ms=_CONNECT_MS))
            self._tail = Tail(broker, self.flow.look_back_by_topic)
            opened.callback(_close, self._tail)

        self._ask("Kafka", open_tail)
        self.read()

    def read(self) -> None:
        """Read on in the pipeline's topics."""
        tail = self._tail
        if tail is not None:
            self._ask("Kafka", lambda: self.flow.look(tail))

    def _ask(self, part: str, ask: Callable[[], object]) -> None:
        if part in self.away:
            return
        try:
            ask()
        except StreamlearnError:
            self.away.add(part)

    def _ask_redis(self) -> None:
        with Store.of(self.settings) as store:
            self.progress = store.recovery_progress(self.pipeline.name)
            served = store.served(self.pipeline.name)
            self.head = served[0] if served else None

    def _ask_flink(self) -> None:
        job = flink_api.newest_job(self.settings, job_name(self.pipeline.name))
        self.job = find_job_trouble(self.settings, job)

    @property
    def facts(self) -> Facts:
        """What is known now."""
        serving = Serving(self.head.name, self.head.pinned) if self.head else None
        return Facts.of_flow(
            self.flow,
            time.time(),
            find_recent_score(list(self.flow.answers), self.pipeline),
            away=tuple(part for part in ("Kafka", "Redis", "Flink") if part in self.away),
            job=self.job,
            progress=self.progress,
            serving=serving,
        )


def _close(tail: Tail) -> None:
    with suppress(StreamlearnError):
        tail.close()
