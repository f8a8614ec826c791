"""The options of Redis, Kafka and Flink, built from the settings, and the files that hold them.

The local stack writes all three. In containers the same functions configure Redis and Flink; Kafka's options
stand in `docker-compose.yml`, which a test compares with `build_kafka_options`.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from flink_jobs.checkpoints import savepoint_folder
from flink_jobs.java import command_lines, distribution
from flink_jobs.tables import TRANSACTION_TIMEOUT_MS, quote
from streamlearn.errors import StackError
from streamlearn.settings import LOOPBACK, Settings, inherit_env

_PROMETHEUS = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"

QUIET = """
# Each checkpoint opens a transaction, whose producer logs all its options.
logger.shaded.name = org.apache.flink.kafka.shaded
logger.shaded.level = WARN
# There is a checkpoint every second; Flink's pages show them.
logger.checkpoints.name = org.apache.flink.runtime.checkpoint.CheckpointCoordinator
logger.checkpoints.level = WARN
logger.sources.name = org.apache.flink.runtime.source.coordinator.SourceCoordinator
logger.sources.level = WARN
logger.transactions.name = org.apache.flink.connector.kafka.sink.internal
logger.transactions.level = WARN
logger.metrics.name = org.apache.flink.metrics.MetricGroup
logger.metrics.level = ERROR
# These would log the whole environment, passwords included.
logger.environment.name = org.apache.flink.client.python.PythonEnvUtils
logger.environment.level = WARN
logger.bundles.name = org.apache.beam.runners.fnexecution.control.DefaultJobBundleFactory
logger.bundles.level = OFF
"""

_ROTATED = """
appender.rolling.policies.size.size = {mb}MB
appender.rolling.strategy.max = 1
"""


def build_redis_options(settings: Settings, data: Path, bind: str) -> dict[str, str]:
    """Return Redis' options; its files are in `data`, and `bind` lists the addresses it listens on."""
    password = {"requirepass": quote(settings.redis_password)} if settings.redis_password else {}
    return {
        **password,
        "port": str(settings.redis_port),
        "bind": bind,
        "dir": quote(str(data)),
        # A snapshot is on disk before its predictions can be committed, and none is evicted.
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        # Redis would write its process title over the environment, by which `down` finds the processes.
        "set-proc-title": "no",
        "save": '""',
        "daemonize": "no",
    }


def write_redis(
    path: Path, settings: Settings, data: Path, *, bind: str = "127.0.0.1 -::1", mode: int = 0o600
) -> None:
    """Write Redis' configuration for a server that keeps its files in `data`.

    Raises
    ------
    StackError
        The settings ask for TLS.
    """
    if settings.redis.startswith("rediss:"):
        raise StackError("the local Redis speaks no TLS: set STREAMLEARN_REDIS to a URL with redis://")
    options = build_redis_options(settings, data, bind)
    write_secret(path, "".join(f"{name} {value}\n" for name, value in options.items()), mode)


def build_kafka_options(settings: Settings, data: Path) -> dict[str, str]:
    """Return the options of a broker that is its own controller and keeps its logs in `data`.

    Raises
    ------
    StackError
        The local broker cannot do what the settings ask for in TLS or SASL.
    """
    port, controller, security = settings.kafka_port, settings.kafka_controller_port, settings.kafka_security
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@localhost:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{security}://localhost:{port},CONTROLLER://localhost:{controller}",
        "advertised.listeners": f"{security}://localhost:{port}",
        "listener.security.protocol.map": f"{security}:{security},CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": security,
        "log.dirs": str(data),
        # One broker: internal topics with one replica, and few partitions to load at a start.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "5",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "5",
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        "transaction.max.timeout.ms": str(TRANSACTION_TIMEOUT_MS),
        **_build_kafka_security(settings),
    }


def _build_kafka_security(settings: Settings) -> dict[str, str]:
    """Return the options for SASL, with the user of the settings as the only one, and for TLS."""
    options: dict[str, str] = {}
    if settings.kafka_security.startswith("SASL"):
        if settings.kafka_sasl != "PLAIN":
            raise StackError(
                f"the local broker takes SASL PLAIN only, not {settings.kafka_sasl}:"
                " set STREAMLEARN_KAFKA_SASL=PLAIN"
            )
        user, password = settings.kafka_user, quote(settings.kafka_password)
        listener = f"listener.name.{settings.kafka_security.lower()}.plain.sasl.jaas.config"
        module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        jaas = f"{module} username={quote(user)} password={password} user_{user}={password};"
        options |= {"sasl.enabled.mechanisms": "PLAIN", "sasl.mechanism.inter.broker.protocol": "PLAIN"}
        options[listener] = jaas.replace("\\", "\\\\")
    if settings.kafka_security.endswith("SSL"):
        if not (settings.tls_cert and settings.tls_ca):
            raise StackError(
                "a broker with TLS needs certificates: set STREAMLEARN_TLS_CERT and STREAMLEARN_TLS_CA"
            )
        for file, store in ((settings.tls_cert, "keystore"), (settings.tls_ca, "truststore")):
            options |= {f"ssl.{store}.type": "PEM", f"ssl.{store}.location": str(Path(file).absolute())}
    return options


