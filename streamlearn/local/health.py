"""Whether each part answers. Every probe is cheap, takes at most a few seconds, and never raises."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from streamlearn.broker.broker import Broker
from streamlearn.errors import StreamlearnError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings
from streamlearn.storage.store import Store

_TIMEOUT_S = 3.0


def server_url(settings: Settings) -> str:
    """Return the server's address as this machine reaches it."""
    host = settings.http_host
    return f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{settings.http_port}"  # noqa: S104


def redis(settings: Settings) -> bool:
    """Whether Redis answers."""
    return _works(Store.of(settings).ping)


def kafka(settings: Settings) -> bool:
    """Whether the broker answers."""

    def ask() -> None:
        with Broker(settings, connect_ms=2000) as broker:
            broker.ping()

    return _works(ask)


def flink(settings: Settings) -> bool:
    """Whether the JobManager answers and has a TaskManager with slots."""

    def ask() -> bool:
        return bool(flink_api.call(settings, "/overview")["slots-total"])

    return _works(ask)


def job(settings: Settings, pipeline: str) -> bool:
    """Whether the pipeline's job runs."""

    def ask() -> bool:
        found = flink_api.newest_job(settings, job_name(pipeline))
        return found is not None and found.state == "RUNNING"

    return _works(ask)


def trouble(settings: Settings, pipeline: str) -> str | None:
    """Return what keeps the pipeline's job from working: a rebuild's progress, or why it was restarted."""
    with suppress(StreamlearnError):
        if progress := Store.of(settings).recovery_progress(pipeline):
            return progress
    with suppress(StreamlearnError):
        found = flink_api.newest_job(settings, job_name(pipeline))
        if found and found.live and (why := flink_api.trouble(settings, found)):
            return why
    if failed := failed_commits(settings, pipeline):
        return (
            f"{failed} transactions were not committed; `streamlearn verify {pipeline}` tells what is missing"
        )
    return None


def failed_commits(settings: Settings, pipeline: str) -> int:
    """Return how many transactions Flink has given up committing; it counts them and goes on."""
    url = f"http://localhost:{settings.taskmanager_metrics_port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
            text = response.read().decode()
    except (urllib.error.URLError, OSError):
        return 0
    name = f'job_name="{job_name(pipeline).replace(" ", "_")}"'
    lines = (line for line in text.splitlines() if "_failedCommittables{" in line and name in line)
    return sum(int(float(line.rpartition(" ")[2])) for line in lines)


def server(settings: Settings) -> bool:
    """Whether the server answers."""
    return _fetched(server_url(settings) + "/v2/health/live") is not None


def ready(settings: Settings, pipeline: str) -> bool:
    """Whether the server has a trained model of the pipeline."""
    return _fetched(f"{server_url(settings)}/v2/models/{pipeline}/ready") is not None


def predictions(settings: Settings, pipeline: Pipeline) -> int:
    """Return how many offsets of predictions are committed; 0 where that cannot be told."""
    try:
        with Broker(settings) as broker:
            return broker.stable_end(pipeline.prediction_topic)
    except StreamlearnError:
        return 0


def _works(ask: Callable[[], object]) -> bool:
    try:
        return ask() is not False
    except StreamlearnError:
        return False


def _fetched(url: str) -> Any:
    """Return the JSON at `url`, or None where there is none or it comes with an error."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310
            return json.load(response)
    except (urllib.error.URLError, OSError, ValueError):
        return None


def summary(settings: Settings, pipeline: str) -> str:
    """Return a line about the pipeline's served model."""
    model = _fetched(f"{server_url(settings)}/v2/models/{pipeline}")
    if model is None:
        return f"{pipeline}: the server does not answer"
    served = model["parameters"]
    if not served:
        return f"{pipeline}: no model is served yet"
    figures = ", ".join(
        f"{name} {value:.4g}"
        for name, value in served.items()
        if isinstance(value, float) and name.endswith(("accuracy", "rmse"))
    )
    return (
        f"{pipeline}: version {served['version']}, {served['samples']} scored,"
        f" {figures or 'no score yet'}, written {served['age_s']:.0f} s ago"
    )
