"""Topics, the register, the journal and the tail, on the real broker."""

import base64
import json
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource
from reading import commit_offset, create_topic, drop_records, open_transaction, send

from streamlearn.broker import kafka_journal
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister, group_id
from streamlearn.broker.tail import Tail
from streamlearn.broker.topics import LINEAGES, ensure_topics
from streamlearn.errors import BrokerUnavailable, Fenced, LineageError, TopicRefused
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.records import MAX_RECORD_BYTES, DeadLetter, encode
from streamlearn.waiting import wait_until


@pytest.fixture
def pipeline() -> Pipeline:
    """Return the digits with a name and topics of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    return replace(digits.pipeline, name=name, topic=f"{name}-in", prediction_topic=f"{name}-out")


def test_missing_topics_are_made_with_one_partition(broker: Settings, pipeline: Pipeline) -> None:
    ensure_topics(Broker(broker), pipeline)
    ensure_topics(Broker(broker), pipeline)
    admin = KafkaAdminClient(bootstrap_servers=broker.kafka)
    names = [pipeline.topic, pipeline.prediction_topic, pipeline.dead_letter_topic]
    assert [len(topic["partitions"]) for topic in admin.describe_topics(names)] == [1, 1, 1]
    admin.close()


def count_partitions(settings: Settings, pipeline: Pipeline) -> list[int]:
    client = Broker(settings)
    topics = (pipeline.topic, pipeline.prediction_topic, pipeline.dead_letter_topic, pipeline.control_topic)
    return [client.count_partitions(topic) for topic in topics]


def test_a_topic_is_made_with_as_many_partitions_as_are_set(broker: Settings, pipeline: Pipeline) -> None:
    assert ensure_topics(Broker(replace(broker, partitions=3)), pipeline) == 3
    assert count_partitions(broker, pipeline) == [3, 3, 3, 3]


def test_the_topics_of_answers_get_as_many_partitions_as_the_input(
    broker: Settings, pipeline: Pipeline
) -> None:
    """Also where the input gets more later, or those of answers were there before with other numbers."""
    create_topic(broker.kafka, pipeline.topic, 2)
    create_topic(broker.kafka, pipeline.dead_letter_topic, 5)
    assert ensure_topics(Broker(broker), pipeline) == 2
    assert count_partitions(broker, pipeline) == [2, 2, 5, 2]
    admin = KafkaAdminClient(bootstrap_servers=broker.kafka)
    admin.create_partitions({pipeline.topic: 6})
    admin.close()
    assert ensure_topics(Broker(broker), pipeline) == 6
    assert count_partitions(broker, pipeline) == [6, 6, 6, 6]


def test_answers_of_one_partition_are_not_spread_over_several(broker: Settings, pipeline: Pipeline) -> None:
    create_topic(broker.kafka, pipeline.prediction_topic, 3)
    with pytest.raises(TopicRefused, match=r"has 3 partitions, and .*-in, whose answers it takes, has one"):
        ensure_topics(Broker(broker), pipeline)


def test_topics_that_another_program_has_just_made_are_taken(
    broker: Settings, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It made them after this one had asked which there are."""
    ensure_topics(Broker(broker), pipeline)
    monkeypatch.setattr(KafkaAdminClient, "list_topics", lambda admin: [])
    ensure_topics(Broker(broker), pipeline)


def test_the_register_is_kept_for_ever(broker: Settings, pipeline: Pipeline) -> None:
    ensure_topics(Broker(broker), pipeline)
    admin = KafkaAdminClient(bootstrap_servers=broker.kafka)
    described = admin.describe_configs([ConfigResource("TOPIC", LINEAGES)], config_filter="all")
    admin.close()
    options = described["topic"][LINEAGES]
    kept = {name: options[name]["value"] for name in ("cleanup.policy", "retention.ms", "retention.bytes")}
    assert kept == {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}


