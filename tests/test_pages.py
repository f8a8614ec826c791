"""The pages as the server draws them, and the messages that keep them up to date; without Kafka and Flink."""

import json
import re
import time
import urllib.request
from html.parser import HTMLParser
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from conftest import ROOT, Server, free_port
from flask.testing import FlaskClient
from helpers import learner, put
from test_inference import FLATS, Flat
from test_serving import MakeApp, serve

from serving.pages import views, watch
from serving.pages.feed import Feed
from serving.pages.language import LOCALES
from streamlearn.learning.learner import predict_then_learn
from streamlearn.pipelines import digits, pm25
from streamlearn.pipelines.registry import registered_names
from streamlearn.storage.store import Store
from streamlearn.waiting import wait_until

PAGES = ["/", "/forecast/pm25", "/lags/pm25", "/pipelines/digits", "/pipelines/pm25", "/pipelines/nothing"]


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
    found = extract_from_dir(
        ROOT / "serving", method_map=[("pages/*.py", "python"), ("templates/**.html", "jinja2")]
    )
    texts = {str(message) for _, _, message, _, _ in found} - {"name", "bands_source"}
    texts |= {band.name for band in pm25.BANDS} | {pm25.pipeline.display.bands_source}
    texts |= {label.title for label in pm25.LABELS.values()}
    with (LOCALES / "zh.po").open("rb") as source:
        catalogue = {str(entry.id): str(entry.string) for entry in read_po(source, "zh") if entry.id}
    assert set(catalogue) == texts
    for text, translated in catalogue.items():
        assert translated, text
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", translated)), text


def test_scripts_say_only_words_that_there_are() -> None:
    from serving.pages.words import WORDS

    scripts = "".join(path.read_text() for path in (ROOT / "serving" / "static").glob("*.js"))
    said = set(re.findall(r'say\("(\w+)"', scripts)) | set(re.findall(r'^ +\w+: "(\w+)",', scripts))
    assert said
    assert said <= set(WORDS)
    templates = "".join(path.read_text() for path in (ROOT / "serving" / "templates").glob("*.html"))
    unused = [name for name in WORDS if f'"{name}"' not in scripts and f"words.{name}" not in templates]
    assert set(unused) <= {"the commonest label", "the last value", "accuracy", "rmse"}


def message(client: FlaskClient, name: str = "digits") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.get(f"/live/{name}?once=1").text)
    return found


def test_parts_that_are_away_are_named_and_hide_nothing_else(client: FlaskClient, store: Store) -> None:
    serve(client, store, 512)
    wait_until(
        lambda: all(part["looked"] for part in message(client)["parts"]), 30, "all parts to be looked at"
    )
    found = message(client)
    troubles = {part["name"]: part["trouble"] for part in found["parts"]}
    assert "does not answer" in troubles["kafka"]
    assert "does not answer" in troubles["flink"]
    assert troubles["redis"] == ""
    assert found["model"]["version"] == 512
    assert [one["version"] for one in found["learned"]] == [512]
    assert found["rate"] is None


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
    clock, made = Clock(), []

    def make() -> bytes:
        made.append(clock.now)
        return b"%d" % (clock.now // 20)

    feed = Feed(make, lambda: None, serving=lambda: clock.now < 45, clock=clock)
    events = list(feed.events(clock.wait))
    assert events[0].startswith(b"retry: ")
    assert [event for event in events if event.startswith(b"data")] == [
        b"data: 0\n\n",
        b"data: 1\n\n",
        b"data: 2\n\n",
    ]
    assert 2 <= events.count(b": nothing new\n\n") <= 4
    assert len(made) == 45, "more often than once a second"


def test_a_connection_ends_by_itself_and_all_watchers_share_what_is_made() -> None:
    clock, made = Clock(), []

    def make() -> bytes:
        made.append(clock.now)
        return b"same"

    feed = Feed(make, lambda: None, serving=lambda: True, clock=clock)
    first, second = feed.events(lambda _: None), feed.events(clock.wait)
    next(first), next(second)
    assert next(first) == next(second) == b"data: same\n\n"
    assert len(made) == 1
    list(second)
    assert clock.now == pytest.approx(300, abs=1)


def test_open_streams_of_events_do_not_hold_up_a_stop(start_server: Any, store: Store) -> None:
    put(store, digits.pipeline, learner(512, cuts=[256]))
    server: Server = start_server()
    open_ones = []
    for _ in range(6):
        stream = urllib.request.urlopen(f"{server.url}/live/digits", timeout=10)
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert stream.readline().startswith(b"retry")
        open_ones.append(stream)
    start = time.monotonic()
    server.process.terminate()
    server.process.wait(20)
    took = time.monotonic() - start
    for stream in open_ones:
        stream.close()
    assert took < 15, "a stop waits 20 s for requests that do not end"


def test_nothing_is_looked_at_when_nobody_watches(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_IDLE_S", 0.2)
    looking = client.application.extensions["live"]["digits"].watch
    assert not looking.looking
    message(client)
    assert looking.looking
    wait_until(lambda: not looking.looking, 30, "the looking to end")


def test_a_pipeline_of_ones_own_has_a_page_as_well(make_app: MakeApp, store: Store) -> None:
    made = FLATS.new_learner()
    predict_then_learn(made, [Flat(50.0 + n, 2, "x", True, 500.0 + n) for n in range(20)], 20)
    put(store, FLATS, made)
    client = make_app(
        pipelines="test_inference:FLATS",
        kafka=f"localhost:{free_port()}",
        flink=f"http://localhost:{free_port()}",
    ).test_client()
    assert 'href="/pipelines/flats"' in client.get("/pipelines/digits").text
    page = client.get("/pipelines/flats")
    assert page.status_code == 200
    assert '<dd data-is="version">20</dd>' in page.text
    assert set(message(client, "flats")["model"]["score"]) == set(made.score.summary())


def test_a_regressions_curve_ends_at_the_learners_own_score() -> None:
    made, answers = FLATS.new_learner(), []
    flats = [Flat(50.0 + n % 7, n % 5, "x", n % 2 == 0, 500.0 + 10 * (n % 13)) for n in range(200)]
    for start in range(0, 200, 20):
        said = predict_then_learn(made, flats[start : start + 20], start + 20)
        answers += [{"offset": start + n, "rent": flats[start + n].rent, **one} for n, one in enumerate(said)]
    curve = views.rows_curve(answers, FLATS.learning)
    assert curve is not None
    assert (curve.figure, curve.x[-1]) == ("rmse", 199)
    assert curve.ours[-1] == pytest.approx(made.score.rmse, abs=1e-4)
    # The first of what was predicted has no label before it here, but it has for the learner.
    assert curve.theirs[-1] == pytest.approx(made.score.baseline_rmse, rel=0.02)
    assert views.rows_curve([{"offset": 1, "predict_y": 3.0}] * 5, FLATS.learning) is None
