"""Messages as server-sent events: made once a second for all who watch, sent when something has changed.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import threading
import time
from collections.abc import Callable, Iterator

_EVERY_S = 1.0
_SILENCE_S = 10.0
"""After so long without news a comment is sent: it finds out whether the client is still there."""

_LONGEST_S = 300.0
"""A connection ends after that; the browser opens the next by itself."""

RETRY_MS = 1000
"""How soon a browser tries again."""


class Feed:
    """Sends what `make` returns, to any number of watchers; `watched` is called while there are some."""

    def __init__(
        self,
        make: Callable[[], bytes],
        watched: Callable[[], None],
        serving: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._watched = watched
        self._serving = serving
        self._clock = clock
        self._lock = threading.Lock()
        self._made_at = -_EVERY_S
        self._made = b""

    def newest(self) -> bytes:
        """Return the newest message; it is made anew if it is older than a second."""
        self._watched()
        with self._lock:
            if self._clock() - self._made_at >= _EVERY_S:
                self._made, self._made_at = self._make(), self._clock()
            return self._made

    def events(self, wait: Callable[[float], object] = time.sleep) -> Iterator[bytes]:
        """Yield events until the server ends, or the connection has lasted for five minutes."""
        begun = spoken = self._clock()
        said = b""
        yield b"retry: %d\n\n" % RETRY_MS
        while self._serving() and self._clock() - begun < _LONGEST_S:
            message = self.newest()
            if message != said:
                said, spoken = message, self._clock()
                yield b"data: " + message + b"\n\n"
            elif self._clock() - spoken > _SILENCE_S:
                spoken = self._clock()
                yield b": nothing new\n\n"
            wait(_EVERY_S / 2)
