"""The pages, and `/live/<pipeline>` and below it, where their messages come from.

`/forecast`, `/lags` and `/summary` have a page for each pipeline that they can show; without a name they lead
to the first. `/pipelines` without a name shows all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from serving.models import find_cache, server_settings
from serving.pages import language, records, summary, versions, views
from serving.pages.feed import Feed
from serving.pages.forms import make_form
from serving.pages.language import LANGUAGES, TAGS, choose_language, gettext
from serving.pages.overview import Overview, summarize
from serving.pages.quality import QualityMonitor
from serving.pages.watch import Watch
from serving.pages.words import WORDS
from serving.state.model_cache import ModelCache
from streamlearn.errors import NoModel, StoreUnavailable, UnknownPipeline
from streamlearn.learning.learner import LatestForecast
from streamlearn.pipelines import digits
from streamlearn.pipelines.base import Pipeline
from streamlearn.storage.store import Store
from streamlearn.warehouse.summaries import list_summaries

blueprint = Blueprint("pages", __name__)

_FIRST_READ_S = 2.0
"""How long the page of one record waits for the answers; the record itself has been read then."""

_LONGEST_WINDOW = 200
"""The most records that a form for a forecast is filled in with."""


@dataclass(frozen=True)
class Live:
    """A pipeline's watch, its feed, and what measures its quality."""

    watch: Watch
    feed: Feed
    quality: QualityMonitor

    def stop(self) -> None:
        """End all polling for good."""
        self.watch.stop()
        self.quality.stop()


def register(app: Flask) -> None:
    """Add the pages; their streams end when `app.extensions["is_alive"]` says that the process is ending."""
    store: Store = app.extensions["store"]

    def serving() -> bool:
        return bool(app.extensions["is_alive"]())

    def start(models: ModelCache) -> Live:
        watch = Watch(app.extensions["settings"], store, models)
        return _start_live(watch, QualityMonitor(app.extensions["settings"], watch), serving)

    lives = app.extensions["live"] = _Lives(app.extensions["models"], start)
    app.extensions["overview"] = Overview(lambda: {name: live.watch for name, live in lives.items()})
    app.extensions["records"] = records.RecordReader(app.extensions["settings"])
    app.extensions["lineages"] = versions.LineageReader(app.extensions["settings"], store)
    app.extensions["summarized"] = summary.poll_summarized(
        app.extensions["settings"], app.extensions["summaries"], app.extensions["models"]
    )
    language.register(app)
    app.context_processor(_frame_context)
    app.register_blueprint(blueprint)


class _Lives:
    """What is live of each served pipeline, by its name; started when it is first looked at."""

    def __init__(self, models: Mapping[str, ModelCache], start: Callable[[ModelCache], Live]) -> None:
        self._models = models
        self._start = start
        self._started: dict[str, Live] = {}

    def __getitem__(self, name: str) -> Live:
        models = self._models[name]
        live = self._started.get(name)
        if live is None or live.watch.models is not models:
            if live is not None:
                live.stop()
            live = self._started[name] = self._start(models)
        return live

    def items(self) -> list[tuple[str, Live]]:
        """Return all of them, by name."""
        return [(name, self[name]) for name in sorted(self._models)]

    def stop(self) -> None:
        """Stop watching."""
        for live in self._started.values():
            live.stop()


def _start_live(watch: Watch, quality: QualityMonitor, serving: Callable[[], bool]) -> Live:
    def make_message() -> bytes:
        return msgspec.json.encode(views.make_message(watch))

    return Live(watch, Feed(make_message, watch.keep_polling, serving), quality)


def _frame_context() -> dict[str, Any]:
    """Return what every page's frame needs."""
    return {
        "language": choose_language(),
        "language_tag": TAGS[choose_language()],
        "languages": LANGUAGES,
        "words": {name: gettext(text) for name, text in WORDS.items()},
        "navigation": _list_pages(),
        "flink_url": server_settings().flink,
    }


def _list_pages() -> list[dict[str, Any]]:
    """Return the pages in their order, each with its title, address, and whether this request is for it.

    That of summaries is among them once there is something on it.
    """
    has_summaries = bool(current_app.extensions["summarized"].get())
    titles = {
        "pages.show_digits": gettext("Digits"),
        "pages.show_forecast": gettext("Forecast"),
        "pages.show_lags": gettext("Lags"),
        **({"pages.show_summary": gettext("Summary")} if has_summaries else {}),
        "pages.show_records": gettext("Records"),
        "pages.show_form": gettext("Try it"),
        "pages.show_versions": gettext("Versions"),
        "pages.show_pipeline": gettext("Pipelines"),
    }
    return [
        {"title": title, "url": url_for(endpoint), "here": endpoint == request.endpoint}
        for endpoint, title in titles.items()
    ]


