"""Model versions in Redis: reading, pinning, deleting all; and admitting the writer, which alone saves them.

The keys are those of `keys.py`. Redis holds snapshots only; what is true is in Kafka. A pin changes what is
served, not what is learned, and holds its own copy: what is trimmed or rolled back stays served until it is
unpinned.
"""

import re
import time
from collections.abc import Sequence
from typing import Any, Self

import msgspec

from streamlearn.errors import Fenced
from streamlearn.settings import Settings
from streamlearn.storage import bundle
from streamlearn.storage.keys import HEAD_FIELDS, PREFIX, Keys
from streamlearn.storage.redis_client import FAILURES, connect, map_exceptions
from streamlearn.storage.versions import Head, PinChange, Restore, VersionInfo, parse_name
from streamlearn.storage.writer import EPOCH_BITS, Writer

_PINS = 40
"""How many changes of the pin are remembered."""

_ADMIT = """
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local floor = tonumber(ARGV[1])
if last >= tonumber(ARGV[2]) then return -1 end
local token = math.max(last, floor) + 1
redis.call('SET', KEYS[1], string.format('%.0f', token))
return token
"""

_SERVED = f"""
local function of(key)
  return redis.call('HMGET', key, {", ".join(map(repr, HEAD_FIELDS))})
end
local head, pinned = of(KEYS[1]), 1
if not head[1] then head, pinned = of(KEYS[2]), 0 end
if not head[1] then return false end
head[{len(HEAD_FIELDS) + 1}] = pinned
if head[1] == ARGV[1] and head[3] == ARGV[2] then return head end
if pinned == 1 then
  head[{len(HEAD_FIELDS) + 2}] = redis.call('HGET', KEYS[1], 'data')
else
  head[{len(HEAD_FIELDS) + 2}] = redis.call('GET', KEYS[3] .. head[1] .. ':' .. head[2])
end
return head
"""


