"""Test whether a container is healthy, for its engine: `python -m streamlearn.local.probe PART`.

It runs every few seconds, so it imports as little as it can.
"""

import sys
import urllib.request
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import flink_jobs.sql
from streamlearn.errors import FlinkUnavailable
from streamlearn.operations import flink_api
from streamlearn.settings import Settings

_TIMEOUT_S = 4.0


def is_jobmanager_healthy(settings: Settings) -> bool:
    """Return whether Flink's REST interface answers."""
    return "taskmanagers" in flink_api.call(settings, "/overview")


def is_taskmanager_healthy(settings: Settings) -> bool:
    """Return whether the TaskManager reports metrics and the JobManager has task slots."""
    _answers(f"http://localhost:{settings.taskmanager_metrics_port}/metrics")
    return int(flink_api.call(settings, "/overview")["slots-total"]) > 0


def is_submitter_healthy(settings: Settings) -> bool:
    """Return whether a job runs for every pipeline."""
    own = [reference for reference in settings.pipelines.split(",") if reference.strip()]
    count = len(entry_points(group="streamlearn.pipelines")) + len(own)
    return sum(name.endswith(": learn") for name in _list_running(settings)) >= count


def is_warehouse_healthy(settings: Settings) -> bool:
    """Return whether every built-in SQL job runs."""
    names = {f"{path.stem}: warehouse" for path in Path(flink_jobs.sql.__file__).parent.glob("*.sql")}
    return names <= _list_running(settings)


def _list_running(settings: Settings) -> set[str]:
    """Return the names of the jobs that run."""
    jobs = flink_api.call(settings, "/jobs/overview")["jobs"]
    return {job["name"] for job in jobs if job["state"] == "RUNNING"}


def is_server_healthy(settings: Settings) -> bool:
    """Return whether the server answers."""
    return _answers(f"http://localhost:{settings.http_port}/v2/health/live")


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310
        return bool(response.status == 200)


PROBES: dict[str, Callable[[Settings], bool]] = {
    "jobmanager": is_jobmanager_healthy,
    "taskmanager": is_taskmanager_healthy,
    "submitter": is_submitter_healthy,
    "warehouse": is_warehouse_healthy,
    "serving": is_server_healthy,
}
"""The service in `docker-compose.yml` → its test."""


def main() -> None:
    """Exit 0 if the part is healthy, else 1 with the reason, which `docker inspect` shows."""
    try:
        healthy = PROBES[sys.argv[1]](Settings.load())
    except (FlinkUnavailable, OSError) as error:
        sys.exit(str(error))
    sys.exit(0 if healthy else "not yet")


if __name__ == "__main__":
    main()
