"""`streamlearn accept`: a job's SQL once more, in batch mode, over the records that its stream has read.

Both are taken at one checkpoint: the offsets that the job's consumer group has committed bound the batch, and
they are the same before and after its topics are read.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from flink_jobs.sql.client import BATCH, LOCAL, format_script, run_script
from flink_jobs.sql.jobs import SqlJob
from flink_jobs.sql.tables import Bounds, build_bounded_tables, build_file_tables, group_name
from streamlearn.broker.broker import Broker
from streamlearn.errors import NothingToCompare
from streamlearn.settings import Settings
from streamlearn.warehouse.acceptance import Row, TopicReport, compare_rows
from streamlearn.warehouse.catalogue import Topic, load_stack_catalogue

_TRIES = 20
_PAUSE_S = 0.5
_decode = msgspec.json.Decoder().decode


def accept(settings: Settings, job: SqlJob, *, echo: Callable[[str], None] = print) -> list[TopicReport]:
    """Compare every topic that a job writes with what its SQL gives in batch mode.

    Raises
    ------
    NothingToCompare
        The job has not committed anything yet, or does so again and again while its topics are read.
    JobError
        Flink refuses the SQL.
    """
    topics = load_stack_catalogue(settings)
    written = [topic for topic in topics if topic.owner == job.job_name]
    with Broker(settings) as broker:
        present = set(broker.topics())
        read = [topic for topic in topics if topic not in written and topic.name in present]
        bounds, stream_rows = _read_at_a_checkpoint(broker, job, read, written)
        has_all = all(
            broker.oldest(name, partition) == 0 for name, offsets in bounds.items() for partition in offsets
        )
    sizes = ", ".join(f"{name} up to {'+'.join(map(str, o.values()))}" for name, o in bounds.items())
    echo(f"{job.name}: the same SQL in batch mode over {sizes}")
    given = _run_batch(settings, job, [t for t in topics if t.name in bounds], written, bounds)
    return [
        compare_rows(topic, stream_rows[topic.name], given[topic.name], has_all_records=has_all)
        for topic in written
    ]


def _read_at_a_checkpoint(
    broker: Broker, job: SqlJob, read: Sequence[Topic], written: Sequence[Topic]
) -> tuple[Bounds, dict[str, list[Row]]]:
    """Return the offsets up to which the job has read, and the rows that it has said up to there."""
    group = group_name(job.name)
    for _ in range(_TRIES):
        before = _read_offsets(broker, group, read)
        if not before:
            raise NothingToCompare(
                f"{job.job_name} has not committed anything yet; `streamlearn sql run {job.name}` starts it"
            )
        stream_rows = {topic.name: _read_rows(broker, topic) for topic in written}
        if _read_offsets(broker, group, read) == before:
            return before, stream_rows
        time.sleep(_PAUSE_S)
    raise NothingToCompare(f"{job.job_name} commits more quickly than its topics can be read")


def _read_offsets(broker: Broker, group: str, read: Sequence[Topic]) -> dict[str, dict[int, int]]:
    offsets = {topic.name: broker.committed_offsets(group, topic.name) for topic in read}
    return {name: committed for name, committed in offsets.items() if committed}


def _read_rows(broker: Broker, topic: Topic) -> list[Row]:
    """Return the newest row of each key; a record without a value has taken its row away."""
    rows: dict[bytes, Row | None] = {}
    for partition in sorted(broker.partitions(topic.name)):
        for record in broker.read(topic.name, partition=partition):
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
