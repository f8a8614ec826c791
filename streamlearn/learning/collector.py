"""Python's garbage collector in processes that learn: it looks through what is new, and seldom."""

import gc

_NEW_OBJECTS = 20_000


def relieve_collector() -> None:
    """Let the collector leave alone what this process holds by now, and look at new objects seldom.

    Call it once everything is imported: modules hold hundreds of thousands of objects, which never become
    garbage. Records, answers and arrays are freed without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
