"""Remembers the records of the last predictions by request id, so that feedback need only send the id.

They are in a small SQLite file that the server's processes share. Every start of the server begins a new one:
feedback on older predictions must then send the records. A thread writes them, many at once: writing each by
itself would make every other prediction wait while another process writes.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from streamlearn.stream.records import encode

_log = logging.getLogger(__name__)

MAX_REQUESTS = 10_000
"""How many requests are remembered."""

MAX_ROWS = 100
"""A request with more rows is not remembered."""

WRITTEN_WITHIN_S = 0.05
"""How long the records of a prediction wait until they are written."""

_FIND_S = 4 * WRITTEN_WITHIN_S
"""How long what is looked for may be with another process that has not written it yet."""

_PRUNE_EVERY = 100
_MAX_ID_CHARS = 256
_MAX_RECORDS_BYTES = 256 << 10

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
        # Nothing here waits for another process's lock: SQLite would hold up all requests meanwhile.
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        self._execute_when_free("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._execute_when_free(_TABLE)
        self._pending: deque[tuple[str, str, bytes]] = deque(maxlen=MAX_REQUESTS)
        self._has_pending = threading.Event()
        self._unpruned = 0
        self._is_closed = False
        threading.Thread(target=self._write_repeatedly, daemon=True).start()

    def _execute_when_free(self, script: str) -> None:
        """Run statements while the processes of a server open the file at the same time."""
        for attempt in range(200):
            try:
                self._db.executescript(script)
                return
            except sqlite3.OperationalError:
                if attempt == 199:
                    raise
                time.sleep(0.01)

    def remember(self, model: str, identity: str, records: Sequence[object]) -> None:
        """Keep a request's records under its id, if they are few."""
        if not 0 < len(records) <= MAX_ROWS or len(identity) > _MAX_ID_CHARS:
            return
        data = encode(records)
        if len(data) <= _MAX_RECORDS_BYTES:
            self._pending.append((model, identity, data))
            self._has_pending.set()

    def find(self, model: str, identity: str) -> list[dict[str, object]] | None:
        """Return the records of the last request with this id, as JSON objects; None where there are none."""
        deadline = time.monotonic() + _FIND_S
        while True:
            self._write()
            with self._lock:
                row = self._db.execute(
                    "SELECT records FROM recent WHERE model = ? AND id = ? ORDER BY number DESC LIMIT 1",
                    (model, identity),
                ).fetchone()
            if row is not None:
                return msgspec.json.decode(row[0], type=list[dict[str, object]])
            if time.monotonic() >= deadline:
                return None
            time.sleep(WRITTEN_WITHIN_S / 2)

    def close(self) -> None:
        """Write what is pending, and close the file."""
        self._write()
        with self._lock:
            self._is_closed = True
            self._db.close()
        self._has_pending.set()

    def _write_repeatedly(self) -> None:
        while not self._is_closed:
            self._has_pending.wait()
            self._has_pending.clear()
            time.sleep(WRITTEN_WITHIN_S)
            self._write()

    def _write(self) -> None:
        """Write what is pending; where another process is writing just now, leave it for the next time."""
        with self._lock:
            if self._is_closed or not self._pending:
                return
            rows = [self._pending.popleft() for _ in range(len(self._pending))]
            try:
                self._insert(rows)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                    self._pending.extendleft(reversed(rows))
                    self._has_pending.set()
                else:
                    _log.warning("%d predictions cannot be kept for feedback: %s", len(rows), error)
            except sqlite3.Error as error:
                _log.warning("%d predictions cannot be kept for feedback: %s", len(rows), error)

    def _insert(self, rows: Sequence[tuple[str, str, bytes]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            last = 0
            for row in rows:
                last = (
                    self._db.execute(
                        "INSERT INTO recent (model, id, records) VALUES (?, ?, ?)", row
                    ).lastrowid
                    or 0
                )
            self._unpruned += len(rows)
            if self._unpruned >= _PRUNE_EVERY:
                self._db.execute("DELETE FROM recent WHERE number <= ?", (last - MAX_REQUESTS,))
                self._unpruned = 0
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
