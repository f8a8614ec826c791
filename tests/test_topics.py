"""Topics, the register, the journal and the tail, on the real broker."""

import uuid
from dataclasses import replace

import pytest
from conftest import Stack
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from reading import send

from streamlearn.broker import kafka_journal
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.tail import Tail
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import LineageError, TopicRefused
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.waiting import wait_until


@pytest.fixture
def pipeline() -> Pipeline:
    """Return the digits with a name and topics of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    return replace(digits.pipeline, name=name, topic=f"{name}-in", prediction_topic=f"{name}-out")


def test_missing_topics_are_made_with_one_partition(stack: Stack, pipeline: Pipeline) -> None:
    ensure_topics(Broker(stack.settings), pipeline)
    ensure_topics(Broker(stack.settings), pipeline)
    admin = KafkaAdminClient(bootstrap_servers=stack.settings.kafka)
    names = [pipeline.topic, pipeline.prediction_topic, pipeline.dead_letter_topic]
    assert [len(topic["partitions"]) for topic in admin.describe_topics(names)] == [1, 1, 1]
    admin.close()


def test_a_topic_with_more_partitions_is_refused(stack: Stack, pipeline: Pipeline) -> None:
    admin = KafkaAdminClient(bootstrap_servers=stack.settings.kafka)
    admin.create_topics([NewTopic(pipeline.topic, num_partitions=3, replication_factor=1)])
    admin.close()
    with pytest.raises(TopicRefused, match="has 3 partitions; a pipeline learns from exactly one"):
        ensure_topics(Broker(stack.settings), pipeline)


def test_reads_are_bounded_and_see_committed_transactions_only(stack: Stack, pipeline: Pipeline) -> None:
    ensure_topics(Broker(stack.settings), pipeline)
    producer = KafkaProducer(bootstrap_servers=stack.settings.kafka, transactional_id=pipeline.name)
    producer.init_transactions()
    for values, end in (([b"a", b"b"], producer.commit_transaction), ([b"lost"], producer.abort_transaction)):
        producer.begin_transaction()
        for value in values:
            producer.send(pipeline.topic, value=value, partition=0)
        producer.flush()
        end()
    producer.close()
    send(stack.settings.kafka, pipeline.topic, [b"c"])

    def read_values(start: int | None = None, end: int | None = None) -> list[tuple[int, bytes]]:
        return [(r.offset, r.value) for r in Broker(stack.settings).read(pipeline.topic, start, end)]

    assert read_values() == [(0, b"a"), (1, b"b"), (5, b"c")]
    assert read_values(1, 5) == [(1, b"b")]
    assert read_values(2, 5) == []
    assert Broker(stack.settings).stable_end(pipeline.topic) == 6
    assert Broker(stack.settings).oldest(pipeline.topic) == 0
    assert Broker(stack.settings).committed_offset("nobody", pipeline.topic) is None


def test_a_lineage_goes_on_until_it_is_ended(stack: Stack, pipeline: Pipeline) -> None:
    ensure_topics(Broker(stack.settings), pipeline)
    assert LineageRegister(Broker(stack.settings), pipeline).current() is None
    first = LineageRegister(Broker(stack.settings), pipeline).claim()
    assert (first.start, first.epoch, first.ended) == (0, 1, False)
    second = LineageRegister(Broker(stack.settings), pipeline).claim()
    assert (second.id, second.epoch) == (first.id, 2)
    ended = LineageRegister(Broker(stack.settings), pipeline).end()
    assert ended is not None
    assert (ended.id, ended.epoch, ended.ended) == (second.id, 3, True)
    assert LineageRegister(Broker(stack.settings), pipeline).end() is None
    third = LineageRegister(Broker(stack.settings), pipeline).claim()
    assert third.id != first.id
    assert third.epoch == 4


def test_other_parameters_do_not_continue_a_lineage(stack: Stack, pipeline: Pipeline) -> None:
    ensure_topics(Broker(stack.settings), pipeline)
    first = LineageRegister(Broker(stack.settings), pipeline).claim()
    changed = replace(pipeline, parameters={**pipeline.parameters, "alpha": 0.5})
    with pytest.raises(LineageError, match=r"is not what its lineage .* alpha was 0.01 and is 0.5.*--fresh"):
        LineageRegister(Broker(stack.settings), changed).claim()
    fresh = LineageRegister(Broker(stack.settings), changed).claim(fresh=True)
    assert fresh.id != first.id
    assert fresh.parameters["alpha"] == 0.5


def test_another_way_of_learning_does_not_continue_a_lineage(stack: Stack, pipeline: Pipeline) -> None:
    """The same parameters, but the state would not fit."""
    ensure_topics(Broker(stack.settings), pipeline)
    LineageRegister(Broker(stack.settings), pipeline).claim()
    fewer = replace(pipeline, learning=replace(pipeline.learning, classes=(0, 1)))  # type: ignore[type-var]
    with pytest.raises(LineageError, match=r"classes was \[0, 1, 2.* and is \[0, 1\]"):
        LineageRegister(Broker(stack.settings), fewer).claim()


def test_of_two_submissions_at_once_the_first_has_the_epoch(
    stack: Stack, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one read the register before the quicker one wrote to it."""
    ensure_topics(Broker(stack.settings), pipeline)
    before = LineageRegister(Broker(stack.settings), pipeline).claim()
    quicker = LineageRegister(Broker(stack.settings), pipeline).claim()
    answers = iter([before])
    real = LineageRegister.current
    monkeypatch.setattr(LineageRegister, "current", lambda register: next(answers, None) or real(register))
    with pytest.raises(LineageError, match=r"another submission .* was quicker"):
        LineageRegister(Broker(stack.settings), pipeline).claim()
    assert real(LineageRegister(Broker(stack.settings), pipeline)) == quicker


