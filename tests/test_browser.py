"""The pages in a real Chromium, with the real stack behind them."""

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from built_in import call, settle, teach
from playwright.sync_api import expect
from reading import send
from stacks import ROOT, Server, Stack
from summary_rows import REFUSED, put_missing_rows

from streamlearn.errors import StackError
from streamlearn.local.processes import find_processes
from streamlearn.local.supervisor import Supervisor
from streamlearn.settings import inherit_env
from streamlearn.waiting import wait_until

# A page on a busy machine is as right as on an idle one.
expect.set_options(timeout=60_000)

THREE = [
    (90, 60),
    (150, 45),
    (190, 80),
    (180, 120),
    (130, 140),
    (190, 160),
    (195, 210),
    (150, 240),
    (85, 225),
]
SEVEN = [(80, 60), (140, 55), (200, 60), (170, 130), (140, 190), (120, 240)]

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
SHOWN = {
    "/": "#pad",
    "/pipelines": '[data-pipeline="digits"][data-state="up"]',
    "/records/digits": "table.records",
    "/versions/digits": "#lineages code",
    "/try/digits": ".paint i",
    "/try/pm25": "#form select",
    "/summary/digits": "table.matrix td",
    **dict.fromkeys(
        ("/forecast/pm25", "/lags/pm25", "/summary/pm25", "/pipelines/digits", "/pipelines/pm25"),
        ".chart canvas",
    ),
}
"""The pages, and what each shows once all is there."""

PAGES = tuple(SHOWN)

FIRST_PAINT = """
() => new Promise((done) => new PerformanceObserver((list) => {
  const [paint] = list.getEntriesByName("first-contentful-paint");
  if (paint) done(paint.startTime);
}).observe({ type: "paint", buffered: true }))
"""
"""Milliseconds until something was seen."""

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def learned(stack: Stack, pm25_csv: str) -> Stack:
    """The stack, when there is something to see."""
    teach(stack.settings, digits=3594, pm25=1200)
    put_missing_rows(stack.settings)
    return stack


