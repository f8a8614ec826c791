"""The limit on how fast records are taken: by a clock that only waiting moves, and by command."""

from dataclasses import dataclass, field

import pytest
from click.testing import CliRunner, Result

from flink_jobs.pace import Pace
from streamlearn.cli.main import main
from streamlearn.storage.store import Store


@dataclass
class Clock:
    """A clock that stands still but for those who wait."""

    now_s: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def read(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds


@dataclass
class Rate:
    now: float

    def read(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_pace(rate: Rate, clock: Clock) -> Pace:
    return Pace(rate.read, clock=clock.read, sleep=clock.wait)


@pytest.mark.parametrize("rows", [1, 256, 1024])
def test_a_backlog_is_taken_at_the_rate_however_it_comes(clock: Clock, rows: int) -> None:
    pace = make_pace(Rate(500), clock)
    start_s = clock.now_s
    for _ in range(4096 // rows):
        pace.wait_for_turn(rows)
    assert clock.now_s - start_s == pytest.approx((4096 - rows) / 500)


def test_records_that_come_more_slowly_than_the_rate_never_wait(clock: Clock) -> None:
    pace = make_pace(Rate(10), clock)
    for _ in range(50):
        pace.wait_for_turn(4)
        clock.now_s += 0.41
    assert clock.waits == []


def test_what_was_not_used_is_not_saved_up(clock: Clock) -> None:
    pace = make_pace(Rate(10), clock)
    pace.wait_for_turn(5)
    clock.now_s += 3600
    pace.wait_for_turn(5)
    pace.wait_for_turn(5)
    assert sum(clock.waits) == pytest.approx(0.5)


def test_a_rate_that_changes_counts_for_those_who_wait(clock: Clock) -> None:
    rate = Rate(1)
    pace = make_pace(rate, clock)
    pace.wait_for_turn(1000)

    def wait(seconds: float) -> None:
        clock.wait(seconds)
        rate.now = 1000

    pace._sleep = wait
    pace.wait_for_turn(1)
    assert sum(clock.waits) < 2
    rate.now = 0
    pace.wait_for_turn(10_000)
    pace.wait_for_turn(10_000)
    assert sum(clock.waits) < 2


def run_rate(redis_url: str, *arguments: str) -> Result:
    environment = {"STREAMLEARN_REDIS": redis_url, "STREAMLEARN_CATCH_UP_RATE": "300"}
    return CliRunner().invoke(main, ["models", "digits", "rate", *arguments], env=environment)


def test_the_rate_is_shown_and_changed_by_command(store: Store, redis_url: str) -> None:
    usual = "digits takes at most 300 records a second, as STREAMLEARN_CATCH_UP_RATE says here\n"
    assert (run_rate(redis_url).output, store.rate("digits")) == (usual, None)
    assert run_rate(redis_url, "0.5").output == (
        "digits takes at most 0.5 records a second, until you say otherwise\n"
    )
    assert store.rate("digits") == 0.5
    assert "as many records a second as it can" in run_rate(redis_url, "0").output
    assert "as many records" in run_rate(redis_url).output
    assert (store.rate("digits"), store.rate("pm25")) == (0.0, None)
    assert run_rate(redis_url, "default").output == usual
    assert store.rate("digits") is None


@pytest.mark.parametrize("text", ["fast", "-1", "nan", "inf"])
def test_what_is_no_rate_is_refused_in_a_sentence(redis_url: str, text: str) -> None:
    done = run_rate(redis_url, "--", text)
    assert done.exit_code == 2
    assert f"{text!r} is not a rate: records a second, 0 for no limit, or `default`" in done.output


def test_a_reset_forgets_the_rate(store: Store) -> None:
    store.set_rate("digits", 20)
    store.clear("digits")
    assert store.rate("digits") is None
