"""A pipeline of several partitions, a learner each: without Flink, on a real Redis and streams in memory."""

import json
from collections.abc import Callable

import msgspec
import plain_loop
import pytest
from helpers import KEY, LINEAGE, ListStream, inputs, read_snapshots, rollback

from streamlearn.engine.partitions import Partitions
from streamlearn.engine.verification_report import Report, combine_exit_codes
from streamlearn.engine.verify import verify
from streamlearn.errors import Fenced, LineageError, StoreEmptied
from streamlearn.operations import verification
from streamlearn.pipelines.digits import pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.stream.lineage import Lineage
from streamlearn.stream.ports import Input

TWO = LINEAGE.add_partitions([0])

Answers = list[dict[str, object]]


class Topic:
    """The partitions of a topic in memory, and the committed answers to each."""

    def __init__(self, count: int) -> None:
        self.streams = [ListStream() for _ in range(count)]

    def commit(self, partitions: Partitions, *calls: list[Input]) -> Answers:
        """Let a worker answer calls, commit the answers and return them."""
        answers = []
        for rows in calls:
            for row in rows:
                self.streams[row.partition].records.append(row)
            outputs = partitions.answer(rows)
            for row, output in zip(rows, outputs, strict=True):
                self.streams[row.partition].answers.append(output)
            answers += [json.loads(output.value) for output in outputs]
        return answers


@pytest.fixture
def topic() -> Topic:
    return Topic(2)


Start = Callable[..., Partitions]


@pytest.fixture
def start(store: Store, redis_url: str, topic: Topic) -> Start:
    """Start a worker of Flink on the topic."""

    def start(lineage: Lineage = TWO, *, alone: bool = True) -> Partitions:
        settings = Settings(redis=redis_url, redis_wait_s=1, journal_wait_s=0, checkpoint_key=KEY)
        partitions = Partitions(
            pipeline,
            lineage,
            settings,
            store=store,
            open_stream=lambda partition: topic.streams[partition],
            committed=lambda partition: None,
            alone=alone,
        )
        partitions.admit()
        return partitions

    return start


def rows_of(partition: int, count: int, start: int = 0) -> list[Input]:
    """Return digits at the offsets from `start` on, others in each partition."""
    rows = inputs(start + count, seed=partition)[start:]
    return [row._replace(partition=partition) for row in rows]


def interleave(left: list[Input], right: list[Input]) -> list[Input]:
    return [row for pair in zip(left, right, strict=True) for row in pair]


def compare(store: Store, topic: Topic, lineage: Lineage = TWO) -> list[Report]:
    """Verify each partition by itself."""
    reports = []
    for partition in lineage.partitions:
        stored = read_snapshots(store, "digits", partition)
        reports.append(
            verify(
                pipeline,
                lineage.in_partition(partition),
                topic.streams[partition],
                stored,
                key=KEY,
                wait_s=0,
            )
        )
    return reports


def predictions_of(answers: Answers, partition: int) -> Answers:
    return [answer for answer in answers if answer["partition"] == partition]


def test_each_partition_is_learned_as_if_it_were_alone(start: Start, store: Store, topic: Topic) -> None:
    mixed = interleave(rows_of(0, 300), rows_of(1, 300))
    answers = topic.commit(start(), mixed[:150], mixed[150:400], mixed[400:])
    assert [(a["partition"], a["offset"]) for a in answers] == [(r.partition, r.offset) for r in mixed]
    for partition in (0, 1):
        own = predictions_of(answers, partition)
        assert [p["predict_y"] for p in own] == plain_loop.replay(own)
        assert sorted({p["model_version"] for p in own}) == [0, 75, 200]
    reports = compare(store, topic)
    assert [(report.records, report.different, report.exit_code) for report in reports] == [(300, 0, 0)] * 2


def test_redis_knows_every_partition_before_its_first_record(start: Start, store: Store) -> None:
    start(TWO.add_partitions([0]))
    assert store.partitions("digits") == [1, 2]


def test_a_changed_answer_is_found_in_its_partition(start: Start, store: Store, topic: Topic) -> None:
    topic.commit(start(), interleave(rows_of(0, 300), rows_of(1, 300)))
    answers = topic.streams[1].answers
    given = json.loads(answers[280].value)
    changed = {**given, "predict_y": (given["predict_y"] + 1) % 10}
    answers[280] = answers[280]._replace(value=json.dumps(changed).encode())
    assert [report.different for report in compare(store, topic)] == [0, 1]