def test_the_largest_record_and_its_dead_letter_have_room(broker: Settings, pipeline: Pipeline) -> None:
    """What is far over the limit does not even get into the topic."""
    with Broker(broker) as client:
        ensure_topics(client, pipeline)
        value = random.Random(1).randbytes(MAX_RECORD_BYTES)
        letter = DeadLetter(
            pipeline.topic, 0, 0, "why " * 50, base64.b64encode(value).decode(), len(value), 0, "aaaa"
        )
        with client.producer(max_request_size=4 << 20) as producer:
            for topic, record in ((pipeline.topic, value), (pipeline.dead_letter_topic, encode(letter))):
                producer.send(topic, value=record, partition=0).get(timeout=30)
                assert [kept.value for kept in client.read(topic)] == [record]
        with (
            pytest.raises(BrokerUnavailable, match="MessageSizeTooLarge"),
            client.producer(max_request_size=4 << 20) as producer,
        ):
            producer.send(pipeline.topic, value=value + bytes(8192), partition=0).get(timeout=30)


def test_reads_are_bounded_and_see_committed_transactions_only(broker: Settings, pipeline: Pipeline) -> None:
    ensure_topics(Broker(broker), pipeline)
    producer = KafkaProducer(bootstrap_servers=broker.kafka, transactional_id=pipeline.name)
    producer.init_transactions()
    for values, end in (([b"a", b"b"], producer.commit_transaction), ([b"lost"], producer.abort_transaction)):
        producer.begin_transaction()
        for value in values:
            producer.send(pipeline.topic, value=value, partition=0)
        producer.flush()
        end()
    producer.close()
    send(broker.kafka, pipeline.topic, [b"c"])

    def read_values(start: int | None = None, end: int | None = None) -> list[tuple[int, bytes]]:
        return [(r.offset, r.value) for r in Broker(broker).read(pipeline.topic, start, end)]

    assert read_values() == [(0, b"a"), (1, b"b"), (5, b"c")]
    assert read_values(1, 5) == [(1, b"b")]
    assert read_values(2, 5) == []
    assert Broker(broker).stable_end(pipeline.topic) == 6
    assert Broker(broker).oldest(pipeline.topic) == 0
    assert Broker(broker).committed_offset("nobody", pipeline.topic) is None


def test_a_lineage_goes_on_until_it_is_ended(broker: Settings, pipeline: Pipeline) -> None:
    ensure_topics(Broker(broker), pipeline)
    assert LineageRegister(Broker(broker), pipeline).current() is None
    first = LineageRegister(Broker(broker), pipeline).claim()
    assert (first.start, first.epoch, first.ended) == (0, 1, False)
    second = LineageRegister(Broker(broker), pipeline).claim()
    assert (second.id, second.epoch) == (first.id, 2)
    ended = LineageRegister(Broker(broker), pipeline).end()
    assert ended is not None
    assert (ended.id, ended.epoch, ended.ended) == (second.id, 3, True)
    assert LineageRegister(Broker(broker), pipeline).end() is None
    third = LineageRegister(Broker(broker), pipeline).claim()
    assert third.id != first.id
    assert third.epoch == 4


def test_a_lineage_skips_a_record_that_is_there_and_not_answered(
    broker: Settings, pipeline: Pipeline
) -> None:
    ensure_topics(Broker(broker), pipeline)
    register = LineageRegister(Broker(broker), pipeline)
    with pytest.raises(LineageError, match="no open lineage"):
        register.skip(0)
    first = register.claim()
    send(broker.kafka, pipeline.topic, [b"0", b"1", b"2"])
    answer = {"offset": 0, "model_version": 0, "lineage": first.id}
    send(broker.kafka, pipeline.prediction_topic, [json.dumps(answer).encode()])
    for offset, reason in ((0, "answered already"), (3, "no record at offset 3; it ends at 3")):
        with pytest.raises(LineageError, match=reason):
            register.skip(offset)
    assert register.current() == first
    register.skip(2)
    skipping = register.skip(1)
    assert (skipping.id, skipping.skipped, skipping.epoch) == (first.id, (1, 2), 3)
    assert register.claim().skipped == (1, 2)
    with pytest.raises(Fenced):
        register.check_newest(first)
    register.end()
    assert register.claim().skipped == ()


