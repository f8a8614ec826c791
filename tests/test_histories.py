"""Topics from which lineages begin: in the catalogue, and deleted where none needs them any more."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import pytest
from click.testing import CliRunner, Result
from helpers import append

from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister, list_open_lineages
from streamlearn.broker.topics import create_history_topic, delete_topic, ensure_topics, list_history_topics
from streamlearn.cli.main import main
from streamlearn.datasets import digits
from streamlearn.errors import LineageError
from streamlearn.operations.history.backfill import begin_lineage, learn_history
from streamlearn.pipelines import digits as digits_pipeline
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.records import encode
from streamlearn.waiting import wait_until
from streamlearn.warehouse.histories import inspect_histories

Call = Callable[..., Result]


@pytest.fixture
def own() -> Pipeline:
    name = f"test-{uuid.uuid4().hex[:8]}"
    return replace(digits_pipeline.pipeline, name=name, topic=name, prediction_topic=f"{name}-predictions")


@pytest.fixture
def client(broker: Settings, own: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    for module in ("pipelines.announced.load_all", "warehouse.histories.load_known"):
        monkeypatch.setattr(f"streamlearn.{module}", lambda settings: [own])
    with Broker(broker) as client:
        ensure_topics(client, own)
        yield client


@pytest.fixture
def call(client: Broker, broker: Settings) -> Call:
    def invoke(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(main, ["topics", *arguments], env=broker.environment(), input=typed)

    return invoke


def write(client: Broker, own: Pipeline, kind: str) -> str:
    """Write a history, or a copy, of a few digits."""
    topic = create_history_topic(client, own, 1, kind)  # type: ignore[arg-type]
    append(client, [(topic, encode(record), 0) for record in islice(digits.records(), 30)])
    return topic


def wait_for(client: Broker, own: Pipeline, topics: list[str]) -> None:
    """Wait until there are these topics of the pipeline: Kafka deletes in its own time."""
    wait_until(lambda: list_history_topics(client, own) == topics, 30, "a topic to be deleted", every_s=0.05)


def test_they_are_in_the_catalogue_as_they_are_made(client: Broker, own: Pipeline, call: Call) -> None:
    topics = [write(client, own, kind) for kind in ("history", "repair")]
    assert list_history_topics(client, own) == topics
    listed = call("list").output
    for topic, owner in zip(topics, ("streamlearn backfill", "streamlearn repair"), strict=True):
        (line,) = (line for line in listed.splitlines() if topic in line)
        assert (line.split()[1], line.endswith(owner)) == ("30", True)
        shown = call("show", topic).output
        assert "ARRAY<DOUBLE>" in shown
        assert "for ever, cleanup.policy=delete" in shown
    checked = call("check")
    assert checked.exit_code == 0, checked.output


def test_they_are_tables_of_sql(
    client: Broker, own: Pipeline, broker: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = [write(client, own, kind) for kind in ("history", "repair")]
    scripts: list[str] = []
    monkeypatch.setattr("flink_jobs.submit.check_configured", lambda settings: None)
    monkeypatch.setattr(
        "flink_jobs.sql.client.run_script", lambda settings, script, **options: scripts.append(script)
    )
    done = CliRunner().invoke(main, ["sql", "-e", "SELECT 1"], env=broker.environment())
    assert done.exit_code == 0, done.output
    for topic in topics:
        (table,) = (text for text in scripts[0].split(";") if f"CREATE TABLE `{topic}`" in text)
        assert "`x` ARRAY<DOUBLE>" in table


def test_one_that_a_lineage_begins_from_is_kept_until_that_has_ended(
    client: Broker, own: Pipeline, call: Call
) -> None:
    topic, other = write(client, own, "history"), write(client, own, "repair")
    lineage = begin_lineage(client, own, learn_history(client, own, topic, 1), fresh=False)
    assert lineage.id in {open_.id for open_ in list_open_lineages(client)}
    assert {entry.state.name: entry.needed_by for entry in inspect_histories(client)} == {
        topic: f"lineage {lineage.id} of {own.name} begins from it",
        other: "",
    }
    refused = call("prune", other, topic, "--yes")
    assert refused.exit_code == 1
    assert f"{topic} cannot be deleted: lineage {lineage.id} of {own.name} begins from it" in refused.output
    # Both are recent, so nothing is chosen by itself.
    left = call("prune")
    assert left.output.splitlines() == [
        f"{topic} is kept: lineage {lineage.id} of {own.name} begins from it",
        f"{other} is kept: it was written just now",
        "there is nothing to delete",
    ]
    assert list_history_topics(client, own) == [topic, other]
    LineageRegister(client, own).end()
    assert call("prune", topic, "--yes").exit_code == 0
    wait_for(client, own, [other])


def test_what_would_be_deleted_is_said_before(
    client: Broker, own: Pipeline, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = write(client, own, "repair")
    monkeypatch.setattr("streamlearn.warehouse.histories._RECENT_S", -1e9)
    asked = call("prune", typed="n\n")
    assert asked.exit_code == 1
    assert f"{topic}: 30 records, " in asked.output
    assert "Delete 1 topics, " in asked.output
    assert list_history_topics(client, own) == [topic]
    assert "1 topics deleted" in call("prune", typed="y\n").output
    wait_for(client, own, [])


def test_a_topic_of_another_kind_is_not_deleted(client: Broker, own: Pipeline, call: Call) -> None:
    refused = call("prune", own.topic, "--yes")
    assert refused.exit_code == 1
    assert f"{own.topic} is no topic of a history or a repair; there are: none" in refused.output
    assert own.topic in client.topics()


def test_a_lineage_does_not_begin_from_a_topic_that_was_deleted(client: Broker, own: Pipeline) -> None:
    topic = write(client, own, "history")
    history = learn_history(client, own, topic, 1)
    delete_topic(client, topic)
    wait_for(client, own, [])
    with pytest.raises(LineageError, match="was deleted meanwhile"):
        begin_lineage(client, own, history, fresh=False)
    assert LineageRegister(client, own).current() is None
