"""Every topic of the catalogue as a table of Flink SQL.

A topic without a key is a stream: its table has, beside the columns of its records, `kafka_partition`,
`kafka_offset` and `kafka_time`, and `event_time`, which is the time that a record is about, with a watermark.
A topic with a key holds the newest record of each; as a stream it is read as changes. Where its catalogue
entry tells the time of its records, its table is versioned: `JOIN … FOR SYSTEM_TIME AS OF` another's time.

Bounded, tables end where the topics do now, and are read in batch mode. Flink reads no changes there, so a
topic with a key becomes two: `<name>.log`, every record, and a view `<name>`, the newest one of each key.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from flink_jobs.tables import TRANSACTION_TIMEOUT_MS, build_connection, format_options
from streamlearn.settings import Settings
from streamlearn.warehouse.catalogue import Topic, quote_name

Bounds = Mapping[str, Mapping[int, int]]
"""By topic and partition: the offset at which reading ends."""

_KAFKA = (
    "`kafka_partition` INT METADATA FROM 'partition' VIRTUAL",
    "`kafka_offset` BIGINT METADATA FROM 'offset' VIRTUAL",
    "`kafka_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL",
)
_LONG_AGO = "TIMESTAMP '1970-01-01 00:00:00'"
"""The time of records that tell none: it brings no watermark forward."""


def build_stream_tables(topics: Iterable[Topic], settings: Settings, job: str | None = None) -> list[str]:
    """Return the DDL of tables that go on for ever, from each topic's oldest record.

    `job` is the name of the job that reads and writes them: its consumer group, and the beginning of its
    transactions' ids. Without one they are for a look.
    """
    statements = []
    for topic in topics:
        if topic.key:
            options = _build_upsert(topic, settings, job)
            keys = ", ".join(map(quote_name, topic.key))
            columns = [*_columns(topic), f"PRIMARY KEY ({keys}) NOT ENFORCED"]
            if topic.event_time:
                # With it the table is versioned: it can be joined as of another one's time.
                columns += _time_columns(topic)
            statements.append(_create(topic.name, columns, options))
        else:
            statements.append(
                _create(topic.name, _stream_columns(topic), _build_source(topic, settings, job))
            )
    return statements


def build_bounded_tables(
    topics: Iterable[Topic], settings: Settings, bounds: Bounds | None = None
) -> list[str]:
    """Return the DDL of tables that end: at the offsets in `bounds`, others where the topic ends now."""
    statements = []
    for topic in topics:
        options = _build_source(topic, settings, None)
        if bounds is not None and topic.name in bounds:
            places = bounds[topic.name].items()
            options["scan.bounded.mode"] = "specific-offsets"
            options["scan.bounded.specific-offsets"] = ";".join(
                f"partition:{p},offset:{o}" for p, o in places
            )
        else:
            options["scan.bounded.mode"] = "latest-offset"
        if topic.key:
            log = f"{topic.name}.log"
            statements.append(_create(log, [*_columns(topic), *_KAFKA], options))
            statements.append(_view_newest(topic, log))
        else:
            statements.append(_create(topic.name, _stream_columns(topic), options))
    return statements


def build_file_tables(topics: Iterable[Topic], folder: Path) -> list[str]:
    """Return the DDL of tables that are written as JSON, a row a line, into folders of the topics' names."""
    return [
        _create(
            topic.name,
            _columns(topic),
            {"connector": "filesystem", "path": (folder / topic.name).as_uri(), "format": "json"},
        )
        for topic in topics
    ]


def _create(name: str, columns: Iterable[str], options: Mapping[str, str]) -> str:
    lines = ",\n    ".join(columns)
    return f"CREATE TABLE {quote_name(name)} (\n    {lines}\n) WITH (\n{format_options(options)}\n)"


def _view_newest(topic: Topic, log: str) -> str:
    """Return the view of the newest record of each key; all of a key are in one partition."""
    columns = ", ".join(quote_name(column.name) for column in topic.columns)
    keys = ", ".join(map(quote_name, topic.key))
    return (
        f"CREATE VIEW {quote_name(topic.name)} AS SELECT {columns} FROM (SELECT *, ROW_NUMBER() OVER"  # noqa: S608 (the names are the catalogue's)
        f" (PARTITION BY {keys} ORDER BY `kafka_offset` DESC) AS `kafka_nth` FROM {quote_name(log)})"
        " WHERE `kafka_nth` = 1"
    )


def _columns(topic: Topic) -> list[str]:
    return [f"{quote_name(column.name)} {column.type}" for column in topic.columns]


def _stream_columns(topic: Topic) -> list[str]:
    return [*_columns(topic), *_KAFKA, *_time_columns(topic)]


def _time_columns(topic: Topic) -> list[str]:
    time = f"COALESCE({topic.event_time}, {_LONG_AGO})" if topic.event_time else "`kafka_time`"
    delay = f"INTERVAL '{topic.lateness_ms / 1000:.3f}' SECOND"
    return [f"`event_time` AS {time}", f"WATERMARK FOR `event_time` AS `event_time` - {delay}"]


def _build_source(topic: Topic, settings: Settings, job: str | None) -> dict[str, str]:
    group = {"properties.group.id": group_name(job)} if job else {}
    return {
        "connector": "kafka",
        "topic": topic.name,
        **build_connection(settings),
        **group,
        "properties.isolation.level": "read_committed",
        "scan.startup.mode": "earliest-offset",
        "value.format": "json",
        # What is no JSON at all has its dead letter.
        "value.json.ignore-parse-errors": "true",
        # Each record brings the watermark forward: what is late depends on the records, not on the clock.
        "scan.watermark.emit.strategy": "on-event",
    }


def _build_upsert(topic: Topic, settings: Settings, job: str | None) -> dict[str, str]:
    sink = {
        "sink.delivery-guarantee": "exactly-once",
        "sink.transactional-id-prefix": f"streamlearn-warehouse-{job}-{topic.name}:",
        "properties.transaction.timeout.ms": str(TRANSACTION_TIMEOUT_MS),
    }
    return {
        "connector": "upsert-kafka",
        "topic": topic.name,
        **build_connection(settings),
        "properties.isolation.level": "read_committed",
        "key.format": "json",
        "value.format": "json",
        **(sink if job else {}),
    }


def group_name(job: str) -> str:
    """Return the consumer group of a SQL job, whose committed offsets tell how far it has come."""
    return f"streamlearn-warehouse-{job}"
