"""Topics of several partitions, on the real broker: their lineages, journals and keys."""

import uuid
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from helpers import inputs
from kafka import KafkaAdminClient, KafkaProducer
from kafka.structs import TopicPartition
from reading import commit_offset, create_topic

from streamlearn.broker import kafka_journal
from streamlearn.broker.answer_keys import make_answer_key
from streamlearn.broker.broker import Broker
from streamlearn.broker.kafka_stream import KafkaStream
from streamlearn.broker.register import LineageRegister, group_id
from streamlearn.broker.topics import LINEAGES
from streamlearn.errors import LineageError, SnapshotRefused, UnknownVersion
from streamlearn.learning.learner import predict_then_learn
from streamlearn.operations import lineage_changes, model_versions
from streamlearn.operations.verification import collect
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage import snapshot
from streamlearn.storage.store import Store
from streamlearn.storage.versions import VersionInfo
from streamlearn.stream.ports import Input

THREE = range(3)


@pytest.fixture
def pipeline(broker: Settings) -> Pipeline:
    """Return the digits with topics of three partitions of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    pipeline = replace(digits.pipeline, name=name, topic=f"{name}-in", prediction_topic=f"{name}-out")
    for topic in (pipeline.topic, *answer_topics(pipeline)):
        create_topic(broker.kafka, topic, 3)
    if LINEAGES not in Broker(broker).topics():
        create_topic(broker.kafka, LINEAGES, cleanup_policy="delete")
    return pipeline


def answer_topics(pipeline: Pipeline) -> list[str]:
    return [pipeline.prediction_topic, pipeline.dead_letter_topic, pipeline.control_topic]


def send(settings: Settings, topic: str, partition: int, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.kafka)
    for value in values:
        producer.send(topic, value=value, partition=partition)
    producer.close(timeout=10)


def make_answer(partition: int, offset: int, lineage: str, version: int = 0) -> bytes:
    stamp = f'"partition": {partition}, "offset": {offset}, "model_version": {version}'
    return f'{{{stamp}, "lineage": "{lineage}"}}'.encode()


def add_partitions(settings: Settings, topic: str, count: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
    admin.create_partitions({topic: count})
    admin.wait_for_topics([topic])
    admin.close()


@pytest.mark.parametrize("count", [3, 5])
def test_an_answers_key_brings_it_into_its_partition(
    broker: Settings, pipeline: Pipeline, count: int
) -> None:
    """Whatever the number of partitions, as Kafka's own client chooses it."""
    if count > 3:
        add_partitions(broker, pipeline.prediction_topic, count)
    producer = KafkaProducer(bootstrap_servers=broker.kafka)
    sent = [producer.send(pipeline.prediction_topic, key=make_answer_key(k), value=b"") for k in THREE]
    assert [future.get(timeout=30).partition for future in sent] == list(THREE)
    producer.close(timeout=10)


def test_a_lineage_begins_and_resumes_in_each_partition(broker: Settings, pipeline: Pipeline) -> None:
    register = LineageRegister(Broker(broker), pipeline)
    for partition in THREE:
        send(broker, pipeline.topic, partition, *[b"x"] * 10)
    admin = KafkaAdminClient(bootstrap_servers=broker.kafka)
    admin.delete_records({TopicPartition(pipeline.topic, 1): 4})
    first = register.claim()
    assert first.starts == (0, 4, 0)
    for partition, offset in ((0, 2), (1, 6)):
        answer = make_answer(partition, offset, first.id)
        send(broker, pipeline.prediction_topic, partition, answer)
    assert [register.first_unanswered(first, partition) for partition in THREE] == [3, 7, 0]
    assert register.claim().starts == (0, 4, 0)
    admin.close()
    commit_offset(broker.kafka, group_id(pipeline), pipeline.topic, 5, 2)
    second = register.claim(fresh=True)
    assert (second.id != first.id, second.starts) == (True, (3, 7, 5))
    summaries = register.summarize_lineages()
    assert [(summary.lineage.id, summary.submissions) for summary in summaries] == [
        (first.id, 2),
        (second.id, 1),
    ]
    assert 0 < summaries[0].begun_s <= summaries[1].begun_s


