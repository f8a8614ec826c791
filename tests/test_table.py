"""Rows of a file as records: spellings of values, rows that do not fit, orders, and kinds of files."""

import gzip
import json
import logging
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from click.testing import CliRunner
from stacks import free_port

from producer.replay import _select_records
from streamlearn.cli.main import main
from streamlearn.datasets import Table
from streamlearn.errors import ConfigurationError, DataUnavailable


class Row(msgspec.Struct, kw_only=True):
    """A row with a field of each kind."""

    number: float | None = None
    whole: int | None = msgspec.field(name="Whole No.", default=None)
    flag: bool | None = None
    at: datetime | None = None
    word: str | None = None
    grade: Literal["none", "some", "NA"] | None = None


def write(folder: Path, text: str, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def read_one(folder: Path, name: str, text: str, **rules: Any) -> Any:
    """Return the value of the only field of the only row."""
    (record,) = Table(write(folder, f"{name}\tx\n{text}\t1\n"), Row, **rules).records(passes=1)
    return record[name]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("number", "7", 7),
        ("number", " -1.50 ", -1.5),
        ("number", "1,234.5", 1234.5),
        ("number", "NA", None),
        ("Whole No.", "7.0", 7),
        ("Whole No.", "9007199254740993", 2**53 + 1),
        ("flag", "Yes", True),
        ("flag", "F", False),
        ("flag", "1", True),
        ("flag", "", None),
        ("at", "2026-01-25", "2026-01-25T00:00:00"),
        ("at", "Jan 25, 2026 1:30 PM", "2026-01-25T13:30:00"),
        ("at", "2026-01-25T13:00:00Z", "2026-01-25T13:00:00+00:00"),
        ("at", "25.1.2026 13:00", "2026-01-25T13:00:00"),
        ("word", " None ", "None"),
        ("word", "n/a", None),
        ("word", "01234", "01234"),
        ("grade", "none", "none"),
        ("grade", "NA", "NA"),
    ],
)
def test_a_value_is_what_the_field_is(tmp_path: Path, name: str, text: str, value: Any) -> None:
    read = read_one(tmp_path, name, text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "rules", "value"),
    [
        ("number", "1.234,5", {"decimal": ","}, 1234.5),
        ("at", "01/02/2026", {"times": {"at": "day"}}, "2026-02-01T00:00:00"),
        ("at", "01/02/2026", {"times": {"at": "month"}}, "2026-01-02T00:00:00"),
        ("at", "20260125", {"times": {"at": "digits"}}, "2026-01-25T00:00:00"),
        ("at", "25#01#26", {"times": {"at": "%d#%m#%y"}}, "2026-01-25T00:00:00"),
    ],
)
def test_what_a_value_does_not_tell_is_declared(
    tmp_path: Path, name: str, text: str, rules: dict[str, Any], value: Any
) -> None:
    assert read_one(tmp_path, name, text, **rules) == value


BAD = """number,Whole No.,flag,at,word,grade
1,1,yes,2026-01-25,a,some
x,1,yes,2026-01-25,a,some
1,1.5,yes,2026-01-25,a,some
1,1,maybe,2026-01-25,a,some
1,1,yes,01/02/2026,a,some
1,1,yes,2026-02-30,a,some
1,1,yes,2026-01-25,a,many
1,1,yes
2,,,,,
"""
REASONS = {
    "line 3": "number is 'x', not a number",
    "line 4": "Expected `int | null`, got `float`",
    "line 5": "flag is 'maybe', not a boolean",
    "line 6": "at is '01/02/2026', a date in which the day or the month may come first",
    "line 7": "at is '2026-02-30', not a time",
    "line 8": "Invalid enum value 'many'",
    "line 9": "it has 3 fields and the header 6",
}


def test_a_row_that_does_not_fit_is_named_by_its_line_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table(write(tmp_path, BAD), Row)
    assert [record["number"] for record in table.records(passes=2)] == [1, 2, 1, 2]
    assert [row.where for row in table.bad_rows] == list(REASONS)
    for row, reason in zip(table.bad_rows, REASONS.values(), strict=True):
        assert row.reason.startswith(reason)
    with caplog.at_level(logging.WARNING):
        table.prepare()
    assert caplog.messages[0].startswith("line 3 of ")
    assert re.fullmatch(r"7 of 9 rows of .*rows.csv do not fit, and are left out", caplog.messages[-1])


def test_each_kind_of_file_gives_the_same_records(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"number": 1.5, "flag": True, "word": "ä,b"}, {"number": None, "flag": False, "word": "c"}]
    csv = '\ufeffnumber;flag;word\r\n1,5;yes;"ä,b"\r\nNA;no;c\r\n'
    paths = [
        write(tmp_path, csv),
        write(tmp_path, "\n\n".join(map(json.dumps, rows)), "rows.jsonl"),
        tmp_path / "rows.parquet",
        tmp_path / "rows.csv.gz",
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), paths[2])
    paths[3].write_bytes(gzip.compress(csv.encode()))
    for path in paths:
        assert list(Table(path, Row, decimal=",").records(passes=1)) == rows, path


def test_json_lines_that_are_no_objects_are_named(tmp_path: Path) -> None:
    table = Table(write(tmp_path, '{"number": "1"}\n[1]\n{"number":\n{"word": 7}\n', "rows.jsonl"), Row)
    assert list(table.records(passes=1)) == [{"number": 1}, {"word": "7"}]
    assert [row.where for row in table.bad_rows] == ["line 2", "line 3"]


