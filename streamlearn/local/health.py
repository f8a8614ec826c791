"""Test whether each part of the stack answers.

Every function is cheap, takes a few seconds at most, and never raises: a part that cannot be asked does not
answer.
"""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

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


def is_redis_up(settings: Settings) -> bool:
    """Return whether Redis answers."""
    return _succeeds(Store.of(settings).ping)


def is_kafka_up(settings: Settings) -> bool:
    """Return whether the broker answers."""

    def ping() -> None:
        with Broker(settings, connect_ms=2000) as broker:
            broker.ping()

    return _succeeds(ping)


def is_flink_up(settings: Settings) -> bool:
    """Return whether the JobManager answers and has a TaskManager with slots."""
    return _succeeds(lambda: bool(flink_api.call(settings, "/overview")["slots-total"]))


def is_job_running(settings: Settings, pipeline: str) -> bool:
    """Return whether a pipeline's job runs."""

    def runs() -> bool:
        job = flink_api.newest_job(settings, job_name(pipeline))
        return job is not None and job.state == "RUNNING"

    return _succeeds(runs)


def is_server_up(settings: Settings) -> bool:
    """Return whether the server answers."""
    return _fetch_json(server_url(settings) + "/v2/health/live") is not None


def is_model_ready(settings: Settings, pipeline: str) -> bool:
    """Return whether the server has a trained model of a pipeline."""
    return _fetch_json(f"{server_url(settings)}/v2/models/{pipeline}/ready") is not None


def count_failed_commits(settings: Settings, pipeline: str) -> int:
    """Return how many transactions Flink has given up committing; it counts them and goes on."""
    url = f"http://localhost:{settings.taskmanager_metrics_port}/metrics"
    label = job_name(pipeline).replace(" ", "_")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
            families = list(text_string_to_metric_families(response.read().decode()))
    except (OSError, ValueError):
        return 0
    return sum(
        int(sample.value)
        for family in families
        for sample in family.samples
        if sample.name.endswith("_failedCommittables") and sample.labels.get("job_name") == label
    )


def sum_prediction_ends(settings: Settings, pipeline: Pipeline) -> int:
    """Return how far predictions are committed, over all partitions; 0 if the broker does not answer."""
    try:
        with Broker(settings) as broker:
            topic = pipeline.prediction_topic
            return sum(broker.stable_end(topic, partition) for partition in broker.partitions(topic))
    except StreamlearnError:
        return 0


def summarize_model(settings: Settings, pipeline: str) -> str:
    """Return a line about a pipeline's served model: its version, its scores, its age."""
    model = _fetch_json(f"{server_url(settings)}/v2/models/{pipeline}")
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


def _succeeds(question: Callable[[], object]) -> bool:
    """Return whether a call neither raises nor returns False."""
    try:
        return question() is not False
    except StreamlearnError:
        return False


def _fetch_json(url: str) -> Any:
    """Return the JSON at `url`, or None if there is none or the server answers with an error."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310
            return json.load(response)
    except (OSError, ValueError):
        return None
