"""`streamlearn lags --topic`, against the real broker."""

import json
import uuid
from typing import Any

import pytest
from click.testing import CliRunner, Result
from planted import list_times, plant_lag
from reading import create_topic, send

from streamlearn.cli.main import main
from streamlearn.settings import Settings


@pytest.fixture
def topic(broker: Settings) -> str:
    """Records in which a leads b by 3 hours, after some that cannot be used."""
    name = create_topic(broker.kafka, f"test-{uuid.uuid4().hex[:8]}")
    rows = zip(list_times(400), *plant_lag(3, n=400), strict=True)
    records: list[Any] = [{"ts": t, "a": a, "b": b} for t, a, b in rows]
    records[50]["a"] = None
    del records[60]["b"]
    values: list[bytes | None] = [
        b"not JSON",
        b"[1]",
        None,
        *(json.dumps(record).encode() for record in records),
    ]
    send(broker.kafka, name, values)
    return name


def run_lags(broker: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["lags", *arguments], env=broker.environment())


def test_lags_are_found_in_a_topic(broker: Settings, topic: str) -> None:
    arguments = ["--topic", topic, "--x", "a", "--y", "b", "--json"]
    result = run_lags(broker, *arguments)
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert (output["source"], output["step"], output["steps"]) == (topic, "1 h", 400)
    assert "3 records are no JSON objects: left out" in output["notes"]
    assert output["pairs"][0]["best_lag"] == 3
    assert output["pairs"][0]["raw"]["n"] == 398
    assert json.loads(run_lags(broker, *arguments, "--last", "200").stdout)["steps"] == 200


def test_a_topic_that_cannot_be_used_is_refused_in_one_line(broker: Settings, topic: str) -> None:
    large = create_topic(broker.kafka, f"{topic}-large")
    send(broker.kafka, large, [b'{"a": 1, "b": 2}', b'{"a": ' + b"9" * 400 + b', "b": 2}'])
    several = create_topic(broker.kafka, f"{topic}-several", 2)
    columns = ["--x", "a", "--y", "b"]
    for name, options, message in (
        ("no-such-topic", columns, "there is no topic no-such-topic"),
        (several, columns, f"{several} has 2 partitions, and so no order"),
        (large, columns, f"offset 1 of topic {large}: a is 9999"),
        (topic, ["--x", "a", "--y", "c"], f"topic {topic} has no column 'c'; it has: ts, a, b"),
    ):
        result = run_lags(broker, "--topic", name, *options)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
        assert message in result.stderr
