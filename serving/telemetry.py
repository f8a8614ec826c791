"""Gives each request an id and a line in the log, and serves metrics for Prometheus.

The processes of one server add up their counts through files (`metrics_dir`). Gauges of the models show what
the answering process serves; the others serve the same within a second.

What a request leaves is written many at once, by a thread: within 50 ms after the answer, and before a
process ends. `/metrics` waits for that, so it counts every request that was answered before. Only a process
that is killed takes the lines of its last 50 ms along.
"""

import logging
import os
import re
import sys
import threading
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector

from serving.state.model_cache import ModelCache, Served
from streamlearn.errors import NoModel

blueprint = Blueprint("telemetry", __name__)

_log = logging.getLogger("streamlearn.access")
_ID = re.compile(r"[\w.:/+=-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

WRITTEN_WITHIN_S = 0.05
"""How long after its answer a request is counted and logged."""

_requests = Counter("streamlearn_requests_total", "Requests answered.", ["method", "route", "status"])
_seconds = Histogram(
    "streamlearn_request_seconds",
    "How long requests took.",
    ["route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
_predictions = Counter("streamlearn_predictions_total", "Records predicted over HTTP.", ["model"])
_feedback = Counter("streamlearn_feedback_total", "Labelled records sent on to the input topic.", ["model"])


class Finished(NamedTuple):
    """A request that has been answered."""

    time_s: float
    seconds: float
    method: str
    route: str
    path: str
    client: str | None
    status: int
    request_id: str
    model: str = "-"
    version: int | str = "-"
    predicted: int = 0
    """How many records it predicted, where nobody else counts them."""


class Telemetry:
    """Counts and logs requests, many at once. Thread-safe."""

    def __init__(self) -> None:
        self._finished: deque[Finished] = deque()
        self._has_finished = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._write_repeatedly, daemon=True).start()

    def note(self, finished: Finished) -> None:
        """Count and log a request within 50 ms."""
        self._finished.append(finished)
        self._has_finished.set()

    def write(self) -> None:
        """Count and log now what has been noted so far."""
        with self._writing:
            finished = [self._finished.popleft() for _ in range(len(self._finished))]
            requests = Tally((request.method, request.route, request.status) for request in finished)
            for (method, route, status), count in requests.items():
                _label_requests(method, route, status).inc(count)
            predicted: Tally[str] = Tally()
            for request_ in finished:
                predicted[request_.model] += request_.predicted
                _label_seconds(request_.route).observe(request_.seconds)
                # Made by hand: `info` would look through the stack for who calls it.
                line = _format_line(request_)
                _log.handle(logging.LogRecord(_log.name, logging.INFO, __file__, 0, line, None, None))
            for model, count in predicted.items():
                if count:
                    _label_predictions(model).inc(count)
            for handler in _log.handlers:
                handler.flush()

    def _write_repeatedly(self) -> None:
        while True:
            self._has_finished.wait()
            time.sleep(WRITTEN_WITHIN_S)
            self._has_finished.clear()
            try:
                self.write()
            except Exception:
                logging.getLogger(__name__).exception("requests cannot be logged")


class _LineHandler(logging.Handler):
    """Writes the lines that have come since the last `flush`, as one."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line until the next `flush`."""
        self._lines.append(record.getMessage() + "\n")

    def flush(self) -> None:
        """Write the lines."""
        lines, self._lines = self._lines, []
        sys.stderr.write("".join(lines))
        sys.stderr.flush()


def register(app: Flask, metrics_dir: Path | None) -> None:
    """Give every request an id and a line in the log, and count it."""
    app.extensions["metrics_dir"] = metrics_dir
    app.extensions["telemetry"] = Telemetry()
    app.before_request(_start_request)
    app.after_request(_finish_request)
    app.register_blueprint(blueprint)
    if not _log.handlers:
        _log.addHandler(_LineHandler())
        _log.setLevel(logging.INFO)
        _log.propagate = False


def count_predictions(model: str, served: Served, count: int) -> None:
    """Count the records predicted in this request, and note the version for the log."""
    g.model, g.version = model, served.head.name
    _label_predictions(model).inc(count)


def count_feedback(model: str, count: int) -> None:
    """Count the labelled records sent on in this request, and note the model for the log."""
    g.model = model
    _feedback.labels(model).inc(count)


def make_request_id(environ: dict[str, Any]) -> str:
    """Return the id that a request brings along or, where it has none that can be used, a new one."""
    header = environ.get("HTTP_X_REQUEST_ID", "")
    return header if _ID.fullmatch(header) else os.urandom(16).hex()


def _start_request() -> None:
    g.start = time.perf_counter()
    g.request_id = make_request_id(request.environ)


def _finish_request(response: Response) -> Response:
    noted: Telemetry = current_app.extensions["telemetry"]
    noted.note(
        Finished(
            time_s=time.time(),
            seconds=time.perf_counter() - g.start,
            method=request.method if request.method in _METHODS else "(other)",
            route=request.url_rule.rule if request.url_rule else "(none)",
            path=request.path,
            client=request.remote_addr,
            status=response.status_code,
            request_id=g.request_id,
            model=g.get("model", "-"),
            version=g.get("version", "-"),
        )
    )
    response.headers["X-Request-ID"] = g.request_id
    return response


def _format_line(request_: Finished) -> str:
    return (
        f"{_format_time(int(request_.time_s))} {request_.client} {request_.method} {_quote(request_.path)}"
        f" {request_.status} {1000 * request_.seconds:.1f} ms"
        f" id={request_.request_id} model={request_.model} version={request_.version}"
    )


@cache
def _label_predictions(model: str) -> Counter:
    return _predictions.labels(model)


@cache
def _label_requests(method: str, route: str, status: int) -> Counter:
    return _requests.labels(method, route, str(status))


@cache
def _label_seconds(route: str) -> Histogram:
    return _seconds.labels(route)


@lru_cache(maxsize=2)
def _format_time(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


_quote = lru_cache(quote)


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
        for model, models in sorted(self._caches.items()):
            try:
                served = models.current()
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
    if folder is not None:
        time.sleep(2 * WRITTEN_WITHIN_S)  # until the other processes have written, too
    current_app.extensions["telemetry"].write()
    models = CollectorRegistry()
    models.register(_ModelGauges(current_app.extensions["models"]))
    if folder is None:
        text = generate_latest(REGISTRY)
    else:
        counts = CollectorRegistry()
        MultiProcessCollector(counts, path=str(folder))  # type: ignore[no-untyped-call]
        text = generate_latest(counts)
    return Response(text + generate_latest(models), content_type=CONTENT_TYPE_LATEST)
