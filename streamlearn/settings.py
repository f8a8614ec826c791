"""Every setting of every program: one frozen dataclass, filled from `STREAMLEARN_*` variables.

This is the only module that reads the environment. A variable that is empty counts as not set. What the
environment lacks may stand in `secrets.env` in the home folder, where `streamlearn up` keeps the passwords
that it makes. Names carry their unit; each setting has a default that suits one machine and a sentence of
help, which `docs/settings.md` repeats (a test compares them).

>>> Settings.load({"STREAMLEARN_HTTP_PORT": "9000"}).http_port
9000
>>> Settings.load({"STREAMLEARN_HTTP_PORT": "many"})
Traceback (most recent call last):
    ...
streamlearn.errors.BadSetting: STREAMLEARN_HTTP_PORT='many' is not a whole number
"""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from streamlearn.errors import BadSetting

PREFIX = "STREAMLEARN_"

SECRETS = "secrets.env"
"""The file in the home folder that holds what nobody else should know, as lines NAME=value."""


def _option(
    default: Any, text: str, *, secret: bool = False, least: float = 0, most: float = math.inf, form: str = ""
) -> Any:
    """A setting; a number is from `least` to `most`, a text fits the regular expression `form`."""
    bounds = {"least": least, "most": most, "form": form}
    return field(default=default, repr=not secret, metadata={"help": text, **bounds})


def _port(default: int, text: str) -> Any:
    return _option(default, text, least=1, most=65535)


_ADDRESS = r"[^:/\s]+:\d+"


