"""Send records at an even pace, and count those that the broker has acknowledged."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Any

from streamlearn.broker.broker import Broker
from streamlearn.broker.placement import Placement
from streamlearn.broker.topics import ensure_topics
from streamlearn.datasets import DataSet, Table
from streamlearn.errors import BrokerUnavailable, UnknownPipeline
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.records import MAX_RECORD_BYTES, check_size, encode

_POLL_S = 0.2
"""How often a slow replay checks whether it was interrupted, in seconds."""

_UNACKNOWLEDGED = 10_000
"""How many records may be unacknowledged before sending waits for the broker."""


class ReplayProgress:
    """How many records were sent and acknowledged; `show` is called with it after every record.

    `total` is how many records the replay will send; None if it goes on until interrupted.
    """

    def __init__(self, total: int | None, show: Callable[["ReplayProgress"], None]) -> None:
        self.total = total
        self.sent = 0
        self.acknowledged = 0
        self.error: BaseException | None = None
        self._show = show

    def count_delivery(self, error: BaseException | None) -> None:
        """Count a record that the broker has acknowledged; of those that it has not, keep the first error."""
        if error is None:
            self.acknowledged += 1
        self.error = self.error or error

    def show(self) -> None:
        """Call `show`, with the progress as it is now."""
        self._show(self)


def replay(
    settings: Settings,
    pipeline: Pipeline,
    *,
    rate: float,
    limit: int | None,
    loop: bool,
    seed: int,
    skip: int = 0,
    show: Callable[[ReplayProgress], None] = lambda progress: None,
) -> ReplayProgress:
    """Send a pipeline's data set into its topic; return how much was sent and acknowledged.

    By default the data set is sent once. Ctrl-C or SIGTERM ends the replay in order: records that were sent
    are flushed and counted.

    Parameters
    ----------
    rate
        Records a second; 0: as fast as possible.
    limit
        Send exactly so many records, over as many passes as that takes.
    loop
        Send pass after pass until interrupted.
    seed
        Seed of the shuffling, for data sets without an order.
    skip
        Leave out so many records at the beginning, such as those that an earlier replay has sent, and send
        the rest of the pass that this is in.
    show
        Called with the progress after every record.

    Raises
    ------
    UnknownPipeline
        The pipeline has no data set.
    DataUnavailable
        The data set cannot be had.
    BrokerUnavailable
        Kafka does not answer, or did not acknowledge a record.
    BadRecord
        A record is larger than a pipeline takes.
    """
    if pipeline.dataset is None:
        raise UnknownPipeline(f"{pipeline.name} has no data set to replay")
    pipeline.dataset.prepare()
    records, total = _select_records(pipeline.dataset, limit=limit, loop=loop, seed=seed, skip=skip)
    progress = ReplayProgress(total, show)
    with Broker(settings) as broker, _catch_interrupts() as is_interrupted:
        placement = Placement(pipeline, ensure_topics(broker, pipeline), first=skip)
        _send(broker, pipeline.topic, placement, _pace(records, rate, is_interrupted), progress)
    if progress.error:
        raise BrokerUnavailable(
            f"Kafka at {settings.kafka} did not take a record: {progress.error}; it has taken"
            f" {progress.acknowledged}: go on with --skip {skip + progress.acknowledged}"
        ) from progress.error
    return progress


def send_history(
    broker: Broker,
    pipeline: Pipeline,
    dataset: DataSet | Table,
    topic: str,
    partitions: int,
    show: Callable[[ReplayProgress], None] = lambda progress: None,
) -> None:
    """Send one pass of a data set of a pipeline's records into another topic than its own, without a pause.

    Raises
    ------
    DataUnavailable, BadRecord
        As `replay` does.
    BrokerUnavailable
        Kafka does not answer, or did not acknowledge a record; what is there now is a part only.
    """
    progress = ReplayProgress(dataset.size, show)
    _send(broker, topic, Placement(pipeline, partitions), dataset.records(seed=0, passes=1), progress)
    if progress.error:
        raise BrokerUnavailable(
            f"Kafka at {broker.settings.kafka} did not take a record: {progress.error}"
        ) from progress.error


def _send(
    broker: Broker,
    topic: str,
    placement: Placement,
    records: Iterator[dict[str, Any]],
    progress: ReplayProgress,
) -> None:
    """Append records, each to its partition, until all are acknowledged or one is not."""
    with broker.bulk_writer(2 * MAX_RECORD_BYTES) as writer:
        for record in records:
            value, partition = check_size(encode(record)), placement.place(record)
            writer.send(topic, value, progress.count_delivery, partition)
            progress.sent += 1
            progress.show()
            if progress.sent - progress.acknowledged > _UNACKNOWLEDGED:
                writer.flush()
            if progress.error:
                break
    progress.show()


def _select_records(
    dataset: DataSet | Table, *, limit: int | None, loop: bool, seed: int, skip: int
) -> tuple[Iterator[dict[str, Any]], int | None]:
    """Return the records that are to be sent, and how many they are; None: no end."""
    last_pass = max(1, math.ceil(skip / dataset.size))
    if limit is not None:
        return islice(dataset.records(seed=seed, passes=None), skip, skip + limit), limit
    if loop:
        return islice(dataset.records(seed=seed, passes=None), skip, None), None
    return islice(dataset.records(seed=seed, passes=last_pass), skip, None), last_pass * dataset.size - skip


def _pace(
    records: Iterator[dict[str, Any]],
    rate: float,
    is_interrupted: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """Yield the n-th record n/rate seconds after the first, so that delays do not add up."""
    start = clock()
    for number, record in enumerate(records):
        while rate > 0 and not is_interrupted() and (wait_s := start + number / rate - clock()) > 0:
            sleep(min(wait_s, _POLL_S))
        if is_interrupted():
            return
        yield record


@contextmanager
def _catch_interrupts() -> Iterator[Callable[[], bool]]:
    """Keep SIGINT and SIGTERM from ending the program; give a function that tells whether one has come."""
    received: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        received.append(number)

    handlers = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
