"""The commands of the containers in `docker-compose.yml`: the parts of the local stack, one a container.

`configure` ends when it is done, `run_flink` replaces this process, the two that submit run for ever. The
settings hold the parts' addresses; `docker-compose.yml` lists the folders that are volumes.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from flink_jobs.java import command_lines, distribution
from flink_jobs.keep import keep_running, keep_sql_running
from flink_jobs.sql.jobs import keep_built_in
from streamlearn.local import configuration, secrets
from streamlearn.local.services import build_flink
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import ONE_BLAS_THREAD, Settings, inherit_env
from streamlearn.warehouse.copying import keep_copying

REDIS = "redis"
"""The service's name, which is its host name in the containers' network."""

REDIS_DATA = Path("/data")
"""Where the official image keeps its data."""

_READABLE = 0o644


def configure(echo: Callable[[str], None]) -> None:
    """Make the passwords that are not given, and write Redis' configuration beside them.

    Redis runs as a user of its own, so its two files are readable for everyone; only containers with the
    volume can reach them.
    """
    password = inherit_env().get("REDIS_PASSWORD", "")
    settings = secrets.create_missing(Settings.load(), redis_host=REDIS, redis_password=password)
    folder = settings.secrets.parent
    configuration.write_redis(folder / "redis.conf", settings, REDIS_DATA, bind="* -::*", mode=_READABLE)
    configuration.write_secret(folder / "redis.password", settings.redis_password, _READABLE)
    echo(f"{settings.secrets} and Redis' configuration are written")


def run_flink(part: str) -> None:
    """Replace this process by Flink's `jobmanager` or `taskmanager`."""
    settings = _prepare()
    command = build_flink(part, settings).command
    variables = {**command_lines.build_environment(settings), **ONE_BLAS_THREAD}
    os.execve(command[0], command, inherit_env(variables))  # noqa: S606


def submit(echo: Callable[[str], None]) -> None:
    """Keep the jobs of all pipelines running, and copy summaries into Redis, for ever."""
    settings = _prepare()
    threading.Thread(target=keep_copying, args=(settings, echo), daemon=True).start()
    keep_running(settings, load_all(settings), echo)


def submit_sql(echo: Callable[[str], None]) -> None:
    """Keep the built-in SQL jobs running, and those that `streamlearn sql run` tells of, for ever."""
    settings = _prepare()
    keep_built_in(settings)
    keep_sql_running(settings, echo)


def _prepare() -> Settings:
    """Return the settings, once there is what submitting a job needs."""
    settings = Settings.load()
    configuration.prepare_flink(settings)
    distribution.link_libraries(settings)
    return settings
