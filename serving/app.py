"""create_app: settings in, Flask application out."""

from flask import Flask, Response

from serving import digits, errors, forecast, inference
from serving.model_cache import ModelCache
from streamlearn.learner import pin_blas_threads
from streamlearn.pipeline import served
from streamlearn.settings import Settings
from streamlearn.store import Store

MAX_BODY_BYTES = 1 << 20

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application, in the process that is to serve: its threads would not survive a fork."""
    pin_blas_threads()
    settings = settings or Settings.load()
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES)
    store = Store.of(settings)
    app.extensions["models"] = {
        pipeline.name: ModelCache(store, pipeline, settings.model_poll_ms / 1000, settings.checkpoint_key)
        for pipeline in served(settings)
    }
    errors.register(app)
    app.register_blueprint(inference.blueprint)
    app.register_blueprint(forecast.blueprint)
    app.register_blueprint(digits.blueprint)
    app.after_request(_secure)
    return app


def _secure(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response
