"""The last predictions by id, so that feedback need only name one: shared by the server's processes.

A small SQLite file that is begun anew at every start of the server; what is lost with it are only names.
"""

import logging
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from streamlearn.stream.records import encode

_log = logging.getLogger(__name__)

KEEP = 10_000
"""How many requests are remembered."""

MOST_ROWS = 100
"""A request with more rows is not remembered."""

_PRUNE_EVERY = 100
_ID_CHARS = 256
_RECORDS_BYTES = 256 << 10
_WAIT_S = 0.1

_TABLE = """
CREATE TABLE IF NOT EXISTS recent
    (number INTEGER PRIMARY KEY, model TEXT, id TEXT, records BLOB);
CREATE INDEX IF NOT EXISTS by_id ON recent (model, id);
"""


class Recent:
    """Remembers what was asked under which id. Thread-safe; several processes may open the same file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_TABLE)

    def remember(self, model: str, identity: str, records: Sequence[object]) -> None:
        """Keep the records that were asked about, if they are few; a failure costs no prediction."""
        if not 0 < len(records) <= MOST_ROWS or len(identity) > _ID_CHARS:
            return
        data = encode(records)
        if len(data) > _RECORDS_BYTES:
            return
        try:
            with self._lock:
                number = self._db.execute(
                    "INSERT INTO recent (model, id, records) VALUES (?, ?, ?)",
                    (model, identity, data),
                ).lastrowid
                if number and number % _PRUNE_EVERY == 0:
                    self._db.execute("DELETE FROM recent WHERE number <= ?", (number - KEEP,))
        except sqlite3.Error as error:
            _log.warning("the prediction %s cannot be remembered for feedback: %s", identity, error)

    def find(self, model: str, identity: str) -> list[dict[str, object]] | None:
        """Return the records that were asked about last under this id, as JSON objects; None if forgotten."""
        with self._lock:
            row = self._db.execute(
                "SELECT records FROM recent WHERE model = ? AND id = ? ORDER BY number DESC LIMIT 1",
                (model, identity),
            ).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=list[dict[str, object]])

    def close(self) -> None:
        """Close the file."""
        self._db.close()
