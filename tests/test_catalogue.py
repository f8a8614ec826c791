"""The catalogue of topics: true to the pipelines' records, and beside the real broker."""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from reading import commit_offset, create_topic, send
from sklearn.linear_model import SGDRegressor
from stacks import ROOT

from streamlearn.broker.broker import Broker
from streamlearn.broker.description import describe_topics
from streamlearn.broker.topics import ensure_topics
from streamlearn.cli.main import main
from streamlearn.errors import ConfigurationError, FileError, NothingToCompare
from streamlearn.learning.tabular import Tabular
from streamlearn.pipelines import digits, pm25, stations
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.warehouse.catalogue import FOLDER, LAYERS, Topic, find_topic, load_catalogue, read_layer
from streamlearn.warehouse.derived import derive_topics
from streamlearn.warehouse.inspection import compare_topics, inspect_topics

Call = Callable[..., Result]

BUILT_IN = (digits.pipeline, pm25.pipeline)


class Flat(msgspec.Struct):
    rooms: int
    area: float | None
    kinds: list[str]
    price: int | float | None = None
    by: dict[str, list[bool]] = {}


@pytest.mark.parametrize("pipeline", BUILT_IN, ids=lambda pipeline: pipeline.name)
def test_the_catalogue_lists_the_fields_that_records_and_predictions_have(pipeline: Pipeline) -> None:
    catalogue = load_catalogue([pipeline])
    for derived in derive_topics(pipeline):
        listed = find_topic(catalogue, derived.name)
        columns = {column.name: column.type for column in listed.columns}
        assert columns == {column.name: column.type for column in derived.columns}
        assert listed.description != derived.description


def test_the_catalogue_lists_the_fields_of_dead_letters() -> None:
    from streamlearn.stream.records import DeadLetter

    columns = {column.name for column in find_topic(load_catalogue(BUILT_IN), "pm25.dead_letter").columns}
    assert columns == {field.encode_name for field in msgspec.structs.fields(DeadLetter)}


def test_every_topic_is_in_a_layer_and_says_who_writes_it() -> None:
    catalogue = load_catalogue(BUILT_IN)
    assert {topic.layer for topic in catalogue} <= set(LAYERS)
    assert all(
        topic.owner and topic.description and topic.columns and topic.retention_ms for topic in catalogue
    )
    assert not any("<" in topic.name + topic.owner for topic in catalogue)
    names = [topic.name for topic in catalogue]
    assert len(names) == len(set(names))


def test_topics_of_ones_own_pipeline_follow_from_its_record_type() -> None:
    learning = Tabular(
        features=lambda records: np.zeros((len(records), 1)), label="price", estimator=SGDRegressor
    )
    pipeline = Pipeline("flats", "flats", "prices", Flat, learning, {}, ("rooms",))
    raw, predictions = derive_topics(pipeline)
    assert {column.name: column.type for column in raw.columns} == {
        "rooms": "BIGINT",
        "area": "DOUBLE",
        "kinds": "ARRAY<STRING>",
        "price": "DOUBLE",
        "by": "MAP<STRING, ARRAY<BOOLEAN>>",
    }
    assert {column.name: column.type for column in predictions.columns[:2]} == {
        "rooms": "BIGINT",
        "predict_y": "DOUBLE",
    }


def test_each_pipeline_has_dead_letters_in_the_catalogue() -> None:
    catalogue = load_catalogue([stations.pipeline])
    letters = find_topic(catalogue, stations.pipeline.dead_letter_topic)
    assert (letters.owner, letters.input) == ("stations: learn", stations.pipeline.topic)
    assert find_topic(catalogue, stations.pipeline.topic).layer == "raw"


def test_a_topic_that_nobody_knows_is_told_with_those_that_are_known() -> None:
    with pytest.raises(ConfigurationError, match=r"no topic 'pm26'; there are: handwritten_digit, pm25"):
        find_topic(load_catalogue(BUILT_IN), "pm26")


@pytest.mark.parametrize("text", ["layer = 'raw'\n", "layer = 'attic'\ntopics = []\n", "layer = [\n"])
def test_a_file_that_is_no_layer_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(FileError, match=r"mine\.toml is not a layer of the catalogue"):
        read_layer(path)


def test_a_retention_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="neither `for ever` nor a number of minutes, hours, days"):
        _ = Topic("a", "b", "c", (), retention="a while").retention_ms


def test_the_warehouse_page_draws_every_layer_and_names_every_file() -> None:
    page = (ROOT / "docs" / "warehouse.md").read_text()
    for path in FOLDER.glob("*.toml"):
        assert path.name in page
        for topic in read_layer(path):
            assert f"`{topic.name}`" in page, topic.name


