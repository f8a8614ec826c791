"""The job `rules: route`: submitted from where it stood, stopped, kept in mind by the stack.

It reads the topics that rules are or were about, and the raw ones of all pipelines, so that a first rule
about one of these needs no restart. For a rule about yet another topic it is stopped at a savepoint, and goes
on with that.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from flink_jobs import workers
from flink_jobs.checkpoints import find_newest_in, locate_for_workers, stop_at_savepoint
from flink_jobs.plan import PLAN_VARIABLE, JobPlan
from flink_jobs.submit import check_configured, run_program
from flink_jobs.tables import TRANSACTION_TIMEOUT_MS, build_connection, build_fault_options, format_options
from streamlearn.broker.broker import Broker
from streamlearn.broker.topics import MAX_DEAD_LETTER_BYTES
from streamlearn.errors import ConfigurationError
from streamlearn.operations import flink_api
from streamlearn.operations.lock import lock_name
from streamlearn.settings import Settings
from streamlearn.warehouse.catalogue import kept_folder, load_stack_catalogue
from streamlearn.warehouse.rules.book import RuleBook
from streamlearn.warehouse.rules.changes import OWNER
from streamlearn.warehouse.rules.log import create_topics, read_book

JOB = OWNER
GROUP = "streamlearn-rules"
"""The consumer group whose committed offsets tell how far the job has come."""

_PROGRAM = Path(__file__).parent / "program.py"
_DISCOVERY = "30 s"
"""How often Flink looks for partitions that a source has got since."""
_BUNDLE_MS = 200
"""How long records wait for others: at the first of them the log is read again."""
_READ = "topics.json"
_PLACE = "`partition` INT METADATA VIRTUAL, `offset` BIGINT METADATA VIRTUAL"
_RECORD = (
    "`key` BYTES, `value` BYTES, `topic` STRING METADATA{}, `timestamp` TIMESTAMP_LTZ(3) METADATA{},"
    " `headers` MAP<STRING, BYTES> METADATA{}"
)


def keep(settings: Settings) -> None:
    """Tell the stack that the job is to be kept running."""
    _marker(settings).parent.mkdir(parents=True, exist_ok=True)
    _marker(settings).touch()


def is_kept(settings: Settings) -> bool:
    """Return whether the job is to be kept running."""
    return _marker(settings).exists()


def _marker(settings: Settings) -> Path:
    return kept_folder(settings) / "rules.kept"


def submit_rules(settings: Settings, *, echo: Callable[[str], None] = print) -> None:
    """Start the job where it stood; do nothing if it runs and reads all topics that rules are about.

    Raises
    ------
    JobError
        Flink refuses it.
    """
    check_configured(settings)
    with lock_name(settings, "rules"), Broker(settings) as broker:
        create_topics(broker)
        book = read_book(broker)
        running = flink_api.newest_job(settings, JOB)
        if running and running.live:
            if not find_unread(settings, running, book):
                echo(f"{JOB} is already {running.state.lower()} as job {running.id}")
                return
            echo(f"{JOB} reads more topics from now on: it is stopped at a savepoint, and goes on")
            stop_at_savepoint(settings, running)
        folder = _checkpoint_folder(settings)
        checkpoint = find_newest_in(folder, settings)
        topics = list_topics(broker, book)
        _commit_beginnings(broker, book, topics)
        beginning = f"going on from {checkpoint.name}" if checkpoint else "beginning"
        echo(f"{JOB}: {beginning}; it reads {', '.join(topics)}")
        on_workers = workers.load_settings(settings)
        plan = JobPlan(
            settings=workers.list_variables(settings),
            options=_build_options(on_workers),
            statements=build_statements(on_workers, topics),
        )
        options = []
        if checkpoint:
            options = ["--fromSavepoint", locate_for_workers(checkpoint, settings).as_uri()]
        variables = {PLAN_VARIABLE: msgspec.json.encode(plan).decode()}
        run_program(settings, _PROGRAM, options=options, variables=variables, echo=echo)
        if job := flink_api.newest_job(settings, JOB):
            own = folder / job.id
            own.mkdir(parents=True, exist_ok=True)
            (own / _READ).write_bytes(msgspec.json.encode(topics))
        echo(f"{JOB} submitted")


def stop_rules(settings: Settings, echo: Callable[[str], None] = print) -> None:
    """End the job at a savepoint, from which it goes on; keep it running no more.

    Raises
    ------
    ConfigurationError
        It does not run, and is not kept running.
    """
    kept = is_kept(settings)
    _marker(settings).unlink(missing_ok=True)
    with lock_name(settings, "rules"):
        running = flink_api.newest_job(settings, JOB)
        if running and running.live:
            stop_at_savepoint(settings, running)
        elif not kept:
            raise ConfigurationError(f"{JOB} does not run")
    echo(f"{JOB} has ended")


def find_unread(settings: Settings, job: flink_api.Job, book: RuleBook) -> list[str]:
    """Return the topics of rules that a job does not read."""
    read: list[str] = []
    with suppress(OSError, msgspec.DecodeError):
        read = msgspec.json.decode(
            (_checkpoint_folder(settings) / job.id / _READ).read_bytes(), type=list[str]
        )
    return [source for source in book.list_sources() if source not in read]


def list_topics(broker: Broker, book: RuleBook) -> list[str]:
    """Return the topics that the job reads, of those that exist."""
    raw = {topic.name for topic in load_stack_catalogue(broker.settings) if topic.layer == "raw"}
    return sorted(raw.union(book.list_sources()) & set(broker.topics()))


def _commit_beginnings(broker: Broker, book: RuleBook, topics: list[str]) -> None:
    """Commit where the job begins in partitions that it has not read yet: where the first rule counts."""
    beginnings: dict[str, dict[int, int]] = {}
    for topic in topics:
        committed = broker.committed_offsets(GROUP, topic)
        own = [change for change in book if change.change.source == topic]
        for partition, end in enumerate(broker.stable_ends(topic)):
            if partition not in committed:
                first = min((change.counts_from(partition) for change in own), default=end)
                beginnings.setdefault(topic, {})[partition] = first
    if beginnings:
        broker.commit_offsets(GROUP, beginnings)


def build_statements(settings: Settings, topics: list[str]) -> list[str]:
    """Return the SQL of the job: two tables, and the INSERT that runs for ever."""
    shared = {
        "connector": "kafka",
        **build_connection(settings),
        "key.format": "raw",
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
    }
    source = {
        "topic": ";".join(topics),
        "properties.group.id": GROUP,
        "properties.isolation.level": "read_committed",
        # Of what Kafka no longer holds, and of partitions that come later, all that is there.
        "properties.auto.offset.reset": "earliest",
        "scan.startup.mode": "group-offsets",
        "scan.topic-partition-discovery.interval": _DISCOVERY,
    }
    sink = {
        # A rule may name any topic.
        "topic-pattern": ".*",
        "sink.delivery-guarantee": "exactly-once",
        "sink.transactional-id-prefix": "streamlearn-rules:",
        "sink.transaction-naming-strategy": "pooling",
        "properties.transaction.timeout.ms": str(TRANSACTION_TIMEOUT_MS),
        "properties.max.request.size": str(MAX_DEAD_LETTER_BYTES),
    }
    reading, writing = (_RECORD.format(*[mode] * 3) for mode in (" VIRTUAL", ""))
    return [
        f"CREATE TABLE records ({reading}, {_PLACE}) WITH ({format_options({**shared, **source})})",
        f"CREATE TABLE routed ({writing}) WITH ({format_options({**shared, **sink})})",
        """
        INSERT INTO routed
        SELECT `key`, COALESCE(`letter`, `value`), `target`, `timestamp`, MAP_UNION(`headers`, MAP[
            'streamlearn-source',
            ENCODE(CONCAT_WS('/', `topic`, CAST(`partition` AS STRING), CAST(`offset` AS STRING)), 'UTF-8')
        ])
        FROM records
        CROSS JOIN LATERAL TABLE(route(`topic`, `partition`, `offset`, `value`)) AS r(`target`, `letter`)""",
    ]


def _build_options(settings: Settings) -> dict[str, str]:
    return {
        "pipeline.name": JOB,
        "parallelism.default": "1",
        "python.executable": workers.python_path(settings),
        "python.client.executable": sys.executable,
        "python.fn-execution.bundle.time": str(_BUNDLE_MS),
        **build_fault_options(settings, _checkpoint_folder(settings), settings.checkpoint_interval_ms),
    }


def _checkpoint_folder(settings: Settings) -> Path:
    return settings.checkpoints / "rules"
