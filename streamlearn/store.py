"""Model versions in Redis: save, read, roll back, trim. The only module that talks to Redis.

    streamlearn:{pipeline}:fence               the newest writer's token
    streamlearn:{pipeline}:head                hash: the version to serve (lineage, version, digest, …)
    streamlearn:{pipeline}:versions:{lineage}  sorted set: offsets of the snapshots kept
    streamlearn:{pipeline}:about:{lineage}     hash: version → when it was written, and what is known of it
    streamlearn:{pipeline}:snapshot:{lineage}:{version}   the bytes (see `checkpoint.py`)
    streamlearn:{pipeline}:restores            list: what every start of a worker found, the newest last
    streamlearn:{pipeline}:recovery            what a worker that is learning again says of its progress

A write is one Lua script, so it happens whole or not at all, and it is refused when a writer with a newer
token has been admitted, or when Redis has forgotten the writer's own: it was emptied, and what its writer
thinks is kept is not. Redis holds snapshots only; what is true is in Kafka (see `topics`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streamlearn.errors import Fenced, StoreEmptied, StoreUnavailable
from streamlearn.settings import Settings

T = TypeVar("T")


class Restore(msgspec.Struct):
    """What one start of a worker found."""

    lineage: str
    offset: int
    """Where Flink resumed."""
    snapshot: int | None
    """The version of the snapshot that was taken; None: it began at the lineage's start."""
    relearned: int
    """How many offsets were learned again from Kafka."""
    dropped: int
    """How many versions were rolled back: their answers were never committed."""
    refused: dict[str, str]
    """Versions whose snapshots could not be read, and why."""
    time_s: float
    """When, in seconds since 1970."""


PREFIX = "streamlearn:"
_TIMEOUT_S = 5.0
_RETRY_S = 0.5
_EPOCH_BITS = 32
_PROGRESS_S = 60

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
if newest < tonumber(ARGV[1]) then return redis.error_reply('EMPTIED') end
"""

_POINT = """
local function point(head, lineage, version, about)
  local known = cjson.decode(about)
  redis.call('DEL', head)
  redis.call('HSET', head, 'lineage', lineage, 'version', version, 'digest', known.digest,
             'samples', known.samples, 'time', known.time_s)
  redis.call('PUBLISH', head, known.digest)
end
"""

_SAVE = (
    _FENCE
    + _POINT
    + """
local about = cjson.decode(ARGV[5])
about.time_s = tonumber(redis.call('TIME')[1])
about = cjson.encode(about)
redis.call('SET', KEYS[5], ARGV[4])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[3])
redis.call('HSET', KEYS[4], ARGV[3], about)
if ARGV[6] == '1' then point(KEYS[2], ARGV[2], ARGV[3], about) end
"""
)

_FORGET = (
    _FENCE
    + """
