"""A limit on how fast records are taken, so that a backlog leaves room for what else runs on the machine.

Only time passes between two calls of the worker: which records are learned, and in which order, stays as it
is, and how they were cut stands in the journal as ever.
"""

import time
from collections.abc import Callable

_LONGEST_SLEEP_S = 0.5
"""A rate that is changed takes effect after so long at the latest."""

_LEAST_OWED = 1e-6
"""Records; less is an error of rounding."""


class Pace:
    """Makes records wait for their turn, at most so many a second.

    Records wait for those *before* them: the first after a pause are taken at once, and while records come
    more slowly than the rate, none waits.

    Parameters
    ----------
    rate
        Returns the records a second that are allowed now; 0: no limit. It is asked again while records wait.
    clock, sleep
        Seconds that go on steadily, and what waits for some.

    Examples
    --------
    >>> slept = []
    >>> pace = Pace(lambda: 100, clock=lambda: sum(slept), sleep=slept.append)
    >>> pace.wait_for_turn(50); pace.wait_for_turn(20); slept
    [0.5]
    """

    def __init__(
        self,
        rate: Callable[[], float],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._owed = 0.0  # records that were taken before it was their turn
        self._counted_s = 0.0

    def wait_for_turn(self, count: int) -> None:
        """Return once `count` records may be taken."""
        while (rate := self._rate()) > 0:
            now_s = self._clock()
            self._owed = max(0.0, self._owed - rate * (now_s - self._counted_s))
            self._counted_s = now_s
            if self._owed < _LEAST_OWED:
                self._owed += count
                return
            self._sleep(min(_LONGEST_SLEEP_S, self._owed / rate))
        self._owed = 0.0
