"""How commands show that something slow goes on: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TimeElapsedColumn

_LINE_S = 10.0


class ProgressDisplay:
    """A bar of these columns and the time elapsed, on standard error; those who derive from it fill it.

    Parameters
    ----------
    every_s
        Seconds between two looks at the bar; lines come every ten.
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
        """Whether there is a terminal with a bar."""
        return self.bar.live.is_started

    def due(self, always: bool = False) -> bool:
        """Whether it is time to show something again; if so, the time counts from now."""
        now = time.monotonic()
        if now - self._shown < (self._every_s if self.live else _LINE_S) and not always:
            return False
        self._shown = now
        return True
