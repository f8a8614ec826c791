"""The pages and where their messages come from."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, current_app, redirect, render_template, request, url_for

from serving.models import find_cache, server_settings
from serving.pages import language, views
from serving.pages.feed import Feed
from serving.pages.language import LANGUAGES, TAGS, chosen, gettext
from serving.pages.watch import Watch
from serving.pages.words import WORDS
from serving.protocol.signature import is_windowed
from streamlearn.errors import NoModel, UnknownPipeline
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage.store import Store

blueprint = Blueprint("pages", __name__)


@dataclass(frozen=True)
class Live:
    """A pipeline's watch and its feed."""

    watch: Watch
    feed: Feed


def register(app: Flask) -> None:
    """Add the pages; their streams end when `app.extensions["serving"]` says that the process is ending."""
    store: Store = app.extensions["store"]

    def serving() -> bool:
        return bool(app.extensions["serving"]())

    app.extensions["live"] = {
        name: _live(Watch(app.extensions["settings"], store, models), serving)
        for name, models in app.extensions["models"].items()
    }
    language.register(app)
    app.context_processor(_common)
    app.register_blueprint(blueprint)


def _live(watch: Watch, serving: Callable[[], bool]) -> Live:
    def make() -> bytes:
        return msgspec.json.encode(views.message(watch))

    return Live(watch, Feed(make, watch.watched, serving))


def _common() -> dict[str, Any]:
    """What every page's frame needs."""
    return {
        "language": chosen(),
        "language_tag": TAGS[chosen()],
        "languages": LANGUAGES,
        "words": {name: gettext(text) for name, text in WORDS.items()},
        "navigation": _navigation(),
        "flink_url": server_settings().flink,
    }


def _navigation() -> list[dict[str, Any]]:
    """The pages in their order, as (title, address, whether this request is for it)."""
    pages = [
        ("draw", gettext("Digits")),
        ("forecasts", gettext("Forecast")),
        ("lagging", gettext("Lags")),
        ("pipelines", gettext("Pipelines")),
    ]
    here = (request.endpoint or "").partition(".")[2]
    families = {"forecast": "forecasts", "lags": "lagging", "pipeline": "pipelines"}
    return [
        {
            "title": title,
            "url": url_for(f"pages.{name}"),
            "here": families.get(here, here) == name,
        }
        for name, title in pages
    ]


@blueprint.get("/")
def draw() -> str:
    """Draw a digit, see what the model makes of it, and say what is right."""
    return render_template(
        "digits.html",
        name=digits.pipeline.name,
        model=views.model(_watch(digits.pipeline.name)),
        feedback=server_settings().feedback == "on",
    )


@blueprint.get("/forecast")
def forecasts() -> Any:
    """Show the first pipeline that forecasts."""
    names = _forecasting()
    if not names:
        raise UnknownPipeline("no pipeline here forecasts")
    return redirect(url_for("pages.forecast", name=names[0]))


@blueprint.get("/forecast/<name>")
def forecast(name: str) -> str:
    """Show the past, the forecast from its end, and how good such forecasts are."""
    pipeline = find_cache(name).pipeline
    if not is_windowed(pipeline):
        raise UnknownPipeline(f"{name} does not forecast")
    return render_template(
        "forecast.html",
        name=name,
        names=_forecasting(),
        model=views.model(_watch(name)),
        shown=_shown(pipeline),
        latest=_latest(name),
        horizons=pipeline.learning.horizons,  # type: ignore[attr-defined]
    )


@blueprint.get("/lags")
def lagging() -> Any:
    """Show the first pipeline that watches what may drive its value."""
    names = _driven()
    if not names:
        raise UnknownPipeline("no pipeline here watches what may drive its value")
    return redirect(url_for("pages.lags", name=names[0]))


@blueprint.get("/lags/<name>")
def lags(name: str) -> str:
    """Show which drivers lead the value, and the lags that forecasts are made from."""
    pipeline = find_cache(name).pipeline
    if not pipeline.learning.drivers:
        raise UnknownPipeline(f"{name} watches nothing that may drive its value")
    return render_template(
        "lags.html",
        name=name,
        names=_driven(),
        model=views.model(_watch(name)),
        shown=_shown(pipeline),
        drivers=[
            {"name": driver.name, "title": gettext(pipeline.display.driver(driver.name).title)}
            for driver in pipeline.learning.drivers
        ],
    )


@blueprint.get("/pipelines")
def pipelines() -> Any:
    """Show the first pipeline."""
    return redirect(url_for("pages.pipeline", name=sorted(_all())[0]))


@blueprint.get("/pipelines/<name>")
def pipeline(name: str) -> str:
    """Show how one pipeline fares: its stream, its score, what went wrong, its parts."""
    found = find_cache(name).pipeline
    return render_template(
        "pipeline.html",
        name=name,
        names=sorted(_all()),
        pipeline=found,
        model=views.model(_watch(name)),
        shown=_shown(found),
    )


@blueprint.errorhandler(UnknownPipeline)
def unknown(error: UnknownPipeline) -> tuple[str, int]:
    """Say so on a page, with the way back."""
    return render_template("error.html", error=str(error)), 404


@blueprint.get("/live/<name>")
def live(name: str) -> Response:
    """Send what goes on in one pipeline, as server-sent events."""
    find_cache(name)
    feed = _all()[name].feed
    if request.args.get("once"):
        return Response(feed.newest(), content_type="application/json")
    response = Response(feed.events(), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _all() -> dict[str, Live]:
    found: dict[str, Live] = current_app.extensions["live"]
    return found


def _forecasting() -> list[str]:
    return [name for name, live in sorted(_all().items()) if is_windowed(live.watch.pipeline)]


def _driven() -> list[str]:
    return [name for name, live in sorted(_all().items()) if live.watch.pipeline.learning.drivers]


def _watch(name: str) -> Watch:
    return _all()[name].watch


def _latest(name: str) -> dict[str, Any] | None:
    """The newest forecast, for the page as it first appears."""
    try:
        learner = find_cache(name).current().learner
    except NoModel:
        return None
    return getattr(learner, "latest", None)


def _shown(pipeline: Pipeline) -> dict[str, Any]:
    found = asdict(pipeline.display)
    found["bands_source"] = found["bands_source"] and gettext(found["bands_source"])
    for band in found["bands"]:
        band["name"] = gettext(band["name"])
    return found
