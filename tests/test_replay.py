import itertools
import re
import subprocess

import pytest
from conftest import ROOT, free_port

from producer.replay import _paced
from streamlearn.datasets import digits
from streamlearn.errors import BadRecord
from streamlearn.settings import inherited
from streamlearn.stream.records import check_size


class FakeClock:
    """A clock that moves only when somebody sleeps, and by what each record costs."""

    def __init__(self, cost_s: float) -> None:
        self.now = 100.0
        self._cost_s = cost_s

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self._cost_s


def test_the_pace_is_even_and_no_delay_adds_up() -> None:
    clock = FakeClock(cost_s=0.02)
    moments = [
        clock.now for _ in _paced(iter([{}] * 101), 10, lambda: False, clock=clock.read, sleep=clock.sleep)
    ]
    assert moments[100] - moments[0] == pytest.approx(10, abs=0.03)
    gaps = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert max(gaps) < 0.13


def test_an_interrupt_ends_the_pace() -> None:
    sent: list[dict[str, object]] = []
    for record in _paced(iter([{}] * 9), 0, lambda: len(sent) >= 3):
        sent.append(record)
    assert len(sent) == 3


def test_each_pass_holds_every_digit_once_in_another_order() -> None:
    found = list(digits.records(seed=4, passes=2))
    first, second = found[: digits.SIZE], found[digits.SIZE :]

    def keys(part: list[dict[str, object]]) -> list[str]:
        return [str((record["x"], record["actual_y"])) for record in part]

    assert sorted(keys(first)) == sorted(keys(second))
    assert keys(first) != keys(second)
    assert found == list(digits.records(seed=4, passes=2))
    assert found != list(digits.records(seed=5, passes=2))


def test_a_record_over_the_limit_is_refused() -> None:
    assert check_size(b"x" * (1 << 20))
    with pytest.raises(BadRecord, match="over the limit"):
        check_size(b"x" * ((1 << 20) + 1))


def test_an_absent_broker_is_named_in_one_line() -> None:
    environment = inherited({"STREAMLEARN_KAFKA": f"localhost:{free_port()}"})
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "streamlearn", "replay", "digits", "--limit", "1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"streamlearn: Kafka at localhost:\d+ does not answer .*\n", done.stderr), done.stderr
