"""Every setting of every program: one frozen dataclass, filled from `STREAMLEARN_*` variables.

This is the only module that reads the environment. A variable that is empty counts as not set. A variable
that is not set is looked up in two files of the home folder: `secrets.env`, where `streamlearn up` keeps the
passwords that it makes, then the settings that the running stack was started with. Names carry their unit;
each setting has a default that suits one machine and a sentence of help, which `docs/settings.md` repeats (a
test compares them).

>>> Settings.load({"STREAMLEARN_HTTP_PORT": "9000"}).http_port
9000
>>> Settings.load({"STREAMLEARN_HTTP_PORT": "many"})
Traceback (most recent call last):
    ...
streamlearn.errors.BadSetting: STREAMLEARN_HTTP_PORT='many' is not a whole number; the default is 8066
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

from streamlearn.errors import BadSetting

PREFIX = "STREAMLEARN_"

SECRETS = "secrets.env"
"""The file in the home folder that holds passwords and keys, as lines NAME=value."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of this machine's loopback interface."""

ONE_BLAS_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""The variables of a process that learns or predicts; there `pin_blas_threads` makes sure of it."""

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
NonNegative = Annotated[float, Meta(ge=0)]
Seconds = NonNegative
Address = Annotated[str, Meta(pattern=r"^[^:/\s]+:\d+$")]


def _option(default: Any, help_text: str, *, secret: bool = False) -> Any:
    """Declare a setting; its annotation says which values it can have."""
    return field(default=default, repr=not secret, metadata={"help": help_text, "secret": secret})


@dataclass(frozen=True)
class Settings:
    """The addresses of the parts, and how they behave. `Settings.load()` reads them."""

    home: Path = _option(Path(".streamlearn"), "folder for everything the local stack writes")
    cache: Path = _option(Path(".streamlearn/cache"), "folder for downloads: jars, data sets")
    secrets_file: str = _option(
        "", "file with settings that the environment lacks; empty: secrets.env under home"
    )
    kafka: Address = _option("localhost:9092", "Kafka bootstrap server, host:port")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _option(
        "PLAINTEXT",
        "protocol of connections to Kafka: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    )
    kafka_sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = _option(
        "PLAIN", "SASL mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_user: str = _option("", "user for SASL")
    kafka_password: str = _option("", "password for SASL", secret=True)
    tls_ca: str = _option(
        "", "PEM file of the authorities trusted for TLS, with Kafka and Redis; empty: the system's"
    )
    tls_cert: str = _option("", "PEM file with your own certificate and its key, where TLS asks for one")
    kafka_wait_s: Annotated[float, Meta(ge=0.1)] = _option(
        10.0, "seconds a command waits for a Kafka that does not answer; a request with feedback at most 5"
    )
    kafka_controller_port: Port = _option(9093, "port of the local broker's own KRaft controller")
    redis: Annotated[str, Meta(pattern=r"^rediss?://\S+$")] = _option(
        "redis://localhost:6379/0",
        "Redis URL with its password, `rediss://` for TLS; `streamlearn up` makes a password for its own",
        secret=True,
    )
    redis_wait_s: Seconds = _option(90.0, "seconds a job waits for an absent Redis before Flink restarts it")
    checkpoint_key: str = _option(
        "",
        "key that signs snapshots and control records; `streamlearn up` makes one if you set none",
        secret=True,
    )
    journal_wait_s: Seconds = _option(
        60.0, "seconds a starting worker waits until the answers before its first record are committed"
    )
    restart_wait_s: Annotated[float, Meta(ge=0.1)] = _option(
        15.0, "most seconds that Flink waits before it restarts a job that has failed again and again"
    )
    set_aside_in_a_row: Count = _option(
        100,
        "most records in a row on which a pipeline's own code may fail, each kept as a dead letter; the next"
        " failure stops the job",
    )
    lost_input: Literal["stop", "continue"] = _option(
        "stop",
        "if Kafka has lost records that were not learned yet: stop with an error, or continue and count them",
    )
    partitions: Count = _option(
        1,
        "partitions of an input topic that streamlearn makes, each with a learner of its own; a topic that"
        " exists keeps its own",
    )
    catch_up_rate: Seconds = _option(
        0.0,
        "most records a second that a job takes, so that a backlog leaves room for others; 0: no limit;"
        " `streamlearn models PIPELINE rate` changes it while the job runs",
    )
    parallelism: Annotated[int, Meta(ge=0)] = _option(
        0,
        "most workers that learn from a pipeline's partitions at once; 0: as many as task slots are free",
    )
    log_mb: Count = _option(
        10, "MiB after which a log of the local stack is begun anew; the one before is kept"
    )
    flink: Annotated[str, Meta(pattern=r"^https?://[^:/\s]+:\d+$")] = _option(
        "http://localhost:8081", "Flink's REST address and web UI"
    )
    worker_settings: str = _option(
        "",
        "file of lines NAME=value: what differs for the workers of a Flink elsewhere; then all settings"
        " travel with each job, passwords included; empty: the workers have settings of their own",
    )
    worker_archive: str = _option(
        "",
        "archive of a Python environment with streamlearn that is sent to the workers; empty: they have one",
    )
    worker_python: str = _option(
        "",
        "the workers' Python, its path on their machines or in the archive; empty: the path as it is here, or"
        " bin/python of the archive",
    )
    flink_rpc_port: Port = _option(6123, "port on which the local JobManager and TaskManager meet")
    flink_slots: Annotated[int, Meta(ge=0)] = _option(
        6, "task slots of the local TaskManager; a pipeline takes one for each of its workers"
    )
    jobmanager_metrics_port: Port = _option(9249, "port of the JobManager's Prometheus metrics")
    taskmanager_metrics_port: Port = _option(9250, "port of the TaskManager's Prometheus metrics")
    pipelines: str = _option("", "pipelines of your own to run: package.module:object, comma-separated")
    checkpoint_interval_ms: Annotated[int, Meta(ge=0)] = _option(
        1000, "milliseconds between Flink's checkpoints; predictions can be read after each"
    )
    checkpoint_dir: str = _option("", "where Flink keeps checkpoints; empty: the folder flink/ under home")
    bundle_time_ms: Annotated[int, Meta(ge=0)] = _option(
        30, "milliseconds a record may wait for others before it is predicted"
    )
    chunk_rows: Count = _option(256, "most records in one predict-then-learn call")
    http_host: str = _option("127.0.0.1", "address the server listens on")
    http_port: Port = _option(8066, "port the server listens on")
    http_workers: Count = _option(2, "server processes")
    http_hosts: str = _option(
        "",
        "host names that requests may use, comma-separated; empty: this machine's own names if the server"
        " listens on localhost only, else any",
    )
    http_body_mb: Count = _option(16, "largest body of a request, in MiB")
    http_rows: Count = _option(10_000, "most rows or records in one request")
    http_timeout_s: Annotated[float, Meta(ge=0.1)] = _option(
        30.0, "seconds within which a request must have arrived in full"
    )
    ready_age_s: Seconds = _option(
        0.0, "seconds after which a model that has learned nothing new is not ready; 0: never"
    )
    api_token: str = _option(
        "", "token that requests must carry to change something; empty: none is needed", secret=True
    )
    feedback: Literal["on", "off"] = _option("on", "whether clients may send labelled records: on or off")
    feedback_per_minute: Count = _option(
        600, "most requests with feedback that one client may send in a minute"
    )
    model_poll_ms: Count = _option(
        250, "milliseconds between the server's checks for a newer model, beside the announcements"
    )
    pm25_csv: str = _option("", "a local copy of the PM2.5 data; empty: it is downloaded once")
    pm25_url: str = _option(
        "https://archive.ics.uci.edu/ml/machine-learning-databases/00381/PRSA_data_2010.1.1-2014.12.31.csv",
        "where the PM2.5 data is downloaded from",
    )
    stations_csv: str = _option(
        "", "the folder of the files that the pipeline `stations` replays, or one file; none is downloaded"
    )
    replay_rate: NonNegative = _option(
        10.0, "records a second of `streamlearn replay`; 0: as fast as possible"
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings from `environ` (the process's own by default) and from two files in the home.

        What `environ` lacks is taken from those that the running stack was started with, and from
        `secrets.env`.

        Raises
        ------
        BadSetting
            A value is not one that the setting can have.
        """
        environ = os.environ if environ is None else environ
        nonempty = {name: text for name, text in environ.items() if text}
        started_with = read_variables(cls(**_convert(environ)).started_with)
        secrets = read_variables(cls(**_convert({**started_with, **nonempty})).secrets)
        return cls(**_convert({**started_with, **secrets, **nonempty}))

    @property
    def secrets(self) -> Path:
        """The file of passwords and keys that are not in the environment."""
        return Path(self.secrets_file or self.home / SECRETS)

    @property
    def started_with(self) -> Path:
        """The file of the settings with which the running stack was started; its secrets are not in it."""
        return self.home / "run" / "settings.env"

    @property
    def kafka_port(self) -> int:
        """The port part of `kafka`."""
        return int(self.kafka.rpartition(":")[2])

    @property
    def redis_port(self) -> int:
        """The port part of `redis`."""
        return urlsplit(self.redis).port or 6379

    @property
    def redis_password(self) -> str:
        """The password in `redis`, or an empty text."""
        return unquote(urlsplit(self.redis).password or "")

    @property
    def flink_host(self) -> str:
        """The host part of `flink`."""
        return urlsplit(self.flink).hostname or "localhost"

    @property
    def is_flink_elsewhere(self) -> bool:
        """Whether jobs go to a Flink that is not the one of a local stack."""
        return self.flink_host not in LOOPBACK or bool(self.worker_settings)

    @property
    def flink_port(self) -> int:
        """The port part of `flink`."""
        return urlsplit(self.flink).port or 8081

    @property
    def checkpoints(self) -> Path:
        """The folder that holds every pipeline's Flink checkpoints and savepoints."""
        return Path(self.checkpoint_dir or self.home / "flink").absolute()

    def environment(self, *, secrets: bool = True) -> dict[str, str]:
        """Return the variables with which another process loads the same settings."""
        options = (option for option in fields(self) if secrets or not option.metadata["secret"])
        return {variable_name(option.name): str(getattr(self, option.name)) for option in options}


