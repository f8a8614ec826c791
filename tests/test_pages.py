"""The pages as the server draws them, and the messages that keep them up to date; without Kafka and Flink."""

import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask.testing import FlaskClient
from flats import FLATS, Flat
from helpers import MakeApp, put, serve
from hours import decode
from hours import series as make_series
from stacks import ROOT, free_port
from summary_rows import DAY_KEY, DAYS, put_rows

from serving.pages import overview, records, views, watch
from serving.pages.feed import Feed
from serving.pages.language import LOCALES
from serving.pages.watch import Watch
from streamlearn.learning import curves
from streamlearn.learning.learner import (
    LatestForecast,
    Learner,
    Learning,
    OutputField,
    SeriesSpec,
    predict_then_learn,
)
from streamlearn.operations import verdict
from streamlearn.operations.verdict import Facts, Serving
from streamlearn.pipelines import pm25
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.display import Display
from streamlearn.pipelines.registry import load, registered_names
from streamlearn.settings import Settings
from streamlearn.storage.store import Store
from streamlearn.storage.versions import Restore
from streamlearn.waiting import wait_until
from streamlearn.warehouse.catalogue import FOLDER, read_layer

PAGES = [
    "/",
    "/pipelines",
    "/records/digits",
    "/records/pm25",
    "/try/digits",
    "/try/pm25",
    "/forecast/pm25",
    "/lags/pm25",
    "/versions/digits",
    "/versions/pm25",
    "/summary/digits",
    "/summary/pm25",
    "/pipelines/digits",
    "/pipelines/pm25",
    "/pipelines/nothing",
]


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app(kafka=f"localhost:{free_port()}", flink=f"http://localhost:{free_port()}").test_client()


