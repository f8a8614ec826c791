"""create_app: settings in, Flask application out."""

from pathlib import Path

from flask import Flask, Response

from serving import access, errors, files, openapi, telemetry
from serving.api import feedback, forecast, lags, versions
from serving.bodies import BodyReader
from serving.drawing import digits
from serving.jobs import JobMonitor
from serving.model_cache import ModelCache
from serving.pages import routes as pages
from serving.protocol import repository, v1, v2
from serving.recent import RecentPredictions
from streamlearn.learning.blas import pin_blas_threads
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import Settings
from streamlearn.storage.store import Store

_HEADERS = {
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
    app = Flask(__name__)
    app.url_map.strict_slashes = False  # some clients end their paths with a slash
    max_bytes = settings.http_body_mb << 20
    app.config.update(MAX_CONTENT_LENGTH=max_bytes, MAX_FORM_MEMORY_SIZE=max_bytes)
    app.wsgi_app = BodyReader(  # type: ignore[method-assign]
        app.wsgi_app, max_bytes, settings.http_timeout_s
    )
    store = Store.of(settings)
    app.extensions["settings"] = settings
    app.extensions["store"] = store
    app.extensions["recent"] = RecentPredictions(files.recent_path(settings))
    app.extensions["models"] = {
        pipeline.name: ModelCache(store, pipeline, settings.model_poll_ms / 1000, settings.checkpoint_key)
        for pipeline in load_all(settings)
    }
    app.extensions["jobs"] = JobMonitor(settings, sorted(app.extensions["models"]))
    app.extensions["is_alive"] = lambda: True
    telemetry.register(app, metrics_dir)
    errors.register(app)
    access.register(app, settings)
    for routes in (v2, repository, v1, forecast, lags, versions, digits):
        app.register_blueprint(routes.blueprint)
    feedback.register(app, settings)
    pages.register(app)
    openapi.register(app)
    app.after_request(_add_security_headers)
    return app


def create_worker_app() -> Flask:
    """Build the application for one of the processes that `streamlearn serve` starts."""
    settings = Settings.load()
    return create_app(settings, files.metrics_dir(settings))


def _add_security_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response