def test_partitions_that_are_added_are_learned_from_their_beginning(
    broker: Settings, pipeline: Pipeline
) -> None:
    client = Broker(broker)
    register = LineageRegister(client, pipeline)
    first = register.claim()
    client.partitions(pipeline.topic)  # what the connection that is kept remembers
    for topic in (pipeline.topic, *answer_topics(pipeline)):
        add_partitions(broker, topic, 5)
    send(broker, pipeline.topic, 4, b"x", b"y")
    grown = register.claim()
    assert (grown.id, grown.starts, grown.epoch) == (first.id, (0, 0, 0, 0, 0), 2)
    assert register.first_unanswered(grown, 4) == 0
    assert register.claim().starts == grown.starts
    with pytest.raises(LineageError, match="does not learn from partition 4"):
        register.first_unanswered(first, 4)


def test_a_parallelism_given_by_hand_stays_until_it_is_taken_back(
    broker: Settings, pipeline: Pipeline
) -> None:
    register = LineageRegister(Broker(broker), pipeline)
    assert register.wanted_parallelism() == 0
    register.claim()
    register.claim(parallelism=4)
    assert register.claim().parallelism == register.wanted_parallelism() == 4
    assert register.claim(parallelism=0).parallelism is msgspec.UNSET
    register.claim(parallelism=2)
    register.end()
    assert register.wanted_parallelism() == 0
    register.claim()
    assert register.wanted_parallelism() == 0


def test_a_record_is_skipped_in_its_partition(broker: Settings, pipeline: Pipeline) -> None:
    register = LineageRegister(Broker(broker), pipeline)
    send(broker, pipeline.topic, 1, *[b"x"] * 10)
    register.claim()
    with pytest.raises(LineageError, match="no record at offset 5"):
        register.skip(5)
    with pytest.raises(LineageError, match="does not learn from partition 3"):
        register.skip(5, 3)
    assert register.skip(5, 1).in_partition(1).skipped == (5,)
    assert register.claim().in_partition(1).skipped == (5,)
    assert register.claim().in_partition(0).skipped == ()


def test_each_partition_has_a_stream_and_a_journal(broker: Settings, pipeline: Pipeline) -> None:
    client = Broker(broker)
    lineage = LineageRegister(client, pipeline).claim()
    for partition in THREE:
        send(broker, pipeline.topic, partition, *[b"%d" % partition] * (partition + 1))
        for offset in range(partition + 1):
            topic = answer_topics(pipeline)[offset]
            send(broker, topic, partition, make_answer(partition, offset, lineage.id))
    # What somebody else has put there is nobody's answer.
    send(broker, pipeline.prediction_topic, 1, make_answer(2, 0, lineage.id))
    for partition in THREE:
        stream = KafkaStream(client, pipeline, partition)
        value = b"%d" % partition
        expected = [Input(partition, offset, value) for offset in range(partition + 1)]
        assert list(stream.rows(0, stream.end())) == expected
        assert stream.offsets(0, stream.end()) == list(range(partition + 1))
        assert stream.is_hole(stream.end(), stream.end())
        assert not stream.is_hole(0, 1)
        with stream.journal(lineage.id, 0) as journal:
            taken = [journal.take(offset, 0) for offset in range(partition + 1)]
            assert [entry and entry.partition for entry in taken] == [partition] * (partition + 1)
            assert (journal.take(9, 0), journal.strays, journal.ahead) == (None, [], False)
        last = kafka_journal.last_answered(client, pipeline, lineage.id, partition)
        assert last == partition
    client.close()