def test_partitions_that_change_workers_go_on_where_flink_resumes(
    start: Start, store: Store, topic: Topic
) -> None:
    """From one worker to two and back: what was answered but not committed is answered again, the same."""
    single = start()
    topic.commit(single, interleave(rows_of(0, 200), rows_of(1, 200)))
    lost = single.answer(interleave(rows_of(0, 50, 200), rows_of(1, 50, 200)))
    newer = msgspec.structs.replace(TWO, epoch=2)
    left, right = start(newer, alone=False), start(newer, alone=False)
    again = topic.commit(right, rows_of(1, 50, 200)) + topic.commit(left, rows_of(0, 50, 200))
    assert sorted(json.loads(output.value)["predict_y"] for output in lost) == sorted(
        answer["predict_y"]
        for answer in again  # type: ignore[type-var]
    )
    topic.commit(left, rows_of(0, 50, 250))
    topic.commit(right, rows_of(1, 50, 250))
    newest = start(msgspec.structs.replace(TWO, epoch=3))
    topic.commit(newest, interleave(rows_of(0, 9, 300), rows_of(1, 9, 300)))
    assert combine_exit_codes(compare(store, topic)) == 0
    assert [len(store.restores("digits", partition)) for partition in (0, 1)] == [3, 3]
    for partitions, partition, offset in ((single, 1, 250), (left, 0, 300), (right, 1, 300)):
        with pytest.raises(Fenced):
            partitions.answer(rows_of(partition, 1, offset))


def test_of_two_workers_at_once_each_has_its_partition_alone(start: Start, topic: Topic) -> None:
    left, right = start(alone=False), start(alone=False)
    topic.commit(left, rows_of(0, 20))
    topic.commit(right, rows_of(1, 20))
    topic.commit(left, rows_of(0, 20, 20))
    # Flink has given up on `right`, and started another in its place.
    successor = start(alone=False)
    topic.commit(successor, rows_of(1, 20, 20))
    with pytest.raises(Fenced):
        right.answer(rows_of(1, 1, 20))
    topic.commit(left, rows_of(0, 20, 40))


def test_a_worker_that_started_earlier_cannot_take_a_partition_back(start: Start, topic: Topic) -> None:
    """It came late to the first record: it may not resume, nor drop what the other has written."""
    late, current = start(alone=False), start(alone=False)
    topic.commit(current, rows_of(1, 20))
    with pytest.raises(Fenced):
        late.answer(rows_of(1, 20))
    topic.commit(current, rows_of(1, 20, 20))


@pytest.mark.parametrize("alone", [True, False])
def test_workers_of_an_older_submission_are_shut_out_of_every_partition(
    start: Start, topic: Topic, *, alone: bool
) -> None:
    old = start(alone=False)
    topic.commit(old, interleave(rows_of(0, 20), rows_of(1, 20)))
    start(msgspec.structs.replace(TWO, epoch=2), alone=alone)  # it has not seen a record yet
    for partition in (0, 1):
        with pytest.raises(Fenced):
            old.answer(rows_of(partition, 1, 20))
    with pytest.raises(Fenced):
        start(alone=False)


def test_an_emptied_redis_stops_both_workers_and_is_rebuilt(start: Start, store: Store, topic: Topic) -> None:
    left, right = start(alone=False), start(alone=False)
    topic.commit(left, rows_of(0, 200), rows_of(0, 100, 200))
    topic.commit(right, rows_of(1, 150), rows_of(1, 150, 150))
    store.clear("digits")
    for partitions, partition in ((left, 0), (right, 1)):
        with pytest.raises(StoreEmptied):
            partitions.answer(rows_of(partition, 1, 300))
    topic.commit(start(), interleave(rows_of(0, 50, 300), rows_of(1, 50, 300)))
    assert [store.restores("digits", partition)[-1].relearned for partition in (0, 1)] == [300, 300]
    assert combine_exit_codes(compare(store, topic)) == 0


