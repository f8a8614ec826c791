"""TLS and SASL: a broker that wants both, alone and in a whole stack, and Redis behind TLS."""

import json
import logging
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from stacks import free_settings, running_broker, running_stack

from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.tail import Tail
from streamlearn.cli.main import main
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


def guard(home: Path, files: dict[str, str]) -> Settings:
    """Return the settings of a stack whose broker wants TLS and a password."""
    guarded = {"kafka_security": "SASL_SSL", "kafka_user": "learner", "kafka_password": SECRET}
    return free_settings(home, **guarded, **files)


@pytest.fixture(scope="module")
def broker(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Kafka alone, with TLS and SASL."""
    settings = guard(tmp_path_factory.mktemp("guarded"), files)
    with running_broker(settings):
        yield settings


def test_producer_readers_register_and_journal_talk_tls_and_sasl(broker: Settings) -> None:
    command = ["replay", "digits", "--rate", "0", "--limit", "50"]
    result = CliRunner().invoke(main, command, env=broker.environment())
    assert result.exit_code == 0, result.output
    pipeline = load("digits")
    with Broker(broker) as client:
        stream = KafkaStream(client, pipeline)
        assert [row.offset for row in stream.rows(0, 50)] == list(range(50))
        assert (stream.oldest(), stream.end(), stream.committed()) == (0, 50, None)
        register = LineageRegister(client, pipeline)
        lineage = register.claim()
        assert register.current() == lineage
        answer = {"offset": 7, "model_version": 3, "lineage": lineage.id}
        client.send(pipeline.prediction_topic, json.dumps(answer).encode())
        with stream.journal(lineage.id, 0) as journal:
            entry = journal.take(7, 0)
            assert entry is not None
            assert entry.version == 3
        tail = Tail(client, {pipeline.topic: 5})
        assert [record.offset for record in tail.look().records[pipeline.topic]] == list(range(45, 50))
        tail.close()
    logs = [path.read_text(errors="replace") for path in broker.home.glob("**/*.log")]
    assert logs
    assert not any(SECRET in text for text in [result.output, *logs])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kafka_password": "no"}, "SaslAuthenticationFailed"),
        ({"tls_ca": ""}, "certificate verify failed"),
        ({"kafka_security": "SSL"}, r"Bootstrap connection to \S+ failed|Unable to bootstrap from \S+"),
        ({"kafka_security": "PLAINTEXT"}, r"Bootstrap connection to \S+ failed|Unable to bootstrap from \S+"),
    ],
    ids=["wrong password", "no trust", "no password", "no TLS"],
)
def test_who_has_no_password_or_trust_is_kept_out(
    broker: Settings, caplog: pytest.LogCaptureFixture, change: dict[str, str], reason: str
) -> None:
    """The library tries until the time for a connection is over; only its log tells why that was in vain."""
    caplog.set_level(logging.WARNING, logger="kafka")

    def is_told_why() -> bool:
        with (
            Broker(replace(broker, **change), connect_ms=2500) as client,  # type: ignore[arg-type]
            pytest.raises(BrokerUnavailable) as refusal,
        ):
            client.oldest("handwritten_digit")
        return re.search(reason, f"{refusal.value}\n{caplog.text}") is not None

    # A broker that has just been started may close its first connections without a word.
    wait_until(is_told_why, 60, f"the reason {reason}")


@pytest.mark.release
def test_job_producer_and_verify_talk_to_a_broker_with_tls_and_sasl(
    files: dict[str, str], tmp_path: Path
) -> None:
    with running_stack(guard(tmp_path, files)) as guarded:
        guarded.streamlearn("replay", "digits", "--rate", "0", "--limit", "2000")
        digits = load("digits")
        wait_until(
            lambda: chaos.is_caught_up(guarded.settings, digits),
            120,
            "the digits to be answered",
            every_s=0.5,
        )
        report = json.loads(guarded.streamlearn("verify", "digits", "--json").stdout)
        assert (report["records"], report["different"]) == (2000, 0)
        logs = [*guarded.settings.home.glob("log/*"), *guarded.settings.home.glob("flink/log/*")]
        assert logs
        for log in logs:
            assert SECRET not in log.read_text(errors="replace"), log


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
