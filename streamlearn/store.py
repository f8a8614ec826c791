"""Model versions in Redis, as readers see them; `writer.py` has what writes them.

    streamlearn:{pipeline}:fence               the newest writer's token
    streamlearn:{pipeline}:head                hash: the newest version (lineage, version, digest, …)
    streamlearn:{pipeline}:pin                 hash: the version to serve instead, its bytes included
    streamlearn:{pipeline}:versions:{lineage}  sorted set: offsets of the snapshots kept
    streamlearn:{pipeline}:about:{lineage}     hash: version → when it was written, and what is known of it
    streamlearn:{pipeline}:snapshot:{lineage}:{version}   the bytes (see `checkpoint.py`)
    streamlearn:{pipeline}:restores            list: what every start of a worker found, the newest last
    streamlearn:{pipeline}:recovery            what a worker that is learning again says of its progress

Redis holds snapshots only; what is true is in Kafka (see `topics`). A pin changes what is served, not what is
learned, and holds its own copy: what is trimmed or rolled back stays served until it is unpinned.
"""

from typing import Any

import msgspec

from streamlearn.errors import Fenced
from streamlearn.redis_client import FAILURES, PREFIX, connect, talking
from streamlearn.settings import Settings
from streamlearn.versions import About, Head, Restore
from streamlearn.writer import Writer

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

_TO_SERVE = """
local function of(key)
  return redis.call('HMGET', key, 'lineage', 'version', 'digest', 'samples', 'time')
end
local found, pinned = of(KEYS[1]), 1
if not found[1] then found, pinned = of(KEYS[2]), 0 end
if not found[1] then return false end
found[6] = pinned
if found[1] == ARGV[1] and found[3] == ARGV[2] then return found end
if pinned == 1 then
  found[7] = redis.call('HGET', KEYS[1], 'data')
else
  found[7] = redis.call('GET', KEYS[3] .. found[1] .. ':' .. found[2])
end
return found
"""


