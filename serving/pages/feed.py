"""Messages as server-sent events: made at most once a second for all watchers, sent when they change.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import threading
import time
from collections.abc import Callable, Iterator

_MAKE_EVERY_S = 1.0
_SILENCE_S = 10.0
"""After this long without a new message a comment is sent: it shows whether the client is still there."""

_LONGEST_S = 300.0
"""A connection is closed after this long; the browser opens the next one by itself."""

RETRY_MS = 1000
"""How long a browser waits before it connects again."""


class Feed:
    """Sends the newest message of one pipeline to any number of watchers. Thread-safe.

    Parameters
    ----------
    make_message
        Makes the message, as JSON; called at most once a second, by one thread at a time.
    keep_polling
        Called whenever somebody watches, so that what messages are made from is kept up to date.
    serving
        Whether the server goes on; events end when it does not.
    clock
        Seconds that never run backward.
    """

    def __init__(
        self,
        make_message: Callable[[], bytes],
        keep_polling: Callable[[], None],
        serving: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_message = make_message
        self._keep_polling = keep_polling
        self._serving = serving
        self._clock = clock
        self._lock = threading.Lock()
        self._made_at = -_MAKE_EVERY_S
        self._message = b""

    def get_message(self) -> bytes:
        """Return the newest message; make a new one if it is more than a second old."""
        self._keep_polling()
        with self._lock:
            if self._clock() - self._made_at >= _MAKE_EVERY_S:
                self._message, self._made_at = self._make_message(), self._clock()
            return self._message

    def stream_events(self, wait: Callable[[float], object] = time.sleep) -> Iterator[bytes]:
        """Yield events until the server ends, or the connection has lasted for five minutes."""
        start = last_sent_at = self._clock()
        last_message = b""
        yield b"retry: %d\n\n" % RETRY_MS
        while self._serving() and self._clock() - start < _LONGEST_S:
            message = self.get_message()
            if message != last_message:
                last_message, last_sent_at = message, self._clock()
                yield b"data: " + message + b"\n\n"
            elif self._clock() - last_sent_at > _SILENCE_S:
                last_sent_at = self._clock()
                yield b": nothing new\n\n"
            wait(_MAKE_EVERY_S / 2)
