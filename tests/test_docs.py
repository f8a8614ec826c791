"""What the pages say must be so: the tests that they name exist."""

import re

from conftest import ROOT


def test_every_test_that_a_page_names_exists() -> None:
    defined = set()
    for file in (ROOT / "tests").glob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE))
    page = (ROOT / "docs" / "guarantees.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 25
    assert named <= defined, named - defined


def test_every_promise_names_what_holds_it() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    promises = page.split("## What is not promised")[0]
    for item in re.findall(r"^- (.*?)(?=^- |^\n|^#|^\|)", promises, re.MULTILINE | re.DOTALL):
        assert re.search(r"`(test_\w+|tests/\w+\.py)`", item), item
