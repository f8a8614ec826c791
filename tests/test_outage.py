"""A broker that dies, hangs and comes back, as those see it who talk to it."""

import signal
import threading
import uuid
from collections.abc import Iterator

import pytest
from reading import create_topic, open_transaction, send
from stacks import Kafka, free_port, free_settings, running_broker

from streamlearn.broker.broker import Broker
from streamlearn.broker.tail import Tail
from streamlearn.errors import BrokerUnavailable
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until

# A client of kafka-python whose broker dies leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with running_broker(free_settings(tmp_path_factory.mktemp("kafka"))) as kafka:
        yield kafka


@pytest.fixture
def broker(kafka: Kafka) -> Iterator[Settings]:
    """The settings of a broker that others do not use; it runs again when the test ends."""
    yield kafka.settings
    kafka.signal(signal.SIGCONT)
    if not kafka.runs:
        kafka.start()


@pytest.fixture
def topic(broker: Settings) -> str:
    return create_topic(broker.kafka, f"test-{uuid.uuid4().hex[:8]}")


def read_values(client: Broker, topic: str) -> list[bytes]:
    return [record.value for record in client.read(topic)]


def test_a_restart_between_two_questions_goes_unnoticed(kafka: Kafka, broker: Settings, topic: str) -> None:
    """What was acknowledged is there; what a dead producer left open never is."""
    with Broker(broker) as client:
        client.send(topic, b"acknowledged")
        with open_transaction(broker.kafka, topic, [b"left open"]):
            assert (client.stable_end(topic), topic in client.topics()) == (1, True)
            kafka.kill()
        kafka.start()
        assert topic in client.topics()
        assert client.stable_end(topic) == 1
        assert read_values(client, topic) == [b"acknowledged"]
        # Its successor, by the same name, takes the transaction back.
        with open_transaction(broker.kafka, topic, [b"again"]) as successor:
            successor.commit_transaction()
        wait_until(lambda: client.stable_end(topic) > 1, 30, "the transaction to be decided")
        assert read_values(client, topic) == [b"acknowledged", b"again"]


def test_a_broker_that_is_gone_is_named_until_it_is_back(kafka: Kafka, broker: Settings, topic: str) -> None:
    send(broker.kafka, topic, [b"1", b"2"])
    with Broker(broker, connect_ms=1000) as client:
        client.ping()
        tail = Tail(client, {topic: 5})
        assert len(tail.look().records[topic]) == 2
        kafka.kill()
        named = rf"Kafka at {broker.kafka} does not answer \(.+\); is it running"
        for question in (client.ping, lambda: client.oldest(topic), lambda: client.send(topic, b"lost")):
            with pytest.raises(BrokerUnavailable, match=named):
                question()
        with pytest.raises(BrokerUnavailable, match=named):
            tail.look()
        with pytest.raises(BrokerUnavailable, match=named):
            Tail(client, {topic: 5})
        tail.close()
        kafka.start()
        assert (client.oldest(topic), client.stable_end(topic)) == (0, 2)
        assert client.send(topic, b"3") == 2
        tail = Tail(client, {topic: 5})
        assert [record.value for record in tail.look().records[topic]] == [b"1", b"2", b"3"]
        tail.close()


def test_a_reader_of_many_names_a_broker_that_is_gone_and_reads_on_when_it_is_back(
    kafka: Kafka, broker: Settings, topic: str
) -> None:
    send(broker.kafka, topic, [b"1", b"2"])
    with Broker(broker, connect_ms=1000) as client, client.bulk_reader(topic, 0) as reader:
        wait_until(lambda: reader.poll(1) == [(0, b"1")], 30, "the first record")
        wait_until(lambda: reader.poll(1) == [(1, b"2")], 30, "the second record")
        kafka.kill()
        with pytest.raises(BrokerUnavailable, match=rf"Kafka at {broker.kafka} does not answer"):
            reader.poll(1)
        with pytest.raises(BrokerUnavailable, match="does not answer"), client.bulk_writer(1000):
            pass
        kafka.start()
        send(broker.kafka, topic, [b"3"])
        wait_until(lambda: reader.poll(1) == [(2, b"3")], 60, "the third record")


def test_a_broker_that_hangs_is_named_until_it_goes_on(kafka: Kafka, broker: Settings, topic: str) -> None:
    with Broker(broker, connect_ms=1000) as client:
        assert client.stable_end(topic) == 0
        kafka.signal(signal.SIGSTOP)
        for question in (client.ping, lambda: client.stable_end(topic)):
            with pytest.raises(BrokerUnavailable, match="does not answer"):
                question()
        kafka.signal(signal.SIGCONT)
    with Broker(broker) as client:
        assert client.stable_end(topic) == 0


def test_what_is_sent_over_a_restart_arrives_once_and_in_order(
    kafka: Kafka, broker: Settings, topic: str
) -> None:
    values = [str(number).encode() for number in range(3000)]
    with Broker(broker) as client:
        with client.producer(linger_ms=5) as producer:
            futures = [producer.send(topic, value=value, partition=0) for value in values[:1000]]
            producer.flush()
            futures += [producer.send(topic, value=value, partition=0) for value in values[1000:2000]]
            kafka.kill()
            futures += [producer.send(topic, value=value, partition=0) for value in values[2000:]]
            kafka.start()
            producer.flush()
            assert [future.get(timeout=0).offset for future in futures] == list(range(3000))
        assert read_values(client, topic) == values


def test_no_thread_stays_behind_where_there_is_no_broker() -> None:
    """A server asks again and again while a broker is away, for hours."""
    settings = Settings(kafka=f"localhost:{free_port()}")
    before = set(threading.enumerate())
    with Broker(settings, connect_ms=100) as client:
        for question in (
            lambda: client.stable_end("topic"),
            lambda: client.ask_admin(lambda admin: admin.list_topics()),
            lambda: client.send("topic", b"lost"),
        ):
            with pytest.raises(BrokerUnavailable):
                question()
    assert set(threading.enumerate()) <= before
