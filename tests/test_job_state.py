"""Why a job does not learn, in the states that Flink tells of it."""

import time
from typing import Any, NamedTuple

import pytest
from flink_answers import serve_answers
from helpers import ListStream, Make, commit, inputs

from flink_jobs import submit
from streamlearn.errors import FlinkUnavailable
from streamlearn.operations.flink_api import Job, Trouble, describe_slot_shortage
from streamlearn.operations.job_state import describe_trouble, find_gap
from streamlearn.pipelines import pm25
from streamlearn.settings import Settings

TRACE = """org.apache.beam.X: Traceback (most recent call last):
  File "learn_udf.py", line 1, in eval
streamlearn.errors.PipelineFails: at offset 7 to 9
\tat org.apache.flink.Y"""


def job(state: str, number: int = 1, name: str = "digits: learn") -> dict[str, Any]:
    return {"jid": f"j{number}", "name": name, "state": state, "start-time": number}


def describe(*jobs: dict[str, Any], failed_before_s: tuple[float, ...] = ()) -> Trouble | None:
    """Return the trouble of the digits, of whose newest job Flink keeps failures of so long ago."""
    now_ms = time.time() * 1000
    entries = [{"timestamp": now_ms - age * 1000, "stacktrace": TRACE} for age in failed_before_s]
    answers: dict[str, object] = {
        "/jobs/overview": {"jobs": jobs},
        "/jobs/j1/exceptions?maxExceptions=2": {"exceptionHistory": {"entries": entries}},
    }
    with serve_answers(answers) as port:
        trouble = describe_trouble(Settings(flink=f"http://127.0.0.1:{port}"), "digits")
    if trouble is not None:
        address = f"http://127.0.0.1:{port}"
        return Trouble(trouble.reason.replace(address, "FLINK"), trouble.lasts)
    return None


@pytest.mark.parametrize("failed_before_s", [(), (70, 80)], ids=["never", "long ago"])
def test_a_job_that_runs_has_no_trouble(failed_before_s: tuple[float, ...]) -> None:
    assert describe(job("RUNNING"), failed_before_s=failed_before_s) is None


def test_a_job_that_is_not_there_is_told_with_what_submits_it() -> None:
    expected = Trouble("Flink has no job of it; `streamlearn train digits` submits it", lasts=True)
    assert describe() == expected
    assert describe(job("RUNNING", name="pm25: learn")) == expected


@pytest.mark.parametrize("state", ["CANCELED", "FINISHED"])
def test_a_job_that_was_ended_by_hand_is_told_with_what_resumes_it(state: str) -> None:
    reason = f"the job was {state.lower()} by hand; `streamlearn train digits` resumes it"
    assert describe(job(state), failed_before_s=(0,)) == Trouble(reason, lasts=True)


@pytest.mark.parametrize(
    ("status", "free", "total", "words"),
    [
        (
            "SCHEDULED",
            0,
            2,
            "all 2 are taken (digits: learn, pm25: learn). `streamlearn reset NAME` frees those",
        ),
        ("SCHEDULED", 0, 2, "STREAMLEARN_FLINK_SLOTS=4 scripts/up"),
        ("SCHEDULED", 0, 0, "waits for a TaskManager"),
        ("SCHEDULED", 1, 2, ""),
        ("DEPLOYING", 0, 2, ""),
    ],
)
def test_a_job_that_no_slot_is_free_for_says_who_has_them(
    status: str, free: int, total: int, words: str
) -> None:
    names = ("digits: learn", "pm25: learn", "mine: learn")
    answers: dict[str, object] = {
        "/jobs/overview": {"jobs": [job("RUNNING", number, name) for number, name in enumerate(names)]},
        "/jobs/j2": {"vertices": [{"status": status}]},
        "/overview": {"slots-available": free, "slots-total": total},
    }
    with serve_answers(answers) as port:
        settings = Settings(flink=f"http://127.0.0.1:{port}")
        shortage = describe_slot_shortage(settings, Job("j2", "mine: learn", "RUNNING", 2))
    assert words in shortage
    assert bool(words) == bool(shortage)


