"""The connection to Redis: settings → client, in our own errors. The only module that imports its library."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streamlearn.errors import Fenced, StoreEmptied, StoreUnavailable

T = TypeVar("T")

FAILURES = (redis.RedisError, OSError)
"""What the client raises when Redis does not answer."""

_RETRY_S = 0.5


def tls_options(url: str, ca: str, cert: str) -> dict[str, str]:
    """Return the library's options for TLS.

    For a URL with `rediss://`, `ca` names a PEM file of trusted authorities (empty: the system's) and `cert`
    one with the client's own certificate and key, if it is asked for one.
    """
    files = {"ssl_ca_certs": ca, "ssl_certfile": cert, "ssl_keyfile": cert}
    return {name: file for name, file in files.items() if file} if url.startswith("rediss") else {}


def connect(url: str, ca: str = "", cert: str = "", timeout_s: float = 5.0) -> Any:
    """Return a client; it connects when it is first used."""
    return redis.Redis.from_url(
        url,
        **tls_options(url, ca, cert),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


def retry(call: Callable[[], T], wait_s: float, *, clock: Callable[[], float] = time.monotonic) -> T:
    """Call until Redis answers, with pauses, for at most `wait_s` seconds; return what `call` returns."""
    deadline = clock() + wait_s
    while True:
        try:
            return call()
        except StoreUnavailable:
            if clock() >= deadline:
                raise
            time.sleep(_RETRY_S)


@contextmanager
def map_exceptions() -> Iterator[None]:
    """Raise our own errors for what the client raises inside."""
    try:
        yield
    except redis.ResponseError as error:
        if "FENCED" in str(error):
            raise Fenced("a newer writer has taken over this pipeline") from error
        if "EMPTIED" in str(error):
            raise StoreEmptied("Redis has lost what it held of this pipeline") from error
        raise StoreUnavailable(f"Redis refused: {error}") from error
    except redis.AuthenticationError as error:
        raise StoreUnavailable(
            f"Redis wants a password ({error}): the one in STREAMLEARN_REDIS, or in the file secrets.env of"
            " STREAMLEARN_HOME"
        ) from error
    except FAILURES as error:
        raise StoreUnavailable(f"Redis does not answer: {error}") from error