def test_a_version_that_a_restart_may_roll_back_is_not_compared(broker: Settings, pipeline: Pipeline) -> None:
    """Its records have no committed answer when it is collected; when it is compared, other versions may."""
    with Broker(broker) as client, Store.of(broker) as store:
        lineage = LineageRegister(client, pipeline).claim()
        writer = store.admit(pipeline.name, lineage.id, lineage.epoch).take_partition(1, alone=False)
        for version in (1, 2, 4, 5):
            writer.save(version, b"a version", VersionInfo("", version, {}, 0))
        for offset in range(2):
            send(broker, pipeline.prediction_topic, 1, make_answer(1, offset, lineage.id))
        assert list(store.versions(pipeline.name, lineage.id, 1)) == [1, 2, 4, 5]
        assert list(collect(client, pipeline, lineage, 1).snapshots) == [1, 2]


def test_a_version_that_a_restart_may_drop_is_not_gone_on_from(broker: Settings, pipeline: Pipeline) -> None:
    with Broker(broker) as client, Store.of(broker) as store:
        lineage = LineageRegister(client, pipeline).claim()
        learner = pipeline.new_learner()
        learner.version = 2
        data = snapshot.dumps(learner, pipeline, lineage.id, broker.checkpoint_key)
        writer = store.admit(pipeline.name, lineage.id, lineage.epoch).take_partition(1, alone=False)
        writer.save(2, data, VersionInfo(snapshot.digest(data), 2, {}, 0))
        send(broker, pipeline.topic, 1, *[b"a record"] * 3)
        send(broker, pipeline.prediction_topic, 1, make_answer(1, 0, lineage.id))

        def go_on_from(version: int) -> list[str]:
            return list(lineage_changes.roll_back(broker, pipeline, version, 1, wait_s=0.5))

        with pytest.raises(LineageError, match=r"version 4 is not there yet: .* ends at offset 3"):
            go_on_from(4)
        with pytest.raises(LineageError, match="the answers before version 2 are not committed"):
            go_on_from(2)
        assert KafkaStream(client, pipeline, 1).end() == 3
        send(broker, pipeline.prediction_topic, 1, make_answer(1, 1, lineage.id))
        assert go_on_from(2)[0] == "the order to go on from version 2 is at offset 3 of partition 1"


def test_a_version_of_several_partitions_is_pinned_exported_and_imported(
    broker: Settings, pipeline: Pipeline, tmp_path: Path
) -> None:
    lineage = LineageRegister(Broker(broker), pipeline).claim()
    with Store.of(broker) as store:
        admission = store.admit(pipeline.name, lineage.id, lineage.epoch)
        for partition, count in ((0, 40), (2, 20)):
            learner = pipeline.new_learner()
            rows = inputs(count, seed=partition)
            predict_then_learn(learner, [pipeline.codec.decode(row.value or b"") for row in rows], count)
            data = snapshot.dumps(learner, pipeline, lineage.id, broker.checkpoint_key)
            info = VersionInfo(snapshot.digest(data), learner.score.samples, {}, 0)
            admission.take_partition(partition, alone=False).save(count, data, info)

        def list_served() -> list[tuple[int, int, bool]]:
            kept = model_versions.list_versions(broker, pipeline)
            return [
                (version.partition, version.version, version.pinned) for version in kept if version.served
            ]

        assert list_served() == [(0, 40, False), (2, 20, False)]
        with pytest.raises(UnknownVersion, match=r"version 40\.-\.21 of"):
            list(model_versions.pin_version(broker, pipeline, "40.-.21"))
        file = tmp_path / "digits.slsnap"
        (line,) = model_versions.export_version(broker, pipeline, "40.-.20", file)
        (message,) = model_versions.pin_version(broker, pipeline, "40.-.20")
        assert message.startswith("version 40.-.20 of")
        served, _ = store.served(pipeline.name) or (None, None)
        assert served is not None
        assert (served.name, served.version, served.pinned) == ("40.-.20", 60, True)
        assert line.endswith(f"digest {served.digest}")
        assert list_served() == [(0, 40, True), (2, 20, True)]
        list(model_versions.unpin_version(broker, pipeline))
        list(model_versions.import_version(broker, pipeline, file))
        assert list_served() == [(0, 40, True), (2, 20, True)]
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(SnapshotRefused):
            list(model_versions.import_version(broker, pipeline, file))
