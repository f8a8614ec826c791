import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from stacks import free_port

from producer.replay import _pace
from streamlearn.cli.main import main
from streamlearn.cli.replay import _format_command
from streamlearn.datasets import digits
from streamlearn.errors import BadRecord
from streamlearn.pipelines.registry import load
from streamlearn.stream.records import check_size


class FakeClock:
    """A clock that moves only during a sleep, by its length and the cost of a record."""

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
        clock.now for _ in _pace(iter([{}] * 101), 10, lambda: False, clock=clock.read, sleep=clock.sleep)
    ]
    assert moments[100] - moments[0] == pytest.approx(10, abs=0.03)
    gaps = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert max(gaps) < 0.13


def test_an_interrupt_ends_the_pace() -> None:
    sent: list[dict[str, object]] = []
    for record in _pace(iter([{}] * 9), 0, lambda: len(sent) >= 3):
        sent.append(record)
    assert len(sent) == 3


def test_each_pass_holds_every_digit_once_in_another_order() -> None:
    records = list(digits.records(seed=4, passes=2))
    first, second = records[: digits.SIZE], records[digits.SIZE :]

    def format_records(part: list[dict[str, object]]) -> list[str]:
        return [str((record["x"], record["actual_y"])) for record in part]

    assert sorted(format_records(first)) == sorted(format_records(second))
    assert format_records(first) != format_records(second)
    assert records == list(digits.records(seed=4, passes=2))
    assert records != list(digits.records(seed=5, passes=2))


def test_a_record_over_the_limit_is_refused() -> None:
    assert check_size(b"x" * (1 << 20))
    with pytest.raises(BadRecord, match="over the limit"):
        check_size(b"x" * ((1 << 20) + 1))


def test_an_absent_broker_is_named_in_one_line() -> None:
    environment = {"STREAMLEARN_KAFKA": f"localhost:{free_port()}", "STREAMLEARN_KAFKA_WAIT_S": "0.3"}
    done = CliRunner().invoke(main, ["replay", "digits", "--limit", "1"], env=environment)
    assert done.exit_code == 1
    assert re.fullmatch(r"streamlearn: Kafka at localhost:\d+ does not answer .*\n", done.stderr), done.stderr


def test_the_command_that_goes_on_is_one_to_paste() -> None:
    pipeline = replace(load("digits"), reference="digits")
    words = _format_command(
        pipeline, Path("my data.csv"), {"--seed": 0, "--skip": 40, "--limit": 7}, ["--loop"]
    )
    assert words == "streamlearn replay digits --file 'my data.csv' --skip 40 --limit 7 --loop"
    own = replace(pipeline, name="mine", reference="mine:pipeline")
    assert _format_command(own, None, {"--skip": 4}, []) == "streamlearn replay mine --skip 4"
    other = replace(own, reference="package.mine:other")
    assert _format_command(other, None, {}, []) == "streamlearn replay package.mine:other"