@pytest.fixture
def open_page(browser: Any, learned: Stack) -> Iterator[Open]:
    """Open pages that keep their troubles: errors in the console and in scripts, refused requests."""
    contexts = []

    def open_path(path: str, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.troubles = []
        page.on("console", lambda message: message.type == "error" and page.troubles.append(message.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.goto(learned.url + path)
        return page

    yield open_path
    for context in contexts:
        context.close()


def draw(page: Any, points: list[tuple[int, int]]) -> None:
    """Draw one stroke with the mouse."""
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    scale = box["width"] / 280
    for number, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * scale, box["y"] + y * scale, steps=5)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def test_the_description_of_every_route_can_be_browsed(open_page: Open) -> None:
    page = open_page("/docs")
    infer = page.locator(".opblock", has_text="/v2/models/{name}/infer")
    expect(infer).to_be_visible()
    infer.click()
    expect(infer.get_by_role("button", name="Try it out")).to_be_visible()
    assert page.troubles == []


BACKGROUND = "(name) => getComputedStyle(document.querySelector(name)).backgroundColor"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_description_and_a_page_that_is_not_there_have_the_colours_of_the_others(
    browser: Any, start_server: Callable[..., Server], scheme: str
) -> None:
    server = start_server()
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(server.url + "/")
    background = page.evaluate(BACKGROUND, "body")
    assert background == {"light": "rgb(246, 245, 241)", "dark": "rgb(20, 24, 29)"}[scheme]
    assert page.goto(server.url + "/nowhere").status == 404
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    assert page.evaluate(BACKGROUND, "body") == background
    page.goto(server.url + "/docs")
    title = page.locator(".swagger-ui .info .title")
    expect(title).to_be_visible()
    assert page.evaluate(BACKGROUND, "html") == background
    assert page.evaluate(BACKGROUND, ".swagger-ui") in (background, "rgba(0, 0, 0, 0)")
    lightness = sum(
        map(int, re.findall(r"\d+", title.evaluate("(title) => getComputedStyle(title).color"))[:3])
    )
    assert (lightness > 382) == (scheme == "dark"), "the text stands out"
    context.close()


def test_a_drawing_is_answered_corrected_and_answered_again_by_what_has_learned_it(open_page: Open) -> None:
    page = open_page("/")
    expect(page.locator("#served")).to_contain_text("is served")
    draw(page, THREE)
    expect(page.locator("#answer")).to_have_text("3")
    message = page.locator("#message")
    expect(message).to_contain_text(re.compile(r"^Version [\d,]+ says 3"))
    before = parse_version(message.text_content())
    assert page.locator("#picture i").count() == 64
    shares = [float(text.rstrip("%")) for text in page.locator("#shares span").all_text_contents()]
    assert len(shares) == 10
    assert sum(shares) == pytest.approx(100, abs=0.6)
    page.get_by_role("button", name="9", exact=True).click()
    expect(page.locator("#progress li").nth(2)).to_contain_text("has learned it")
    expect(message).to_contain_text("which has learned it")
    assert parse_version(message.text_content()) > before
    expect(page.get_by_role("button", name="Right", exact=True)).to_be_enabled()
    page.get_by_role("button", name="3", exact=True).click()
    expect(page.locator("#progress li").nth(2)).to_contain_text("has learned it")
    rows = page.locator("#moves tbody tr")
    expect(rows).to_have_count(2)
    for row, digit in zip(rows.all(), ("9", "3"), strict=True):
        told, before_it, after_it, _ = row.locator("td").all_text_contents()
        assert told.endswith(f". {digit}")
        assert float(before_it.rstrip("%")) < float(after_it.rstrip("%"))
    expect(page.locator("#progress li").nth(3)).to_contain_text("The probability of 3 went from")
    draw(page, SEVEN)
    expect(page.locator("#moves")).to_be_hidden()
    assert page.troubles == []


def parse_version(text: str | None) -> int:
    match = re.search(r"[Vv]ersion ([\d,]+)", text or "")
    assert match
    return int(match[1].replace(",", ""))


def test_an_empty_drawing_is_not_sent(open_page: Open) -> None:
    page = open_page("/")
    page.get_by_role("button", name="Which digit is it?").click()
    expect(page.locator("#message")).to_have_text("Draw something first.")
    draw(page, SEVEN)
    expect(page.locator("#answer")).not_to_have_text("–")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#answer")).to_have_text("–")
    assert page.troubles == []


def test_a_digit_is_drawn_and_corrected_by_keyboard_alone(open_page: Open) -> None:
    page = open_page("/")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "pad":
            break
    page.keyboard.press("Space")
    for _ in range(18):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#answer")).to_have_text(re.compile(r"\d"))
    page.keyboard.press("Enter")
    expect(page.locator("#message")).to_contain_text("says")
    right = page.get_by_role("button", name="Right", exact=True)
    expect(right).to_be_enabled()
    right.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#progress li").nth(2)).to_contain_text("has learned it")
    assert page.troubles == []


def test_an_answer_that_comes_late_does_not_wipe_out_what_is_being_learned(open_page: Open) -> None:
    page = open_page("/")
    draw(page, SEVEN)
    expect(page.locator("#message")).to_contain_text("says")
    late: list[Any] = []
    page.route("**/predict", lambda route: late.append(route), times=1)
    page.get_by_role("button", name="Which digit is it?").click()
    page.get_by_role("button", name="7", exact=True).click()
    with page.expect_response("**/predict"):
        late[0].continue_()
    expect(page.locator("#progress li").nth(2)).to_contain_text("has learned it")
    expect(page.locator("#message")).to_contain_text("which has learned it")
    assert page.troubles == []


TOO_WIDE = """() => {
  const page = document.documentElement;
  if (page.scrollWidth === page.clientWidth) return [];
  const beyond = [...document.querySelectorAll("body *")].filter(
    (element) => element.getBoundingClientRect().right > page.clientWidth + 1 && !element.closest(".scroll"));
  return [page.scrollWidth, ...beyond.map((element) => element.outerHTML.slice(0, 200))];
}"""
"""What makes a page wider than the screen; nothing where it is not."""


def is_as_wide_as_its_screen(page: Any) -> bool:
    return not page.evaluate(TOO_WIDE)


def test_a_finger_draws_on_a_phone_and_nothing_is_wider_than_it(open_page: Open) -> None:
    page = open_page("/", viewport=PHONE, has_touch=True, is_mobile=True)
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    touches = page.context.new_cdp_session(page)
    for number, (x, y) in enumerate(THREE):
        point = {"x": box["x"] + x * box["width"] / 280, "y": box["y"] + y * box["width"] / 280}
        kind = "touchStart" if number == 0 else "touchMove"
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("#answer")).to_have_text("3")
    pad.scroll_into_view_if_needed()
    expect(page.locator("#short")).to_have_text(re.compile(r"^3 · [\d.]+%$"))
    expect(page.locator("#short")).to_be_in_viewport()
    for path in PAGES:
        phone = open_page(path, viewport=PHONE, is_mobile=True)
        expect(phone.locator("html")).to_have_attribute("data-connection", "open")
        # Rows that arrive are laid out a moment later.
        with suppress(StackError):
            wait_until(partial(is_as_wide_as_its_screen, phone), 10, "a page as wide as its screen")
        assert phone.evaluate(TOO_WIDE) == [], path
        assert phone.troubles == []


def test_a_trouble_with_a_long_address_is_no_wider_than_a_phone(open_page: Open) -> None:
    page = open_page("/", viewport=PHONE, is_mobile=True)
    expect(page.locator("html")).to_have_attribute("data-connection", "open")
    page.evaluate("""() => {
      const trouble = document.createElement("p");
      trouble.textContent = `http://localhost:8081/jobs/${"0123456789abcdef".repeat(4)} does not answer`;
      document.getElementById("troubles").hidden = false;
      document.getElementById("troubles").append(trouble);
    }""")
    assert page.evaluate(TOO_WIDE) == []


def test_the_forecast_moves_while_hours_arrive(open_page: Open, learned: Stack, pm25_csv: str) -> None:
    page = open_page("/forecast/pm25")
    words = page.locator("#outlook-words")
    expect(words).to_contain_text("Measured at")
    seen = {words.text_content()}
    ink = {page.locator("#outlook canvas").evaluate("canvas => canvas.toDataURL()")}
    replay = [ROOT / ".venv/bin/streamlearn", "replay", "pm25", "--rate", "20", "--loop"]
    sending = subprocess.Popen(
        replay, env=inherit_env(learned.settings.environment()), stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(3):
            expect(words).not_to_have_text(re.compile("|".join(map(re.escape, map(str, seen)))))
            seen.add(words.text_content())
            ink.add(page.locator("#outlook canvas").evaluate("canvas => canvas.toDataURL()"))
    finally:
        sending.send_signal(signal.SIGINT)
        sending.wait(30)
    assert len(seen) == 4
    assert len(ink) > 1
    page.locator("label", has_text="6 h").first.click()
    expect(page.locator("#errors-words")).to_contain_text("persistence")
    expect(page.locator("#past-words")).to_contain_text("6 h ahead, half of the last")
    assert page.troubles == []


def test_the_lags_are_drawn_and_follow_the_stream(open_page: Open, learned: Stack) -> None:
    settle(learned.settings, "pm25")
    page = open_page("/lags/pm25")
    expect(page.locator("#white canvas")).to_be_visible()
    expect(page.locator("#white-words")).to_contain_text("dew point: r is largest where")
    labels = page.locator("#white .u-label").all_text_contents()
    assert len(set(labels)) == len(labels)
    expect(page.locator("#in-use")).to_contain_text("pollution=0-24 dew=0,3 temp=0,3")
    page.get_by_text("wind from NW").last.click()
    expect(page.locator("#raw-words")).to_contain_text("wind from NW: r is largest where it leads by")
    before = page.locator("#raw-words").text_content()
    call(learned.settings, "replay", "pm25", "--rate", "0", "--limit", "100")
    expect(page.locator("#raw-words")).not_to_have_text(before)
    other = "pollution=0-24 dew=0,3 wnd_spd=0-2"
    try:
        call(learned.settings, "models", "pm25", "lags", other)
        expect(page.locator("#in-use")).to_have_text(other)
    finally:
        call(learned.settings, "models", "pm25", "lags", "default")
    assert page.troubles == []


def test_the_overview_says_how_each_pipeline_fares_and_leads_there(open_page: Open, learned: Stack) -> None:
    for name in ("digits", "pm25"):
        settle(learned.settings, name)
    page = open_page("/pipelines")
    lines = {name: page.locator(f'[data-pipeline="{name}"]') for name in ("digits", "pm25")}
    expect(lines["digits"].locator(".verdict")).to_have_text(
        re.compile(r"^healthy, .*[\d.]+ % right lately, nothing waiting$")
    )
    expect(lines["pm25"].locator(".verdict")).to_contain_text("µg/m³ lately (1 h ahead), nothing waiting")
    expect(page.locator(".summary")).to_contain_text("All is well")
    status = call(learned.settings, "status")
    assert re.search(r"^digits +well +healthy, .* % right lately, nothing waiting$", status, re.MULTILINE)
    link = lines["digits"].get_by_role("link", name="served version")
    link.click()
    expect(page.locator("#term-served")).to_be_in_viewport()
    lines["digits"].get_by_role("heading").get_by_role("link").click()
    expect(page.locator("h1")).to_have_text("Pipeline: digits")
    assert page.troubles == []


def test_records_are_chosen_and_one_is_looked_at(open_page: Open, learned: Stack) -> None:
    offset = send(learned.settings.kafka, "handwritten_digit", [b"<b>broken</b>"])
    settle(learned.settings, "digits")
    page = open_page("/records/digits")
    page.get_by_label("keep up to date").check()
    expect(page.locator("table.records tbody tr").first).to_contain_text("dead letter")
    page.get_by_label("show").select_option("wrong")
    page.get_by_role("button", name="Show", exact=True).click()
    rows = page.locator("table.records tbody tr")
    expect(rows.first).to_contain_text("wrong")
    expect(rows.locator("nth=1").locator("img.pixels")).to_be_visible()
    page.get_by_label("show").select_option("dead")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("link", name=f"{offset:,}", exact=True).click()
    expect(page.locator("pre").first).to_have_text("<b>broken</b>")
    overview = open_page("/pipelines")
    overview.locator('[data-pipeline="digits"] .behind a[href*="show=dead"]').click()
    expect(overview.locator("table.records tbody tr").first).to_contain_text("dead letter")
    expect(page.get_by_text("dead letter").first).to_be_visible()
    page.get_by_role("spinbutton", name="offset").fill("0")
    page.get_by_role("button", name="Look at this record").click()
    expect(page.locator("h2").first).to_have_text("Offset 0")
    expect(page.locator("img.large")).to_be_visible()
    assert page.troubles == []


def test_a_record_of_ones_own_is_answered(open_page: Open) -> None:
    page = open_page("/try/digits")
    expect(page.locator("textarea")).to_have_value(re.compile(r"^(\d+(\.\d+)?, ){63}"))
    page.get_by_role("button", name="Ask the model").click()
    expect(page.locator("#message")).to_have_text(re.compile(r"^Version [\d,]+ says:$"))
    expect(page.locator("#outputs table")).to_contain_text("predict_y")
    assert page.locator("#outputs .shares > div").count() == 10
    page.locator("textarea").fill("1, 2")
    page.get_by_role("button", name="Ask the model").click()
    expect(page.locator("#message")).to_have_text("x needs 64 elements, not 2.")
    expect(page.locator("textarea")).to_be_focused()
    assert page.troubles == []
    page.goto(page.url.replace("digits", "pm25"))
    pollution = page.get_by_label("pollution")
    expect(pollution).not_to_have_value("")
    page.get_by_role("button", name="Ask the model").click()
    table = page.locator("#outputs table")
    expect(table).to_contain_text(re.compile(r"1 h ahead[\d.]+ µg/m³.*24 h ahead[\d.]+ µg/m³", re.DOTALL))
    before = table.text_content()
    pollution.fill("900")
    page.get_by_role("button", name="Ask the model").click()
    expect(table).not_to_have_text(str(before))
    pollution.fill("5000")
    page.get_by_role("button", name="Ask the model").click()
    expect(page.locator("#message")).to_contain_text("<= 2000")


BROKEN_CELLS = """() => [...document.querySelectorAll("#rows td, #lineages td:not(.text)")].filter((cell) => {
  const text = document.createRange();
  text.selectNodeContents(cell);
  return new Set([...text.getClientRects()].map(({ top }) => Math.round(top))).size > 1;
}).map((cell) => cell.textContent)"""
"""What stands on more than one line in the tables of versions and lineages, without the parameters."""


def test_a_version_is_served_and_learned_on_from_on_the_page_of_versions(
    open_page: Open, learned: Stack
) -> None:
    settle(learned.settings, "digits")
    page = open_page("/versions/digits", viewport={"width": 800, "height": 900})
    message, rows = page.locator("#message"), page.locator("#rows tbody tr")
    expect(page.locator("#lineages tbody tr").first).to_contain_text("units 256")
    assert page.evaluate(BROKEN_CELLS) == []
    older = rows.nth(1).locator("input")
    version = older.get_attribute("value")
    older.check()
    page.get_by_role("button", name="Serve this version").click()
    expect(message).to_contain_text(f"Version {int(version):,} is served until")
    expect(rows.filter(has_text="served, pinned").locator("input")).to_have_value(version)
    page.get_by_role("button", name="Serve the newest again").click()
    expect(message).to_have_text("The newest version is served again.")
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator(f'#rows input[value="{version}"]').check()
    page.get_by_role("button", name="Learn on from this version").click()
    expect(message).to_have_text(f"Learning goes on from version {int(version):,}.")
    assert page.troubles == []


def test_a_pipelines_page_shows_its_stream_and_its_parts(open_page: Open, learned: Stack) -> None:
    settle(learned.settings, "digits")
    page = open_page("/pipelines/digits")
    for part in ("kafka", "redis", "flink", "job"):
        expect(page.locator(f'[data-part="{part}"]')).to_have_attribute("data-state", "up")
    expect(page.locator('[data-is="unanswered"]')).to_have_text("0")
    expect(page.locator("#curve-words")).to_contain_text("the commonest label")
    expect(page.locator("#curve-worst")).to_have_text(
        re.compile(r"^The worst that is shown: [\d.]+%, at .*\d\d:\d\d:\d\d\.$")
    )
    expect(page.locator("#restores tbody tr").first).to_contain_text(" ago")
    for value in page.locator("#curve .u-value").all():
        expect(value, "the legend tells the newest values").to_have_text(re.compile(r"\d"))
    newest = page.locator("#versions tbody tr").first.locator("td")
    expect(newest.nth(1)).to_contain_text(" ago")
    between = page.locator("#versions tbody td:nth-child(5)").filter(has_text="%")
    expect(between.first).to_be_visible()
    expect(page.locator("#delays-words")).to_contain_text("half were written within")
    expect(page.locator("#waiting-words")).to_contain_text("Now: ")
    expect(page.locator("#kinds tbody")).to_contain_text("came before")
    expect(page.locator("#shift tbody tr")).to_have_count(12)
    job = page.locator("#job").get_attribute("href")
    assert re.fullmatch(re.escape(learned.settings.flink) + r"/#/job/running/[0-9a-f]{32}/overview", job)
    version = page.locator('[data-is="version"]')
    before = version.text_content()
    call(learned.settings, "replay", "digits", "--rate", "0", "--limit", "1000")
    expect(page.locator('[data-is="rate"]')).not_to_have_text("0.0")
    expect(version).not_to_have_text(before)
    assert page.troubles == []


def test_a_part_of_a_curve_stays_in_view_while_data_comes(open_page: Open, learned: Stack) -> None:
    settle(learned.settings, "digits")
    page = open_page("/pipelines/digits")
    expect(page.locator("#verdict .verdict")).to_have_attribute("data-state", "up")
    expect(page.locator("#verdict .verdict")).to_contain_text("nothing waiting")
    expect(page.locator("#confusion tbody tr")).to_have_count(10)
    expect(page.locator("#confusion tbody td:last-child").first).to_have_text(re.compile(r"\d %|\d%"))
    expect(page.locator("#confusion-words")).to_contain_text("predictions are right")
    reset, learned_records = page.locator("#curve + .reset"), page.locator("#versions tbody td").nth(2)
    expect(reset).to_be_hidden()
    page.locator("#curve-x").select_option("own")
    over = page.locator("#curve .u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 50, steps=4)
    page.mouse.up()
    expect(reset).to_be_visible()
    before = int(str(learned_records.text_content()).replace(",", ""))
    call(learned.settings, "replay", "digits", "--rate", "0", "--limit", "1000")
    # Not the curve's words: its newest figure may well be the same again.
    expect(learned_records, "new data has come").to_have_text(f"{before + 1000:,}")
    expect(page.locator('[data-is="unanswered"]')).to_have_text("0")
    expect(reset).to_be_visible()
    reset.click()
    expect(reset).to_be_hidden()
    expect(page.locator("#pace-words")).to_contain_text("a second")
    assert page.troubles == []


def make_message(url: str, **changes: Any) -> dict[str, Any]:
    """Return the newest message to the digits' page, with other contents."""
    with urllib.request.urlopen(f"{url}/live/digits", timeout=60) as stream:
        line = next(line for line in stream if line.startswith(b"data: "))
    message: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
    return {**message, **changes}


@pytest.fixture
def show_message(browser: Any, learned: Stack) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Open the digits' page with one message in place of those that come."""
    page = browser.new_page()

    def show(message: dict[str, Any]) -> Any:
        body = f"retry: 60000\n\ndata: {json.dumps(message)}\n\n"
        page.route("**/live/digits", lambda route: route.fulfill(content_type="text/event-stream", body=body))
        page.route("**/live/digits/quality", lambda route: route.fulfill(status=503))
        page.goto(learned.url + "/pipelines/digits")
        return page

    yield show
    page.close()


@pytest.mark.parametrize("is_read", [False, True])
def test_nothing_is_said_to_be_missing_before_it_was_read(
    show_message: Callable[..., Any], learned: Stack, is_read: bool
) -> None:
    nothing = {"curve": None, "pace": None, "versions": [], "dead_letters": [], "dead_letter_count": 0}
    message = make_message(learned.url, **nothing)
    message["parts"] = [{**part, "polled": is_read, "trouble": ""} for part in message["parts"]]
    page = show_message(message)
    expect(page.locator("#served")).to_contain_text("Version")
    being_read = "It is being read …"
    expect(page.locator("#curve-words")).to_have_text("Nothing to show yet." if is_read else being_read)
    expect(page.locator('[data-is="dead_letters"]')).to_have_text("0" if is_read else "–")
    letters = "None lately: every record could be read." if is_read else being_read
    expect(page.locator("#no-letters")).to_have_text(letters)
    for name in ("#delays-words", "#shift-words", "#no-events"):
        expect(page.locator(name)).to_have_text(being_read)


def test_a_fall_of_the_score_is_told_with_its_end(show_message: Callable[..., Any], learned: Stack) -> None:
    message = make_message(learned.url)
    values = [*[0.99] * 40, *[0.4] * 10, *[0.98] * 20]
    seconds = range(len(values))
    message["curve"] |= {
        "x": [10 * second for second in seconds],
        "times": [message["curve"]["times"][-1] + second for second in seconds],
        "values": values,
        "baseline_values": [0.1] * len(values),
    }
    page = show_message(message)
    page.locator("#curve-x").select_option("own")
    expect(page.locator("#curve-worst")).to_have_text(
        "The worst that is shown: 40.0%, at offset 400. It was worse than 69.5% from offset 400 until 500."
    )


CURSORS = """() => ["curve", "pace", "delays", "waiting"].map((id) => {
  const over = document.querySelector(`#${id} .u-over`);
  const line = over.querySelector(".u-cursor-x");
  const place = new DOMMatrix(getComputedStyle(line).transform).m41;
  return line.classList.contains("u-off") ? -1 : place / over.clientWidth;
})"""
"""Where the cursor of each curve along time stands, as a share of its width; below 0 where it has none."""


def are_cursors_at(page: Any, share: float) -> bool:
    return all(abs(place - share) < 0.03 for place in page.evaluate(CURSORS))


def find_part(page: Any, name: str) -> Any:
    return page.locator(f'#timeline [data-is="{name}"]')


def test_all_curves_show_one_stretch_of_time_with_one_cursor(open_page: Open, learned: Stack) -> None:
    settle(learned.settings, "digits")
    page = open_page("/pipelines/digits")
    for name in ("curve", "pace", "delays", "waiting", "history"):
        expect(page.locator(f"#{name} canvas")).to_be_visible()
    page.locator("#pace").scroll_into_view_if_needed()
    box = page.locator("#pace .u-over").bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 50)
    wait_until(lambda: are_cursors_at(page, 0.6), 30, "a cursor in each curve")
    moment = find_part(page, "moment")
    page.mouse.move(0, 0)
    wait_until(lambda: max(page.evaluate(CURSORS)) < 0, 30, "no cursor in any curve")
    expect(moment).to_have_attribute("aria-valuetext", re.compile("^the newest; .*the model .*records per"))
    moment.focus()
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")
    wait_until(lambda: are_cursors_at(page, 0.8), 30, "a cursor in each curve, moved by a key")
    expect(moment).to_have_attribute("aria-valuetext", re.compile(r"^.*\d\d:\d\d:\d\d; "))
    words, before = find_part(page, "words"), find_part(page, "words").text_content()
    page.get_by_role("button", name="Closer").click()
    expect(words).not_to_have_text(str(before))
    resets = page.locator(".reset:visible")
    expect(resets).to_have_count(5)
    expect(page.locator("#timeline input:checked")).to_have_count(0)
    moment.focus()
    page.keyboard.press("Escape")
    wait_until(lambda: max(page.evaluate(CURSORS)) < 0, 30, "no cursor in any curve")
    page.locator("#timeline label", has_text="all").click()
    expect(resets).to_have_count(0)
    page.locator("#waiting").scroll_into_view_if_needed()
    box = page.locator("#waiting .u-over").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 50, steps=4)
    page.mouse.up()
    expect(resets).to_have_count(5)
    resets.first.click()
    expect(resets).to_have_count(0)
    expect(page.locator('#timeline input[value=""]')).to_be_checked()
    assert page.troubles == []


def test_a_finger_moves_the_cursor_of_all_curves(open_page: Open, learned: Stack) -> None:
    settle(learned.settings, "digits")
    page = open_page("/pipelines/digits", viewport=PHONE, has_touch=True, is_mobile=True)
    for name in ("curve", "pace", "delays", "waiting"):
        expect(page.locator(f"#{name} canvas")).to_be_visible()
    page.locator("#waiting").scroll_into_view_if_needed()
    box = page.locator("#waiting .u-over").bounding_box()
    touches = page.context.new_cdp_session(page)
    for kind, share in (("touchStart", 0.3), ("touchMove", 0.5), ("touchMove", 0.7)):
        point = {"x": box["x"] + share * box["width"], "y": box["y"] + 50}
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_until(lambda: are_cursors_at(page, 0.7), 30, "a cursor in each curve")
    assert page.troubles == []


def test_a_version_is_pinned_and_let_go_from_the_page(open_page: Open, learned: Stack) -> None:
    settle(learned.settings, "digits")
    page = open_page("/pipelines/digits")
    served, choice, unpin = page.locator("#served"), page.locator("#pin-version"), page.locator("#unpin")
    expect(choice.locator("option").nth(1)).to_be_attached()
    expect(unpin).to_be_hidden()
    oldest = choice.locator("option").last.get_attribute("value")
    try:
        choice.select_option(oldest)
        page.get_by_role("button", name="Pin it").click()
        expect(page.locator("#pin-words")).to_contain_text(f"Version {int(oldest):,} is served until")
        expect(served).to_contain_text("because it is pinned")
        expect(page.locator('[data-is="version"]')).to_have_text(f"{int(oldest):,}")
        expect(choice, "what was chosen stays").to_have_value(oldest)
        unpin.click()
        expect(page.locator("#pin-words")).to_have_text("The newest version is served again.")
        expect(served).not_to_contain_text("pinned")
        expect(unpin).to_be_hidden()
    finally:
        call(learned.settings, "models", "digits", "unpin")
    page.route("**/pin", lambda route: route.fulfill(status=401, json={"error": "send the header"}))
    page.get_by_role("button", name="Pin it").click()
    expect(page.locator("#token-field")).to_be_focused()
    page.keyboard.type("s3cret")
    page.keyboard.press("Enter")
    page.unroute("**/pin")
    with page.expect_request("**/pin") as pinning:
        page.get_by_role("button", name="Pin it").click()
    assert pinning.value.headers["authorization"] == "Bearer s3cret"
    unpin.click()
    expect(unpin).to_be_hidden()
    assert [trouble for trouble in page.troubles if "401" not in trouble] == []


def test_a_killed_server_is_waited_for_and_the_page_goes_on(open_page: Open, learned: Stack) -> None:
    page = open_page("/pipelines/digits")
    expect(page.locator('[data-part="kafka"]')).to_have_attribute("data-state", "up")
    for process in find_processes(learned.settings.home):
        if "gunicorn" in " ".join(process.cmdline()):
            process.kill()
    trouble = page.locator("#troubles")
    expect(trouble).to_contain_text("The server does not answer")
    expect(trouble).to_be_hidden(timeout=90_000)
    expect(page.locator("html")).to_have_attribute("data-connection", "open")


def test_a_part_that_is_away_is_named_and_its_return_seen(open_page: Open, learned: Stack) -> None:
    page = open_page("/pipelines/digits")
    expect(page.locator('[data-part="redis"]')).to_have_attribute("data-state", "up")
    supervisor = Supervisor(learned.settings)
    supervisor.stop_service("redis")
    try:
        expect(page.locator("#troubles")).to_contain_text("Redis does not answer")
        expect(page.locator('[data-part="redis"]')).to_have_attribute("data-state", "down")
        expect(page.locator("#served")).to_contain_text("is served")
    finally:
        supervisor.start_service("redis")
    expect(page.locator('[data-part="redis"]')).to_have_attribute("data-state", "up")
    assert page.troubles == []


def test_the_pages_speak_chinese(open_page: Open, learned: Stack) -> None:
    page = open_page("/", locale="zh-CN")
    expect(page.locator("h1")).to_have_text("画一个数字")
    draw(page, THREE)
    expect(page.locator("#message")).to_contain_text("认为是 3")
    page.goto(learned.url + "/pipelines")
    expect(page.locator('[data-pipeline="digits"] .verdict')).to_contain_text("近期正确率")
    for path in PAGES[2:]:
        page.goto(learned.url + path)
        expect(page.locator("#served")).to_contain_text("正在使用版本")
    page.get_by_role("link", name="English").click()
    expect(page.locator("h1")).to_contain_text("Pipeline")
    assert page.troubles == []


def test_the_summaries_are_drawn_and_fit_on_a_phone(open_page: Open) -> None:
    page = open_page("/summary/pm25", viewport=PHONE)
    expect(page.locator("#summary-day canvas")).to_be_visible()
    expect(page.locator('[data-summary="day"] tbody tr').first).to_be_visible()
    expect(page.locator("#summary-day-words")).to_contain_text("rows; the newest was written")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("link", name="digits", exact=True).click()
    expect(page.locator("table.matrix td.right").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.troubles == []


def test_the_table_of_a_summary_follows_the_choice_above_it(open_page: Open, learned: Stack) -> None:
    page = open_page("/summary/pm25")
    # A job of other tests may have written rows of one kind only.
    rows = {"rows": REFUSED, "written_s": 1_700_000_000.5}
    page.route("**/summaries/refused?*", lambda route: route.fulfill(json=rows))
    page.goto(learned.url + "/summary/digits")
    card = page.locator('[data-summary="refused"]')
    kinds = card.locator("select option")
    expect(card.locator("canvas")).to_be_visible()
    expect(kinds.nth(1)).to_be_attached()
    for kind in kinds.all_text_contents():
        card.locator("select").select_option(kind)
        of_kind = card.locator(".scroll tbody tr", has=page.get_by_role("cell", name=kind, exact=True))
        expect(card.locator(".scroll tbody tr")).to_have_count(of_kind.count())
        expect(of_kind.first).to_be_visible()
    assert page.troubles == []


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_but_trifles_in_light_or_dark(open_page: Open, path: str) -> None:
    page = open_page(path, color_scheme="light")
    expect(page.locator("html")).to_have_attribute("data-connection", "open")
    if path == "/":
        draw(page, THREE)
        expect(page.locator("#answer")).to_have_text("3")
    else:
        expect(page.locator(SHOWN[path]).first).to_be_visible()
    colours = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        violations = Axe().run(page).response["violations"]
        serious = [
            (violation["id"], violation["nodes"])
            for violation in violations
            if violation["impact"] in ("moderate", "serious", "critical")
        ]
        assert not serious, scheme
    assert len(colours) == 2
    assert page.troubles == []


@pytest.mark.release
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_the_first_paint_is_quick(open_page: Open, path: str, scheme: str) -> None:
    page = open_page(path, color_scheme=scheme)
    expect(page.locator("html")).to_have_attribute("data-connection", "open")
    page.reload()
    assert page.evaluate(FIRST_PAINT) < 500
    assert page.troubles == []