@blueprint.get("/")
def show_digits() -> str:
    """Show a drawing area, what the model answers, and buttons to correct it."""
    name = digits.pipeline.name
    return render_template(
        "digits.html",
        name=name,
        model=views.describe_served_model(_live()[name].watch),
        feedback=server_settings().feedback == "on",
    )


@blueprint.get("/forecast")
@blueprint.get("/forecast/<name>")
def show_forecast(name: str | None = None) -> ResponseReturnValue:
    """Show the past, the forecast from its end, and how good such forecasts are."""
    return _show_page("forecast", name, lambda pipeline: pipeline.learning.series is not None)


@blueprint.get("/lags")
@blueprint.get("/lags/<name>")
def show_lags(name: str | None = None) -> ResponseReturnValue:
    """Show which drivers lead the value, and the lags that forecasts are made from."""
    return _show_page("lags", name, lambda pipeline: bool(pipeline.learning.drivers))


@blueprint.get("/summary")
@blueprint.get("/summary/<name>")
def show_summary(name: str | None = None) -> ResponseReturnValue:
    """Show the summaries that SQL jobs make of a pipeline's stream, each as a chart and a table."""
    return _show_page(
        "summary",
        name,
        lambda pipeline: bool(list_summaries(server_settings(), pipeline.name)),
        lambda watch: {"cards": summary.describe_cards(server_settings(), watch.pipeline.name)},
    )


@blueprint.get("/pipelines")
@blueprint.get("/pipelines/<name>")
def show_pipeline(name: str | None = None) -> ResponseReturnValue:
    """Show how one pipeline fares: its stream, its score, what went wrong, its parts; without a name, all.

    With `?verdict=1`, the verdict on one alone, as the page's script asks for it.
    """
    if name is None:
        return _show_overview()
    template = "verdict" if request.args.get("verdict") else "pipeline"
    return _show_page(template, name, lambda pipeline: True, _find_line)


def _find_line(watch: Watch) -> dict[str, Any]:
    """Return what the overview says of a pipeline."""
    overview: Overview = current_app.extensions["overview"]
    return {"line": overview.get_line(watch), "translate": gettext}


@blueprint.get("/records")
@blueprint.get("/records/<name>")
def show_records(name: str | None = None) -> ResponseReturnValue:
    """Show the newest answers and dead letters, and the record at `?offset=`; with `?rows=1` rows alone."""
    template = "records_rows" if request.args.get("rows") else "records"
    return _show_page(template, name, lambda pipeline: True, _find_records)


def _find_records(watch: Watch) -> dict[str, Any]:
    """Return what the page of records shows: the rows that the query wants, and the record that it names."""
    watch.keep_polling()
    partition, offset = (_read_number(key) for key in ("partition", "offset"))
    show = request.args.get("show", "all")
    wanted = records.Filter(show if show in records.SHOWN else "all", partition if offset is None else None)
    context: dict[str, Any] = {"wanted": wanted, "record": None}
    if offset is not None:
        reader: records.RecordReader = current_app.extensions["records"]
        record = reader.read(watch.pipeline, partition or 0, offset)
        watch.wait_for("kafka", _FIRST_READ_S)
        moment = datetime.fromtimestamp(record.time_s or 0, UTC)
        context |= {
            "record": record,
            "time": f"{moment:%Y-%m-%d %H:%M:%S}",
            "answered": records.find_row(watch, record.partition, record.offset),
            "answered_to": watch.flow.answered.get(record.partition),
            "state": gettext(records.STATES[record.state]) if record.state in records.STATES else "",
        }
    return {**context, "rows": records.select_rows(watch, wanted)}


@blueprint.get("/versions")
@blueprint.get("/versions/<name>")
def show_versions(name: str | None = None) -> ResponseReturnValue:
    """Show versions and lineages side by side, and a form; with `?rows=1` the tables alone."""
    template = "versions_tables" if request.args.get("rows") else "versions"
    return _show_page(template, name, lambda pipeline: True, _find_versions)


def _find_versions(watch: Watch) -> dict[str, Any]:
    """Return what the page of versions shows."""
    lineages: versions.LineageReader = current_app.extensions["lineages"]
    lineage_rows = lineages.list_rows(watch.pipeline)
    try:
        rows = versions.list_versions(watch.models)
    except StoreUnavailable:
        rows = []
    return {
        "versions": rows,
        "lineages": lineage_rows,
        "common": set.intersection(*(set(row.settings) for row in lineage_rows)) if lineage_rows else set(),
        "figures": versions.list_figures([row.score for row in rows] + [row.score for row in lineage_rows]),
        "format_figure": versions.format_figure,
        "translate": gettext,
    }


