"""Summaries copied from a real Kafka into a real Redis: once each, whatever is killed or emptied."""

import json
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from reading import create_topic
from stacks import free_port

from streamlearn.broker.broker import Broker
from streamlearn.local.services import find_redis_server
from streamlearn.settings import Settings
from streamlearn.storage.summary_store import SummaryStore
from streamlearn.waiting import wait_until
from streamlearn.warehouse.copying import Copier, keep_copying

NAME = "hours"
CATALOGUE = """\
layer = "summary"
[[topics]]
name = "{topic}"
owner = "mine: warehouse"
description = "Hours by temperature."
key = ["temp"]
columns = [{{ name = "temp", type = "BIGINT" }}, {{ name = "hours", type = "BIGINT" }}]
"""


@pytest.fixture
def settings(broker: Settings, tmp_path: Path) -> Settings:
    """Return settings whose catalogue has a summary of a pipeline of this test's own."""
    settings = replace(broker, home=tmp_path)
    topic = f"{uuid.uuid4().hex[:8]}.summary.{NAME}"
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse" / "mine.toml").write_text(CATALOGUE.format(topic=topic))
    create_topic(broker.kafka, topic, 2, cleanup_policy="compact")
    return settings


@pytest.fixture
def topic(settings: Settings) -> str:
    text = (settings.home / "warehouse" / "mine.toml").read_text()
    return text.partition('name = "')[2].partition('"')[0]


@pytest.fixture
def pipeline(topic: str) -> str:
    return topic.partition(".")[0]


@pytest.fixture
def summaries(settings: Settings) -> Iterator[SummaryStore]:
    summaries = SummaryStore(settings)
    yield summaries
    summaries.close()


@contextmanager
def copying(settings: Settings, summaries: SummaryStore) -> Iterator[Copier]:
    with Broker(settings) as broker:
        copier = Copier(settings, broker, summaries)
        try:
            copier.look()
            yield copier
        finally:
            copier.close()


@contextmanager
def transaction(settings: Settings, topic: str, rows: dict[int, int | None]) -> Iterator[KafkaProducer]:
    """Write rows, hours by temperature, and leave it to the caller to commit or abort them."""
    producer = KafkaProducer(bootstrap_servers=settings.kafka, transactional_id=uuid.uuid4().hex)
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for temp, hours in rows.items():
            value = None if hours is None else encode({"temp": temp, "hours": hours})
            producer.send(topic, key=encode({"temp": temp}), value=value)
        producer.flush()
        yield producer
    finally:
        producer.close(timeout=10)


def commit(settings: Settings, topic: str, rows: dict[int, int | None]) -> None:
    with transaction(settings, topic, rows) as producer:
        producer.commit_transaction()


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def read(summaries: SummaryStore, pipeline: str) -> dict[int, int]:
    rows = map(json.loads, summaries.read(pipeline, NAME).rows)
    return {row["temp"]: row["hours"] for row in rows}


def copy_until(copier: Copier, summaries: SummaryStore, pipeline: str, rows: dict[int, int]) -> None:
    def is_there() -> bool:
        copier.copy()
        return read(summaries, pipeline) == rows

    wait_until(is_there, 60, f"{rows} to be copied", every_s=0.01)


def test_the_newest_committed_row_of_each_key_is_copied(
    settings: Settings, topic: str, pipeline: str, summaries: SummaryStore
) -> None:
    commit(settings, topic, dict.fromkeys(range(20), 1))
    with transaction(settings, topic, {3: 99}) as producer:
        producer.abort_transaction()
    commit(settings, topic, {0: 2, 1: None})
    expected = dict.fromkeys(range(2, 20), 1) | {0: 2}
    with copying(settings, summaries) as copier:
        copy_until(copier, summaries, pipeline, expected)
        commit(settings, topic, {30: 5})
        copy_until(copier, summaries, pipeline, {**expected, 30: 5})


def test_another_copier_goes_on_where_the_last_one_stood_and_two_do_no_harm(
    settings: Settings, topic: str, pipeline: str, summaries: SummaryStore
) -> None:
    commit(settings, topic, {1: 1, 2: 1})
    with copying(settings, summaries) as first:
        copy_until(first, summaries, pipeline, {1: 1, 2: 1})
        commit(settings, topic, {1: 2, 2: 2, 3: 2})
        with copying(settings, summaries) as second:
            copy_until(second, summaries, pipeline, {1: 2, 2: 2, 3: 2})
            commit(settings, topic, {1: 3})
            copy_until(second, summaries, pipeline, {1: 3, 2: 2, 3: 2})
            # The first one comes late, with rows that the second has replaced.
            wait_until(first.copy, 60, "the first copier to read them")
            assert read(summaries, pipeline) == {1: 3, 2: 2, 3: 2}
        commit(settings, topic, {2: 4})
        copy_until(first, summaries, pipeline, {1: 3, 2: 4, 3: 2})


def test_what_redis_loses_and_what_is_made_anew_is_copied_again(
    settings: Settings, topic: str, pipeline: str, summaries: SummaryStore
) -> None:
    from streamlearn.storage.store import Store

    commit(settings, topic, {1: 1, 2: 1})
    with copying(settings, summaries) as copier:
        copy_until(copier, summaries, pipeline, {1: 1, 2: 1})
        with Store.of(settings) as store:
            store.clear(pipeline)
        assert read(summaries, pipeline) == {}
        copier.look()
        copy_until(copier, summaries, pipeline, {1: 1, 2: 1})
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
        admin.delete_topics([topic])
        wait_until(lambda: topic not in admin.list_topics(), 60, "the topic to be deleted")
        admin.close()
        create_topic(settings.kafka, topic, 2, cleanup_policy="compact")
        commit(settings, topic, {7: 7})
        copier.look()
        copy_until(copier, summaries, pipeline, {7: 7})


def test_a_redis_that_is_away_is_waited_for(settings: Settings, topic: str, pipeline: str) -> None:
    commit(settings, topic, {1: 1})
    port = free_port()
    settings = replace(settings, redis=f"redis://localhost:{port}/0")
    stopped, said = threading.Event(), list[str]()
    thread = threading.Thread(target=keep_copying, args=(settings, said.append, stopped))
    thread.start()
    summaries = SummaryStore(settings)
    try:
        wait_until(lambda: said, 60, "the trouble to be told")
        with running_redis(port, settings.home):
            wait_until(lambda: holds(summaries, pipeline, {1: 1}), 60, "the row to be copied")
            stopped.set()
            thread.join()
    finally:
        stopped.set()
        thread.join()
        summaries.close()
    assert len(said) == 1
    assert said[0].startswith("summaries are not copied into Redis: Redis does not answer")


def holds(summaries: SummaryStore, pipeline: str, rows: dict[int, int]) -> bool:
    from streamlearn.errors import StoreUnavailable

    try:
        return read(summaries, pipeline) == rows
    except StoreUnavailable:
        return False


@contextmanager
def running_redis(port: int, folder: Path) -> Iterator[None]:
    command = [find_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        server.kill()
        server.wait()
