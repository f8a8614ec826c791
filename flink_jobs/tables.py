"""A pipeline's job as Flink is told it: options, and SQL, whose tables are named for their topics.

Values travel as raw bytes: a decoding format would drop what it cannot read without a trace. One sink
serves all output topics, so that all output for a checkpoint's records is committed in one transaction.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from flink_jobs import workers
from flink_jobs.checkpoints import checkpoint_folder, savepoint_folder
from flink_jobs.plan import Plan
from streamlearn.broker.answer_keys import make_answer_key
from streamlearn.broker.register import group_id
from streamlearn.broker.topics import MAX_DEAD_LETTER_BYTES
from streamlearn.operations.flink_api import job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.stream.lineage import Lineage

_SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
"""Where the connector's jar keeps Kafka's login modules."""

TRANSACTION_TIMEOUT_MS = 7 * 24 * 3600 * 1000
"""How long the broker keeps a transaction that nobody ends: seven days, longer than an outage should last."""

_POLLED_RECORDS = 2048
"""Most records that the source takes from its client at once."""

_SINK_BATCH_BYTES = 128 * 1024
"""How many bytes of answers go to the broker at once, where so many are there. Kafka's own 16 KB cost broker
and client half as much again; an answer that comes alone waits no longer."""

_CHUNKS_PER_BATCH = 4
"""How many chunks the worker is given at once: a snapshot is stored after each batch."""

_BATCHES_PER_BUNDLE = 4


def build_plan(
    pipeline: Pipeline, lineage: Lineage, starts: Sequence[int], parallelism: int, settings: Settings
) -> Plan:
    """Return a lineage's job of so many parallel workers, submitted with these settings.

    Partition k is read from offset `starts[k]` on, unless Flink resumes from a checkpoint.
    """
    travelling = workers.list_variables(settings)
    settings = workers.load_settings(settings)
    partitions = len(lineage.partitions)
    statements = [
        build_source_table(pipeline, settings, group_id(pipeline), starts),
        build_sink_table(pipeline, settings, partitions),
        build_insert(pipeline, partitions),
    ]
    options = build_options(lineage, settings, parallelism)
    return Plan(
        lineage=lineage,
        parallelism=parallelism,
        settings=travelling,
        options=options,
        statements=statements,
    )


def build_options(lineage: Lineage, settings: Settings, parallelism: int) -> dict[str, str]:
    """Return Flink's options for the job; the settings are those of its workers."""
    batch_rows, bundle_rows = count_rows_at_once(settings, parallelism)
    folder = checkpoint_folder(lineage, settings) / str(lineage.epoch)
    return {
        "pipeline.name": job_name(lineage.pipeline),
        "parallelism.default": str(parallelism),
        "python.executable": workers.python_path(settings),
        "python.client.executable": sys.executable,
        # A bundle of one batch would make the JVM and Python take turns.
        "python.fn-execution.bundle.size": str(bundle_rows),
        "python.fn-execution.bundle.time": str(settings.bundle_time_ms),
        "python.fn-execution.arrow.batch.size": str(batch_rows),
        **build_fault_options(settings, folder, settings.checkpoint_interval_ms),
    }


def build_fault_options(settings: Settings, folder: Path, interval_ms: int) -> dict[str, str]:
    """Return Flink's options for a job that survives faults: checkpoints into a folder, and restarts."""
    restart_ms = round(1000 * settings.restart_wait_s)
    return {
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.interval": f"{interval_ms} ms",
        "execution.checkpointing.timeout": "10 min",
        "execution.checkpointing.tolerable-failed-checkpoints": "1000000",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": "3",
        "execution.checkpointing.dir": folder.as_uri(),
        "execution.checkpointing.savepoint-dir": savepoint_folder(settings).as_uri(),
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": f"{min(1000, restart_ms)} ms",
        "restart-strategy.exponential-delay.max-backoff": f"{restart_ms} ms",
        # A fault an hour ago must not make the next one's recovery slow.
        "restart-strategy.exponential-delay.reset-backoff-threshold": "1 min",
    }


def count_rows_at_once(settings: Settings, parallelism: int) -> tuple[int, int]:
    """Return how many rows a worker is given at once: in a batch, and in a bundle of batches.

    A checkpoint waits for the bundle that has begun. With a limit on the rate that is a chunk, or, of a
    rate below a chunk a second, what may be taken in a second.
    """
    rate = settings.catch_up_rate / parallelism
    if rate > 0:
        rows = max(1, min(settings.chunk_rows, int(rate)))
        return rows, rows
    batch_rows = _CHUNKS_PER_BATCH * settings.chunk_rows
    return batch_rows, _BATCHES_PER_BUNDLE * batch_rows