@dataclass(frozen=True)
class Settings:
    """Where the parts are and how they behave. `Settings.load()` reads them."""

    home: Path = _option(Path(".streamlearn"), "folder for everything the local stack writes")
    cache: Path = _option(Path(".streamlearn/cache"), "folder for what is downloaded once: jars, data sets")
    secrets_file: str = _option("", "file with what is not in the environment; empty: secrets.env under home")
    kafka: str = _option("localhost:9092", "Kafka bootstrap server, host:port", form=_ADDRESS)
    kafka_security: str = _option(
        "PLAINTEXT",
        "how Kafka is talked to: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        form="PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL",
    )
    kafka_sasl: str = _option(
        "PLAIN", "SASL mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", form="PLAIN|SCRAM-SHA-(256|512)"
    )
    kafka_user: str = _option("", "user for SASL")
    kafka_password: str = _option("", "password for SASL", secret=True)
    tls_ca: str = _option(
        "", "PEM file of the authorities trusted for TLS, Kafka's and Redis'; empty: the system's"
    )
    tls_cert: str = _option("", "PEM file with one's own certificate and its key, for TLS that asks for it")
    kafka_controller_port: int = _port(9093, "port of the local broker's own KRaft controller")
    redis: str = _option(
        "redis://localhost:6379/0",
        "Redis URL with its password, `rediss://` for TLS; `streamlearn up` makes a password for its own",
        secret=True,
        form=r"rediss?://\S+",
    )
    redis_wait_s: float = _option(90.0, "seconds a job waits for an absent Redis before Flink restarts it")
    checkpoint_key: str = _option(
        "",
        "key that signs snapshots and control records; `streamlearn up` makes one where none is set",
        secret=True,
    )
    journal_wait_s: float = _option(
        60.0, "seconds a worker that starts waits for the answers before its first record to be committed"
    )
    lost_input: str = _option(
        "stop",
        "when Kafka has lost records that were not yet learned: stop with an error, or continue and count",
        form="stop|continue",
    )
    flink: str = _option(
        "http://localhost:8081", "Flink's REST address and web UI", form=r"https?://" + _ADDRESS
    )
    flink_rpc_port: int = _port(6123, "port on which the local JobManager and TaskManager meet")
    flink_slots: int = _option(4, "task slots of the local TaskManager; a pipeline takes one")
    jobmanager_metrics_port: int = _port(9249, "port of the JobManager's Prometheus metrics")
    taskmanager_metrics_port: int = _port(9250, "port of the TaskManager's Prometheus metrics")
    pipelines: str = _option("", "pipelines of your own to run: package.module:object, comma-separated")
    checkpoint_interval_ms: int = _option(
        1000, "milliseconds between Flink checkpoints; predictions can be read after each"
    )
    checkpoint_dir: str = _option("", "where Flink keeps checkpoints; empty: the folder flink/ under home")
    bundle_time_ms: int = _option(30, "milliseconds a record may wait for others before it is predicted")
    chunk_rows: int = _option(256, "most records in one predict-then-learn call", least=1)
    http_host: str = _option("127.0.0.1", "address the server listens on")
    http_port: int = _port(8066, "port the server listens on")
    http_workers: int = _option(2, "server processes", least=1)
    http_hosts: str = _option(
        "",
        "names by which the server may be called, comma-separated; empty: this machine's own where it listens"
        " only there, else any",
    )
    http_body_mb: int = _option(16, "largest body of a request, in MiB", least=1)
    http_rows: int = _option(10_000, "most rows or records in one request", least=1)
    http_timeout_s: float = _option(30.0, "seconds in which a request must have come in whole", least=0.1)
    ready_age_s: float = _option(
        0.0, "seconds after which a model that nothing was added to is not ready; 0: never"
    )
    api_token: str = _option(
        "", "token that requests which change something must bring; empty: none is needed", secret=True
    )
    feedback: str = _option("on", "whether clients may send labelled records: on or off", form="on|off")
    feedback_per_minute: int = _option(
        600, "most requests with feedback that one client may send in a minute", least=1
    )
    model_poll_ms: int = _option(
        250, "milliseconds after which the server looks for a newer model that nobody announced", least=1
    )
    pm25_csv: str = _option("", "a local copy of the PM2.5 data; empty: it is fetched once")
    pm25_url: str = _option(
        "https://archive.ics.uci.edu/ml/machine-learning-databases/00381/PRSA_data_2010.1.1-2014.12.31.csv",
        "where the PM2.5 data is fetched from",
    )
    replay_rate: float = _option(10.0, "records a second of `streamlearn replay`; 0: as fast as possible")

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings from `environ` (the process's own by default) and the home's `secrets.env`.

        Raises
        ------
        BadSetting
            A value cannot be converted.
        """
        environ = os.environ if environ is None else environ
        told = cls(**_values(environ))
        return cls(
            **_values({**kept(told.secrets), **{name: text for name, text in environ.items() if text}})
        )

    @property
    def secrets(self) -> Path:
        """The file of passwords and keys that are not in the environment."""
        return Path(self.secrets_file or self.home / SECRETS)

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
    def flink_port(self) -> int:
        """The port part of `flink`."""
        return urlsplit(self.flink).port or 8081

    @property
    def checkpoints(self) -> Path:
        """The folder that holds every pipeline's Flink checkpoints and savepoints."""
        return Path(self.checkpoint_dir or self.home / "flink").absolute()

    def environment(self) -> dict[str, str]:
        """The variables that make another process load these very settings."""
        return {variable(option.name): str(getattr(self, option.name)) for option in fields(self)}


def variable(name: str) -> str:
    """The environment variable of a setting.

    >>> variable("http_port")
    'STREAMLEARN_HTTP_PORT'
    """
    return PREFIX + name.upper()


def inherited(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment and `more`, for a process that it starts."""
    return {**os.environ, **(more or {})}


def preset(variables: Mapping[str, str]) -> None:
    """Set variables of this process, for a library that reads them as it is imported and has no other way."""
    os.environ.update(variables)


def kept(path: Path) -> dict[str, str]:
    """Return what a file of lines NAME=value holds; nothing where there is no file."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {error.strerror}") from error
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}


def _values(environ: Mapping[str, str]) -> dict[str, Any]:
    named = {option: environ.get(variable(option.name)) for option in fields(Settings)}
    return {option.name: _convert(option, text) for option, text in named.items() if text}


def _convert(option: Any, text: str) -> Any:
    name, kind, bounds = variable(option.name), type(option.default), option.metadata
    try:
        value = kind(text)
    except ValueError:
        expected = {int: "a whole number", float: "a number"}.get(kind, f"a {kind.__name__}")
        raise BadSetting(f"{name}={text!r} is not {expected}") from None
    if kind in (int, float) and not value >= bounds["least"]:
        raise BadSetting(f"{name}={text!r} is not at least {bounds['least']}")
    if kind in (int, float) and not value <= bounds["most"]:
        raise BadSetting(f"{name}={text!r} is more than {bounds['most']}")
    if bounds["form"] and not re.fullmatch(bounds["form"], text):
        raise BadSetting(f"{name} is not of the form of its default, {option.default!r}")
    return value