class Tags(HTMLParser):
    """Every tag of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, dict(attributes)))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_nothing_from_elsewhere_and_nothing_inline(
    client: FlaskClient, path: str, language: str
) -> None:
    answer = client.get(path, query_string={"lang": language})
    assert answer.status_code == (404 if "nothing" in path else 200)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    for tag, attributes in Tags(answer.text).tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        if tag == "script":
            assert attributes.get("type") == "application/json" or attributes["src"]
        loaded = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        assert loaded is None or loaded.startswith("/static/"), loaded
        if loaded:
            with client.get(loaded) as file:
                assert file.status_code == 200
    assert ("语言" in answer.text) == (language == "zh")


def test_every_registered_pipeline_has_a_page(client: FlaskClient) -> None:
    page = client.get("/pipelines", follow_redirects=True).text
    for name in registered_names():
        assert f'href="/pipelines/{name}"' in page
        assert client.get(f"/pipelines/{name}").status_code == 200
    assert client.get("/forecast/digits").status_code == 404
    assert client.get("/lags/digits").status_code == 404
    assert client.get("/lags").location == "/lags/pm25"


def test_summaries_are_in_the_navigation_once_there_are_any(client: FlaskClient, redis_url: str) -> None:
    link = 'href="/summary"'
    assert link not in client.get("/").text
    put_rows(Settings(redis=redis_url), "pm25", "day", DAYS, DAY_KEY)
    wait_until(lambda: link in client.get("/").text, 60, "the link to the summaries", every_s=0.05)
    assert client.get("/summary").location == "/summary/digits"
    page = client.get("/summary/pm25").text
    cards = json.loads(re.search(r'id="cards">(.*?)</script>', page)[1])
    horizon = next(card for card in cards if card["name"] == "horizon")
    assert (horizon["x"], horizon["groups"]) == ("window_start", ["horizon"])
    assert horizon["chart"] == ["mae_ugm3", "persistence_mae_ugm3"]
    matrices = [card["name"] for card in cards if card["isMatrix"]]
    assert matrices == []
    assert 'class="matrix"' in client.get("/summary/digits").text


def test_a_page_shows_the_served_version_before_any_script_runs(client: FlaskClient, store: Store) -> None:
    assert "No model has been learned yet" in client.get("/").text
    serve(client, store, 1024)
    assert "Version 1024 is served" in client.get("/").text
    assert "正在使用版本 1024" in client.get("/", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [("", "en"), ("zh-TW", "zh-Hans"), ("fr, zh;q=0.5", "zh-Hans"), ("de", "en"), ("\x80;q=x,,", "en")],
)
def test_the_language_is_the_one_preferred(client: FlaskClient, accepted: str, expected: str) -> None:
    page = client.get("/", headers={"Accept-Language": accepted})
    assert f'<html lang="{expected}">' in page.text
    assert {"Cookie", "Accept-Language"} <= set(page.vary)


def test_a_language_that_was_chosen_is_kept(client: FlaskClient) -> None:
    client.get("/?lang=zh")
    assert '<html lang="zh-Hans">' in client.get("/pipelines/digits").text
    client.get("/pipelines?lang=en")
    assert '<html lang="en">' in client.get("/").text
    assert '<html lang="en">' in client.get("/?lang=<script>").text


def test_every_text_is_translated_and_no_translation_is_left_over() -> None:
    extracted = extract_from_dir(
        ROOT / "serving", method_map=[("pages/*.py", "python"), ("templates/**.html", "jinja2")]
    )
    texts = {str(message) for _, _, message, _, _ in extracted} - {"name", "bands_source"}
    texts |= {band.name for band in pm25.BANDS} | {pm25.pipeline.display.bands_source}
    texts |= {label.title for label in pm25.LABELS.values()}
    texts |= {topic.description for topic in read_layer(FOLDER / "summary.toml")}
    texts |= {*verdict.TEXTS.values(), *verdict.BASELINES, ", ", *records.STATES.values()}
    with (LOCALES / "zh.po").open("rb") as source:
        catalogue = {str(entry.id): str(entry.string) for entry in read_po(source, "zh") if entry.id}
    assert set(catalogue) == texts
    for text, translated in catalogue.items():
        assert translated, text
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", translated)), text


def test_scripts_say_only_words_that_there_are() -> None:
    from serving.pages.words import WORDS

    scripts = "".join(path.read_text() for path in (ROOT / "serving" / "static").glob("*.js"))
    used = set(re.findall(r'say\("(\w+)"', scripts)) | set(re.findall(r'^ +\w+: "(\w+)",', scripts))
    assert used
    assert used <= set(WORDS)
    templates = "".join(path.read_text() for path in (ROOT / "serving" / "templates").glob("*.html"))
    unused = [name for name in WORDS if f'"{name}"' not in scripts and f"words.{name}" not in templates]
    assert set(unused) <= {"the commonest label", "the last value", "accuracy", "rmse"}


def get_message(client: FlaskClient, name: str = "digits") -> dict[str, Any]:
    message: dict[str, Any] = json.loads(client.get(f"/live/{name}?once=1").text)
    return message


def test_parts_that_are_away_are_named_and_hide_nothing_else(client: FlaskClient, store: Store) -> None:
    serve(client, store, 512)
    wait_until(
        lambda: all(part["polled"] for part in get_message(client)["parts"]), 30, "all parts to be polled"
    )
    message = get_message(client)
    troubles = {part["name"]: part["trouble"] for part in message["parts"]}
    assert "does not answer" in troubles["kafka"]
    assert "does not answer" in troubles["flink"]
    assert troubles["redis"] == ""
    assert message["model"]["version"] == 512
    assert [kept["version"] for kept in message["versions"]] == [512]
    assert message["rate"] is None


def read_lines(client: FlaskClient, language: str = "en") -> str:
    """Return what the overview's script asks for, without runs of white space."""
    answer = client.get("/pipelines", query_string={"rows": 1, "lang": language})
    assert answer.status_code == 200
    return " ".join(answer.text.split())