def write_kafka(path: Path, settings: Settings, data: Path) -> None:
    """Write the broker's configuration."""
    options = build_kafka_options(settings, data)
    write_variables(path, options)


def build_flink_options(settings: Settings, folder: Path) -> dict[str, str]:
    """Return the options of JobManager, TaskManager and `flink run`; Flink writes into `folder`.

    If the host in `settings.flink` is this machine, Flink listens on the loopback interface only. Any other
    host means that Flink has a network of its own, as in containers: then it listens on every interface.
    """
    host = settings.flink_host
    local = host in LOOPBACK
    bind = host if local else "0.0.0.0"  # noqa: S104
    return {
        "jobmanager.rpc.address": host,
        "jobmanager.rpc.port": str(settings.flink_rpc_port),
        "jobmanager.bind-host": bind,
        "jobmanager.memory.process.size": "1024m",
        "rest.address": host,
        "rest.bind-address": bind,
        "rest.port": str(settings.flink_port),
        # On another host Flink finds the TaskManager's address by itself, by connecting to the JobManager.
        **({"taskmanager.host": host} if local else {}),
        "taskmanager.bind-host": bind,
        "taskmanager.memory.process.size": "1984m",
        # What jobs need stands on the class path (`distribution.link_libraries`). What a job loads all the
        # same is hardly ever unloaded; when it no longer fits, the process must end, or it would refuse every
        # further job: the supervisor starts a new one.
        "classloader.resolve-order": "parent-first",
        "taskmanager.memory.jvm-metaspace.size": "512m",
        "taskmanager.jvm-exit-on-oom": "true",
        "env.java.opts.jobmanager": " ".join(command_lines.QUICK_JVM),
        "env.java.opts.client": " ".join(command_lines.QUICK_JVM),
        "blob.service.cleanup.interval": "300",
        # A job stopped by hand writes its savepoint here, unless another folder is given.
        "execution.checkpointing.savepoint-dir": savepoint_folder(settings).as_uri(),
        "taskmanager.numberOfTaskSlots": str(settings.flink_slots),
        "io.tmp.dirs": str(folder / "tmp"),
        # Programs are submitted on the command line, not by anyone who can open the web page.
        "web.submit.enable": "false",
        # A part that has died must be noticed in seconds: its supervisor restarts it at once.
        "heartbeat.interval": "2000",
        "heartbeat.timeout": "20000",
        # A TaskManager that starts before its JobManager would look for it again after ten seconds only.
        "cluster.registration.error-delay": "500 ms",
        "cluster.registration.refused-registration-delay": "1 s",
        "cluster.registration.max-timeout": "5 s",
        "metrics.reporters": "prom",
        "metrics.reporter.prom.factory.class": _PROMETHEUS,
        "metrics.fetcher.update-interval": "1000",
    }


def write_flink(folder: Path, settings: Settings) -> None:
    """Write the files that Flink's scripts read into `folder`.

    As in Flink's own images, the variable `FLINK_PROPERTIES` may hold options that override ours, as lines
    `key: value`.
    """
    bundled = distribution.find_flink_home() / "conf"
    for file in bundled.iterdir():
        if file.name != "config.yaml":
            shutil.copy(file, folder / file.name)
    for name in ("log4j-console.properties", "log4j-cli.properties"):
        with (folder / name).open("a") as log:
            log.write(QUIET)
            if name == "log4j-console.properties":
                log.write(_ROTATED.format(mb=settings.log_mb))
    exports = re.search(r"^\s+all: (--add-exports.*)$", (bundled / "config.yaml").read_text(), re.MULTILINE)
    options = {
        "env.java.opts.all": exports[1] if exports else "",
        **build_flink_options(settings, folder.parent),
    }
    lines = (line.partition(":") for line in inherit_env().get("FLINK_PROPERTIES", "").splitlines())
    options |= {key.strip(): value.strip() for key, colon, value in lines if colon}
    (folder / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in options.items()))


def prepare_flink(settings: Settings) -> None:
    """Write Flink's configuration into the folders that its parts expect."""
    folder = settings.home.absolute() / "flink"
    for name in ("conf", "log", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_flink(folder / "conf", settings)


def prepare_client(settings: Settings, echo: Callable[[str], None]) -> None:
    """Write what submitting to a Flink elsewhere needs in the home, where no stack has written it."""
    jars = list(distribution.library_folder(settings).glob("*.jar"))
    has_jars = bool(jars) and all(jar.exists() for jar in jars)
    if not (has_jars and (distribution.configuration_folder(settings) / "config.yaml").exists()):
        prepare_flink(settings)
        distribution.link_libraries(settings, echo)


def write_variables(path: Path, variables: Mapping[str, str]) -> None:
    """Write lines NAME=value into a file that its owner alone may read."""
    write_secret(path, "".join(f"{name}={value}\n" for name, value in variables.items()))


def write_secret(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file that, by default, its owner alone may read."""
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text(text)
