"""One BLAS thread a process: sums that are added in another order are other sums."""

from threadpoolctl import threadpool_limits

ONE_BLAS_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""The environment of processes that learn; `pin_blas_threads` makes sure of it from inside."""


def pin_blas_threads() -> None:
    """Let this process compute with one BLAS thread."""
    threadpool_limits(limits=1)