def test_the_overview_tells_what_is_away_and_shows_what_is_known(client: FlaskClient, store: Store) -> None:
    serve(client, store, 512)
    writer = store.admit("digits", "aaaa", 2)
    for dropped in (0, 3):
        writer.record_restore(Restore("aaaa", 0, None, 0, dropped, {}, 1.0))
    words = "Kafka, Flink: no answer; nothing is learned until it is back, version 512 goes on"
    wait_until(lambda: words in read_lines(client), 30, "the parts to be looked at")
    wait_until(lambda: "restarts: 1" in read_lines(client), 30, "the restarts to be read")
    lines = read_lines(client)
    assert '<a href="#term-rolled-back">rolled back</a>' in lines
    assert f"0 of {len(registered_names())} pipelines are well." in lines
    assert "<code>streamlearn status</code> tells" in lines
    assert "Kafka，Flink 没有响应" in read_lines(client, "zh").replace("Kafka, Flink", "Kafka，Flink")
    assert "<html" not in lines
    assert "<html" in client.get("/pipelines").text


def test_what_nobody_has_looked_at_is_not_counted_as_unwell() -> None:
    looking, well = (
        verdict.judge(Facts("digits", looked=False)),
        verdict.judge(Facts("pm25", records=1, unanswered=0, serving=Serving("1"))),
    )
    lines = [cast("overview.Line", SimpleNamespace(verdict=each)) for each in (looking, well)]
    assert overview.summarize(lines) == {"count": 2, "well": 1, "unknown": 1, "worst": "wait"}


def test_a_pinned_version_is_told_on_the_overview(client: FlaskClient, store: Store) -> None:
    serve(client, store, 512)
    assert "term-pinned" not in read_lines(client)
    served = store.served("digits")
    assert served is not None
    store.pin("digits", served[0], served[1] or b"")
    wait_until(lambda: "term-pinned" in read_lines(client), 30, "the pin to be seen")


def test_a_pipelines_page_begins_with_its_verdict(client: FlaskClient, store: Store) -> None:
    serve(client, store, 512)

    def read_verdict(language: str) -> str:
        return client.get("/pipelines/digits?verdict=1", headers={"Accept-Language": language}).text

    words = "Kafka, Flink: no answer; nothing is learned until it is back, version 512 goes on"
    wait_until(lambda: words in read_verdict("en"), 30, "the parts to be looked at")
    assert words in client.get("/pipelines/digits").text
    assert 'class="verdict" data-state="down"' in read_verdict("en")
    assert "没有响应" in read_verdict("zh")
    assert "<html" not in read_verdict("en")
    pm25_watch = client.application.extensions["live"]["pm25"].watch
    assert not pm25_watch.polling, "one page looks at one pipeline"


