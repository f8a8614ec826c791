"""How a process that learns is set up: one BLAS thread, and a garbage collector that seldom looks."""

import gc

from threadpoolctl import threadpool_limits

_NEW_OBJECTS = 20_000


def pin_blas_threads() -> None:
    """Let this process compute with one BLAS thread: sums that are added in another order are other sums."""
    threadpool_limits(limits=1)


def relieve_collector() -> None:
    """Let the collector leave alone what this process holds by now, and look at new objects seldom.

    Call it once everything is imported: modules hold hundreds of thousands of objects, which never become
    garbage. Records, answers and arrays are freed without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
