"""Gives each request an id and a line in the log, and serves metrics for Prometheus.

The processes of one server add up their counts through files (`metrics_dir`). Gauges of the models show what
the answering process serves; the others serve the same within a second.
"""

import logging
import re
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector

from serving.model_cache import ModelCache, Served
from streamlearn.errors import NoModel

blueprint = Blueprint("telemetry", __name__)

_log = logging.getLogger("streamlearn.access")
_ID = re.compile(r"[\w.:/+=-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

_requests = Counter("streamlearn_requests_total", "Requests answered.", ["method", "route", "status"])
_seconds = Histogram(
    "streamlearn_request_seconds",
    "How long requests took.",
    ["route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
_predictions = Counter("streamlearn_predictions_total", "Records predicted over HTTP.", ["model"])
_feedback = Counter("streamlearn_feedback_total", "Labelled records sent on to the input topic.", ["model"])


def register(app: Flask, metrics_dir: Path | None) -> None:
    """Give every request an id and a line in the log, and count it."""
    app.extensions["metrics_dir"] = metrics_dir
    app.before_request(_start_request)
    app.after_request(_finish_request)
    app.register_blueprint(blueprint)
    if not _log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        _log.addHandler(handler)
        _log.setLevel(logging.INFO)
        _log.propagate = False


def count_predictions(model: str, served: Served, count: int) -> None:
    """Count the records predicted in this request, and note the version for the log."""
    g.model, g.version = model, served.head.version
    _predictions.labels(model).inc(count)


def count_feedback(model: str, count: int) -> None:
    """Count the labelled records sent on in this request, and note the model for the log."""
    g.model = model
    _feedback.labels(model).inc(count)


def _start_request() -> None:
    g.start = time.perf_counter()
    header = request.headers.get("X-Request-ID", "")
    g.request_id = header if _ID.fullmatch(header) else uuid.uuid4().hex


def _finish_request(response: Response) -> Response:
    route = str(request.url_rule) if request.url_rule else "(none)"
    seconds = time.perf_counter() - g.start
    method = request.method if request.method in _METHODS else "(other)"
    _requests.labels(method, route, str(response.status_code)).inc()
    _seconds.labels(route).observe(seconds)
    response.headers["X-Request-ID"] = g.request_id
    _log.info(
        "%s %s %s %s %d %.1f ms id=%s model=%s version=%s",
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        request.remote_addr,
        method,
        quote(request.path),
        response.status_code,
        1000 * seconds,
        g.request_id,
        g.get("model", "-"),
        g.get("version", "-"),
    )
    return response


class _ModelGauges(Collector):
    """The gauges of the models that this process serves."""

    def __init__(self, caches: dict[str, ModelCache]) -> None:
        self._caches = caches

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of every served model."""
        texts = {
            "version": "The version that is served: it has learned every record below this offset.",
            "age_seconds": "Seconds since that version was written.",
            "samples": "Predictions that its score counts.",
            "pinned": "Whether it is pinned.",
        }
        gauges = {name: GaugeMetricFamily(f"streamlearn_model_{name}", text, labels=["model"])
                  for name, text in texts.items()}  # fmt: skip
        scores = GaugeMetricFamily(
            "streamlearn_model_score", "Prequential scores.", labels=["model", "figure"]
        )
        for model, cache in sorted(self._caches.items()):
            try:
                served = cache.current()
            except NoModel:
                continue
            head = served.head
            values = (head.version, served.age_s(), head.samples, int(head.pinned))
            for name, value in zip(texts, values, strict=True):
                gauges[name].add_metric([model], value)
            for figure, score in served.learner.score.summary().items():
                if score is not None:
                    scores.add_metric([model, figure], score)
        yield from gauges.values()
        yield scores


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return all metrics in Prometheus' text format."""
    folder: Path | None = current_app.extensions["metrics_dir"]
    models = CollectorRegistry()
    models.register(_ModelGauges(current_app.extensions["models"]))
    if folder is None:
        text = generate_latest(REGISTRY)
    else:
        counts = CollectorRegistry()
        MultiProcessCollector(counts, path=str(folder))  # type: ignore[no-untyped-call]
        text = generate_latest(counts)
    return Response(text + generate_latest(models), content_type=CONTENT_TYPE_LATEST)