def test_json_lines_may_be_utf16_or_compressed(tmp_path: Path) -> None:
    rows = [{"number": 1.5, "flag": True, "word": "ä,b"}, {"number": None, "flag": False, "word": "c"}]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    packed = gzip.compress(text.encode())
    for name, data in (
        ("rows.jsonl", text.encode("utf-16")),
        ("rows.json", b"\xef\xbb\xbf" + text.encode()),
        ("rows.jsonl.gz", packed),
        ("packed.jsonl", packed),
    ):
        (tmp_path / name).write_bytes(data)
        assert list(Table(tmp_path / name, Row).records(passes=1)) == rows, name
    for name, data in (("cut.jsonl.gz", packed[:-5]), ("cut.jsonl", text.encode("utf-16")[:-1])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataUnavailable, match="cannot be read"):
            Table(tmp_path / name, Row).prepare()


def test_what_json_cannot_hold_is_told_of_the_field_alone(tmp_path: Path) -> None:
    """Python writes NaN for a missing number; Infinity and 1e999 are no numbers that can be learned."""
    lines = ['{"number": NaN, "word": "a"}', '{"number": Infinity}', '{"number": 1e999}', '{"word": NaN}']
    table = Table(write(tmp_path, "\n".join(lines), "rows.jsonl"), Row)
    assert list(table.records(passes=1)) == [{"number": None, "word": "a"}, {"word": None}]
    assert [row.where for row in table.bad_rows] == ["line 2", "line 3"]
    assert all(row.reason.startswith("number is inf, not a finite number") for row in table.bad_rows)


def test_parquet_gives_times_and_decimals_as_json_has_them(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from decimal import Decimal

    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    rows = [{"at": datetime(2026, 1, 25, 13), "number": Decimal("1.25"), "word": "a"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    expected = {"number": 1.25, "at": "2026-01-25T13:00:00", "word": "a"}
    assert list(Table(path, Row).records(passes=1)) == [expected]
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataUnavailable, match="cannot be read as Parquet"):
        Table(path, Row).prepare()


ORDERED = "word,at\nc,2026-03-01\nx,\na,2026-01-01T00:00+02:00\nb,2026-01-01T00:00Z\n"


def test_rows_are_put_in_the_order_of_a_field_those_without_it_last(tmp_path: Path) -> None:
    path = write(tmp_path, ORDERED)
    assert "".join(row["word"] for row in Table(path, Row).records(passes=2)) == "cxabcxab"
    assert "".join(row["word"] for row in Table(path, Row, order="at").records(passes=2)) == "abcxabcx"


def test_a_shuffled_pass_has_every_row_once_in_an_order_by_the_seed(tmp_path: Path) -> None:
    table = Table(
        write(tmp_path, "number,word\n" + "".join(f"{n},a\n" for n in range(50))), Row, shuffle=True
    )
    numbers = [record["number"] for record in table.records(seed=1, passes=2)]
    assert sorted(numbers[:50]) == sorted(numbers[50:]) == list(range(50))
    assert numbers[:50] != numbers[50:]
    assert numbers == [record["number"] for record in table.records(seed=1, passes=2)]
    assert numbers != [record["number"] for record in table.records(seed=2, passes=2)]


@pytest.mark.parametrize("skip", [0, 1, 4, 7, 9])
@pytest.mark.parametrize("limit", [None, 1, 13])
def test_what_is_skipped_and_what_is_sent_make_one_replay(
    tmp_path: Path, skip: int, limit: int | None
) -> None:
    table = Table(write(tmp_path, "number,word\n" + "".join(f"{n},a\n" for n in range(5))), Row, shuffle=True)
    records, total = _select_records(table, limit=limit, loop=False, seed=3, skip=skip)
    sent = list(records)
    whole = [record for record, _ in zip(table.records(seed=3), range(skip + len(sent)), strict=False)]
    assert sent == whole[skip:]
    assert total == len(sent)
    assert limit in (None, len(sent))
    assert limit or len(whole) % 5 == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("number,word\n", "has no rows"),
        ("number,word\n1\n", "has no rows: line 2: it has 1 fields and the header 2"),
        ("number,word\nx,a\n", "no row of .* fits: line 2: number is 'x', not a number"),
    ],
)
def test_a_file_without_a_row_that_fits_is_no_data(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataUnavailable, match=message):
        Table(write(tmp_path, text), Row).prepare()


def test_what_is_no_struct_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="records of a msgspec struct"):
        Table(write(tmp_path, BAD), dict).prepare()


PIPELINE = """
import msgspec
from streamlearn.estimators import Standardized
from streamlearn.learning import Columns, Tabular
from streamlearn.pipelines import Pipeline

class Row(msgspec.Struct):
    number: float
    word: str | None = None

pipeline = Pipeline(
    name="rows_by_hand", topic="rows", prediction_topic="rows_predict", record=Row,
    learning=Tabular(features=Columns(texts={"word": 4}), label="number", estimator=Standardized),
    parameters={},
)
"""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strict"], "1 of 3 rows do not fit, so nothing is sent: line 3: number is 'x', not a number"),
        (["--skip", "2"], "--skip 2 leaves nothing to send: there are 2 records"),
    ],
)
def test_a_replay_that_cannot_be_meant_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    """No broker is asked: there is none."""
    env = {"STREAMLEARN_KAFKA": f"localhost:{free_port()}"}
    write(tmp_path, PIPELINE, "rows_by_hand.py")
    write(tmp_path, "number,word\n1,a\nx,b\n2,c\n", "new.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    done = CliRunner().invoke(main, ["replay", "rows_by_hand", "--file", "new.csv", *options], env=env)
    assert done.exit_code == 1
    assert done.stderr == f"streamlearn: {message}\n"
