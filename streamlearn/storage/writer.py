"""Writing model versions: save, delete, roll back. Only the newest writer of a partition may.

A write is one Lua script, so it happens whole or not at all, and it is refused when a writer with a newer
token has been admitted, or when Redis has forgotten the writer's own: it was emptied, and what its writer
thinks is kept is not.

A worker is admitted when it starts, so tokens grow in the order in which workers start. One that is alone
holds the pipeline's fence, for all partitions. Where several workers learn at once, each raises the fence of
a partition when it sees that partition's first record: a worker that Flink has given up on started earlier,
so it can neither take a partition back nor write to one that was taken. The pipeline's fence then tells of a
newer submission only, since the tokens of one submission share their upper bits.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from streamlearn.storage.keys import Keys
from streamlearn.storage.redis_client import map_exceptions
from streamlearn.storage.versions import Restore, VersionInfo

EPOCH_BITS = 32
"""A token is the epoch of its submission, and so many bits that count the workers of that."""

_PROGRESS_LIFETIME_S = 60

_SHUT_OUT = f"""
local token = tonumber(ARGV[1])
local function read(key) return tonumber(redis.call('GET', key) or '0') end
local function epoch_of(token) return math.floor(token / {1 << EPOCH_BITS}) end
local newest = read(KEYS[1])
if newest > token or epoch_of(read(KEYS[#KEYS])) > epoch_of(token) then
  return redis.error_reply('FENCED')
end
"""
"""KEYS[1] is the writer's fence, the last key the pipeline's; they are equal if the writer is alone."""

_FENCE = (
    _SHUT_OUT
    + """
if newest < token then return redis.error_reply('EMPTIED') end
"""
)

_TAKE = (
    _SHUT_OUT
    + """
redis.call('SET', KEYS[1], string.format('%.0f', token))
"""
)

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
    """The one learner that may write the snapshots of a partition.

    Methods that write raise `Fenced` once it is not, and `StoreEmptied` if Redis has lost what it held.

    Parameters
    ----------
    partition
        The partition that it writes.
    alone
        Whether it holds the pipeline's fence, for all partitions; otherwise that of its partition.
    """

    def __init__(
        self,
        client: Any,
        pipeline: str,
        lineage: str,
        token: int,
        partition: int = 0,
        *,
        alone: bool = True,
    ) -> None:
        keys = Keys(pipeline, partition)
        self._redis = client
        self._pipeline = pipeline
        self._token = token
        self._lineage = lineage
        self._partitions = keys.partitions
        self._pipeline_fence = keys.fence
        self._fence = keys.fence if alone else keys.partition_fence
        self._head = keys.head
        self._versions = keys.versions(lineage)
        self._about = keys.about(lineage)
        self._snapshot = keys.snapshot(lineage)
        self._restores = keys.restores
        self._recovery = keys.recovery
        self._take = client.register_script(_TAKE)
        self._save = client.register_script(_SAVE)
        self._delete = client.register_script(_DELETE)
        self._roll_back = client.register_script(_ROLL_BACK)
        self._record_restore = client.register_script(_RECORD_RESTORE)

    def announce_partitions(self, count: int) -> None:
        """Tell readers how many partitions the lineage has."""
        self._announce(range(1, count))

    def _announce(self, partitions: Sequence[int]) -> None:
        if partitions:
            with map_exceptions():
                self._redis.sadd(self._partitions, *partitions)

    def take_partition(self, partition: int, *, alone: bool) -> "Writer":
        """Return the writer of a partition with this one's token.

        Parameters
        ----------
        alone
            Whether no other worker learns from the pipeline at the same time. Otherwise the partition's fence
            is raised.

        Raises
        ------
        Fenced
            A worker that started later has the partition.
        """
        writer = Writer(self._redis, self._pipeline, self._lineage, self._token, partition, alone=alone)
        if partition:
            self._announce([partition])
        if not alone:
            with map_exceptions():
                self._take(keys=[writer._fence, self._pipeline_fence], args=[self._token])
        return writer

    def save(self, version: int, data: bytes, info: VersionInfo, *, head: bool = True) -> None:
        """Store a snapshot and, unless `head` is False, make it the version to serve."""
        with map_exceptions():
            self._save(
                keys=[
                    self._fence,
                    self._head,
                    self._versions,
                    self._about,
                    f"{self._snapshot}{version}",
                    self._pipeline_fence,
                ],
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
                    keys=[self._fence, self._versions, self._about, self._snapshot, self._pipeline_fence],
                    args=[self._token, *versions],
                )

    def roll_back(self, version: int) -> int:
        """Delete the versions above `version` and serve the newest that is left; return how many went."""
        with map_exceptions():
            count: int = self._roll_back(
                keys=[
                    self._fence,
                    self._head,
                    self._versions,
                    self._about,
                    self._snapshot,
                    self._pipeline_fence,
                ],
                args=[self._token, self._lineage, version],
            )
        return count

    def record_restore(self, restore: Restore) -> None:
        """Store what this worker found as it started."""
        with map_exceptions():
            self._record_restore(
                keys=[self._fence, self._restores, self._pipeline_fence],
                args=[self._token, msgspec.json.encode(restore)],
            )

    def show_progress(self, text: str | None) -> None:
        """Publish the progress of relearning; None: done. It expires after a minute unless renewed."""
        with map_exceptions():
            if text is None:
                self._redis.delete(self._recovery)
            else:
                self._redis.set(self._recovery, text, ex=_PROGRESS_LIFETIME_S)