@blueprint.get("/try")
@blueprint.get("/try/<name>")
def show_form(name: str | None = None) -> ResponseReturnValue:
    """Show a form for one record; with `?example=1`, the newest records, with which it is filled in."""
    if name is not None and request.args.get("example"):
        return _send_example(name)
    return _show_page("try", name, lambda pipeline: True, lambda watch: {"form": make_form(watch.pipeline)})


def _send_example(name: str) -> Response:
    """Send the newest records that are answered: one, or as many as a forecast is made from."""
    find_cache(name)
    watch = _live()[name].watch
    watch.keep_polling()
    series, key = watch.pipeline.learning.series, watch.pipeline.series_key
    count = 1 if series is None else min(series.window_length, _LONGEST_WINDOW)
    answered = watch.flow.answered
    partition = max(answered, key=lambda number: answered[number], default=0)
    reader: records.RecordReader = current_app.extensions["records"]
    end = answered.get(partition, -1) + 1
    read = reader.read_newest(watch.pipeline, partition, end, count if key is None else _LONGEST_WINDOW)
    return Response(
        msgspec.json.encode(records.choose_window(read, key, count)),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _read_number(key: str) -> int | None:
    """Return a number of the query; None where it has none, or one that no offset can be."""
    number = request.args.get(key, type=int)
    return number if number is not None and 0 <= number < 1 << 62 else None


def _show_overview() -> Response:
    """Show a line for each pipeline; with `?rows=1` the lines alone, as the page's script asks for them."""
    overview: Overview = current_app.extensions["overview"]
    lines = overview.list_lines()
    template = "overview_rows.html" if request.args.get("rows") else "overview.html"
    response = make_response(
        render_template(template, lines=lines, summary=summarize(lines), translate=gettext)
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _show_page(
    page: str,
    name: str | None,
    has_page: Callable[[Pipeline], bool],
    find_more: Callable[[Watch], dict[str, Any]] = lambda watch: {},
) -> ResponseReturnValue:
    """Render the page of that name for one pipeline; without one, redirect to the first that has it.

    `find_more` returns what else the template needs.
    """
    names = [other for other, live in sorted(_live().items()) if has_page(live.watch.pipeline)]
    if name is None:
        if not names:
            raise UnknownPipeline(f"no pipeline here has a page {request.path}")
        return redirect(url_for(str(request.endpoint), name=names[0]))
    pipeline = find_cache(name).pipeline
    if name not in names:
        raise UnknownPipeline(
            f"{name} has no page {request.path}; these pipelines have one: {', '.join(names) or 'none'}"
        )
    return render_template(
        f"{page}.html",
        page=page,
        name=name,
        names=names,
        pipeline=pipeline,
        model=views.describe_served_model(_live()[name].watch),
        latest=_find_latest_forecast(name),
        shown=_translate_display(pipeline),
        drivers=[
            {"name": driver.name, "title": gettext(pipeline.display.driver(driver.name).title)}
            for driver in pipeline.learning.drivers
        ],
        **find_more(_live()[name].watch),
    )


@blueprint.errorhandler(UnknownPipeline)
def show_not_found(error: UnknownPipeline) -> tuple[str, int]:
    """Show on a page that there is no such pipeline or page, with a link to those there are."""
    return render_template("error.html", status=404, error=str(error)), 404


@blueprint.get("/live/<name>")
def send_messages(name: str) -> Response:
    """Send what goes on in one pipeline, as server-sent events; with `?once=1`, one message as JSON."""
    find_cache(name)
    feed = _live()[name].feed
    if request.args.get("once"):
        return Response(feed.get_message(), content_type="application/json")
    response = Response(feed.stream_events(), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


@blueprint.get("/live/<name>/quality")
def send_quality(name: str) -> Response:
    """Send how good one pipeline's stream and answers are lately, as JSON, measured every few seconds."""
    find_cache(name)
    return Response(
        msgspec.json.encode(_live()[name].quality.get()),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _live() -> _Lives:
    live: _Lives = current_app.extensions["live"]
    return live


def _find_latest_forecast(name: str) -> LatestForecast | None:
    """Return the forecast from the newest record, for the page as it first appears."""
    try:
        return find_cache(name).current().learner.latest
    except NoModel:
        return None


def _translate_display(pipeline: Pipeline) -> dict[str, Any]:
    shown = asdict(pipeline.display)
    shown["bands_source"] = shown["bands_source"] and gettext(shown["bands_source"])
    for band in shown["bands"]:
        band["name"] = gettext(band["name"])
    return shown
