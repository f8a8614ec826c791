"""The Open Inference Protocol's view of what is served: health, readiness, metadata.

https://github.com/kserve/open-inference-protocol
"""

from importlib.metadata import version

from flask import Blueprint, Response, current_app, jsonify

from serving.model_cache import ModelCache
from streamlearn.errors import NoModel, UnknownPipeline

blueprint = Blueprint("inference", __name__, url_prefix="/v2")


def cache(name: str) -> ModelCache:
    """Return the cache of a registered pipeline.

    Raises
    ------
    UnknownPipeline
        There is no such pipeline.
    """
    caches: dict[str, ModelCache] = current_app.extensions["models"]
    if name not in caches:
        raise UnknownPipeline(f"no model is called {name!r}; there are: {', '.join(sorted(caches))}")
    return caches[name]


@blueprint.get("")
def server() -> Response:
    """Describe the server."""
    return jsonify(name="streamlearn", version=version("streamlearn"), extensions=[])


@blueprint.get("/health/live")
def live() -> Response:
    """Say that the server runs."""
    return jsonify(live=True)


@blueprint.get("/health/ready")
def ready() -> tuple[Response, int]:
    """Say whether predictions are served: by every pipeline that has begun to learn, and by one at least."""
    caches: dict[str, ModelCache] = current_app.extensions["models"]
    serving = [name for name in sorted(caches) if _has_model(name)]
    waiting = [name for name in sorted(caches) if caches[name].begun and name not in serving]
    found = bool(serving) and not waiting
    return jsonify(ready=found, serving=serving, waiting_for=waiting), 200 if found else 503


@blueprint.get("/models/<name>/ready")
def model_ready(name: str) -> tuple[Response, int]:
    """Say whether one pipeline has a trained model."""
    found = _has_model(name)
    return jsonify(name=name, ready=found), 200 if found else 503


@blueprint.get("/models/<name>")
def model(name: str) -> Response:
    """Describe a pipeline's served model: its version, lineage, age and prequential score.

    Before there is one, `versions` is empty and `parameters` has nothing in it.
    """
    try:
        served = cache(name).current()
    except NoModel:
        return jsonify(name=name, versions=[], platform="scikit-learn", parameters={})
    score = served.learner.score
    return jsonify(
        name=name,
        versions=[str(served.head.version)],
        platform="scikit-learn",
        parameters={
            "version": served.head.version,
            "lineage": served.head.lineage,
            "digest": served.head.digest,
            "age_s": served.age_s(),
            "samples": score.samples,
            **score.summary(),
        },
    )


def _has_model(name: str) -> bool:
    try:
        cache(name).current()
    except NoModel:
        return False
    return True
