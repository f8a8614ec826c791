"""TLS and SASL: a whole stack whose broker wants both, and Redis behind TLS."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from conftest import Stack, free_settings
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from streamlearn.broker.broker import Broker
from streamlearn.errors import BrokerUnavailable, StackError, StoreUnavailable
from streamlearn.local import chaos
from streamlearn.local.services import prepare_services
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.waiting import wait_until

# A client of kafka-python that is turned away leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

SECRET = 'a "secret" \\ of the tests'


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An authority, and a certificate of this machine with its key, as PEM files."""
    folder = tmp_path_factory.mktemp("tls")
    ca, cert = folder / "ca.pem", folder / "cert.pem"
    authority.cert_pem.write_to_path(ca)
    own = authority.issue_cert("localhost")
    key = load_pem_private_key(own.private_key_pem.bytes(), None)
    cert.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + b"".join(blob.bytes() for blob in own.cert_chain_pems)
    )
    return {"tls_ca": str(ca), "tls_cert": str(cert)}


@pytest.fixture(scope="module")
def guarded(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = free_settings(
        tmp_path_factory.mktemp("guarded"),
        **{"kafka_security": "SASL_SSL", "kafka_user": "learner", "kafka_password": SECRET, **files},
    )
    stack = Stack(settings)
    process = stack.run("scripts/up", "--detach", "--no-replay", check=False, timeout=600)
    try:
        assert process.returncode == 0, process.stdout + process.stderr
        yield stack
    finally:
        stack.run("scripts/down", check=False)


@pytest.mark.stack
def test_job_producer_and_verify_talk_to_a_broker_with_tls_and_sasl(guarded: Stack) -> None:
    guarded.streamlearn("replay", "digits", "--rate", "0", "--limit", "2000")
    digits = load("digits")
    wait_until(
        lambda: chaos.is_caught_up(guarded.settings, digits), 120, "the digits to be answered", every_s=0.5
    )
    report = json.loads(guarded.streamlearn("verify", "digits", "--json").stdout)
    assert (report["records"], report["different"]) == (2000, 0)
    for log in [*guarded.settings.home.glob("log/*"), *guarded.settings.home.glob("flink/log/*")]:
        assert SECRET not in log.read_text(errors="replace"), log


@pytest.mark.stack
def test_who_has_no_password_or_trust_is_kept_out(guarded: Stack) -> None:
    """All at once: a client tries for ten seconds before it gives up."""
    wrong = [{"kafka_password": "no"}, {"tls_ca": ""}, {"kafka_security": "PLAINTEXT"}]
    with ThreadPoolExecutor() as executor:
        attempts = [
            executor.submit(Broker(replace(guarded.settings, **change)).oldest, "handwritten_digit")  # type: ignore[arg-type]
            for change in wrong
        ]
        refused = [isinstance(attempt.exception(), BrokerUnavailable) for attempt in attempts]
    assert refused == [True, True, True]


@pytest.fixture
def tls_redis(files: dict[str, str], redis_url: str) -> Iterator[int]:
    """Put TLS before the tests' Redis, whose build does not speak it; give the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["tls_cert"])
    listener = socket.create_server(("127.0.0.1", 0))
    redis_address = ("127.0.0.1", urlsplit(redis_url).port or 0)

    def accept() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                inner = context.wrap_socket(plain, server_side=True)
            except (ssl.SSLError, OSError):
                continue
            outer = socket.create_connection(redis_address)
            for source, target in ((inner, outer), (outer, inner)):
                threading.Thread(target=pump, args=(source, target), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    except OSError:
        pass
    target.close()


def test_redis_is_reached_by_tls_if_it_is_trusted(tls_redis: int, files: dict[str, str]) -> None:
    url = f"rediss://localhost:{tls_redis}/0"
    store = Store.of(Settings(redis=url, **files))  # type: ignore[arg-type]
    store.ping()
    store.close()
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        Store.of(Settings(redis=url)).ping()


def test_the_local_stack_says_what_it_cannot_do(tmp_path: Path) -> None:
    for change, reason in (
        ({"kafka_security": "SASL_SSL"}, "TLS_CERT"),
        ({"kafka_security": "SASL_PLAINTEXT", "kafka_sasl": "SCRAM-SHA-256"}, "PLAIN only"),
        ({"redis": "rediss://localhost:6379/0"}, "TLS"),
    ):
        with pytest.raises(StackError, match=reason):
            prepare_services(free_settings(tmp_path, **change), lambda text: None)
