"""Model versions in Redis: save, read, roll back, trim. The only module that talks to Redis.

    streamlearn:{pipeline}:fence               the newest writer's token
    streamlearn:{pipeline}:head                hash: the version to serve (lineage, version, digest, …)
    streamlearn:{pipeline}:versions:{lineage}  sorted set: offsets of the snapshots kept
    streamlearn:{pipeline}:snapshot:{lineage}:{version}   the bytes (see `checkpoint.py`)

A write is one Lua script, so it happens whole or not at all, and it is refused when a writer with a newer
token has been admitted. Redis holds snapshots only; what is true is in Kafka (see `topics`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streamlearn.errors import Fenced, StoreUnavailable

T = TypeVar("T")

PREFIX = "streamlearn:"
_TIMEOUT_S = 5.0
_RETRY_S = 0.5
_EPOCH_BITS = 32

_ADMIT = """
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local floor = tonumber(ARGV[1])
if last >= tonumber(ARGV[2]) then return -1 end
local token = math.max(last, floor) + 1
redis.call('SET', KEYS[1], string.format('%.0f', token))
return token
"""

_FENCE = """
local newest = tonumber(redis.call('GET', KEYS[1]) or '0')
if newest > tonumber(ARGV[1]) then return redis.error_reply('FENCED') end
"""

_SAVE = (
    _FENCE
    + """
redis.call('SET', KEYS[4], ARGV[5])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[3])
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'lineage', ARGV[2], 'version', ARGV[3], 'digest', ARGV[4],
           'samples', ARGV[6], 'time', redis.call('TIME')[1])
redis.call('PUBLISH', KEYS[2], ARGV[4])
"""
)

_DROP = (
    _FENCE
    + """
local count = 0
for _, version in ipairs(redis.call('ZRANGE', KEYS[2], ARGV[2], ARGV[3], 'BYSCORE')) do
  redis.call('DEL', KEYS[3] .. version)
  redis.call('ZREM', KEYS[2], version)
  count = count + 1
end
return count
"""
)

_NEWER = """
local head = redis.call('HMGET', KEYS[1], 'lineage', 'version', 'digest', 'samples', 'time')
if not head[1] then return false end
if head[1] == ARGV[1] and head[3] == ARGV[2] then return {head[1], head[2], head[3], head[4], head[5]} end
local data = redis.call('GET', KEYS[2] .. head[1] .. ':' .. head[2])
return {head[1], head[2], head[3], head[4], head[5], data}
"""


@dataclass(frozen=True)
class Head:
    """The version that is served: which it is, and when it was written (seconds since 1970)."""

    lineage: str
    version: int
    digest: str
    samples: int
    time_s: int


class Store:
    """A connection to Redis. Methods raise `StoreUnavailable` when it does not answer."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._newer = self._redis.register_script(_NEWER)
        self._listening: dict[str, Any] = {}

    def close(self) -> None:
        """Close the connections."""
        for listening in self._listening.values():
            listening.close()
        self._redis.close()

    def ping(self) -> None:
        """Return once Redis has answered."""
        with _talking():
            self._redis.ping()

    def admit(self, pipeline: str, lineage: str, epoch: int) -> "Writer":
        """Admit a new writer, shutting out every earlier one.

        `epoch` counts the submissions of the pipeline's job; a writer of an older submission is refused.

        Raises
        ------
        Fenced
            A writer of a newer submission has been admitted.
        """
        with _talking():
            token = self._redis.eval(
                _ADMIT, 1, f"{PREFIX}{pipeline}:fence", epoch << _EPOCH_BITS, (epoch + 1) << _EPOCH_BITS
            )
        if int(token) < 0:
            raise Fenced(f"a newer job of {pipeline} has taken over")
        return Writer(self._redis, pipeline, lineage, int(token))

    def newer(self, pipeline: str, than: Head | None) -> tuple[Head, bytes | None] | None:
        """Return the head and, unless it is still `than`, its snapshot's bytes; None if there is no head."""
        with _talking():
            found = self._newer(
                keys=[f"{PREFIX}{pipeline}:head", f"{PREFIX}{pipeline}:snapshot:"],
                args=[than.lineage, than.digest] if than else ["", ""],
            )
        if not found:
            return None
        lineage, version, digest, samples, time_s, *data = found
        head = Head(lineage.decode(), int(version), digest.decode(), int(samples), int(time_s))
        return head, data[0] if data else None

    def wait_for_news(self, pipeline: str, timeout_s: float) -> None:
        """Return when a new head of the pipeline is announced, or after `timeout_s` seconds at the latest.

        Raises
        ------
        StoreUnavailable
            Redis does not answer; the next call listens anew.
        """
        with _talking():
            try:
                if pipeline not in self._listening:
                    self._listening[pipeline] = self._redis.pubsub(ignore_subscribe_messages=True)
                    self._listening[pipeline].subscribe(f"{PREFIX}{pipeline}:head")
                self._listening[pipeline].get_message(timeout=timeout_s)
            except (redis.RedisError, OSError):
                self._listening.pop(pipeline).close()
                raise

    def clear(self, pipeline: str | None = None) -> int:
        """Delete everything of one pipeline, or of all; return how many keys went."""
        pattern = f"{PREFIX}{pipeline}:*" if pipeline else f"{PREFIX}*"
        with _talking():
            return sum(self._redis.delete(key) for key in self._redis.scan_iter(pattern, count=1000))

    def delete(self, key: str) -> bool:
        """Delete one key by its full name; return whether it was there."""
        with _talking():
            return bool(self._redis.delete(key))


