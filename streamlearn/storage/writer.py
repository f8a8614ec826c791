"""Writing model versions: save, delete, roll back. Only the newest writer of a pipeline may.

A write is one Lua script, so it happens whole or not at all, and it is refused when a writer with a newer
token has been admitted, or when Redis has forgotten the writer's own: it was emptied, and what its writer
thinks is kept is not.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from streamlearn.storage.redis_client import PREFIX, map_exceptions
from streamlearn.storage.versions import Restore, VersionInfo

_PROGRESS_LIFETIME_S = 60

_FENCE = """
local newest = tonumber(redis.call('GET', KEYS[1]) or '0')
if newest > tonumber(ARGV[1]) then return redis.error_reply('FENCED') end
if newest < tonumber(ARGV[1]) then return redis.error_reply('EMPTIED') end
"""

_POINT = """
local function point(head, lineage, version, about)
  local known = cjson.decode(about)
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

_DELETE = (
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

_RECORD_RESTORE = (
    _FENCE
    + """
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('LTRIM', KEYS[2], -1000, -1)
"""
)


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
        self._delete = client.register_script(_DELETE)
        self._roll_back = client.register_script(_ROLL_BACK)
        self._record_restore = client.register_script(_RECORD_RESTORE)

    def save(self, version: int, data: bytes, info: VersionInfo, *, head: bool = True) -> None:
        """Store a snapshot and, unless `head` is False, make it the version to serve."""
        with map_exceptions():
            self._save(
                keys=[self._fence, self._head, self._versions, self._about, f"{self._snapshot}{version}"],
                args=[self._token, self._lineage, version, data, msgspec.json.encode(info), int(head)],
            )

    def versions(self) -> list[int]:
        """Return the offsets of the snapshots kept, ascending."""
        with map_exceptions():
            return [int(version) for version in self._redis.zrange(self._versions, 0, -1)]

    def read(self, version: int) -> bytes | None:
        """Return a snapshot's bytes, or None if it is not kept."""
        with map_exceptions():
            data: bytes | None = self._redis.get(f"{self._snapshot}{version}")
            return data

    def delete(self, versions: Sequence[int]) -> None:
        """Delete these versions."""
        if versions:
            with map_exceptions():
                self._delete(
                    keys=[self._fence, self._versions, self._about, self._snapshot],
                    args=[self._token, *versions],
                )

    def roll_back(self, version: int) -> int:
        """Delete the versions above `version` and serve the newest that is left; return how many went."""
        with map_exceptions():
            count: int = self._roll_back(
                keys=[self._fence, self._head, self._versions, self._about, self._snapshot],
                args=[self._token, self._lineage, version],
            )
        return count

    def record_restore(self, restore: Restore) -> None:
        """Store what this worker found as it started."""
        with map_exceptions():
            self._record_restore(
                keys=[self._fence, self._restores], args=[self._token, msgspec.json.encode(restore)]
            )

    def show_progress(self, text: str | None) -> None:
        """Show how far learning again has come; None when it is done. What is not renewed soon expires."""
        with map_exceptions():
            if text is None:
                self._redis.delete(self._recovery)
            else:
                self._redis.set(self._recovery, text, ex=_PROGRESS_LIFETIME_S)
