"""Keeps an answer fresh in the background while somebody asks for it: nobody waits for what is slow."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Poller(Generic[T]):
    """Asks again and again, from the first question until some time after the last. Thread-safe.

    Parameters
    ----------
    ask
        Returns a new answer; it may take its time, and raises nothing.
    empty
        The answer while there is none.
    every_s
        Seconds between two questions.
    first_wait_s
        The most seconds that a caller waits for the first answer.
    idle_s
        Seconds for which polling goes on after the last caller.
    close
        Called when polling ends: it may begin again.
    """

    def __init__(
        self,
        ask: Callable[[], T],
        empty: T,
        *,
        every_s: float,
        first_wait_s: float,
        idle_s: float,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._ask = ask
        self._answer = self._empty = empty
        self._every_s = every_s
        self._first_wait_s = first_wait_s
        self._idle_s = idle_s
        self._close = close
        self._until = 0.0
        self._lock = threading.Lock()
        self._polls = False
        self._polled = threading.Event()
        self._stopped = threading.Event()

    def get(self) -> T:
        """Return the newest answer, which is at most some seconds old."""
        if self._stopped.is_set():
            return self._empty
        self._until = time.monotonic() + self._idle_s
        with self._lock:
            if not self._polls:
                self._polls = True
                self._polled.clear()
                threading.Thread(target=self._poll, daemon=True).start()
        self.wait(self._first_wait_s)
        return self._answer

    @property
    def polls(self) -> bool:
        """Whether it asks again and again at the moment."""
        return self._polls

    def wait(self, timeout_s: float) -> None:
        """Return once there has been an answer since polling began, or after a while."""
        self._polled.wait(timeout_s)

    def stop(self) -> None:
        """End polling for good; from now on there is no answer."""
        self._stopped.set()

    def _poll(self) -> None:
        try:
            while time.monotonic() < self._until and not self._stopped.is_set():
                self._answer = self._ask()
                self._polled.set()
                self._stopped.wait(self._every_s)
        finally:
            self._close()
            with self._lock:
                self._polls = False
