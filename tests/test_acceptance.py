"""Rows that a stream has said beside those that a batch gives."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from reading import commit_offset, create_topic, send

from flink_jobs.sql import acceptance, jobs
from flink_jobs.sql.tables import group_name
from streamlearn.cli.main import main
from streamlearn.operations import flink_api
from streamlearn.settings import Settings
from streamlearn.warehouse.acceptance import Row, TopicReport, combine_exit_codes, compare_rows
from streamlearn.warehouse.catalogue import Column, Topic

COLUMNS = (Column("window_end", "TIMESTAMP(3)"), Column("n", "BIGINT"), Column("most", "DOUBLE"))
WINDOWS = Topic("w", "o", "d", COLUMNS, ("window_end",))
TOTALS = Topic("t", "o", "d", (Column("k", "INT"), Column("n", "BIGINT")), ("k",))


def row(day: int, n: int = 24, most: float = 9.0) -> Row:
    return {"window_end": f"2010-01-{day:02} 00:00:00", "n": n, "most": most}


def count(report: TopicReport) -> tuple[int, int, int, int]:
    return report.equal, report.not_closed, report.outlived, report.different


def test_equal_rows_are_equal_and_the_last_of_a_key_counts() -> None:
    report = compare_rows(WINDOWS, [row(1, 3), row(2), row(1)], [row(1), row(2)])
    assert (count(report), combine_exit_codes([report])) == ((2, 0, 0, 0), 0)
    assert str(report) == "w: 2 rows are equal"


def test_a_window_later_than_all_that_was_said_is_not_closed_yet() -> None:
    report = compare_rows(WINDOWS, [row(1)], [row(1), row(2)])
    assert (count(report), combine_exit_codes([report])) == ((1, 1, 0, 0), 0)


def test_a_row_that_the_records_bring_further_than_anything_that_was_said_is_not_closed_yet() -> None:
    def count_until(n: int, day: int, k: int = 1) -> Row:
        return {"window_end": "2010-02-01 00:00:00", "k": k, "n": n, "until": f"2010-01-{day:02} 00:00:00"}

    columns = (Column("window_end", "TIMESTAMP(3)"), Column("k", "INT"), Column("n", "BIGINT"))
    running = Topic("r", "o", "d", (*columns, Column("until", "TIMESTAMP(3)")), ("window_end", "k"))
    said = [count_until(2, 5), count_until(3, 6, k=2)]
    assert count(compare_rows(running, said, [count_until(3, 7), count_until(3, 6, k=2)])) == (1, 1, 0, 0)
    assert count(compare_rows(running, said, [count_until(3, 6), count_until(3, 6, k=2)])) == (1, 0, 0, 1)
    assert count(compare_rows(running, said, [*said, count_until(1, 7, k=3)])) == (2, 1, 0, 0)
    assert count(compare_rows(running, said, [*said, count_until(1, 6, k=3)])) == (2, 0, 0, 1)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ([row(1), row(2, most=8.0), row(3)], "altered: most is 8.0, the records give 9.0"),
        ([row(1), row(2, n=25), row(3)], "altered: n is 25, the records give 24"),
        ([row(1), row(2, n=23), row(3)], "late or lost: n is 23, the records give 24"),
        ([row(1), row(3)], "missing"),
        ([row(1), row(2), row(3), row(4)], "too much"),
    ],
)
def test_a_row_that_differs_is_told_with_its_cause(said: list[Row], cause: str) -> None:
    report = compare_rows(WINDOWS, said, [row(1), row(2), row(3)])
    assert report.different == 1
    assert cause in str(report.differences[0])
    assert str(report.differences[0]).startswith("w window_end=2010-01-0")
    assert combine_exit_codes([report]) == 1


def test_what_has_outlived_its_records_is_not_compared() -> None:
    said = [row(1), row(2), row(3)]
    report = compare_rows(WINDOWS, said, [row(2, n=5), row(3)], has_all_records=False)
    assert count(report) == (1, 0, 2, 0)
    totals: list[dict[str, Any]] = [{"k": 1, "n": 7}]
    assert count(compare_rows(TOTALS, totals, [{"k": 1, "n": 2}], has_all_records=False)) == (0, 0, 1, 0)


def test_only_the_newest_windows_are_compared_where_that_is_wanted() -> None:
    said, given = [row(1, n=3), row(2), row(3), row(4)], [row(1), row(2), row(3), row(4), row(5)]
    report = compare_rows(WINDOWS, said, given, last=2)
    assert (count(report), report.older) == ((2, 1, 0, 0), 2)
    assert str(report) == "w: 2 rows are equal, 1 are not yet closed in the stream, 2 are older and left out"
    # A window that the stream lacks is one of them.
    assert compare_rows(WINDOWS, [row(1), row(2), row(4)], given, last=2).different == 1
    assert compare_rows(WINDOWS, said, given, last=9).different == 1
    assert compare_rows(WINDOWS, [], given, last=1).not_closed == 5
    totals: list[dict[str, Any]] = [{"k": 1, "n": 7}]
    assert compare_rows(TOTALS, totals, totals, last=1).equal == 1


def test_of_many_differences_the_first_are_kept_and_all_are_counted() -> None:
    report = compare_rows(TOTALS, [], [{"k": k, "n": 1} for k in range(50)])
    assert (report.different, len(report.differences)) == (50, 20)


def test_nothing_compared_is_no_success() -> None:
    assert combine_exit_codes([compare_rows(WINDOWS, [], [row(1)])]) == 2


def test_where_no_job_runs_the_command_ends_with_2(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["accept"], env=Settings(home=tmp_path).environment())
    assert told.exit_code == 2
    assert "no SQL job is kept running" in told.output


@pytest.fixture
def counting(broker: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Settings, jobs.SqlJob]]:
    """Return a job that says how many records there are, after three records; its batch is no Flink's."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    job = jobs.SqlJob(name, "")
    topics = [
        Topic(f"{name}.in", "producers", "d", COLUMNS),
        Topic(f"{name}.nothing", "producers", "d", COLUMNS),
        Topic(f"{name}.out", job.job_name, "d", (Column("k", "INT"), Column("n", "BIGINT")), ("k",)),
    ]
    for topic in topics:
        create_topic(broker.kafka, topic.name)
    send(broker.kafka, f"{name}.in", [b"{}"] * 3)
    monkeypatch.setattr(acceptance, "load_stack_catalogue", lambda settings: topics)
    monkeypatch.setattr(
        acceptance,
        "_run_batch",
        lambda settings, job, read, written, bounds: {
            # A topic of which nothing has been read yet is one without records.
            f"{name}.out": [{"k": 1, "n": bounds[f"{name}.in"][0] + bounds[f"{name}.nothing"][0]}]
        },
    )
    jobs.keep(broker, job)
    yield broker, job
    jobs.forget(broker, name)