def test_workers_that_no_slot_is_left_for_say_who_has_them() -> None:
    """How many share the partitions depends on the free slots; where there is none, nothing is submitted."""
    answers: dict[str, object] = {
        "/jobs/overview": {"jobs": [job("RUNNING", 0, "digits: learn")]},
        "/overview": {"slots-available": 0, "slots-total": 4},
    }
    with serve_answers(answers) as port:
        settings = Settings(flink=f"http://127.0.0.1:{port}")
        with pytest.raises(FlinkUnavailable, match=r"pm25: learn waits .* all 4 are taken \(digits: learn\)"):
            submit._choose_parallelism(settings, pm25.pipeline, 2, None)


def test_an_older_job_that_was_cancelled_is_not_told_of_one_that_runs() -> None:
    assert describe(job("RUNNING"), job("CANCELED", 2)) is None


def test_a_job_that_has_not_started_yet_is_told_by_its_state() -> None:
    assert describe(job("CREATED")) == Trouble("the job is created", lasts=True)


@pytest.mark.parametrize(
    ("state", "failed_before_s", "words", "folder"),
    [
        ("RUNNING", (0,), "the job was restarted a moment ago", "running"),
        ("RUNNING", (0, 70), "the job was restarted a moment ago", "running"),
        ("RUNNING", (0, 0), "the job restarts", "running"),
        ("RESTARTING", (70,), "the job restarts", "running"),
        ("FAILED", (70,), "the job has failed", "completed"),
    ],
)
def test_a_failure_is_told_with_its_reason_and_its_page(
    state: str, failed_before_s: tuple[float, ...], words: str, folder: str
) -> None:
    reason = "streamlearn.errors.PipelineFails: at offset 7 to 9"
    assert describe(job(state), failed_before_s=failed_before_s) == Trouble(
        f"{words}: {reason}; all of it: FLINK/#/job/{folder}/j1/exceptions",
        lasts=words != "the job was restarted a moment ago",
    )


class Record(NamedTuple):
    offset: int
    value: bytes | None


def read_topics(stream: ListStream, look_back: int = 1000) -> dict[str, list[Record]]:
    """Return the newest answers by topic, as many of each."""
    topics: dict[str, list[Record]] = {}
    for output in stream.answers:
        records = topics.setdefault(output.topic, [])
        records.append(Record(len(records), output.value))
    return {topic: records[-look_back:] for topic, records in topics.items()}


@pytest.fixture
def flooded(make: Make, stream: ListStream) -> ListStream:
    """A stream of five digits, of forty records that are none, and of five digits."""
    rows = inputs(50)
    rows[5:45] = [row._replace(value=b"broken") for row in rows[5:45]]
    commit(stream, make(), rows)
    return stream


def find_gap_of(stream: ListStream, look_back: int = 1000) -> int | None:
    return find_gap(read_topics(stream, look_back), lambda offset: stream.is_hole(offset, offset + 1))


@pytest.mark.parametrize("look_back", [1000, 20, 6, 1])
def test_nothing_is_missing_where_all_is_answered(flooded: ListStream, look_back: int) -> None:
    """Also where one topic is looked back through further than another."""
    assert find_gap_of(flooded, look_back) is None


@pytest.mark.parametrize("offset", [1, 30, 48])
def test_an_answer_that_is_missing_is_found(flooded: ListStream, offset: int) -> None:
    del flooded.answers[offset]
    assert find_gap_of(flooded) == offset


def test_an_answer_that_is_missing_where_it_is_not_looked_is_not_told(flooded: ListStream) -> None:
    del flooded.answers[1]
    assert find_gap_of(flooded, look_back=7) is None


def test_the_newest_records_are_late_and_what_never_was_is_not_missing(flooded: ListStream) -> None:
    del flooded.answers[-1], flooded.answers[3], flooded.records[3]
    assert find_gap_of(flooded) is None
    assert find_gap({}, lambda offset: False) is None


@pytest.mark.parametrize("value", [None, b"", b"somebody's own", b'{"offset": 70}'])
def test_what_is_no_answer_tells_nothing(flooded: ListStream, value: bytes | None) -> None:
    topics = read_topics(flooded)
    topics["digit_predict"].append(Record(10, value))
    assert find_gap(topics, lambda offset: False) is None