def build_source_table(pipeline: Pipeline, settings: Settings, group: str, starts: Sequence[int]) -> str:
    """Return the DDL of the input table.

    Partition k is read from offset `starts[k]` on, unless Flink resumes from a checkpoint.
    """
    offsets = ";".join(f"partition:{partition},offset:{start}" for partition, start in enumerate(starts))
    return f"""
        CREATE TABLE `{pipeline.topic}` (
            `value` BYTES,
            `partition` INT METADATA VIRTUAL,
            `offset` BIGINT METADATA VIRTUAL
        ) WITH ({
        _format_options(
            settings,
            {
                "topic": pipeline.topic,
                "properties.group.id": group,
                "properties.isolation.level": "read_committed",
                "properties.max.poll.records": str(_POLLED_RECORDS),
                "scan.startup.mode": "specific-offsets",
                "scan.startup.specific-offsets": offsets,
                "scan.topic-partition-discovery.interval": "0 ms",
            },
        )
    })"""


def build_sink_table(pipeline: Pipeline, settings: Settings, partitions: int = 1) -> str:
    """Return the DDL of the output table; of several partitions, answers have keys (`answer_keys.py`)."""
    key = "`key` BYTES," if partitions > 1 else ""
    keyed = {"key.format": "raw", "key.fields": "key", "value.fields-include": "EXCEPT_KEY"}
    return f"""
        CREATE TABLE `{pipeline.prediction_topic}` (
            {key}
            `value` BYTES,
            `topic` STRING METADATA
        ) WITH ({
        _format_options(
            settings,
            {
                "topic": f"{pipeline.prediction_topic};{pipeline.dead_letter_topic};{pipeline.control_topic}",
                "sink.delivery-guarantee": "exactly-once",
                "sink.transactional-id-prefix": transactional_id_prefix(pipeline),
                "sink.transaction-naming-strategy": "pooling",
                "properties.transaction.timeout.ms": str(TRANSACTION_TIMEOUT_MS),
                "properties.max.request.size": str(MAX_DEAD_LETTER_BYTES),
                "properties.batch.size": str(_SINK_BATCH_BYTES),
                **(keyed if partitions > 1 else {}),
            },
        )
    })"""


def transactional_id_prefix(pipeline: Pipeline) -> str:
    """Return the prefix of the ids of a pipeline's transactions; no other pipeline's begin with it.

    A job that starts aborts the open transactions in its topics whose ids have its prefix. Pipelines on one
    input share a dead-letter topic: without the colon, `pm25` would abort the transactions of `pm25_gru`.
    """
    return f"streamlearn-{pipeline.name}:"


def build_insert(pipeline: Pipeline, partitions: int = 1) -> str:
    """Return the INSERT statement, which runs for ever.

    It calls `learn` once a row and reads both columns from that result. Two calls would learn each record
    twice.
    """
    cases = " ".join(f"WHEN {k} THEN x'{make_answer_key(k).hex()}'" for k in range(partitions))
    key, partition = (f"CASE `partition` {cases} END, ", ", `partition`") if partitions > 1 else ("", "")
    return f"""
        INSERT INTO `{pipeline.prediction_topic}`
        SELECT {key}answer.`value`, answer.`topic`
        FROM (SELECT learn(`partition`, `offset`, `value`) AS answer{partition} FROM `{pipeline.topic}`)"""  # noqa: S608 (the names are the pipeline's own)


def _format_options(settings: Settings, own: dict[str, str]) -> str:
    shared = {"connector": "kafka", "value.format": "raw"}
    return format_options({**shared, **build_connection(settings), **own})


def format_options(options: Mapping[str, str]) -> str:
    """Return a table's options as they stand in its DDL.

    >>> format_options({"topic": "it's"})
    "'topic' = 'it''s'"
    """
    escaped = {key: value.replace("'", "''") for key, value in options.items()}
    return ",\n".join(f"'{key}' = '{value}'" for key, value in escaped.items())


def build_connection(settings: Settings) -> dict[str, str]:
    """Return the Kafka connector's options for reaching the broker, passwords included."""
    return {"properties.bootstrap.servers": settings.kafka, **_build_security(settings)}


def _build_security(settings: Settings) -> dict[str, str]:
    """Return the Java client's options for TLS and SASL."""
    options: dict[str, str] = {"security.protocol": settings.kafka_security}
    if settings.kafka_security.startswith("SASL"):
        kind = "plain.Plain" if settings.kafka_sasl == "PLAIN" else "scram.Scram"
        options |= {
            "sasl.mechanism": settings.kafka_sasl,
            "sasl.jaas.config": f"{_SHADED}.{kind}LoginModule required"
            f" username={quote(settings.kafka_user)} password={quote(settings.kafka_password)};",
        }
    if settings.kafka_security.endswith("SSL"):
        for file, store in ((settings.tls_ca, "truststore"), (settings.tls_cert, "keystore")):
            if file:
                options |= {f"ssl.{store}.type": "PEM", f"ssl.{store}.location": str(Path(file).absolute())}
    return {f"properties.{key}": value for key, value in options.items()}


def quote(text: str) -> str:
    """Quote a text as Java's login modules and Redis' configuration expect it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
