"""`streamlearn lags --topic`, against the real broker."""

import json
import uuid
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import Stack
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from planted import hours, planted
from reading import send

from streamlearn.cli.main import main


@pytest.fixture
def topic(stack: Stack) -> str:
    """Records in which a leads b by 3 hours, after some that cannot be used."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    make(stack, name, 1)
    rows = zip(hours(400), *planted(3, n=400), strict=True)
    records: list[Any] = [{"ts": t, "a": a, "b": b} for t, a, b in rows]
    records[50]["a"] = None
    del records[60]["b"]
    values: list[bytes | None] = [b"not JSON", b"[1]", None, *(json.dumps(one).encode() for one in records)]
    send(stack.settings.kafka, name, values)
    return name


def make(stack: Stack, name: str, partitions: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=stack.settings.kafka)
    admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1)])
    admin.close()


def lags(stack: Stack, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["lags", *arguments], env=stack.settings.environment())


def test_lags_are_found_in_a_topic(stack: Stack, topic: str) -> None:
    done = lags(stack, "--topic", topic, "--x", "a", "--y", "b", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["source"], found["step"], found["steps"]) == (topic, "1 h", 400)
    assert "3 records are no JSON objects: left out" in found["notes"]
    assert found["pairs"][0]["best_lag"] == 3
    assert found["pairs"][0]["raw"]["n"] == 398
    last = json.loads(lags(stack, "--topic", topic, "--x", "a", "--y", "b", "--last", "200", "--json").stdout)
    assert last["steps"] == 200


def test_a_topic_that_cannot_be_used_is_refused_in_one_line(stack: Stack, topic: str) -> None:
    several = f"{topic}-several"
    make(stack, several, 2)
    columns = ["--x", "a", "--y", "b"]
    for name, more, said in (
        ("no-such-topic", columns, "there is no topic no-such-topic"),
        (several, columns, f"{several} has 2 partitions, and so no order"),
        (topic, ["--x", "a", "--y", "c"], f"topic {topic} has no column 'c'; it has: ts, a, b"),
    ):
        refused = lags(stack, "--topic", name, *more)
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1), refused.output
        assert said in refused.stderr
