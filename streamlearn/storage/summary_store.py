"""The newest rows of summaries in Redis: copied from their topics, read by the server.

A copy is a pair of places: how far the topic has been copied, and the rows. Both change in one Lua script,
which takes rows only where they follow on what has been copied. So a batch that is copied twice, by a
restart or by two copiers at once, changes nothing the second time, an older row never replaces a newer one,
and where Redis has lost everything it asks for the topic from its beginning.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from streamlearn.settings import Settings
from streamlearn.storage.keys import SummaryKeys
from streamlearn.storage.redis_client import connect, map_exceptions

MOST_ROWS = 20_000
"""Rows of a summary that are held; the longest unwritten ones go first. The topic has them all."""

_WRITE = """
local place, topic, partition = KEYS[3], ARGV[1], ARGV[2]
if redis.call('HGET', place, 'topic') ~= topic then
  redis.call('DEL', KEYS[1], KEYS[2], place)
  redis.call('HSET', place, 'topic', topic)
end
local reached = redis.call('HGET', place, partition) or '0'
if reached ~= ARGV[3] then return reached end
for i = 7, #ARGV, 3 do
  if ARGV[i + 2] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    redis.call('ZADD', KEYS[2], ARGV[i + 1], ARGV[i])
  end
end
local extra = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[6])
if extra > 0 then
  local popped = redis.call('ZPOPMIN', KEYS[2], extra)
  for i = 1, #popped, 2 do redis.call('HDEL', KEYS[1], popped[i]) end
end
redis.call('HSET', place, partition, ARGV[4])
if #ARGV > 6 then redis.call('HSET', place, 'written_ms', ARGV[5]) end
return ARGV[4]
"""


class SummaryRow(msgspec.Struct, frozen=True):
    """A record of a summary's topic."""

    key: bytes
    value: bytes | None
    """None: the row is taken away."""
    offset: int
    written_ms: int
    """When Kafka got it, in milliseconds since 1970."""


class Copy(msgspec.Struct, frozen=True):
    """A summary as it is held."""

    rows: list[bytes]
    """JSON objects, in no order."""
    written_s: float | None
    """When the newest of them was written to the topic, in seconds since 1970; None where nothing was."""


class SummaryStore:
    """The summaries in Redis. Methods raise `StoreUnavailable` when it does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._redis: Any = connect(settings.redis, settings.tls_ca, settings.tls_cert)
        self._write = self._redis.register_script(_WRITE)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def write(
        self,
        pipeline: str,
        name: str,
        rows: Mapping[bytes, SummaryRow],
        *,
        topic: str,
        partition: int,
        start: int,
        end: int,
        most: int = MOST_ROWS,
    ) -> int:
        """Take what stands in a partition from `start` to before `end`, if it follows on what was taken.

        Parameters
        ----------
        rows
            The newest row of each key; all of a key are in one partition.
        topic
            The identity of the topic: a topic that was deleted and made anew has another, and is copied anew.
        most
            How many rows of the summary are held.

        Returns
        -------
        int
            The offset up to which the partition has been copied: `end`, or another one where nothing was
            taken, from which to go on.
        """
        keys = SummaryKeys(pipeline, name)
        written_ms = max((row.written_ms for row in rows.values()), default=0)
        parts: list[Any] = [topic, partition, start, end, written_ms, most]
        for row in sorted(rows.values(), key=lambda row: row.offset):
            parts += [row.key, row.offset, row.value or b""]
        with map_exceptions():
            return int(self._write(keys=[keys.rows, keys.order, keys.place], args=parts))

    def reached(self, pipeline: str, name: str, topic: str) -> dict[int, int]:
        """Return up to which offset each partition has been copied; nothing of another topic of the name."""
        with map_exceptions():
            place = self._redis.hgetall(SummaryKeys(pipeline, name).place)
        if place.get(b"topic") != topic.encode():
            return {}
        return {int(field): int(offset) for field, offset in place.items() if field.isdigit()}

    def count_rows(self, pipeline: str, names: list[str]) -> dict[str, int]:
        """Return how many rows of each summary there are."""
        if not names:
            return {}
        with map_exceptions(), self._redis.pipeline(transaction=False) as batch:
            for name in names:
                batch.hlen(SummaryKeys(pipeline, name).rows)
            return dict(zip(names, batch.execute(), strict=True))

    def read(self, pipeline: str, name: str) -> Copy:
        """Return the rows of a summary, and when the newest was written."""
        keys = SummaryKeys(pipeline, name)
        with map_exceptions(), self._redis.pipeline(transaction=True) as batch:
            batch.hvals(keys.rows)
            batch.hget(keys.place, "written_ms")
            rows, written_ms = batch.execute()
        return Copy(list(rows), int(written_ms) / 1000 if written_ms else None)
