"""Recent predictions by id, in a file that several processes share."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.state.recent import MAX_REQUESTS, MAX_ROWS, RecentPredictions
from streamlearn.waiting import wait_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "recent.sqlite"


@pytest.fixture
def two(path: Path) -> Iterator[tuple[RecentPredictions, RecentPredictions]]:
    """As two processes of a server have it open."""
    pair = RecentPredictions(path), RecentPredictions(path)
    yield pair
    for recent in pair:
        recent.close()


def test_what_one_process_has_predicted_another_finds_at_once(
    two: tuple[RecentPredictions, RecentPredictions],
) -> None:
    for number in range(50):
        two[number % 2].remember("digits", f"id-{number}", [{"n": number}])
        assert two[1 - number % 2].find("digits", f"id-{number}") == [{"n": number}]
    assert two[0].find("pm25", "id-1") is None


def test_the_last_request_of_an_id_counts(two: tuple[RecentPredictions, RecentPredictions]) -> None:
    for number in range(3):
        two[0].remember("digits", "same", [{"n": number}])
    assert two[0].find("digits", "same") == [{"n": 2}]


def test_nobody_waits_while_another_process_writes(
    two: tuple[RecentPredictions, RecentPredictions], path: Path
) -> None:
    """What has come meanwhile is written as soon as it can be."""
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(10):
            two[0].remember("digits", f"id-{number}", [{"n": number}])
        assert two[0].find("digits", "id-9") is None
        other.execute("COMMIT")
    other.close()
    wait_until(lambda: two[1].find("digits", "id-9"), 10, "the records", every_s=0.01)
    assert [two[1].find("digits", f"id-{number}") for number in range(10)] == [[{"n": n}] for n in range(10)]


def test_only_the_newest_are_kept(path: Path) -> None:
    recent = RecentPredictions(path)
    for number in range(MAX_REQUESTS + 500):
        recent.remember("digits", str(number), [{"n": number}])
        if number % 1000 == 0:
            recent.find("digits", str(number))
    recent.remember("digits", "wide", [{}] * (MAX_ROWS + 1))
    recent.close()
    with sqlite3.connect(path) as db:
        ids = {identity for (identity,) in db.execute("SELECT id FROM recent")}
    db.close()
    assert len(ids) == MAX_REQUESTS
    assert str(MAX_REQUESTS + 499) in ids
    assert not ids & {"0", "400", "wide"}


def test_no_thread_stays_behind(path: Path) -> None:
    before = threading.active_count()
    RecentPredictions(path).close()
    wait_until(lambda: threading.active_count() <= before, 10, "the thread to end", every_s=0.01)
