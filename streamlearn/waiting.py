"""Wait for a condition, with a deadline and a name for what you wait for."""

import time
from collections.abc import Callable
from typing import TypeVar

from streamlearn.errors import StackError

Value = TypeVar("Value")


def wait_until(
    condition: Callable[[], Value],
    timeout_s: float,
    what: str,
    *,
    every_s: float = 0.2,
    clock: Callable[[], float] = time.monotonic,
) -> Value:
    """Call `condition` until what it returns is true, and return that.

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

    >>> wait_until(lambda: 5, 1, "nothing at all")
    5
    >>> wait_until(lambda: False, 0, "the impossible")
    Traceback (most recent call last):
        ...
    streamlearn.errors.StackError: waited 0 s in vain for the impossible
    """
    deadline = clock() + timeout_s
    while not (value := condition()):
        if clock() >= deadline:
            raise StackError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(every_s)
    return value
