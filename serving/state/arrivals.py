"""Takes up pipelines while the server runs, those that `streamlearn train` tells of, and lets them go.

Each process of the server looks for itself, every second.
"""

import logging
import threading
from collections.abc import Callable

from serving.state.model_cache import ModelCache
from streamlearn.errors import UnknownPipeline
from streamlearn.pipelines.announced import Following, load_announced
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


class Arrivals:
    """Keeps the served pipelines as they are announced; those the server began with stay.

    Parameters
    ----------
    models
        The served pipelines by name; changed in place.
    take_up
        Makes what is served of a pipeline.
    """

    def __init__(
        self,
        settings: Settings,
        models: dict[str, ModelCache],
        take_up: Callable[[Pipeline], ModelCache],
    ) -> None:
        self._models = models
        self._take_up = take_up
        self._following = Following(settings, models)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.look()
        threading.Thread(target=self._look_repeatedly, daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def look(self) -> None:
        """Take up what is new or has been edited, and let go what was taken back."""
        with self._lock:
            self._look()

    def _look(self) -> None:
        new, gone = self._following.look()
        for name, announcement in new.items():
            try:
                pipeline = load_announced(announcement)
            except UnknownPipeline as error:
                _log.warning("%s is not served: %s", name, error)
                continue
            if pipeline.name == name:
                self._drop(name)
                self._models[name] = self._take_up(pipeline)
        for name in gone:
            self._drop(name)

    def _drop(self, name: str) -> None:
        cache = self._models.pop(name, None)
        if cache is not None:
            cache.stop()

    def _look_repeatedly(self) -> None:
        while not self._stopped.wait(_LOOK_EVERY_S):
            try:
                self.look()
            except Exception:
                _log.exception("the announced pipelines cannot be looked up")
