"""Sends records at an even pace and counts those that the broker has acknowledged."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Any

from streamlearn.broker.broker import Broker
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import BrokerUnavailable, UnknownPipeline
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.records import MAX_RECORD_BYTES, check_size, encode

_LOOK_S = 0.2
"""How often a slow replay looks whether it was interrupted, in seconds."""

_UNACKNOWLEDGED = 10_000
"""How many records may be under way before the broker must have caught up."""


class Progress:
    """What has happened so far; `show` is called with it after every record."""

    def __init__(self, total: int | None, show: Callable[["Progress"], None]) -> None:
        self.total = total
        self.sent = 0
        self.acknowledged = 0
        self.error: BaseException | None = None
        self._show = show

    def acknowledge(self, _: Any) -> None:
        """Count one more record that the broker has."""
        self.acknowledged += 1

    def fail(self, error: BaseException) -> None:
        """Keep the first failure; the replay stops at it."""
        self.error = self.error or error

    def show(self) -> None:
        """Show how far the replay has come."""
        self._show(self)


def replay(
    settings: Settings,
    pipeline: Pipeline,
    *,
    rate: float,
    limit: int | None,
    loop: bool,
    seed: int,
    show: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Send the pipeline's data set, `rate` records a second (0: as fast as it goes).

    One pass by default; `limit` sends exactly so many records, over as many passes as that takes; `loop`
    goes on until interrupted. Ctrl-C ends it in order: what was sent is flushed and counted.

    Raises
    ------
    BrokerUnavailable
        Kafka is away, or did not acknowledge a record.
    BadRecord
        A record is larger than a pipeline takes.
    """
    if pipeline.dataset is None:
        raise UnknownPipeline(f"{pipeline.name} has no data set to replay")
    pipeline.dataset.prepare()
    passes = None if loop or limit is not None else 1
    records = islice(pipeline.dataset.records(seed=seed, passes=passes), limit)
    progress = Progress(limit if limit is not None else None if loop else pipeline.dataset.size, show)
    broker = Broker(settings)
    with broker:
        ensure_topics(broker, pipeline)
    with broker.producer(linger_ms=5, max_request_size=2 * MAX_RECORD_BYTES) as client:
        with _interruptible() as interrupted:
            for record in _paced(records, rate, interrupted):
                future = client.send(pipeline.topic, value=check_size(encode(record)), partition=0)
                future.add_callback(progress.acknowledge)
                future.add_errback(progress.fail)
                progress.sent += 1
                progress.show()
                if progress.sent - progress.acknowledged > _UNACKNOWLEDGED:
                    client.flush()
                if progress.error:
                    break
        client.flush()
    progress.show()
    if progress.error:
        raise BrokerUnavailable(
            f"Kafka at {settings.kafka} did not take a record: {progress.error}"
        ) from progress.error
    return progress


def _paced(
    records: Iterator[dict[str, Any]],
    rate: float,
    interrupted: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """Yield the n-th record n/rate seconds after the first, so that no error adds up."""
    start = clock()
    for number, record in enumerate(records):
        while rate > 0 and not interrupted() and (left := start + number / rate - clock()) > 0:
            sleep(min(left, _LOOK_S))
        if interrupted():
            return
        yield record


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Tell whether Ctrl-C or a termination came, instead of breaking off."""
    came: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
