"""Wait for a condition, with a deadline and a name for what you wait for."""

import time
from collections.abc import Callable

from streamlearn.errors import StackError


def wait_until(
    condition: Callable[[], object],
    timeout_s: float,
    what: str,
    *,
    every_s: float = 0.2,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Return once `condition()` is true.

    Parameters
    ----------
    what
        What is waited for, as the error names it.
    every_s
        Seconds between two calls of `condition`.

    Raises
    ------
    StackError
        The condition is not true within `timeout_s` seconds.

    >>> wait_until(lambda: True, 1, "nothing at all")
    >>> wait_until(lambda: False, 0, "the impossible")
    Traceback (most recent call last):
        ...
    streamlearn.errors.StackError: waited 0 s in vain for the impossible
    """
    deadline = clock() + timeout_s
    while not condition():
        if clock() >= deadline:
            raise StackError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(every_s)