class Writer:
    """The one learner that may write a pipeline's snapshots. Methods raise `Fenced` once it is not."""

    def __init__(self, client: Any, pipeline: str, lineage: str, token: int) -> None:
        self._redis = client
        self._token = token
        self._lineage = lineage
        self._fence = f"{PREFIX}{pipeline}:fence"
        self._head = f"{PREFIX}{pipeline}:head"
        self._versions = f"{PREFIX}{pipeline}:versions:{lineage}"
        self._snapshot = f"{PREFIX}{pipeline}:snapshot:{lineage}:"
        self._save = client.register_script(_SAVE)
        self._drop = client.register_script(_DROP)

    def save(self, version: int, data: bytes, digest: str, samples: int) -> None:
        """Keep a snapshot and make it the head."""
        with _talking():
            self._save(
                keys=[self._fence, self._head, self._versions, f"{self._snapshot}{version}"],
                args=[self._token, self._lineage, version, digest, data, samples],
            )

    def versions(self) -> list[int]:
        """Return the offsets of the snapshots kept, ascending."""
        with _talking():
            return [int(version) for version in self._redis.zrange(self._versions, 0, -1)]

    def read(self, version: int) -> bytes | None:
        """Return a snapshot's bytes, or None if it is not kept."""
        with _talking():
            data: bytes | None = self._redis.get(f"{self._snapshot}{version}")
            return data

    def drop_after(self, version: int) -> int:
        """Forget the snapshots above `version`; return how many there were."""
        return self._drop_range(f"({version}", "+inf")

    def drop_before(self, version: int) -> int:
        """Forget the snapshots below `version`; return how many there were."""
        return self._drop_range("-inf", f"({version}")

    def _drop_range(self, low: str, high: str) -> int:
        with _talking():
            count: int = self._drop(
                keys=[self._fence, self._versions, self._snapshot], args=[self._token, low, high]
            )
        return count


def patiently(call: Callable[[], T], wait_s: float, *, clock: Callable[[], float] = time.monotonic) -> T:
    """Call again, with pauses, while Redis is away, for at most `wait_s` seconds."""
    deadline = clock() + wait_s
    while True:
        try:
            return call()
        except StoreUnavailable:
            if clock() >= deadline:
                raise
            time.sleep(_RETRY_S)


@contextmanager
def _talking() -> Iterator[None]:
    """Turn what the client raises into our own errors."""
    try:
        yield
    except redis.ResponseError as error:
        if "FENCED" in str(error):
            raise Fenced("a newer writer has taken over this pipeline") from error
        raise StoreUnavailable(f"Redis refused: {error}") from error
    except (redis.RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not answer: {error}") from error