def test_rows_that_are_committed_before_their_offsets_are_looked_at_again(
    counting: tuple[Settings, jobs.SqlJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, job = counting
    group, numbers = group_name(job.name), iter([7, 8, 9, 10])
    commit_offset(settings.kafka, group, f"{job.name}.in", 2)
    send(settings.kafka, f"{job.name}.out", [b'{"k":1,"n":2}', b'{"k":1,"n":3}'])

    def complete(settings: Settings, name: str) -> int:
        # A checkpoint commits the offsets a moment after it is known as completed.
        number = next(numbers)
        if number == 9:
            commit_offset(settings.kafka, group, f"{job.name}.in", 3)
        return number

    monkeypatch.setattr(flink_api, "find_last_checkpoint", complete)
    lines: list[str] = []
    (report,) = acceptance.accept(settings, job, echo=lines.append)
    assert (report.equal, report.different) == (1, 0)
    assert f"{job.name}.in up to 3" in lines[-1]


def test_a_row_that_differs_still_two_checkpoints_later_differs(
    counting: tuple[Settings, jobs.SqlJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, job = counting
    commit_offset(settings.kafka, group_name(job.name), f"{job.name}.in", 3)
    send(settings.kafka, f"{job.name}.out", [b'{"k":1,"n":2}'])
    numbers = iter([7, 8, 9])
    monkeypatch.setattr(flink_api, "find_last_checkpoint", lambda settings, name: next(numbers))
    lines: list[str] = []
    (report,) = acceptance.accept(settings, job, echo=lines.append)
    assert str(report.differences[0]).endswith("late or lost: n is 2, the records give 3")
    # Nothing has been committed since: the batch is not repeated.
    assert sum("in batch mode" in line for line in lines) == 1
    # A job that does not run commits nothing more.
    jobs.forget(settings, job.name)
    monkeypatch.setattr(flink_api, "find_last_checkpoint", lambda settings, name: None)
    (report,) = acceptance.accept(settings, job, echo=lines.append)
    assert report.different == 1
