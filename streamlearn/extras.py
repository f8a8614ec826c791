"""Packages that only some commands need: what to install where one is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from streamlearn.errors import MissingExtra


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Raise `MissingExtra`, which says what to install, where an import inside finds no package.

    >>> with needing("lags"):
    ...     import no_such_package
    Traceback (most recent call last):
        ...
    streamlearn.errors.MissingExtra: this needs the package no_such_package: pip install 'streamlearn[lags]'
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            f"this needs the package {missing.name}: pip install 'streamlearn[{extra}]'"
        ) from missing