for i = 2, #ARGV do
  redis.call('DEL', KEYS[4] .. ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
  redis.call('HDEL', KEYS[3], ARGV[i])
end
"""
)

_ROLL_BACK = (
    _FENCE
    + _POINT
    + """
local later = redis.call('ZRANGE', KEYS[3], '(' .. ARGV[3], '+inf', 'BYSCORE')
for _, version in ipairs(later) do
  redis.call('DEL', KEYS[5] .. version)
  redis.call('ZREM', KEYS[3], version)
  redis.call('HDEL', KEYS[4], version)
end
local last = redis.call('ZRANGE', KEYS[3], -1, -1)[1]
if #later > 0 and last then
  point(KEYS[2], ARGV[2], last, redis.call('HGET', KEYS[4], last))
end
return #later
"""
)

_TELL = (
    _FENCE
    + """
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('LTRIM', KEYS[2], -1000, -1)
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


class About(msgspec.Struct):
    """What is known of a version without reading it."""

    digest: str
    samples: int
    """How many predictions its score counts."""
    score: dict[str, float | None]
    """The score's figures by name."""
    time_s: int = 0
    """When it was written, in seconds since 1970, by Redis' clock."""


class Store:
    """A connection to Redis. Methods raise `StoreUnavailable` when it does not answer.

    For a URL with `rediss://`, `ca` names a PEM file of trusted authorities (empty: the system's) and `cert`
    one with the client's own certificate and key, if it is asked for one.
    """

    def __init__(self, url: str, ca: str = "", cert: str = "") -> None:
        files = {"ssl_ca_certs": ca, "ssl_certfile": cert, "ssl_keyfile": cert}
        tls = {name: file for name, file in files.items() if file} if url.startswith("rediss") else {}
        self._redis: Any = redis.Redis.from_url(
            url,
            **tls,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._newer = self._redis.register_script(_NEWER)
        self._listening: dict[str, Any] = {}

    @classmethod
    def of(cls, settings: Settings) -> "Store":
        """Connect as the settings say."""
        return cls(settings.redis, settings.tls_ca, settings.tls_cert)

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

    def versions(self, pipeline: str, lineage: str) -> dict[int, About]:
        """Return the versions of a lineage that are kept, ascending, and what is known of each."""
        with _talking():
            found = self._redis.hgetall(f"{PREFIX}{pipeline}:about:{lineage}")
        return {
            int(version): msgspec.json.decode(found[version], type=About)
            for version in sorted(found, key=int)
        }

    def snapshot(self, pipeline: str, lineage: str, version: int) -> bytes | None:
        """Return a version's bytes, or None if it is not kept."""
        with _talking():
            data: bytes | None = self._redis.get(f"{PREFIX}{pipeline}:snapshot:{lineage}:{version}")
            return data

    def restores(self, pipeline: str) -> list[Restore]:
        """Return what every start of the pipeline's worker found, the newest last."""
        with _talking():
            found = self._redis.lrange(f"{PREFIX}{pipeline}:restores", 0, -1)
        return [msgspec.json.decode(entry, type=Restore) for entry in found]

    def recovering(self, pipeline: str) -> str | None:
        """Return what a worker that is learning again says of its progress; None if there is none."""
        with _talking():
            found = self._redis.get(f"{PREFIX}{pipeline}:recovery")
        return None if found is None else str(found.decode())

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
    """The one learner that may write a pipeline's snapshots.

    Methods that write raise `Fenced` once it is not, and `StoreEmptied` if Redis has lost what it held.
    """

    def __init__(self, client: Any, pipeline: str, lineage: str, token: int) -> None:
        self._redis = client
        self._token = token
        self._lineage = lineage
        self._fence = f"{PREFIX}{pipeline}:fence"
        self._head = f"{PREFIX}{pipeline}:head"
        self._versions = f"{PREFIX}{pipeline}:versions:{lineage}"
        self._about = f"{PREFIX}{pipeline}:about:{lineage}"
        self._snapshot = f"{PREFIX}{pipeline}:snapshot:{lineage}:"
        self._restores = f"{PREFIX}{pipeline}:restores"
        self._recovery = f"{PREFIX}{pipeline}:recovery"
        self._save = client.register_script(_SAVE)
        self._forget = client.register_script(_FORGET)
        self._roll_back = client.register_script(_ROLL_BACK)
        self._tell = client.register_script(_TELL)

    def save(self, version: int, data: bytes, about: About, *, head: bool = True) -> None:
        """Keep a snapshot and, unless `head` says not to, let it be served."""
        with _talking():
            self._save(
                keys=[self._fence, self._head, self._versions, self._about, f"{self._snapshot}{version}"],
                args=[self._token, self._lineage, version, data, msgspec.json.encode(about), int(head)],
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

    def forget(self, versions: Sequence[int]) -> None:
        """Forget these versions."""
        if versions:
            with _talking():
                self._forget(
                    keys=[self._fence, self._versions, self._about, self._snapshot],
                    args=[self._token, *versions],
                )

    def roll_back(self, version: int) -> int:
        """Forget the versions above `version` and serve the newest that is left; return how many went."""
        with _talking():
            count: int = self._roll_back(
                keys=[self._fence, self._head, self._versions, self._about, self._snapshot],
                args=[self._token, self._lineage, version],
            )
        return count

    def tell(self, restore: Restore) -> None:
        """Keep what this start of a worker has found."""
        with _talking():
            self._tell(keys=[self._fence, self._restores], args=[self._token, msgspec.json.encode(restore)])

    def tell_progress(self, text: str | None) -> None:
        """Say how far a rebuild has come; None when it is done. What nobody renews is soon gone."""
        with _talking():
            if text is None:
                self._redis.delete(self._recovery)
            else:
                self._redis.set(self._recovery, text, ex=_PROGRESS_S)


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
        if "EMPTIED" in str(error):
            raise StoreEmptied("Redis has lost what it held of this pipeline") from error
        raise StoreUnavailable(f"Redis refused: {error}") from error
    except (redis.RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not answer: {error}") from error
