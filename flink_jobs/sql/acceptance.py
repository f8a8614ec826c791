"""`streamlearn accept`: a job's SQL once more, in batch mode, over the records that its stream has read.

Both are taken at one checkpoint: the offsets that the job's consumer group has committed bound the batch, and
where its topics end at that moment bounds its rows. Flink commits the two one after the other, and after a
fault the rows a whole checkpoint before the offsets. So where rows differ, they are looked at again two
checkpoints later.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from flink_jobs.sql.client import BATCH, LOCAL, format_script, run_script
from flink_jobs.sql.jobs import SqlJob, list_kept
from flink_jobs.sql.tables import Bounds, build_bounded_tables, build_file_tables, group_name
from streamlearn.broker.broker import Broker
from streamlearn.errors import NothingToCompare, StackError
from streamlearn.operations import flink_api
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until
from streamlearn.warehouse.acceptance import Row, TopicReport, compare_rows
from streamlearn.warehouse.catalogue import Topic, load_stack_catalogue

_LOOKS = 3
_CHECKPOINT_S = 60.0
"""How long the next checkpoint is waited for: a job that has lost a part first starts again."""
_POLL_S = 0.5
_decode = msgspec.json.Decoder().decode


class _Reach(NamedTuple):
    """How far a job has come."""

    bounds: dict[str, dict[int, int]]
    """By topic that it reads, and partition: the offset that it has committed."""
    ends: dict[str, dict[int, int]]
    """By topic that it writes, and partition: the offset after the last committed row."""


def accept(
    settings: Settings, job: SqlJob, *, last: int | None = None, echo: Callable[[str], None] = print
) -> list[TopicReport]:
    """Compare every topic that a job writes with what its SQL gives in batch mode.

    `last` compares only the newest so many windows of each topic; None: all.

    Raises
    ------
    NothingToCompare
        The job has not committed anything yet.
    JobError
        Flink refuses the SQL.
    """
    topics = load_stack_catalogue(settings)
    written = [topic for topic in topics if topic.owner == job.job_name]
    with Broker(settings) as broker:
        present = set(broker.topics())
        read = [topic for topic in topics if topic not in written and topic.name in present]
        find_reach = partial(_find_reach, broker, job, read, written)
        for look in range(_LOOKS):
            checkpoint, reach = flink_api.find_last_checkpoint(settings, job.job_name), find_reach()
            reports = _compare(settings, broker, job, read, written, reach, last, echo)
            if look == _LOOKS - 1 or not any(report.different for report in reports):
                break
            echo(f"{job.name}: rows differ; they are looked at again two checkpoints later")
            if not _wait_for_checkpoints(settings, job, checkpoint) or find_reach() == reach:
                break
    return reports


def _compare(
    settings: Settings,
    broker: Broker,
    job: SqlJob,
    read: Sequence[Topic],
    written: Sequence[Topic],
    reach: _Reach,
    last: int | None,
    echo: Callable[[str], None],
) -> list[TopicReport]:
    bounds = reach.bounds
    has_all = all(
        broker.oldest(name, partition) == 0 for name, offsets in bounds.items() for partition in offsets
    )
    sizes = ", ".join(f"{name} up to {'+'.join(map(str, o.values()))}" for name, o in bounds.items())
    echo(f"{job.name}: the same SQL in batch mode over {sizes}")
    stream_rows = {topic.name: _read_rows(broker, topic, reach.ends[topic.name]) for topic in written}
    # Where nothing has been read yet, as of dead letters that there are none of, the job commits nothing.
    all_bounds = {
        topic.name: dict.fromkeys(broker.partitions(topic.name), 0) | bounds.get(topic.name, {})
        for topic in read
    }
    given = _run_batch(settings, job, read, written, all_bounds)
    return [
        compare_rows(topic, stream_rows[topic.name], given[topic.name], has_all_records=has_all, last=last)
        for topic in written
    ]


def _find_reach(broker: Broker, job: SqlJob, read: Sequence[Topic], written: Sequence[Topic]) -> _Reach:
    """Return how far a job has come, at a moment at which nothing is being committed.

    Raises
    ------
    NothingToCompare
        It has committed nothing yet.
    """
    group = group_name(job.name)

    def ask() -> _Reach:
        bounds = {topic.name: broker.committed_offsets(group, topic.name) for topic in read}
        ends = {
            topic.name: {k: broker.stable_end(topic.name, k) for k in sorted(broker.partitions(topic.name))}
            for topic in written
        }
        return _Reach({name: offsets for name, offsets in bounds.items() if offsets}, ends)

    before, reach = None, ask()
    while reach.bounds and reach != before:
        before, reach = reach, ask()
    if not reach.bounds:
        raise NothingToCompare(
            f"{job.job_name} has not committed anything yet; `streamlearn sql run {job.name}` starts it"
        )
    return reach


def _wait_for_checkpoints(settings: Settings, job: SqlJob, before: int | None) -> bool:
    """Wait until a job has completed two checkpoints more than `before`; return whether it has.

    A checkpoint is known as completed before its offsets are committed: those of the first of the two are.
    """
    if job.name not in list_kept(settings):
        return False

    def find_another(than: set[int | None]) -> int | None:
        number = flink_api.find_last_checkpoint(settings, job.job_name)
        return None if number in than else number

    try:
        if before is None:
            before = wait_until(lambda: find_another(set()), _CHECKPOINT_S, "a checkpoint", every_s=_POLL_S)
        passed = {before, (before or 0) + 1}
        return bool(wait_until(lambda: find_another(passed), _CHECKPOINT_S, "a checkpoint", every_s=_POLL_S))
    except StackError:
        return False


def _read_rows(broker: Broker, topic: Topic, ends: dict[int, int]) -> list[Row]:
    """Return the newest row of each key below the ends; a record without a value has taken its row away."""
    rows: dict[bytes, Row | None] = {}
    for partition, end in ends.items():
        for record in broker.read(topic.name, end=end, partition=partition):
            rows[record.key] = _decode_row(record.value)
    return [row for row in rows.values() if row is not None]


def _decode_row(value: bytes | None) -> dict[str, Any] | None:
    with suppress(msgspec.DecodeError):
        row = _decode(value) if value is not None else None
        return row if isinstance(row, dict) else None
    return None


def _run_batch(
    settings: Settings, job: SqlJob, read: Sequence[Topic], written: Sequence[Topic], bounds: Bounds
) -> dict[str, list[Row]]:
    folder = Path(tempfile.mkdtemp(prefix="streamlearn-accept-"))
    try:
        statements = [
            *build_bounded_tables(read, settings, bounds),
            *build_file_tables(written, folder),
            job.text,
        ]
        run_script(settings, format_script({**LOCAL, **BATCH, "table.dml-sync": "true"}, statements))
        return {topic.name: _read_files(folder / topic.name) for topic in written}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_files(folder: Path) -> list[Row]:
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "_"))
    )
    return [_decode(line) for path in files for line in path.read_bytes().splitlines() if line]
