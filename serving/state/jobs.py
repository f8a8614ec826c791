"""The state of the pipelines' jobs in Flink, polled in the background while somebody wants to know."""

from collections.abc import Collection

from serving.state.poller import Poller
from streamlearn.errors import StreamlearnError
from streamlearn.operations.job_state import describe_trouble
from streamlearn.settings import Settings


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
        self._poller: Poller[dict[str, str]] = Poller(
            self._describe_all, {}, every_s=5.0, first_wait_s=1.0, idle_s=120.0
        )

    def list_troubles(self) -> dict[str, str]:
        """Return why each job that does not learn does not, in a sentence, by the pipeline's name."""
        return self._poller.get()

    def stop(self) -> None:
        """End polling for good; from now on nothing is known."""
        self._poller.stop()

    def _describe_all(self) -> dict[str, str]:
        described = {name: self._describe(name) for name in sorted(self._names)}
        return {name: trouble for name, trouble in described.items() if trouble}

    def _describe(self, name: str) -> str | None:
        try:
            trouble = describe_trouble(self._settings, name)
        except StreamlearnError as error:
            return str(error)
        return trouble.reason if trouble else None
