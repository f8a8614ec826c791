"""Show the progress of slow commands: a bar on a terminal, a line every ten seconds elsewhere."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TimeElapsedColumn

_LINE_S = 10.0


class ProgressDisplay:
    """A bar on standard error, shown for the length of a `with`; subclasses fill it.

    Parameters
    ----------
    columns
        What the bar shows, before the time elapsed.
    every_s
        Least seconds between two updates of the bar.
    """

    def __init__(self, *columns: ProgressColumn, every_s: float = 0.2) -> None:
        self.bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
        self._every_s = every_s
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.bar.stop()

    @property
    def live(self) -> bool:
        """Whether the bar is shown: standard error is a terminal."""
        return self.bar.live.is_started

    def due(self, always: bool = False) -> bool:
        """Return whether it is time for an update, or `always`; if so, the time counts from now again."""
        now = time.monotonic()
        if now - self._shown < (self._every_s if self.live else _LINE_S) and not always:
            return False
        self._shown = now
        return True
