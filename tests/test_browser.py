"""The page in a real Chromium, with the real stack behind it."""

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Stack
from playwright.sync_api import expect

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


@pytest.fixture
def page(browser: Any, stack: Stack) -> Iterator[Any]:
    stack.streamlearn("replay", "digits", "--rate", "0", "--limit", "3594")
    opened = browser.new_page(viewport={"width": 1000, "height": 800})
    opened.troubles = []
    opened.on("console", lambda message: message.type == "error" and opened.troubles.append(message.text))
    opened.on("pageerror", lambda error: opened.troubles.append(str(error)))
    opened.goto(stack.url)
    yield opened
    opened.close()


def test_the_description_of_every_route_can_be_browsed(page: Any, stack: Stack) -> None:
    page.goto(stack.url + "/docs")
    infer = page.locator(".opblock", has_text="/v2/models/{name}/infer")
    expect(infer).to_be_visible()
    infer.click()
    expect(infer.get_by_role("button", name="Try it out")).to_be_visible()
    assert page.troubles == []


def test_a_digit_drawn_with_the_mouse_gets_an_answer(page: Any) -> None:
    expect(page.locator("#served")).to_contain_text("is served")
    box = page.locator("#pad").bounding_box()
    scale = box["width"] / 280
    for number, (x, y) in enumerate(THREE):
        page.mouse.move(box["x"] + x * scale, box["y"] + y * scale, steps=5)
        if number == 0:
            page.mouse.down()
    page.mouse.up()
    page.get_by_role("button", name="Which digit is it?").click()
    expect(page.locator("#answer")).to_have_text("3")
    expect(page.locator("#message")).to_contain_text("Answered by version")
    assert page.locator("#picture i").count() == 64
    assert page.troubles == []


def test_an_empty_drawing_is_not_sent(page: Any) -> None:
    page.get_by_role("button", name="Which digit is it?").click()
    assert page.locator("#message").text_content() == "Draw something first."
    assert page.troubles == []
