"""What the containers of `docker-compose.yml` run: the local stack's own parts, one a container.

`configure` ends when it is done; the others take the place of this process, or stay. The settings say where
the parts find each other; `docker-compose.yml` says which folders are volumes.
"""

import os
from collections.abc import Callable
from pathlib import Path

from flink_jobs.keep import keep_running
from flink_jobs.submit import environment
from streamlearn.learning.blas import ONE_BLAS_THREAD
from streamlearn.local import configuration, secrets
from streamlearn.local.services import flink
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import Settings, inherited

REDIS = "redis"
"""The service's name, by which others reach it."""

REDIS_DATA = Path("/data")
"""Where the official image keeps its data."""

_READABLE = 0o644


def configure(say: Callable[[str], None]) -> None:
    """Make the passwords that are not given, and write Redis' configuration beside them.

    Redis runs as a user of its own, which must be able to read its two files; who does not have the volume
    cannot get at them.
    """
    password = inherited().get("REDIS_PASSWORD", "")
    settings = secrets.ensure(Settings.load(), redis_host=REDIS, redis_password=password)
    folder = settings.secrets.parent
    configuration.write_redis(folder / "redis.conf", settings, REDIS_DATA, bind="* -::*", mode=_READABLE)
    configuration.write_secret(folder / "redis.password", settings.redis_password, _READABLE)
    say(f"{settings.secrets} and Redis' configuration are there")


def run_flink(part: str) -> None:
    """Become a `jobmanager` or a `taskmanager`."""
    settings = Settings.load()
    prepare_flink(settings)
    command = next(service.command for service in flink(settings) if service.name == part)
    os.execve(command[0], command, inherited({**environment(settings), **ONE_BLAS_THREAD}))  # noqa: S606


def submit(say: Callable[[str], None]) -> None:
    """See to it that the jobs of all pipelines run, for ever."""
    settings = Settings.load()
    prepare_flink(settings)
    keep_running(settings, load_all(settings), say)


def prepare_flink(settings: Settings) -> None:
    """Write Flink's configuration, with the options that users of Flink's own images give by environment."""
    folder = settings.home.absolute() / "flink"
    for name in ("conf", "log", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = (line.partition(":") for line in inherited().get("FLINK_PROPERTIES", "").splitlines())
    given = {key.strip(): value.strip() for key, colon, value in lines if colon}
    configuration.write_flink(folder / "conf", settings, given)
