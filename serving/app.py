"""create_app: settings in, Flask application out."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flask import Flask

from serving import access, errors, files, openapi, telemetry
from serving.api import asking, feedback, forecast, lags, summaries, versions
from serving.bodies import BodyReader
from serving.drawing import digits
from serving.pages import routes as pages
from serving.protocol import repository, v1, v2
from serving.protocol.direct import DirectInference
from serving.state.arrivals import Arrivals
from serving.state.backlog import BacklogMonitor
from serving.state.jobs import JobMonitor
from serving.state.model_cache import ModelCache
from serving.state.recent import RecentPredictions
from streamlearn.learning.process import pin_blas_threads
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.storage.summary_store import SummaryStore

_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def create_app(settings: Settings | None = None, metrics_dir: Path | None = None) -> Flask:
    """Build the application. Call it in the process that serves: its threads do not survive a fork.

    Parameters
    ----------
    settings
        The server's settings; by default those of the environment.
    metrics_dir
        The folder in which the processes of one server add up their counts; None for a single process.
    """
    pin_blas_threads()
    settings = settings or Settings.load()
    app = _Application(__name__)
    app.url_map.strict_slashes = False  # some clients end their paths with a slash
    max_bytes = settings.http_body_mb << 20
    app.config.update(MAX_CONTENT_LENGTH=max_bytes, MAX_FORM_MEMORY_SIZE=max_bytes)
    store = Store.of(settings)
    app.extensions["settings"] = settings
    app.extensions["store"] = store
    app.extensions["summaries"] = SummaryStore(settings)
    app.extensions["recent"] = RecentPredictions(files.recent_path(settings))

    def keep_model(pipeline: Pipeline) -> ModelCache:
        return ModelCache(store, pipeline, settings.model_poll_ms / 1000, settings.checkpoint_key)

    models = {pipeline.name: keep_model(pipeline) for pipeline in load_all(settings)}
    app.extensions["models"] = models
    app.extensions["jobs"] = JobMonitor(settings, models)
    app.extensions["backlogs"] = BacklogMonitor(settings, models)
    app.extensions["is_alive"] = lambda: True
    telemetry.register(app, metrics_dir)
    errors.register(app)
    access.register(app, settings)
    for routes in (v2, repository, v1, forecast, asking, lags, summaries, versions, digits):
        app.register_blueprint(routes.blueprint)
    feedback.register(app, settings)
    pages.register(app)
    app.extensions["arrivals"] = Arrivals(settings, models, keep_model)
    openapi.register(app)
    direct = DirectInference(app.wsgi_app, app)
    reader = BodyReader(direct, max_bytes, settings.http_timeout_s)
    app.wsgi_app = _SecurityHeaders(reader)  # type: ignore[method-assign]
    return app


def create_worker_app() -> Flask:
    """Build the application for one of the processes that `streamlearn serve` starts."""
    settings = Settings.load()
    return create_app(settings, files.metrics_dir(settings))


class _Application(Flask):
    """Flask without coroutine support: it would otherwise check about a dozen functions in each request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is."""
        return func


class _SecurityHeaders:
    """WSGI middleware that adds those security headers to each answer that it does not have yet."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            names = {name for name, _ in headers}
            added = [(name, value) for name, value in _SECURITY_HEADERS.items() if name not in names]
            return start_response(status, headers + added, *error)

        answer: Iterable[bytes] = self._application(environ, start)
        return answer