def test_other_parameters_do_not_continue_a_lineage(broker: Settings, pipeline: Pipeline) -> None:
    ensure_topics(Broker(broker), pipeline)
    first = LineageRegister(Broker(broker), pipeline).claim()
    changed = replace(pipeline, parameters={**pipeline.parameters, "step": 0.5})
    with pytest.raises(LineageError, match=r"is not what its lineage .* step was 1.5 and is 0.5.*--fresh"):
        LineageRegister(Broker(broker), changed).claim()
    fresh = LineageRegister(Broker(broker), changed).claim(fresh=True)
    assert fresh.id != first.id
    assert fresh.parameters["step"] == 0.5


def test_another_way_of_learning_does_not_continue_a_lineage(broker: Settings, pipeline: Pipeline) -> None:
    """The same parameters, but the state would not fit."""
    ensure_topics(Broker(broker), pipeline)
    LineageRegister(Broker(broker), pipeline).claim()
    fewer = replace(pipeline, learning=replace(pipeline.learning, classes=(0, 1)))  # type: ignore[type-var]
    with pytest.raises(LineageError, match=r"classes was \[0, 1, 2.* and is \[0, 1\]"):
        LineageRegister(Broker(broker), fewer).claim()


def test_of_two_submissions_at_once_the_first_has_the_epoch(
    broker: Settings, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one read the register before the quicker one wrote to it."""
    ensure_topics(Broker(broker), pipeline)
    before = LineageRegister(Broker(broker), pipeline).claim()
    quicker = LineageRegister(Broker(broker), pipeline).claim()
    answers = iter([before])
    real = LineageRegister.current
    monkeypatch.setattr(LineageRegister, "current", lambda register: next(answers, None) or real(register))
    with pytest.raises(LineageError, match=r"another submission .* was quicker"):
        LineageRegister(Broker(broker), pipeline).claim()
    assert real(LineageRegister(Broker(broker), pipeline)) == quicker


def test_of_a_reset_and_a_submission_at_once_the_first_has_the_epoch(
    broker: Settings, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(Broker(broker), pipeline)
    before = LineageRegister(Broker(broker), pipeline).claim()
    LineageRegister(Broker(broker), pipeline).claim()
    answers = iter([before])
    real = LineageRegister.current
    monkeypatch.setattr(LineageRegister, "current", lambda register: next(answers, None) or real(register))
    with pytest.raises(LineageError, match=r"another submission .* was quicker"):
        LineageRegister(Broker(broker), pipeline).end()
    newest = real(LineageRegister(Broker(broker), pipeline))
    assert newest is not None
    assert not newest.ended


def test_a_submission_is_over_once_another_or_an_end_follows(broker: Settings, pipeline: Pipeline) -> None:
    ensure_topics(Broker(broker), pipeline)
    register = LineageRegister(Broker(broker), pipeline)
    first = register.claim()
    register.check_newest(first)
    second = register.claim()
    with pytest.raises(Fenced, match=f"submission 1 of .* is over: lineage {first.id} went on with 2"):
        register.check_newest(first)
    register.check_newest(second)
    register.end()
    with pytest.raises(Fenced, match=f"submission 2 of .* is over: lineage {first.id} was ended with 3"):
        register.check_newest(second)


def test_edited_code_goes_on_only_if_that_is_accepted(broker: Settings, pipeline: Pipeline) -> None:
    ensure_topics(Broker(broker), pipeline)
    revised = replace(pipeline, revision="1")
    unrevised = replace(pipeline, revision=None)
    first = LineageRegister(Broker(broker), unrevised).claim()
    with pytest.raises(LineageError, match=r"revision was None and is '1'.*--accept-edits` goes on"):
        LineageRegister(Broker(broker), revised).claim()
    second = LineageRegister(Broker(broker), revised).claim(accept_edits=True)
    assert (second.id, second.epoch) == (first.id, 2)
    changed = replace(revised, parameters={**pipeline.parameters, "step": 0.5}, revision=None)
    with pytest.raises(LineageError, match=r"step was 1.5 and is 0.5"):
        LineageRegister(Broker(broker), changed).claim(accept_edits=True)


def test_a_new_lineage_begins_where_the_last_one_had_come(broker: Settings, pipeline: Pipeline) -> None:
    """Behind its last answer, or where it began or its group came to; never before what Kafka holds."""
    with Broker(broker) as client:
        ensure_topics(client, pipeline)
        register = LineageRegister(client, pipeline)
        send(broker.kafka, pipeline.topic, [b"record"] * 20)
        drop_records(broker.kafka, pipeline.topic, 2)
        first = register.claim()
        assert (first.start, register.first_unanswered(first)) == (2, 2)
        send(broker.kafka, pipeline.prediction_topic, make_answers(first.id, range(2, 4)))
        send(broker.kafka, pipeline.dead_letter_topic, make_answers(first.id, range(4, 5)))
        assert register.first_unanswered(first) == 5
        second = register.claim(fresh=True)
        assert (second.start, register.first_unanswered(second)) == (5, 5)
        assert register.claim(fresh=True).start == 5
        commit_offset(broker.kafka, group_id(pipeline), pipeline.topic, 6)
        fourth = register.claim(fresh=True)
        assert fourth.start == 6
        send(broker.kafka, pipeline.prediction_topic, make_answers(fourth.id, range(6, 9)))
        drop_records(broker.kafka, pipeline.topic, 15)
        register.end()
        assert register.claim().start == 15
        assert list(register.number_lineages().values()) == [0, 1, 2, 3, 4]


def make_answers(lineage: str, offsets: range) -> list[bytes | None]:
    return [f'{{"offset": {n}, "model_version": {n}, "lineage": "{lineage}"}}'.encode() for n in offsets]


def test_the_journal_merges_its_topics_from_where_it_is_asked_to_begin(
    broker: Settings, pipeline: Pipeline
) -> None:
    ensure_topics(Broker(broker), pipeline)
    kafka, order = broker.kafka, {"old": 0, "new": 1}
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
    with kafka_journal.open_journal(Broker(broker), pipeline, "new", order, 120) as journal:
        answered_in = [journal.take(n, 0).output.topic for n in range(120, 200)]  # type: ignore[union-attr]
        assert journal.take(200, 0) is None
        assert (journal.strays, journal.cut_off, journal.ahead) == ([], False, False)
    assert answered_in == [
        pipeline.dead_letter_topic if n == 150 else pipeline.prediction_topic for n in range(120, 200)
    ]
    with kafka_journal.open_journal(Broker(broker), pipeline, "old", order, 0) as journal:
        assert all(journal.take(n, 0) for n in range(95))
        assert journal.take(95, 0) is None
    assert kafka_journal.last_answered(Broker(broker), pipeline, "new") == 199
    assert kafka_journal.last_answered(Broker(broker), pipeline, "old") == 94
    assert kafka_journal.last_answered(Broker(broker), pipeline, "none") is None


def test_the_journal_waits_for_an_answer_until_it_is_committed(broker: Settings, pipeline: Pipeline) -> None:
    ensure_topics(Broker(broker), pipeline)
    values = [value for value in make_answers("one", range(3)) if value]
    with (
        kafka_journal.open_journal(Broker(broker), pipeline, "one", {"one": 0}, 0) as journal,
        open_transaction(broker.kafka, pipeline.prediction_topic, values) as producer,
        ThreadPoolExecutor() as executor,
    ):
        assert journal.take(0, 0) is None
        waiting = executor.submit(journal.take, 0, 60)
        assert not waiting.done()
        producer.commit_transaction()
        taken = [waiting.result(), journal.take(1, 60), journal.take(2, 60)]
        assert [entry and entry.offset for entry in taken] == [0, 1, 2]
        assert not journal.ahead


def test_answers_that_nobody_asks_for_are_strays(broker: Settings, pipeline: Pipeline) -> None:
    """Where each topic holds a later answer, nothing is waited for: an earlier one cannot come any more."""
    ensure_topics(Broker(broker), pipeline)
    parts = {
        pipeline.prediction_topic: (1, 2, 2, 7),
        pipeline.dead_letter_topic: (8,),
        pipeline.control_topic: (9,),
    }
    for topic, offsets in parts.items():
        send(broker.kafka, topic, [value for n in offsets for value in make_answers("one", range(n, n + 1))])
    with kafka_journal.open_journal(Broker(broker), pipeline, "one", {"one": 0}, 0) as journal:
        taken = journal.take(2, 0)
        assert taken is not None
        assert [stray.offset for stray in journal.strays] == [1]
        assert journal.take(3, 3600) is None
        assert journal.ahead
        assert [stray.offset for stray in journal.strays] == [1, 2]
        topics = [journal.take(n, 0).output.topic for n in (7, 8, 9)]  # type: ignore[union-attr]
    assert topics == list(parts)


def test_a_journal_whose_beginning_kafka_has_dropped_says_so(broker: Settings, pipeline: Pipeline) -> None:
    """An old dead letter that is gone is no matter where the predictions still reach further back."""
    ensure_topics(Broker(broker), pipeline)
    send(broker.kafka, pipeline.dead_letter_topic, make_answers("only", range(3)))
    send(broker.kafka, pipeline.prediction_topic, make_answers("only", range(3, 100)))
    drop_records(broker.kafka, pipeline.dead_letter_topic, 3)
    drop_records(broker.kafka, pipeline.prediction_topic, 50)
    for start, cut_off in ((0, True), (40, True), (60, False)):
        with kafka_journal.open_journal(Broker(broker), pipeline, "only", {"only": 0}, start) as journal:
            assert journal.cut_off is cut_off, start


def test_a_tail_reads_on_and_skips_what_came_too_fast(broker: Settings, pipeline: Pipeline) -> None:
    tail = Tail(Broker(broker), {pipeline.topic: 3, pipeline.dead_letter_topic: 0})
    nothing = tail.look()
    assert (nothing.records[pipeline.topic], nothing.ends[pipeline.topic]) == ([], [])
    ensure_topics(Broker(broker), pipeline)

    def read_values() -> list[bytes]:
        return [record.value for record in tail.look().records[pipeline.topic]]

    send(broker.kafka, pipeline.topic, [b"1", b"2", b"3", b"4"])
    wait_until(lambda: tail.look().ends[pipeline.topic] == [4], 30, "the topic to be seen")
    tail.close()
    tail = Tail(Broker(broker), {pipeline.topic: 3, pipeline.dead_letter_topic: 0})
    assert read_values() == [b"2", b"3", b"4"]
    assert read_values() == []
    send(broker.kafka, pipeline.topic, [b"5"])
    assert read_values() == [b"5"]
    send(broker.kafka, pipeline.topic, [b"6", b"7", b"8", b"9", b"10"])
    seen = tail.look()
    assert [record.value for record in seen.records[pipeline.topic]] == [b"8", b"9", b"10"]
    assert (seen.ends[pipeline.topic], seen.ends[pipeline.dead_letter_topic]) == ([10], [0])
    tail.close()


def test_a_tail_reads_every_partition(broker: Settings, pipeline: Pipeline) -> None:
    create_topic(broker.kafka, pipeline.topic, 3)
    tail = Tail(Broker(broker), {pipeline.topic: 2})
    wait_until(lambda: len(tail.look().ends[pipeline.topic]) == 3, 30, "the topic to be seen")
    producer = KafkaProducer(bootstrap_servers=broker.kafka)
    for partition, value in ((0, b"a"), (2, b"x"), (2, b"y"), (2, b"z")):
        producer.send(pipeline.topic, value=value, partition=partition)
    producer.close(timeout=10)
    seen = tail.look()
    assert sorted(record.value for record in seen.records[pipeline.topic]) == [b"a", b"y", b"z"]
    assert seen.ends[pipeline.topic] == [1, 0, 3]
    tail.close()


def test_a_tail_follows_a_topic_that_is_made_anew(broker: Settings, pipeline: Pipeline) -> None:
    create_topic(broker.kafka, pipeline.topic)
    send(broker.kafka, pipeline.topic, [b"1", b"2", b"3"])
    tail = Tail(Broker(broker), {pipeline.topic: 5})
    assert len(tail.look().records[pipeline.topic]) == 3
    admin = KafkaAdminClient(bootstrap_servers=broker.kafka)
    admin.delete_topics([pipeline.topic])
    wait_until(lambda: pipeline.topic not in admin.list_topics(), 30, "the topic to be gone")
    admin.close()
    create_topic(broker.kafka, pipeline.topic)
    send(broker.kafka, pipeline.topic, [b"new"])
    seen: list[bytes] = []

    def look() -> bool:
        seen.extend(record.value for record in tail.look().records[pipeline.topic])
        return bool(seen)

    wait_until(look, 60, "the new topic to be seen")
    assert seen == [b"new"]
    tail.close()
