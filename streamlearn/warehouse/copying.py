"""Copies the rows of summaries from their topics into Redis, where the server reads them.

The topics are written exactly once, and hold the newest row of each key. A copier reads them on from where
the copy in Redis stands, so it may be killed, or run twice: see `streamlearn/storage/summary_store.py`.
"""

import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from streamlearn.broker.broker import Broker
from streamlearn.broker.description import TopicIdentity, identify_topics
from streamlearn.broker.follower import Follower, Place
from streamlearn.errors import StreamlearnError
from streamlearn.settings import Settings
from streamlearn.storage.summary_store import SummaryRow, SummaryStore
from streamlearn.warehouse.summaries import Summary, list_summaries

_LOOK_EVERY_S = 5.0
_RETRY_S = 2.0


class Copier:
    """Copies the summaries whose topics exist. Methods raise `BrokerUnavailable` and `StoreUnavailable`."""

    def __init__(self, settings: Settings, broker: Broker, store: SummaryStore) -> None:
        self._settings = settings
        self._broker = broker
        self._store = store
        self._follower: Follower | None = None
        self._summaries: dict[str, tuple[Summary, TopicIdentity]] = {}
        """By topic."""
        self._reached: dict[Place, int] = {}

    def look(self) -> None:
        """Find the topics that there are now, and how far Redis has each: it may have lost its copy."""
        summaries = {summary.topic.name: summary for summary in list_summaries(self._settings)}
        identities = identify_topics(self._broker, summaries)
        known = {name: (summaries[name], identity) for name, identity in identities.items()}
        reached: dict[Place, int] = {}
        for name, (summary, identity) in known.items():
            offsets = self._store.reached(summary.pipeline, summary.name, identity.id)
            reached |= {
                (name, partition): offsets.get(partition, 0) for partition in range(identity.partitions)
            }
        if (known, reached) == (self._summaries, self._reached):
            return
        if known != self._summaries:
            # A connection remembers a topic that has been made anew as it was.
            self.close()
        self._summaries, self._reached = known, reached
        if self._follower is None and reached:
            self._follower = Follower(self._broker)
        if self._follower is not None:
            self._follower.follow(reached)

    def copy(self) -> int:
        """Wait for rows, for about a second, and copy them; return how many records were read."""
        if not self._reached or self._follower is None:
            time.sleep(1.0)
            return 0
        batches = self._follower.poll()
        for place, records in batches.items():
            self._write(place, records)
        return sum(map(len, batches.values()))

    def _write(self, place: Place, records: list[Any]) -> None:
        topic, partition = place
        summary, identity = self._summaries[topic]
        rows = {
            record.key: SummaryRow(record.key, record.value, record.offset, record.timestamp)
            for record in records
            if record.key is not None
        }
        end = records[-1].offset + 1
        reached = self._store.write(
            summary.pipeline,
            summary.name,
            rows,
            topic=identity.id,
            partition=partition,
            start=self._reached[place],
            end=end,
        )
        self._reached[place] = reached
        if reached != end and self._follower is not None:
            self._follower.seek(place, reached)

    def close(self) -> None:
        """Close the connection that reads."""
        if self._follower is not None:
            self._follower.close()
        self._follower = None


def keep_copying(
    settings: Settings, echo: Callable[[str], None], stopped: threading.Event | None = None
) -> None:
    """Copy until it is stopped; where Kafka or Redis does not answer, wait for it.

    What is wrong is echoed when it changes. Without `stopped` it copies for ever.
    """
    stopped = stopped or threading.Event()
    trouble = ""
    while not stopped.is_set():
        new = ""
        try:
            _copy_until_trouble(settings, stopped)
        except StreamlearnError as error:
            new = f"summaries are not copied into Redis: {error}"
        except Exception:
            # A thread that ended here would be missed by nobody, and the figures would only grow old.
            new = f"summaries are not copied into Redis:\n{traceback.format_exc()}"
        if new and new != trouble:
            echo(new)
        trouble = new
        stopped.wait(_RETRY_S)


def _copy_until_trouble(settings: Settings, stopped: threading.Event) -> None:
    store = SummaryStore(settings)
    try:
        with Broker(settings) as broker:
            copier = Copier(settings, broker, store)
            try:
                while not stopped.is_set():
                    copier.look()
                    due_s = time.monotonic() + _LOOK_EVERY_S
                    while time.monotonic() < due_s and not stopped.is_set():
                        copier.copy()
            finally:
                copier.close()
    finally:
        store.close()
