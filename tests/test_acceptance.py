"""Rows that a stream has said beside those that a batch gives."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streamlearn.cli.main import main
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


def test_of_many_differences_the_first_are_kept_and_all_are_counted() -> None:
    report = compare_rows(TOTALS, [], [{"k": k, "n": 1} for k in range(50)])
    assert (report.different, len(report.differences)) == (50, 20)


def test_nothing_compared_is_no_success() -> None:
    assert combine_exit_codes([compare_rows(WINDOWS, [], [row(1)])]) == 2


def test_where_no_job_runs_the_command_ends_with_2(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["accept"], env=Settings(home=tmp_path).environment())
    assert told.exit_code == 2
    assert "no SQL job is kept running" in told.output
