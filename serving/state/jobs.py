"""The state of the pipelines' jobs in Flink, polled in the background while somebody wants to know."""

import threading
import time
from collections.abc import Collection

from streamlearn.errors import StreamlearnError
from streamlearn.operations.job_state import describe_trouble
from streamlearn.settings import Settings

_POLL_EVERY_S = 5.0
_FIRST_WAIT_S = 1.0
"""How long the first question waits for the first answer."""
_IDLE_S = 120.0
"""How long polling goes on after the last question."""


class JobMonitor:
    """Knows why each pipeline's job does not learn. Thread-safe.

    Parameters
    ----------
    names
        The pipelines; they may come and go.
    """

    def __init__(self, settings: Settings, names: Collection[str]) -> None:
        self._settings = settings
        self._names = names
        self._troubles: dict[str, str] = {}
        self._until = 0.0
        self._lock = threading.Lock()
        self._polls = False
        self._polled = threading.Event()
        self._stopped = threading.Event()

    def list_troubles(self) -> dict[str, str]:
        """Return why each job that does not learn does not, in a sentence, by the pipeline's name.

        What is returned is at most some seconds old; Flink may take its time to answer, the caller need not.
        """
        self._until = time.monotonic() + _IDLE_S
        with self._lock:
            if not self._polls:
                self._polls = True
                self._polled.clear()
                threading.Thread(target=self._poll_repeatedly, daemon=True).start()
        self._polled.wait(_FIRST_WAIT_S)
        return self._troubles

    def stop(self) -> None:
        """End polling for good."""
        self._stopped.set()

    def _poll_repeatedly(self) -> None:
        try:
            while time.monotonic() < self._until and not self._stopped.is_set():
                described = {name: self._describe(name) for name in sorted(self._names)}
                self._troubles = {name: trouble for name, trouble in described.items() if trouble}
                self._polled.set()
                self._stopped.wait(_POLL_EVERY_S)
        finally:
            with self._lock:
                self._polls = False

    def _describe(self, name: str) -> str | None:
        try:
            trouble = describe_trouble(self._settings, name)
        except StreamlearnError as error:
            return str(error)
        return trouble.reason if trouble else None