def test_the_lines_of_the_overview_are_made_once_for_all_who_ask(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make_line = [], overview.make_line

    def count(watch: Watch) -> overview.Line:
        made.append(watch.pipeline.name)
        return make_line(watch)

    monkeypatch.setattr(overview, "_MAKE_EVERY_S", 1000.0)
    monkeypatch.setattr(overview, "make_line", count)
    for _ in range(5):
        read_lines(client)
    assert made == sorted(registered_names())


def test_the_first_start_of_a_lineage_is_no_restart(client: FlaskClient, store: Store) -> None:
    writer = store.admit("digits", "aaaa", 1)
    for number in range(3):
        writer.record_restore(Restore("aaaa", 0, None, 0, 0, {}, 1.0))
        wait_until(lambda n=number: len(get_message(client)["restores"]) == n + 1, 30, "the start to be seen")
        assert get_message(client)["restarts"] == number


def test_an_unknown_pipeline_has_no_messages(client: FlaskClient) -> None:
    assert client.get("/live/nothing").status_code == 404


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_events_are_sent_when_something_is_new_and_made_once_a_second() -> None:
    clock, made_at = Clock(), []

    def make_message() -> bytes:
        made_at.append(clock.now)
        return b"%d" % (clock.now // 20)

    feed = Feed(make_message, lambda: None, serving=lambda: clock.now < 45, clock=clock)
    events = list(feed.stream_events(clock.wait))
    assert events[0].startswith(b"retry: ")
    assert [event for event in events if event.startswith(b"data")] == [
        b"data: 0\n\n",
        b"data: 1\n\n",
        b"data: 2\n\n",
    ]
    assert 2 <= events.count(b": nothing new\n\n") <= 4
    assert len(made_at) == 45, "more often than once a second"


def test_a_connection_ends_by_itself_and_all_watchers_share_what_is_made() -> None:
    clock, made_at = Clock(), []

    def make_message() -> bytes:
        made_at.append(clock.now)
        return b"same"

    feed = Feed(make_message, lambda: None, serving=lambda: True, clock=clock)
    first, second = feed.stream_events(lambda _: None), feed.stream_events(clock.wait)
    next(first), next(second)
    assert next(first) == next(second) == b"data: same\n\n"
    assert len(made_at) == 1
    list(second)
    assert clock.now == pytest.approx(300, abs=1)


def test_nothing_is_looked_at_when_nobody_watches(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_IDLE_S", 0.2)
    digits_watch = client.application.extensions["live"]["digits"].watch
    assert not digits_watch.polling
    get_message(client)
    assert digits_watch.polling
    wait_until(lambda: not digits_watch.polling, 30, "polling to end")


def test_a_pipeline_of_ones_own_has_a_page_as_well(make_app: MakeApp, store: Store) -> None:
    flats_learner = FLATS.new_learner()
    predict_then_learn(flats_learner, [Flat(50.0 + n, 2, "x", True, 500.0 + n) for n in range(20)], 20)
    put(store, FLATS, flats_learner)
    client = make_app(
        pipelines="flats:FLATS",
        kafka=f"localhost:{free_port()}",
        flink=f"http://localhost:{free_port()}",
    ).test_client()
    assert 'href="/pipelines/flats"' in client.get("/pipelines/digits").text
    page = client.get("/pipelines/flats")
    assert page.status_code == 200
    assert '<dd data-is="version">20</dd>' in page.text
    assert set(get_message(client, "flats")["model"]["score"]) == set(flats_learner.score.summary())


class Reading(msgspec.Struct):
    hour: int
    level: float | None


class Drift(Learning):
    """A kind of one's own: forecasts go on with the mean change so far; its score has a name of its own."""

    kind = "drift"
    answer_fields = ("forecast",)
    max_chunk_rows = 1

    @property
    def series(self) -> SeriesSpec:
        return SeriesSpec((1, 2), lambda record: int(record.hour), lambda record: record.level, 5)

    def new_learner(self, parameters: Any, version: int) -> "DriftLearner":
        return DriftLearner(parameters, version)

    def definition(self) -> dict[str, Any]:
        return {}

    def output_fields(self, parameters: Any) -> list[OutputField]:
        return [OutputField("forecast", "FP64", (-1, 2))]


class OneFigure(msgspec.Struct):
    samples: int = 0

    def summary(self) -> dict[str, float | None]:
        return {"readings": float(self.samples)}

    def gauges(self) -> dict[str, int]:
        return {}

    def counts(self) -> dict[str, int]:
        return {}


class DriftLearner(Learner):
    max_chunk_rows = 1

    def __init__(self, parameters: Any, version: int) -> None:
        super().__init__(parameters, version)
        self.score: Any = OneFigure()
        self.levels: list[float] = []

    @property
    def trained(self) -> bool:
        return bool(self.levels)

    def predict(self, records: Any) -> list[Any]:
        levels = [*self.levels, records[0].level]
        change = (levels[-1] - levels[0]) / max(1, len(levels) - 1)
        return [{"forecast": {str(h): levels[-1] + h * change for h in (1, 2)}}]

    def learn(self, records: Any, answers: Any) -> None:
        self.levels.append(records[0].level)
        self.score.samples += 1
        self.latest = LatestForecast(ts=str(records[0].hour), forecast=answers[0]["forecast"])

    def answer(self, records: Any) -> list[Any]:
        return [{"forecast": self.latest["forecast"] if self.latest else None}]

    def state(self) -> dict[str, Any]:
        return {"levels": self.levels, "latest": self.latest}

    def restore(self, state: dict[str, Any]) -> None:
        self.levels, self.latest = state["levels"], state["latest"]


DRIFT = Pipeline(
    name="drift",
    topic="levels",
    prediction_topic="levels_forecast",
    record=Reading,
    learning=Drift(),
    parameters={},
    passthrough_fields=("hour", "level"),
    display=Display(value="level"),
    reference="test_pages:DRIFT",
)


def test_a_kind_of_learning_of_ones_own_has_every_page_that_it_can_fill(
    make_app: MakeApp, store: Store
) -> None:
    drift_learner, answers = DRIFT.new_learner(), []
    for hour in range(30):
        (answer,) = predict_then_learn(drift_learner, [Reading(hour, 2.0 * hour)], hour + 1)
        answers.append({"offset": hour, "hour": hour, "level": 2.0 * hour, **answer})
    put(store, DRIFT, drift_learner)
    client = make_app(
        pipelines="test_pages:DRIFT",
        kafka=f"localhost:{free_port()}",
        flink=f"http://localhost:{free_port()}",
    ).test_client()
    page = client.get("/forecast/drift")
    assert page.status_code == 200
    assert '<td data-is="forecast">60.0</td>' in page.text
    assert '<dd data-is="version">30</dd>' in client.get("/pipelines/drift").text
    assert client.get("/lags/drift").status_code == 404
    drift_watch = client.application.extensions["live"]["drift"].watch
    drift_watch.flow.answers.extend(answers)
    message = views.make_message(drift_watch)
    assert message.model is not None
    assert message.model.score == {"readings": 30.0}
    assert message.outlook is not None
    assert (message.outlook.ahead, message.outlook.forecast) == ([30, 31], [60.0, 62.0])
    one_ahead, two_ahead = message.outlook.earlier
    assert message.outlook.steps == list(range(30))
    assert one_ahead[:4] == [None, 0.0, 4.0, 6.0], "made at 0 without a change so far, then by 2 an hour"
    assert two_ahead[:5] == [None, None, 0.0, 6.0, 8.0]
    assert message.curve is not None
    assert (message.curve.figure, message.curve.baseline) == ("rmse", "persistence")


def test_confusion_counts_labels_by_what_they_were_taken_for() -> None:
    pairs = [(0, 0), (0, 1), (7, 7), (7, 1), (7, 1), (None, 3)]
    answers = [{"offset": n, "actual_y": truth, "predict_y": taken} for n, (truth, taken) in enumerate(pairs)]
    confusion = views.make_confusion(answers, load("digits"))
    assert confusion == views.Confusion(["0", "1", "7"], [[1, 1, 0], [0, 0, 0], [0, 2, 1]])
    assert views.make_confusion(answers[-1:], load("digits")) is None
    assert views.make_confusion(answers, FLATS) is None


def test_a_curve_along_time_tells_when_each_answer_was_written() -> None:
    answers = [{"offset": n, "actual_y": n % 3 or None, "predict_y": 1} for n in range(30)]
    times = [1000.0 + n for n in range(30)]
    curve = views.make_label_curve(answers, load("digits"), times)
    assert curve is not None
    assert curve.times == [1000.0 + offset for offset in curve.x]
    assert all(offset % 3 for offset in curve.x)
    without = views.make_label_curve(answers, load("digits"))
    assert without is not None
    assert without.times is None


def test_the_curve_of_a_forecast_tells_when_each_answer_was_written() -> None:
    learning = load("pm25").learning
    assert learning.series is not None
    answers = [
        {
            "offset": n,
            "ts": f"2010-01-{1 + hour // 24:02d} {hour % 24:02d}:00:00",
            "pollution": 50.0 + n,
            "forecast": {"1": 52.0},
        }
        for n, hour in enumerate(hour for hour in range(120) if hour != 100)
    ]
    times = [1000.0 + n for n in range(119)]
    series = views.select_newest_run(answers, load("pm25"), learning.series)
    assert series is not None
    errors = views._make_errors(
        series, *curves.compute_residuals(series, learning.series.horizons), learning.series.horizons
    )
    curve = views._make_shortest_horizon_curve(errors, series, times)
    hours = [step - int(series.steps[0]) for step in curve.x]
    # The hour that is missing was passed when the one before it was answered.
    assert curve.times == [1000.0 + (hour - (hour >= 100)) for hour in hours]


def test_a_forecast_is_shown_with_the_range_of_its_answer_or_by_the_same_rule() -> None:
    pipeline, learner = load("pm25"), load("pm25").new_learner()
    spec = pipeline.learning.series
    assert spec is not None
    answers = []
    for number, record in enumerate(decode(make_series(300))):
        [answer] = predict_then_learn(learner, [record], number + 1)
        answers.append({"offset": number, "ts": record.ts, "pollution": record.pollution, **answer})
    bare = [{name: part for name, part in answer.items() if name != "ranges"} for answer in answers]
    for shown in (answers, bare):
        run = views.select_newest_run(shown, pipeline, spec)
        assert run is not None
        residuals, _ = curves.compute_residuals(run, spec.horizons)
        outlook = views._make_outlook(run, residuals, spec, shown[-1], pipeline.display)
        ranges = [answers[-1]["ranges"][str(horizon)]["80"] for horizon in spec.horizons]
        assert [outlook.low, outlook.high] == [
            [round(end, 2) for end in ends] for ends in zip(*ranges, strict=True)
        ]


def test_the_pace_counts_each_answer_once_and_shows_when_none_come() -> None:
    times = [100 + n / 10 for n in range(600)]
    pace = views.make_pace(times, 180.0)
    assert pace is not None
    width = pace.times[1] - pace.times[0]
    assert sum(pace.rates) * width == pytest.approx(600, rel=0.01)
    assert pace.rates[:5] == pytest.approx([10] * 5, rel=0.06)
    assert pace.rates[-5:] == [0.0] * 5
    assert pace.times[-1] == 180.0
    assert views.make_pace([], 5.0) is None
    assert len(views.make_pace([n * 10.0 for n in range(5000)], 50_000.0).rates) == 100  # type: ignore[union-attr]


def test_a_regressions_curve_ends_at_the_learners_own_score() -> None:
    flats_learner, answers = FLATS.new_learner(), []
    flats = [Flat(50.0 + n % 7, n % 5, "x", n % 2 == 0, 500.0 + 10 * (n % 13)) for n in range(200)]
    for start in range(0, 200, 20):
        predicted = predict_then_learn(flats_learner, flats[start : start + 20], start + 20)
        answers += [
            {"offset": start + n, "rent": flats[start + n].rent, **answer}
            for n, answer in enumerate(predicted)
        ]
    curve = views.make_label_curve(answers, FLATS)
    assert curve is not None
    assert (curve.figure, curve.x[-1]) == ("rmse", 199)
    assert curve.values[-1] == pytest.approx(flats_learner.score.rmse, abs=1e-4)
    # The first of the answers that are scored has no label before it here, but it has for the learner.
    assert curve.baseline_values[-1] == pytest.approx(flats_learner.score.baseline_rmse, rel=0.02)
    assert views.make_label_curve([{"offset": 1, "predict_y": 3.0}] * 5, FLATS) is None
