"""A model that begins with what a history taught it, on the real Kafka, Redis and Flink."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import plain_loop
import pytest
import redis
from helpers import admit_partitions, append
from reading import create_topic
from stacks import Stack, open_topics, running_trial

from producer.replay import send_history
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import create_history_topic, ensure_topics
from streamlearn.datasets import DataSet, digits
from streamlearn.errors import LineageError, NoModel
from streamlearn.local import chaos
from streamlearn.operations.history.backfill import begin_lineage, check_can_begin, learn_history
from streamlearn.operations.verification import verify_lineage
from streamlearn.pipelines import digits as digits_pipeline
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input
from streamlearn.waiting import wait_until

RECORDS = 600


def list_records(*, seed: int = 0, passes: int | None = None) -> Iterator[dict[str, Any]]:
    yield from islice(digits.records(seed=9), RECORDS)


@pytest.fixture
def own() -> Pipeline:
    name = f"test-{uuid.uuid4().hex[:8]}"
    return replace(
        digits_pipeline.pipeline,
        name=name,
        topic=name,
        prediction_topic=f"{name}-predictions",
        dataset=DataSet(list_records, RECORDS),
    )


def answer(broker: Broker, pipeline: Pipeline, lineage: Lineage, store: Store, start: int, end: int) -> None:
    """Let a worker answer each partition's records from `start` to `end`, and commit the answers."""
    job = admit_partitions(broker, pipeline, lineage, store)
    for partition in lineage.partitions:
        rows = [
            Input(partition, record.offset, record.value)
            for record in broker.read(pipeline.topic, start, end, partition)
        ]
        outputs = job.answer(rows[:40]) + job.answer(rows[40:])
        append(broker, [(output.topic, output.value, partition) for output in outputs])


def test_each_partition_learns_its_history_and_goes_on(broker: Settings, own: Pipeline, store: Store) -> None:
    create_topic(broker.kafka, own.topic, 2)
    with Broker(broker) as client:
        partitions = ensure_topics(client, own)
        topic = create_history_topic(client, own, partitions)
        assert own.dataset is not None
        send_history(client, own, own.dataset, topic, partitions)
        history = learn_history(client, own, topic, partitions)
        assert (history.records, history.set_aside, history.origin.ends) == (RECORDS, 0, (300, 300))
        lineage = begin_lineage(client, own, history, fresh=False)
        # It can be asked before the first record.
        for partition in (0, 1):
            head = store.newest(own.name, partition)
            assert head is not None
            assert (head.lineage, head.version, head.samples) == (lineage.id, 0, 44)
        sent = enumerate(islice(digits.records(seed=0), 400))
        append(client, [(own.topic, json.dumps(record).encode(), number % 2) for number, record in sent])
        answer(client, own, lineage, store, 0, 100)
        first = json.loads(next(iter(client.read(own.prediction_topic))).value)
        assert (first["model_version"], first["predict_y"] is None) == (0, False)
        store.clear()
        answer(client, own, LineageRegister(client, own).claim(), store, 100, 200)
        reports = verify_lineage(client, own)
        assert [(report.exit_code, report.differences) for report in reports] == [(0, []), (0, [])]
        assert [report.origin for report in reports] == [f"{topic}, offsets 0 to 300"] * 2
        with pytest.raises(LineageError, match=r"has learned records up to offset 199 already.*--fresh"):
            begin_lineage(client, own, history, fresh=False)
        another = begin_lineage(client, own, history, fresh=True)
        assert (another.starts, another.id != lineage.id) == ((200, 200), True)
        check_can_begin(client, own, fresh=False)


def test_a_history_without_labels_begins_nothing(broker: Settings, own: Pipeline) -> None:
    with Broker(broker) as client:
        partitions = ensure_topics(client, own)
        topic = create_history_topic(client, own, partitions)
        for record in islice(digits.records(seed=9), 3):
            client.send(topic, json.dumps({"ts": record["ts"], "x": record["x"]}).encode())
        with pytest.raises(NoModel, match=r"the 3 records of .* taught"):
            learn_history(client, own, topic, partitions)
        assert LineageRegister(client, own).current() is None


def test_a_pipeline_begins_with_its_history_and_survives(stack: Stack, tmp_path: Path) -> None:
    file, records = tmp_path / "history.jsonl", list(list_records())
    file.write_text("\n".join([*map(json.dumps, records), '{"x": "not a digit"}']))
    with running_trial(stack, "copies:taught") as trial, open_topics(trial) as topics:
        settings, register = trial.settings, LineageRegister(Broker(trial.settings), trial.pipeline)
        refused = trial.streamlearn("backfill", "--file", str(file), check=False)
        assert (refused.returncode, "learn runs, and its lineage has begun" in refused.stderr) == (1, True)
        trial.streamlearn("reset", "--force")
        done = trial.streamlearn("backfill", "--file", str(file))
        lineage = register.current()
        assert lineage is not None
        assert lineage.origin is not None
        assert f"{lineage.origin.topic}: {RECORDS} records learned" in done.stdout
        assert "go on with: streamlearn train" in done.stdout
        with trial.running_server(tmp_path) as server:
            wait_until(
                lambda: (
                    server.ask("/v2/models/taught")["parameters"].get("version") == str(lineage.start)
                    or server.ask("/v2/models/taught")["parameters"].get("version") == lineage.start
                ),
                60,
                "what the history taught to be served",
            )
            asked = {"inputs": [{"name": "x", "shape": [1, 64], "datatype": "FP64", "data": records[0]["x"]}]}
            outputs = server.ask("/v2/models/taught/infer", asked)["outputs"]
            assert outputs[0]["data"] == [records[0]["actual_y"]]
        trial.streamlearn("train")
        trial.replay(300)
        trial.settle()
        assert chaos.kill(settings, chaos.WORKER)
        trial.replay(200, seed=1)
        trial.settle()
        with redis.Redis.from_url(settings.redis) as client:
            client.flushall()
        trial.replay(200, seed=2)
        report = trial.verify()
        assert report["origin"] == f"{lineage.origin.topic}, offsets 0 to {RECORDS}"
        taught = [
            {**record, "model_version": f"history {number // 256}"} for number, record in enumerate(records)
        ]
        answers = [one for one in topics.predictions.read().json() if one["lineage"] == lineage.id]
        assert len(answers) == 700
        expected = plain_loop.replay([*taught, *answers])[RECORDS:]
        assert [one["predict_y"] for one in answers] == expected
        # Beside live answers a history needs that word; the job goes on by itself.
        done = trial.streamlearn("backfill", "--fresh", "--file", str(file))
        assert "learn submitted" in done.stdout
        newest = register.current()
        assert newest is not None
        assert newest.id != lineage.id
        trial.replay(100, seed=3)
        assert trial.verify()["records"] == 100