def test_a_rollback_goes_back_in_its_partition_alone(start: Start, store: Store, topic: Topic) -> None:
    order = rollback(200, 100)._replace(partition=1)
    partitions = start()
    topic.commit(partitions, interleave(rows_of(0, 100), rows_of(1, 100)))
    topic.commit(partitions, interleave(rows_of(0, 100, 100), rows_of(1, 100, 100)))
    (obeyed,) = topic.commit(partitions, [order])
    assert (obeyed["partition"], obeyed["offset"], obeyed["model_version"]) == (1, 200, 200)
    topic.commit(partitions, interleave(rows_of(0, 50, 200), rows_of(1, 50, 201)))
    left, right = compare(store, topic)
    assert (left.controls, right.controls, left.exit_code, right.exit_code) == (0, 1, 0, 0)


def test_records_are_skipped_and_begun_with_in_their_partition(
    start: Start, store: Store, topic: Topic
) -> None:
    lineage = LINEAGE.add_partitions([7]).skip(9, 1)
    rows = [row for row in rows_of(1, 20) if row.offset >= 7]
    answers = topic.commit(start(lineage), interleave(rows_of(0, 13), rows))
    assert [(a["partition"], a["offset"]) for a in answers if "reason" in a] == [(1, 9)]
    assert {a["model_version"] for a in predictions_of(answers, 1)} == {7}
    assert combine_exit_codes(compare(store, topic, lineage)) == 0


def test_a_partition_that_the_lineage_does_not_know_is_named(start: Start) -> None:
    with pytest.raises(LineageError, match=r"does not learn from partition 1; .*`streamlearn train digits`"):
        start(LINEAGE).answer(rows_of(1, 1))


def test_the_first_partition_has_the_keys_that_it_had_alone(
    start: Start, redis_url: str, topic: Topic
) -> None:
    import redis

    topic.commit(start(), interleave(rows_of(0, 20), rows_of(1, 20)))
    with redis.Redis.from_url(redis_url) as client:
        keys = sorted(key.decode() for key in client.scan_iter())
    own = ["about:aaaa", "fence", "head", "partitions", "restores", "snapshot:aaaa:20", "versions:aaaa"]
    assert [key for key in keys if ":p1:" not in key] == [f"streamlearn:digits:{key}" for key in own]
    others = [f"streamlearn:digits:p1:{key}" for key in own if key not in ("fence", "partitions")]
    assert [key for key in keys if ":p1:" in key] == others


def test_a_lineage_of_one_partition_is_written_as_before() -> None:
    fields = msgspec.json.decode(msgspec.json.encode(LINEAGE.skip(3, 0)))
    assert not {"later_starts", "later_skipped", "parallelism"} & set(fields)
    grown = LINEAGE.add_partitions([5, 6]).skip(8, 2)
    assert msgspec.json.decode(msgspec.json.encode(grown), type=Lineage) == grown
    assert (grown.starts, grown.in_partition(2).start, grown.in_partition(2).skipped) == ((0, 5, 6), 6, (8,))
    assert grown.in_partition(1).skipped == ()


def make_report(*, different: int = 0, **fields: int) -> Report:
    report = Report(pipeline="digits", lineage="aaaa", start=0, **{"end": 0, **fields})  # type: ignore[arg-type]
    for offset in range(different):
        report.add_difference(offset, "missing", "the record has no answer")
    return report


@pytest.mark.parametrize(
    ("others", "code"),
    [
        ([], 0),
        ([make_report()], 0),  # a partition without a record
        ([make_report(unanswered=5)], 2),
        ([make_report(predictions=5, end=5)], 2),  # no version could be compared
        ([make_report(unanswered=5), make_report(predictions=5, end=5, snapshots=1, different=1)], 1),
    ],
)
def test_a_lineage_is_equal_if_each_partition_with_records_is(others: list[Report], code: int) -> None:
    reports = [make_report(predictions=5, end=5, snapshots=1), *others]
    assert combine_exit_codes(reports) == code
    summary = verification.summarize(reports)
    assert summary["exit_code"] == code
    last_line = list(verification.format_reports(reports, 1.0))[-1]
    assert last_line.startswith("✓?✗"[{0: 0, 1: 2, 2: 1}[code]])


def test_a_lineage_without_any_record_has_nothing_to_compare() -> None:
    assert combine_exit_codes([make_report(), make_report()]) == 2