class Store:
    """A connection to Redis. Methods raise `StoreUnavailable` when it does not answer."""

    def __init__(self, url: str, ca: str = "", cert: str = "") -> None:
        self._redis: Any = connect(url, ca, cert)
        self._served = self._redis.register_script(_SERVED)
        self._subscriptions: dict[str, Any] = {}

    @classmethod
    def of(cls, settings: Settings) -> "Store":
        """Connect as the settings say."""
        return cls(settings.redis, settings.tls_ca, settings.tls_cert)

    def close(self) -> None:
        """Close the connections."""
        for subscription in self._subscriptions.values():
            subscription.close()
        self._redis.close()

    def __enter__(self) -> Self:
        """Return the store itself; at the end of the `with` its connections are closed."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ping(self) -> None:
        """Return once Redis has answered; raise `StoreUnavailable` if it does not."""
        with map_exceptions():
            self._redis.ping()

    def admit(self, pipeline: str, lineage: str, epoch: int) -> "Writer":
        """Admit a new writer; it shuts out every earlier one, unless it shares the pipeline with others.

        It writes partition 0; `Writer.take_partition` gives one for another. `epoch` counts the submissions
        of the pipeline's job; a writer of an older submission is refused.

        Raises
        ------
        Fenced
            A writer of a newer submission has been admitted.
        """
        with map_exceptions():
            token = self._redis.eval(
                _ADMIT, 1, Keys(pipeline).fence, epoch << EPOCH_BITS, (epoch + 1) << EPOCH_BITS
            )
        if int(token) < 0:
            raise Fenced(f"a newer job of {pipeline} has taken over")
        return Writer(self._redis, pipeline, lineage, int(token))

    def served(
        self, pipeline: str, known: Head | None = None, partition: int = 0
    ) -> tuple[Head, bytes | None] | None:
        """Return the version to serve and, unless it is still `known`, its bytes; None if there is none.

        That is the pinned one, else the newest; of another partition than 0, the newest.
        """
        keys = Keys(pipeline, partition)
        with map_exceptions():
            reply = self._served(
                keys=[keys.pin, keys.head, keys.any_snapshot],
                args=[known.lineage, known.digest] if known else ["", ""],
            )
        if not reply:
            return None
        count = len(HEAD_FIELDS)
        head = _read_head(reply[:count], pinned=bool(reply[count]))
        return head, reply[count + 1] if len(reply) > count + 1 else None

    def partitions(self, pipeline: str) -> list[int]:
        """Return the partitions other than 0 that there are to learn, ascending."""
        with map_exceptions():
            return sorted(map(int, self._redis.smembers(Keys(pipeline).partitions)))

    def newest(self, pipeline: str, partition: int = 0) -> Head | None:
        """Return the newest version, whether another is pinned or not; None if there is none."""
        with map_exceptions():
            fields = self._redis.hmget(Keys(pipeline, partition).head, HEAD_FIELDS)
        return _read_head(fields) if fields[0] else None

    def is_pinned(self, pipeline: str) -> bool:
        """Whether a version is pinned."""
        with map_exceptions():
            return bool(self._redis.hexists(Keys(pipeline).pin, "lineage"))

    def pinned_snapshot(self, pipeline: str) -> bytes | None:
        """Return the bytes of the version that is pinned; None if none is."""
        with map_exceptions():
            data: bytes | None = self._redis.hget(Keys(pipeline).pin, "data")
        return data

    def pin(self, pipeline: str, head: Head, data: bytes) -> None:
        """Serve this version, whatever is learned meanwhile."""
        keys = Keys(pipeline)
        parts = head.name if head.parts else ""
        values = (head.lineage, head.version, head.digest, head.samples, head.time_s, parts)
        fields = {**dict(zip(HEAD_FIELDS, values, strict=True)), "data": data}
        with map_exceptions(), self._redis.pipeline(transaction=True) as transaction:
            transaction.delete(keys.pin)
            transaction.hset(keys.pin, mapping=fields)
            _note_pin(transaction, keys, head.name)
            transaction.publish(keys.head, head.digest)
            transaction.execute()

    def unpin(self, pipeline: str) -> bool:
        """Serve the newest version again; return whether one was pinned."""
        keys = Keys(pipeline)
        with map_exceptions(), self._redis.pipeline(transaction=True) as transaction:
            transaction.delete(keys.pin)
            if self.is_pinned(pipeline):
                _note_pin(transaction, keys, None)
            transaction.publish(keys.head, "")
            return bool(transaction.execute()[0])

    def pin_changes(self, pipeline: str) -> list[PinChange]:
        """Return when versions were pinned and unpinned lately, the newest last."""
        with map_exceptions():
            entries = self._redis.lrange(Keys(pipeline).pins, 0, -1)
        return [msgspec.json.decode(entry, type=PinChange) for entry in entries]

    def wait_for_head(self, pipeline: str, timeout_s: float) -> None:
        """Return when a new head of any partition is announced, or after `timeout_s` seconds at the latest.

        All that were announced since the last call count as one.

        Raises
        ------
        StoreUnavailable
            Redis does not answer; the next call listens anew.
        """
        with map_exceptions():
            try:
                if pipeline not in self._subscriptions:
                    self._subscriptions[pipeline] = self._redis.pubsub(ignore_subscribe_messages=True)
                    self._subscriptions[pipeline].psubscribe(f"{PREFIX}{_escape(pipeline)}:*head")
                heads = self._subscriptions[pipeline]
                announced = heads.get_message(timeout=timeout_s)
                # Whoever asks seldom would else be told of old heads, for longer and longer.
                while announced:
                    announced = heads.get_message(timeout=0)
            except FAILURES:
                self._subscriptions.pop(pipeline).close()
                raise

    def versions(self, pipeline: str, lineage: str, partition: int = 0) -> dict[int, VersionInfo]:
        """Return the versions of a lineage that are kept, ascending, and what is known of each."""
        with map_exceptions():
            by_version = self._redis.hgetall(Keys(pipeline, partition).about(lineage))
        return {
            int(version): msgspec.json.decode(by_version[version], type=VersionInfo)
            for version in sorted(by_version, key=int)
        }

    def version_info(
        self, pipeline: str, lineage: str, version: int, partition: int = 0
    ) -> VersionInfo | None:
        """Return what is known of one version, or None if it is not kept."""
        with map_exceptions():
            encoded = self._redis.hget(Keys(pipeline, partition).about(lineage), version)
        return None if encoded is None else msgspec.json.decode(encoded, type=VersionInfo)

    def snapshot(self, pipeline: str, lineage: str, version: int, partition: int = 0) -> bytes | None:
        """Return a version's bytes, or None if it is not kept."""
        with map_exceptions():
            data: bytes | None = self._redis.get(Keys(pipeline, partition).snapshot(lineage, version))
            return data

    def named_snapshot(self, pipeline: str, lineage: str, versions: Sequence[int | None]) -> bytes | None:
        """Return the bytes of a version, those of several partitions as a bundle; None if any is not kept."""
        parts = [
            None if version is None else self.snapshot(pipeline, lineage, version, partition)
            for partition, version in enumerate(versions)
        ]
        if any(part is None and version is not None for part, version in zip(parts, versions, strict=True)):
            return None
        return parts[0] if len(parts) == 1 else bundle.pack(parts)

    def restores(self, pipeline: str, partition: int = 0) -> list[Restore]:
        """Return what every start of a partition's worker found, the newest last."""
        with map_exceptions():
            entries = self._redis.lrange(Keys(pipeline, partition).restores, 0, -1)
        return [msgspec.json.decode(entry, type=Restore) for entry in entries]

    def recovery_progress(self, pipeline: str) -> str | None:
        """Return the progress of the first partition that is learned again, in words; None if none is."""
        partitions = [0, *self.partitions(pipeline)]
        with map_exceptions():
            texts = self._redis.mget([Keys(pipeline, k).recovery for k in partitions])
        for partition, text in zip(partitions, texts, strict=True):
            if text is not None:
                where = f"partition {partition}: " if len(partitions) > 1 else ""
                return where + str(text.decode())
        return None

    def rate(self, pipeline: str) -> float | None:
        """Return the most records a second that a pipeline's job may take, 0 for no limit; None: not set."""
        with map_exceptions():
            rate = self._redis.get(Keys(pipeline).rate)
        return None if rate is None else float(rate)

    def set_rate(self, pipeline: str, rate: float | None) -> None:
        """Let a pipeline's job take at most so many records a second; None: as many as its settings say."""
        key = Keys(pipeline).rate
        with map_exceptions():
            if rate is None:
                self._redis.delete(key)
            else:
                self._redis.set(key, repr(float(rate)))

    def clear(self, pipeline: str | None = None) -> int:
        """Delete everything of one pipeline, or of all; return how many keys went."""
        pattern = f"{PREFIX}{pipeline}:*" if pipeline else f"{PREFIX}*"
        with map_exceptions():
            return sum(self._redis.delete(key) for key in self._redis.scan_iter(pattern, count=1000))

    def delete(self, key: str) -> bool:
        """Delete one key by its full name; return whether it was there."""
        with map_exceptions():
            return bool(self._redis.delete(key))


def _note_pin(transaction: Any, keys: Keys, version: str | None) -> None:
    transaction.rpush(keys.pins, msgspec.json.encode(PinChange(time.time(), version)))
    transaction.ltrim(keys.pins, -_PINS, -1)


def _escape(name: str) -> str:
    r"""Return a name as a pattern of Redis that matches it alone.

    >>> _escape("a*b")
    'a\\*b'
    """
    return re.sub(r"[*?\[\]\\]", r"\\\g<0>", name)


def _read_head(fields: list[bytes | None], *, pinned: bool = False) -> Head:
    """Read what stands in the hash of a head or a pin."""
    lineage, version, digest, samples, time_s, parts = ((field or b"").decode() for field in fields)
    versions = tuple(parse_name(parts) or ()) if parts else ()
    return Head(lineage, int(version), digest, int(samples), int(time_s), pinned, versions)
