"""Settings → Kafka clients. What the client library raises becomes `BrokerUnavailable`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from streamlearn.errors import BrokerUnavailable
from streamlearn.settings import Settings

_CONNECT_MS = 10_000

# The library warns at every failed connection; we say once what is wrong, in one sentence.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


@contextmanager
def talking_to(settings: Settings) -> Iterator[None]:
    """Raise `BrokerUnavailable` for what the client library raises inside."""
    try:
        yield
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(
            f"Kafka at {settings.kafka} does not answer ({error or type(error).__name__});"
            " is it running? `streamlearn status` tells"
        ) from error


def security(settings: Settings) -> dict[str, Any]:
    """Return the client's options for TLS and SASL."""
    options: dict[str, Any] = {"security_protocol": settings.kafka_security}
    if settings.kafka_security.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.kafka_sasl,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password,
        }
    if settings.kafka_security.endswith("SSL"):
        options |= {"ssl_cafile": settings.tls_ca or None, "ssl_certfile": settings.tls_cert or None}
    return options


@contextmanager
def admin(settings: Settings, *, connect_ms: int = _CONNECT_MS) -> Iterator[KafkaAdminClient]:
    """Open an admin client for the length of a `with`."""
    with talking_to(settings):
        client = KafkaAdminClient(
            bootstrap_servers=settings.kafka,
            bootstrap_timeout_ms=connect_ms,
            request_timeout_ms=connect_ms,
            **security(settings),
        )
        try:
            yield client
        finally:
            client.close()


@contextmanager
def consumer(settings: Settings, *, connect_ms: int = _CONNECT_MS, **options: Any) -> Iterator[KafkaConsumer]:
    """Open a consumer that sees committed records only, for the length of a `with`."""
    with talking_to(settings):
        client = KafkaConsumer(
            bootstrap_servers=settings.kafka,
            bootstrap_timeout_ms=connect_ms,
            isolation_level="read_committed",
            enable_auto_commit=False,
            # An offset that Kafka no longer holds is an error, not a reason to read somewhere else.
            auto_offset_reset="none",
            **security(settings),
            **options,
        )
        try:
            yield client
        finally:
            client.close(autocommit=False)


@contextmanager
def producer(settings: Settings, *, connect_ms: int = _CONNECT_MS, **options: Any) -> Iterator[KafkaProducer]:
    """Open an idempotent producer whose writes are acknowledged by every replica, flushed at the end."""
    with talking_to(settings):
        client = KafkaProducer(
            bootstrap_servers=settings.kafka,
            bootstrap_timeout_ms=connect_ms,
            acks="all",
            enable_idempotence=True,
            **security(settings),
            **options,
        )
        try:
            yield client
        finally:
            client.close(timeout=_CONNECT_MS / 1000)