def make_answers(lineage: str, offsets: range) -> list[bytes | None]:
    return [f'{{"offset": {n}, "model_version": {n}, "lineage": "{lineage}"}}'.encode() for n in offsets]


def test_the_journal_merges_its_topics_from_where_it_is_asked_to_begin(
    stack: Stack, pipeline: Pipeline
) -> None:
    ensure_topics(Broker(stack.settings), pipeline)
    kafka, order = stack.settings.kafka, {"old": 0, "new": 1}
    send(
        kafka,
        pipeline.prediction_topic,
        [*make_answers("old", range(90)), *make_answers("new", range(90, 150))],
    )
    send(kafka, pipeline.prediction_topic, [*make_answers("new", range(151, 200)), b"not ours", None])
    send(
        kafka,
        pipeline.dead_letter_topic,
        [*make_answers("old", range(90, 95)), *make_answers("new", range(150, 151))],
    )
    with kafka_journal.open_journal(Broker(stack.settings), pipeline, "new", order, 120) as journal:
        answered_in = [journal.take(n, 0).output.topic for n in range(120, 200)]  # type: ignore[union-attr]
        assert journal.take(200, 0) is None
        assert (journal.strays, journal.cut_off, journal.ahead) == ([], False, False)
    assert answered_in == [
        pipeline.dead_letter_topic if n == 150 else pipeline.prediction_topic for n in range(120, 200)
    ]
    with kafka_journal.open_journal(Broker(stack.settings), pipeline, "old", order, 0) as journal:
        assert all(journal.take(n, 0) for n in range(95))
        assert journal.take(95, 0) is None
    assert kafka_journal.last_answered(Broker(stack.settings), pipeline, "new") == 199
    assert kafka_journal.last_answered(Broker(stack.settings), pipeline, "old") == 94
    assert kafka_journal.last_answered(Broker(stack.settings), pipeline, "none") is None


def test_a_journal_whose_beginning_kafka_has_dropped_says_so(stack: Stack, pipeline: Pipeline) -> None:
    """An old dead letter that is gone is no matter where the predictions still reach further back."""
    ensure_topics(Broker(stack.settings), pipeline)
    send(stack.settings.kafka, pipeline.dead_letter_topic, make_answers("only", range(3)))
    send(stack.settings.kafka, pipeline.prediction_topic, make_answers("only", range(3, 100)))
    drop_records(stack, pipeline.dead_letter_topic, 3)
    drop_records(stack, pipeline.prediction_topic, 50)
    for start, cut_off in ((0, True), (40, True), (60, False)):
        with kafka_journal.open_journal(
            Broker(stack.settings), pipeline, "only", {"only": 0}, start
        ) as journal:
            assert journal.cut_off is cut_off, start


def drop_records(stack: Stack, topic: str, before: int) -> None:
    """Let Kafka forget a topic's records below an offset, as retention does."""
    admin = KafkaAdminClient(bootstrap_servers=stack.settings.kafka)
    admin.delete_records({TopicPartition(topic, 0): before})
    admin.close()


def test_a_tail_reads_on_and_skips_what_came_too_fast(stack: Stack, pipeline: Pipeline) -> None:
    tail = Tail(Broker(stack.settings), {pipeline.topic: 3, pipeline.dead_letter_topic: 0})
    nothing = tail.look()
    assert (nothing.records[pipeline.topic], nothing.ends[pipeline.topic]) == ([], 0)
    ensure_topics(Broker(stack.settings), pipeline)

    def read_values() -> list[bytes]:
        return [record.value for record in tail.look().records[pipeline.topic]]

    send(stack.settings.kafka, pipeline.topic, [b"1", b"2", b"3", b"4"])
    wait_until(lambda: tail.look().ends[pipeline.topic] == 4, 30, "the topic to be seen")
    tail.close()
    tail = Tail(Broker(stack.settings), {pipeline.topic: 3, pipeline.dead_letter_topic: 0})
    assert read_values() == [b"2", b"3", b"4"]
    assert read_values() == []
    send(stack.settings.kafka, pipeline.topic, [b"5"])
    assert read_values() == [b"5"]
    send(stack.settings.kafka, pipeline.topic, [b"6", b"7", b"8", b"9", b"10"])
    seen = tail.look()
    assert [record.value for record in seen.records[pipeline.topic]] == [b"8", b"9", b"10"]
    assert (seen.ends[pipeline.topic], seen.ends[pipeline.dead_letter_topic]) == (10, 0)
    tail.close()