@pytest.fixture
def pipeline(broker: Settings) -> Pipeline:
    """Return the digits with topics of the test's own, which exist."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    pipeline = replace(digits.pipeline, name=name, topic=f"{name}-in", prediction_topic=f"{name}-out")
    ensure_topics(Broker(broker), pipeline)
    return pipeline


@pytest.fixture
def catalogue(pipeline: Pipeline) -> list[Topic]:
    """Return what the catalogue says of them."""
    own = (pipeline.name, "streamlearn.lineages")
    return [topic for topic in load_catalogue([pipeline]) if topic.name.startswith(own)]


def test_topics_as_they_are_made_are_as_the_catalogue_says(broker: Settings, catalogue: list[Topic]) -> None:
    states = inspect_topics(Broker(broker), catalogue)
    assert len(states) == 5
    assert compare_topics(catalogue, states) == []


def test_what_differs_from_the_catalogue_is_told(
    broker: Settings, pipeline: Pipeline, catalogue: list[Topic]
) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.kafka)
    options = {"retention.ms": "3600000", "cleanup.policy": "compact,delete"}
    admin.alter_configs([ConfigResource("topic", pipeline.prediction_topic, options)])
    admin.create_partitions({pipeline.dead_letter_topic: 2})
    admin.close()
    told = map(str, compare_topics(catalogue, inspect_topics(Broker(broker), catalogue)))
    assert sorted(told) == [
        f"{pipeline.dead_letter_topic}: partitions is 2, the catalogue says 1",
        f"{pipeline.prediction_topic}: cleanup is compact,delete, the catalogue says delete",
        f"{pipeline.prediction_topic}: retention is 1 hours, the catalogue says 7 days",
    ]


def test_where_no_topic_exists_there_is_nothing_to_compare(catalogue: list[Topic]) -> None:
    with pytest.raises(NothingToCompare):
        compare_topics(catalogue, {})


def test_a_topics_state_has_its_records_bytes_rate_age_and_lags(broker: Settings) -> None:
    topic = create_topic(broker.kafka, f"state-{uuid.uuid4().hex[:8]}", 2)
    send(broker.kafka, topic, [b"x" * 1000] * 120)
    commit_offset(broker.kafka, f"{topic}-group", topic, 100)
    state = describe_topics(Broker(broker), [topic, "not there"])[topic]
    assert (state.partitions, state.records, state.cleanup) == (2, 120, "delete")
    assert state.bytes > 120_000
    assert state.rate == 2.0
    assert state.lags == {f"{topic}-group": 20}
    newest_s = state.newest_s
    assert newest_s is not None
    later = describe_topics(Broker(broker), [topic], now_s=newest_s + 61)[topic]
    assert (later.rate, later.newest_s) == (0.0, newest_s)


@pytest.fixture
def call(broker: Settings, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call `streamlearn topics` with this broker and this pipeline alone."""
    monkeypatch.setattr("streamlearn.pipelines.announced.load_all", lambda settings: [pipeline])

    def invoke(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(main, ["topics", *arguments], env={**broker.environment(), **more})

    return invoke


def test_the_command_lists_shows_and_checks(call: Call, broker: Settings, pipeline: Pipeline) -> None:
    send(broker.kafka, pipeline.topic, [b"{}"] * 7)
    listed = call()
    line = next(line for line in listed.output.splitlines() if pipeline.topic in line)
    assert re.search(rf"^  {pipeline.topic} +7 +\d+ B +0\.1 +\d+ s", line), listed.output
    entries = json.loads(call("list", "--json").output)
    assert {entry["topic"]["name"]: (entry["state"] or {}).get("records") for entry in entries}[
        pipeline.topic
    ] == 7
    shown = call("show", pipeline.topic)
    assert "ARRAY<DOUBLE>" in shown.output
    assert "It has 7 records in 1 partitions" in shown.output
    assert call("check").exit_code == 0
    admin = KafkaAdminClient(bootstrap_servers=broker.kafka)
    admin.alter_configs([ConfigResource("topic", pipeline.control_topic, {"retention.ms": "3600000"})])
    admin.close()
    checked = call("check")
    assert checked.exit_code == 1
    assert "retention is 1 hours, the catalogue says 7 days" in checked.output


def test_a_check_without_kafka_ends_with_2(call: Call) -> None:
    checked = call("check", STREAMLEARN_KAFKA="localhost:1")
    assert checked.exit_code == 2
    assert "does not answer" in checked.output
