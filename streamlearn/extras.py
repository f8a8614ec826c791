"""Packages that only some commands need, and what to install where one is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from streamlearn.errors import MissingExtra

_EXTRAS = {
    "flink_jobs": "flink",
    "pyflink": "flink",
    "confluent_kafka": "producer",
    "jax": "lstm",
    "keras": "lstm",
    "kafka": "producer",
    "producer": "producer",
    "jinja2": "report",
    "matplotlib": "report",
    "pandas": "report",
    "pyarrow": "flink",
    "river": "river",
    "statsmodels": "lags",
    "flask": "serving",
    "gunicorn": "serving",
    "prometheus_client": "serving",
    "serving": "serving",
}
"""Package → the smallest extra of `pyproject.toml` that installs it; of the others `local` has most."""


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """Raise `MissingExtra`, which says what to install, where an import inside finds no package.

    >>> with require_extra("lags"):
    ...     import no_such_package
    Traceback (most recent call last):
        ...
    streamlearn.errors.MissingExtra: this needs the package no_such_package: pip install 'streamlearn[lags]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(describe_missing(error, extra)) from error


def describe_missing(error: ModuleNotFoundError, extra: str | None = None) -> str:
    """Return which package an import has not found, and what to install; `extra` names the extra if known.

    >>> describe_missing(ModuleNotFoundError(name="kafka.errors"))
    "this needs the package kafka: pip install 'streamlearn[producer]'"
    """
    package = (error.name or "").partition(".")[0]
    extra = extra or _EXTRAS.get(package, "local")
    return f"this needs the package {package}: pip install 'streamlearn[{extra}]'"