class Store:
    """A connection to Redis. Methods raise `StoreUnavailable` when it does not answer."""

    def __init__(self, url: str, ca: str = "", cert: str = "") -> None:
        self._redis: Any = connect(url, ca, cert)
        self._to_serve = self._redis.register_script(_TO_SERVE)
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
        with talking():
            self._redis.ping()

    def admit(self, pipeline: str, lineage: str, epoch: int) -> "Writer":
        """Admit a new writer, shutting out every earlier one.

        `epoch` counts the submissions of the pipeline's job; a writer of an older submission is refused.

        Raises
        ------
        Fenced
            A writer of a newer submission has been admitted.
        """
        with talking():
            token = self._redis.eval(
                _ADMIT, 1, f"{PREFIX}{pipeline}:fence", epoch << _EPOCH_BITS, (epoch + 1) << _EPOCH_BITS
            )
        if int(token) < 0:
            raise Fenced(f"a newer job of {pipeline} has taken over")
        return Writer(self._redis, pipeline, lineage, int(token))

    def to_serve(self, pipeline: str, than: Head | None = None) -> tuple[Head, bytes | None] | None:
        """Return the version to serve and, unless it is still `than`, its bytes; None if there is none.

        That is the pinned one, else the newest.
        """
        with talking():
            found = self._to_serve(
                keys=[f"{PREFIX}{pipeline}:{key}" for key in ("pin", "head", "snapshot:")],
                args=[than.lineage, than.digest] if than else ["", ""],
            )
        if not found:
            return None
        *fields, pinned = found[:6]
        return _head(fields, pinned=bool(pinned)), found[6] if len(found) > 6 else None

    def newest(self, pipeline: str) -> Head | None:
        """Return the newest version, whether another is pinned or not; None if there is none."""
        with talking():
            found = self._redis.hmget(
                f"{PREFIX}{pipeline}:head", "lineage", "version", "digest", "samples", "time"
            )
        return _head(found) if found[0] else None

    def pinned(self, pipeline: str) -> bytes | None:
        """Return the bytes of the version that is pinned; None if none is."""
        with talking():
            data: bytes | None = self._redis.hget(f"{PREFIX}{pipeline}:pin", "data")
        return data

    def pin(self, pipeline: str, head: Head, data: bytes) -> None:
        """Serve this version, whatever is learned meanwhile."""
        fields = {"lineage": head.lineage, "version": head.version, "digest": head.digest}
        fields |= {"samples": head.samples, "time": head.time_s, "data": data}
        with talking(), self._redis.pipeline(transaction=True) as together:
            together.delete(f"{PREFIX}{pipeline}:pin")
            together.hset(f"{PREFIX}{pipeline}:pin", mapping=fields)
            together.publish(f"{PREFIX}{pipeline}:head", head.digest)
            together.execute()

    def unpin(self, pipeline: str) -> bool:
        """Serve the newest version again; return whether one was pinned."""
        with talking(), self._redis.pipeline(transaction=True) as together:
            together.delete(f"{PREFIX}{pipeline}:pin")
            together.publish(f"{PREFIX}{pipeline}:head", "")
            return bool(together.execute()[0])

    def wait_for_news(self, pipeline: str, timeout_s: float) -> None:
        """Return when a new head of the pipeline is announced, or after `timeout_s` seconds at the latest.

        Raises
        ------
        StoreUnavailable
            Redis does not answer; the next call listens anew.
        """
        with talking():
            try:
                if pipeline not in self._listening:
                    self._listening[pipeline] = self._redis.pubsub(ignore_subscribe_messages=True)
                    self._listening[pipeline].subscribe(f"{PREFIX}{pipeline}:head")
                self._listening[pipeline].get_message(timeout=timeout_s)
            except FAILURES:
                self._listening.pop(pipeline).close()
                raise

    def versions(self, pipeline: str, lineage: str) -> dict[int, About]:
        """Return the versions of a lineage that are kept, ascending, and what is known of each."""
        with talking():
            found = self._redis.hgetall(f"{PREFIX}{pipeline}:about:{lineage}")
        return {
            int(version): msgspec.json.decode(found[version], type=About)
            for version in sorted(found, key=int)
        }

    def about(self, pipeline: str, lineage: str, version: int) -> About | None:
        """Return what is known of one version, or None if it is not kept."""
        with talking():
            found = self._redis.hget(f"{PREFIX}{pipeline}:about:{lineage}", version)
        return None if found is None else msgspec.json.decode(found, type=About)

    def snapshot(self, pipeline: str, lineage: str, version: int) -> bytes | None:
        """Return a version's bytes, or None if it is not kept."""
        with talking():
            data: bytes | None = self._redis.get(f"{PREFIX}{pipeline}:snapshot:{lineage}:{version}")
            return data

    def restores(self, pipeline: str) -> list[Restore]:
        """Return what every start of the pipeline's worker found, the newest last."""
        with talking():
            found = self._redis.lrange(f"{PREFIX}{pipeline}:restores", 0, -1)
        return [msgspec.json.decode(entry, type=Restore) for entry in found]

    def recovering(self, pipeline: str) -> str | None:
        """Return what a worker that is learning again says of its progress; None if there is none."""
        with talking():
            found = self._redis.get(f"{PREFIX}{pipeline}:recovery")
        return None if found is None else str(found.decode())

    def clear(self, pipeline: str | None = None) -> int:
        """Delete everything of one pipeline, or of all; return how many keys went."""
        pattern = f"{PREFIX}{pipeline}:*" if pipeline else f"{PREFIX}*"
        with talking():
            return sum(self._redis.delete(key) for key in self._redis.scan_iter(pattern, count=1000))

    def delete(self, key: str) -> bool:
        """Delete one key by its full name; return whether it was there."""
        with talking():
            return bool(self._redis.delete(key))


def _head(fields: list[bytes], *, pinned: bool = False) -> Head:
    """Read what stands in the hash of a head or a pin."""
    lineage, version, digest, samples, time_s = fields
    return Head(lineage.decode(), int(version), digest.decode(), int(samples), int(time_s), pinned=pinned)
