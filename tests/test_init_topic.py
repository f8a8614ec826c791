"""`streamlearn init --from TOPIC`, against the real broker."""

import json
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaProducer
from reading import create_topic, open_transaction, send

from streamlearn.cli.main import main
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings

AVRO = b"\x00\x00\x00\x00\x07\x02\x0ename"


@pytest.fixture
def topic(broker: Settings) -> str:
    """Records of somebody else's, some of which are no JSON objects, and some taken back."""
    name = create_topic(broker.kafka, f"test.{uuid.uuid4().hex[:8]}")
    rows = [{"amount": n % 40 + 0.5, "country": "dfi"[n % 3], "fraud": n % 40 > 30} for n in range(200)]
    send(broker.kafka, name, [AVRO, b"not JSON", None, *(json.dumps(row).encode() for row in rows)])
    with open_transaction(broker.kafka, name, [b'{"other": 1}']) as producer:
        producer.abort_transaction()
    return name


def invoke(broker: Settings, *words: str) -> Result:
    return CliRunner().invoke(main, list(words), env=broker.environment())


def test_a_pipeline_is_drafted_from_a_topic_and_tried_on_it(
    broker: Settings, topic: str, folder: Path
) -> None:
    done = invoke(broker, "init", "payments", "--from", topic, "--label", "fraud")
    assert done.exit_code == 0, done.output
    assert f"offset 0 of {topic} cannot be read: " in done.stderr
    assert "what a schema registry's serializer writes" in done.stderr.splitlines()[0]
    assert f"offset 2 of {topic} cannot be read: the value is null" in done.stderr
    assert "3 such records are in all" in done.stderr
    assert "one of 2 classes, from 200 rows; 3 rows cannot be read" in done.stdout
    assert [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")] == [
        "streamlearn check payments",
        "streamlearn train payments",
    ]
    assert load("payments").topic == topic
    done = invoke(broker, "check", "payments", "--limit", "200")
    assert "✓ it learns" in done.output


def test_a_pipeline_is_drafted_from_all_partitions_of_a_topic(
    broker: Settings, topic: str, folder: Path
) -> None:
    several = create_topic(broker.kafka, f"{topic}.dealt", 2)
    producer = KafkaProducer(bootstrap_servers=broker.kafka)
    for number in range(40):
        value = b'{"size": %d, "kind": "%s"}' % (number, b"ab"[number % 2 : number % 2 + 1])
        producer.send(several, value=value, partition=number % 2)
    producer.send(several, value=b"?", partition=1)
    producer.close(timeout=10)
    done = invoke(broker, "init", "dealt", "--from", several, "--label", "kind")
    assert f"offset 20 of partition 1 of {several} cannot be read: " in done.stderr
    assert "one of 2 classes, from 40 rows" in done.stdout


def test_a_topic_that_cannot_be_drafted_from_is_refused(broker: Settings, topic: str, folder: Path) -> None:
    empty = create_topic(broker.kafka, f"{topic}.empty")
    avro = create_topic(broker.kafka, f"{topic}.avro")
    send(broker.kafka, avro, [AVRO, AVRO])
    several = create_topic(broker.kafka, f"{topic}.several", 2)
    for name, label, message in (
        (empty, "y", f"{empty} cannot be learned from as it is: it is empty"),
        (avro, "y", "none of its records can be read: offset 0: "),
        (several, "y", f"{several} cannot be learned from as it is: it is empty"),
        (f"{topic}.none", "y", f"there is no topic {topic}.none"),
        (topic, "colour", "has no column 'colour'; it has: amount, country, fraud"),
    ):
        done = invoke(broker, "init", "nothing", "--from", name, "--label", label)
        assert done.exit_code == 1, done.output
        assert message in done.stderr
    done = invoke(
        broker, "init", "nothing", "--from", several, "--label", "y", "--task", "forecast", "--time", "t"
    )
    assert f"{several} has 2 partitions, and so no order" in done.stderr
    assert not (folder / "nothing.py").exists()
