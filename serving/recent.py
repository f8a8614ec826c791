"""Remembers the records of the last predictions by request id, so that feedback need only send the id.

They are in a small SQLite file that the server's processes share. Every start of the server begins a new one:
feedback on older predictions must then send the records.
"""

import logging
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from streamlearn.stream.records import encode

_log = logging.getLogger(__name__)

MAX_REQUESTS = 10_000
"""How many requests are remembered."""

MAX_ROWS = 100
"""A request with more rows is not remembered."""

_PRUNE_EVERY = 100
_MAX_ID_CHARS = 256
_MAX_RECORDS_BYTES = 256 << 10
_LOCK_TIMEOUT_S = 0.1

_TABLE = """
CREATE TABLE IF NOT EXISTS recent
    (number INTEGER PRIMARY KEY, model TEXT, id TEXT, records BLOB);
CREATE INDEX IF NOT EXISTS by_id ON recent (model, id);
"""


class RecentPredictions:
    """The records of recent predictions by id. Thread-safe; several processes may open the same file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            path, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_TABLE)

    def remember(self, model: str, identity: str, records: Sequence[object]) -> None:
        """Keep a request's records under its id, if they are few. A failure is logged, not raised."""
        if not 0 < len(records) <= MAX_ROWS or len(identity) > _MAX_ID_CHARS:
            return
        data = encode(records)
        if len(data) > _MAX_RECORDS_BYTES:
            return
        try:
            with self._lock:
                number = self._db.execute(
                    "INSERT INTO recent (model, id, records) VALUES (?, ?, ?)",
                    (model, identity, data),
                ).lastrowid
                if number and number % _PRUNE_EVERY == 0:
                    self._db.execute("DELETE FROM recent WHERE number <= ?", (number - MAX_REQUESTS,))
        except sqlite3.Error as error:
            _log.warning("the records of prediction %s cannot be kept for feedback: %s", identity, error)

    def find(self, model: str, identity: str) -> list[dict[str, object]] | None:
        """Return the records of the last request with this id, as JSON objects; None where there are none."""
        with self._lock:
            row = self._db.execute(
                "SELECT records FROM recent WHERE model = ? AND id = ? ORDER BY number DESC LIMIT 1",
                (model, identity),
            ).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=list[dict[str, object]])

    def close(self) -> None:
        """Close the file."""
        self._db.close()
