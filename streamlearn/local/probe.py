"""Whether a container is well, for its engine to ask: `python -m streamlearn.local.probe PART`.

It imports as little as it can: what it costs, it costs all day.
"""

import sys
import urllib.request
from collections.abc import Callable
from importlib.metadata import entry_points

from streamlearn.errors import FlinkUnavailable
from streamlearn.operations import flink_api
from streamlearn.settings import Settings

_TIMEOUT_S = 4.0


def jobmanager(settings: Settings) -> bool:
    """Whether Flink's REST interface answers."""
    return "taskmanagers" in flink_api.call(settings, "/overview")


def taskmanager(settings: Settings) -> bool:
    """Whether the TaskManager's reporter answers and the JobManager has slots to give, or in use."""
    _fetch(f"http://localhost:{settings.taskmanager_metrics_port}/metrics")
    return int(flink_api.call(settings, "/overview")["slots-total"]) > 0


def submitter(settings: Settings) -> bool:
    """Whether a job runs for every pipeline."""
    own = [reference for reference in settings.pipelines.split(",") if reference.strip()]
    wanted = len(entry_points(group="streamlearn.pipelines")) + len(own)
    jobs = flink_api.call(settings, "/jobs/overview")["jobs"]
    return len({job["name"] for job in jobs if job["state"] == "RUNNING"}) >= wanted


def serving(settings: Settings) -> bool:
    """Whether the server answers."""
    return _fetch(f"http://localhost:{settings.http_port}/v2/health/live")


def _fetch(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310
        return bool(response.status == 200)


PROBES: dict[str, Callable[[Settings], bool]] = {
    probe.__name__: probe for probe in (jobmanager, taskmanager, submitter, serving)
}


def main() -> None:
    """Exit 0 if the part is well, else 1 with the reason, which `docker inspect` shows."""
    try:
        well = PROBES[sys.argv[1]](Settings.load())
    except (FlinkUnavailable, OSError) as error:
        sys.exit(str(error))
    sys.exit(0 if well else "not yet")


if __name__ == "__main__":
    main()