def variable_name(name: str) -> str:
    """Return the name of a setting's environment variable.

    >>> variable_name("http_port")
    'STREAMLEARN_HTTP_PORT'
    """
    return PREFIX + name.upper()


def locate_home(folders: Iterable[Path], running: Iterable[Path]) -> Path | None:
    """Return the home to use where none is set: the nearest folder's, else that of the only running stack.

    Parameters
    ----------
    folders
        The folders to look in, the nearest first.
    running
        The homes of the stacks that run on this machine.
    """
    default = Settings.home
    nearest = next((folder / default for folder in folders if (folder / default).is_dir()), None)
    homes = list(running)
    return nearest or (homes[0] if len(homes) == 1 else None)


def inherit_env(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with the variables `more`, for a process that it starts."""
    return {**os.environ, **(more or {})}


def preset_env(variables: Mapping[str, str]) -> None:
    """Set variables of this process, for a library that can only be configured so, and before its import."""
    os.environ.update(variables)


def read_variables(path: Path) -> dict[str, str]:
    """Return the variables in a file of lines NAME=value; none where there is no file."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadSetting(
            f"{path} cannot be read: {error.strerror}; it must be a file that you may read"
        ) from error
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}


def _convert(environ: Mapping[str, str]) -> dict[str, Any]:
    """Convert the variables that are set; return the values by the settings' names."""
    types = get_type_hints(Settings, include_extras=True)
    values = {}
    for option in fields(Settings):
        if text := environ.get(variable_name(option.name)):
            values[option.name] = _convert_text(option, types[option.name], text)
    return values


def _convert_text(option: "Field[Any]", kind: Any, text: str) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False, dec_hook=lambda cls, value: cls(value))
    except msgspec.ValidationError as error:
        # The text may hold a secret even though it does not have the right form.
        shown = "" if option.metadata["secret"] else f"={text!r}"
        reason = _describe(kind, str(error))
        raise BadSetting(
            f"{variable_name(option.name)}{shown} {reason}; the default is {option.default}"
        ) from None


def _describe(kind: Any, error: str) -> str:
    """Return msgspec's reason in words for people who set variables.

    >>> _describe(int, "Expected `int`, got `str`"), _describe(Count, "Expected `int` >= 1")
    ('is not a whole number', 'is not at least 1')
    """
    if ">= " in error:
        return f"is not at least {error.rpartition('>= ')[2]}"
    if "<= " in error:
        return f"is more than {error.rpartition('<= ')[2]}"
    if "`int`" in error:
        return "is not a whole number"
    if "`float`" in error:
        return "is not a number"
    if "enum" in error:
        return f"is none of {', '.join(kind.__args__)}"
    return "does not have the right form"
