"""Files and topics: the times, numbers and rows that are read in them, and what is refused."""

import gzip
import json
from calendar import month_abbr, monthrange
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner
from planted import plant_lag

from streamlearn.cli.main import main
from streamlearn.datasets.files import decode_row
from streamlearn.errors import BadSeries, FileError
from streamlearn.lags.readers import RawTable, ReadingOptions, parse_table, read_csv
from streamlearn.lags.series import Table

COUNT = 60
HOURS = [datetime(2026, 1, 25, 7) + timedelta(hours=number) for number in range(COUNT)]
ISO = [str(hour) for hour in HOURS]
MONTHS = [(1949 + number // 12, number % 12 + 1) for number in range(COUNT)]
QUARTERS = [(1949 + number // 4, number % 4 + 1) for number in range(COUNT)]
IN_BERLIN = [
    (datetime(2025, 10, 25, 20, tzinfo=UTC) + timedelta(hours=number)).astimezone(ZoneInfo("Europe/Berlin"))
    for number in range(COUNT)
]


def since_1970(unit: int) -> list[int]:
    return [int(hour.replace(tzinfo=UTC).timestamp()) * unit for hour in HOURS]


def month_ends() -> list[date]:
    return [date(year, month, monthrange(year, month)[1]) for year, month in MONTHS]


def join_lines(times: Iterable[Any], header: str = "time,a,b") -> str:
    """Return a table, newest first, in which a counts the rows from the oldest."""
    lines = [f"{time},{number},{number % 7}" for number, time in enumerate(times)]
    return "\n".join([header, *reversed(lines)]) + "\n"


def read(tmp_path: Path, text: str | bytes, names: tuple[str, ...] = ("a", "b"), **options: Any) -> Table:
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_csv(path, names, ReadingOptions(**options))


def assert_in_order(table: Table, step: str) -> None:
    assert table.step == step
    assert table.series["a"].values.tolist() == list(range(COUNT))


@pytest.mark.parametrize(
    "form",
    [
        *("%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M Uhr", "%Y/%m/%d %H:%M", "%m/%d/%Y %I:%M %p"),
        *(
            "%d-%b-%Y %H:%M",
            "%d-%b-%y %H:%M",
            "%B %d %Y %I:%M%p",
            "%A %d %B %Y %H:%M",
            "%d/%b/%Y:%H:%M:%S +0000",
        ),
        *("%a %d %b %Y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y", "%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%dT%HZ"),
        *("%Y-%m-%dT%H:%M:%S.000000000Z", "%Y-%m-%dT%H:%M+01:00[Europe/Berlin]", "%Y-%m-%d %H:%M:%S +0200"),
        *("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)", "%Y-%m-%d %H:%M:%S +0000 UTC"),
        *("%Y%m%dT%H%M%SZ", "%Y%m%d %H:%M", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"),
        *("%d/%m/%y %H:%M", "%m/%d/%y %H:%M", "%y-%m-%d %H:%M"),
    ],
)
def test_times_are_read_in_every_common_form(tmp_path: Path, form: str) -> None:
    table = read(tmp_path, join_lines(hour.strftime(form) for hour in HOURS))
    assert_in_order(table, "1 h")
    assert "T00:00:00" in str(table.times[17]) or "+0" in form


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_time_since_1970_is_told_by_its_size(tmp_path: Path, unit: int) -> None:
    for times in (since_1970(unit), [f"{number}.0" for number in since_1970(unit)]):
        table = read(tmp_path, join_lines(times, "ts,a,b"))
        assert_in_order(table, "1 h")
        assert table.times[0] == np.datetime64(HOURS[0])


@pytest.mark.parametrize(
    ("times", "step"),
    [
        ([f"{year}-{month:02d}" for year, month in MONTHS], "1 month"),
        ([f"{year}M{month:02d}" for year, month in MONTHS], "1 month"),
        ([f"{year}{month:02d}" for year, month in MONTHS], "1 month"),
        ([f"{month:02d}.{year}" for year, month in MONTHS], "1 month"),
        ([f"{month}/{year}" for year, month in MONTHS], "1 month"),
        ([f"{month_abbr[month]} {year}" for year, month in MONTHS], "1 month"),
        (month_ends(), "1 month"),
        ([f"{day}T00:00:00+01:00" for day in month_ends()], "1 month"),
        ([f"{year}-{month:02d}-{min(30, monthrange(year, month)[1])}" for year, month in MONTHS], "1 month"),
        ([np.busday_offset(day, 0, roll="backward") for day in month_ends()], "1 month"),
        ([np.busday_offset(f"{y}-{m:02d}-01", 0, roll="forward") for y, m in MONTHS], "1 month"),
        ([f"{year}Q{quarter}" for year, quarter in QUARTERS], "3 month"),
        ([f"Q{quarter} {year}" for year, quarter in QUARTERS], "3 month"),
        ([f"{year}-{('03-31', '06-30', '09-30', '12-31')[q - 1]}" for year, q in QUARTERS], "3 month"),
        (range(1949, 1949 + COUNT), "1 year"),
        ([f"{date(2025, 1, 6) + timedelta(weeks=n):%G-W%V}" for n in range(COUNT)], "7 d"),
        ([np.busday_offset("2026-01-05", number) for number in range(COUNT)], "1 weekday"),
        (range(COUNT), ""),
        ([number / 10 for number in range(COUNT)], ""),
    ],
)
def test_steps_are_months_their_ends_quarters_years_weeks_weekdays_or_numbers(
    tmp_path: Path, times: Iterable[Any], step: str
) -> None:
    assert_in_order(read(tmp_path, join_lines(times)), step)


@pytest.mark.parametrize(
    ("header", "times"),
    [
        ("No,year,month,day,hour", [f"1,{h.year},{h.month},{h.day},{h.hour}" for h in HOURS]),
        ("Hour,Day,Month,Year", [f"{h.hour},{h.day},{h:%B},{h.year}" for h in HOURS]),
        ("year,month,day,time", [f"{h.year},{h.month},{h.day},{h:%H:%M}" for h in HOURS]),
        ("Date,Time", [f"{h:%d.%m.%Y},{h:%H:%M}" for h in HOURS]),
        ("Time,Date", [f"{h:%I %p},{h:%d.%m.%Y}" for h in HOURS]),
        ("date,hour", [f"{h:%Y%m%d},{h.hour}" for h in HOURS]),
        ("date,time", [f"{h:%Y-%m-%d},{h.hour * 100}" for h in HOURS]),
        ("date,hour ending", [f"{h - timedelta(hours=1):%Y-%m-%d},{h.hour or 24}" for h in HOURS]),
    ],
)
def test_times_in_several_columns_are_put_together(tmp_path: Path, header: str, times: list[str]) -> None:
    table = read(tmp_path, join_lines(times, f"{header},a,b"))
    assert_in_order(table, "1 h")
    assert table.times[0] == np.datetime64(HOURS[0])
    assert table.notes[0].startswith("times: columns ")


@pytest.mark.parametrize("order", ["%d/%m/%Y", "%m/%d/%Y"])
def test_day_or_month_first_is_decided_by_the_whole_column_or_said(tmp_path: Path, order: str) -> None:
    """Where no day is beyond the 12th, only one order gives even steps; or none does, or both do."""
    days = [datetime(2026, 2, 3) + timedelta(hours=number) for number in range(COUNT)]
    table = read(tmp_path, join_lines(f"{day:{order} %H:%M}" for day in days))
    assert_in_order(table, "1 h")
    assert table.times[0] == np.datetime64("2026-02-03")
    minutes = [datetime(2026, 5, 6) + timedelta(minutes=number) for number in range(COUNT)]
    text = join_lines(f"{minute:{order} %H:%M}" for minute in minutes)
    with pytest.raises(BadSeries, match=r"the day or the month may come first; say --time-format '%d/%m/%Y"):
        read(tmp_path, text)
    assert read(tmp_path, text, time_format=f"{order} %H:%M").times[0] == np.datetime64("2026-05-06")


def test_with_dots_the_day_comes_first(tmp_path: Path) -> None:
    minutes = [datetime(2026, 5, 6) + timedelta(minutes=number) for number in range(COUNT)]
    table = read(tmp_path, join_lines(f"{minute:%d.%m.%Y %H:%M}" for minute in minutes))
    assert table.times[0] == np.datetime64("2026-05-06")
    assert_in_order(table, "1 min")


def test_the_hour_that_comes_twice_needs_its_offset(tmp_path: Path) -> None:
    for form in ("%Y-%m-%d %H:%M %Z", "%Y-%m-%dT%H:%M%z"):
        assert_in_order(read(tmp_path, join_lines(time.strftime(form) for time in IN_BERLIN)), "1 h")
    with pytest.raises(BadSeries, match=r"02:00:00 comes twice.*if summer time ends there"):
        read(tmp_path, join_lines(f"{time:%Y-%m-%d %H:%M}" for time in IN_BERLIN))


def test_days_that_begin_at_midnight_are_days_over_the_change_to_summer_time(tmp_path: Path) -> None:
    midnights = [datetime(2026, 3, 1, tzinfo=ZoneInfo("Europe/Berlin")) + timedelta(n) for n in range(COUNT)]
    assert len({time.utcoffset() for time in midnights}) == 2
    assert_in_order(read(tmp_path, join_lines(time.isoformat() for time in midnights)), "1 d")


@pytest.mark.parametrize(
    ("header", "times", "message"),
    [
        (
            "when",
            [f"tick {n}" for n in range(COUNT)],
            "line 2 of .*: when is 'tick 59', not a time .*--no-times",
        ),
        ("day", ["Mon", "Tue", "Wed"] * 20, "day is 'Wed', not a time .*--no-times"),
        (
            "time",
            [f"{hour:%H:%M}" for hour in HOURS],
            "time has times of day, but not their dates.*--no-times",
        ),
        (
            "hour",
            [hour.hour for hour in HOURS],
            "hour has numbers that repeat: they do not tell the time alone",
        ),
        ("date", [f"{1949 + n / 12:.3f}" for n in range(COUNT)], "not evenly spaced: most are 0.083 apart"),
        ("date", [f"{year}.{month:02d}" for year, month in MONTHS], "not evenly spaced: most are 0.01 apart"),
        ("date", [f"{month_abbr[month]}-{year % 100}" for year, month in MONTHS], "'Dec-53', not a time"),
        ("ts", ["9" * 400] * COUNT, "line 2 of .*: ts is '9{20}… .400 characters., not a time"),
        ("ts", [f"{n}e999999999" for n in range(COUNT)], "ts is '59e999999999', not a time"),
        ("ts", [10**21 + n for n in range(COUNT)], "neither a time nor the number of a step"),
        ("ts", [*since_1970(1)[:30], *since_1970(1000)[30:]], "neither a time nor the number of a step"),
        ("response_time", [0.3 + n * 37 % 60 / 59 for n in range(COUNT)], "neither a time nor the number"),
        ("date", ["190101", "190201", "190301"] * 20, "190301 can be a year and a month, or a year, a month"),
        ("date", [f"13/01/{(49 + n) % 100:02d}" for n in range(COUNT)], "of two digits .* of two centuries"),
        ("time", [*ISO[:9], "later", *ISO[10:]], "line 52 of .*: time is 'later', not a time"),
        ("time", [*ISO[:9], 1735689600, *ISO[10:]], "line 52 of .*: time is '1735689600', not a time"),
        (
            "date",
            [f"{h:%m/%d/%Y %H}" if n < 9 else f"{h:%d/%m/%Y %H}" for n, h in enumerate(HOURS)],
            "not a time",
        ),
        ("time", [""] * COUNT, "time has no time in any row"),
        ("time", ["9999-12-31T23:00-05:00", "0001-01-01T00:00+05:00"] * 30, "0001-01-01.*, not a time"),
        ("time", [f"{hour} XYZ" for hour in HOURS], "XYZ', not a time"),
        ("made,ts", [f"{ISO[n]},{ISO[-n - 1]}" for n in range(COUNT)], "made and ts .* in different orders"),
        (
            "date,hours of sun",
            [f"{h:%Y-%m-%d},{n % 24}" for n, h in enumerate(HOURS)],
            "2026-01-2. .*comes twice",
        ),
        ("year,month,day", ["2026,2,30"] * COUNT, "line 2 of .*: there is no day 2026-2-30"),
        ("year,month", ["2026,13"] * COUNT, "line 2 of .*: month is '13', not a month from 1 to 12"),
        ("time,time", [f"{time},{time}" for time in ISO], "has 2 columns 'time': rename all but one"),
    ],
)
def test_times_that_cannot_be_told_are_refused(
    tmp_path: Path, header: str, times: list[Any], message: str
) -> None:
    with pytest.raises(BadSeries, match=message):
        read(tmp_path, join_lines(times, f"{header},a,b"))


def test_rows_are_steps_only_where_no_column_seems_to_hold_times_or_it_is_said(tmp_path: Path) -> None:
    note = "no times: each row is one step, the first row the oldest"
    table = read(tmp_path, join_lines((f"x{n}" for n in range(COUNT)), "name,a,b"))
    assert (table.notes, table.series["a"].values[0]) == ((note,), COUNT - 1)
    text = join_lines((f"tick {n}" for n in range(COUNT)), "when,a,b")
    assert read(tmp_path, text, without_times=True).notes == (note,)


def test_rows_without_a_time_are_left_out_and_counted(tmp_path: Path) -> None:
    text = join_lines(["", *ISO[1:9], "NA", *ISO[10:-1], " "])
    table = read(tmp_path, text)
    assert table.notes[1:] == (
        "rows without a time, left out: 3",
        "1 of 58 steps have no row: they count as missing",
    )
    assert table.series["a"].values[[0, 7, 9, 57]].tolist() == [1, 8, 10, 58]
    assert np.isnan(table.series["a"].values[8])


def test_rows_that_repeat_another_are_left_out_and_counted_but_not_with_other_values(tmp_path: Path) -> None:
    text = join_lines(ISO)
    table = read(tmp_path, f"{text}{ISO[5]},5,5\n{ISO[5]},5,5\n")
    assert table.notes[1:] == ("rows that repeat another's time and values, left out: 2",)
    assert_in_order(table, "1 h")
    with pytest.raises(
        BadSeries, match=r"2026-01-25 12:00:00 comes twice, in line 56 and line 62, with other values of b"
    ):
        read(tmp_path, f"{text}{ISO[5]},5,6\n")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + join_lines(ISO, '"time", "a" ,"b"'),
        join_lines(ISO, "TIME,A,B"),
        join_lines(ISO).replace("\n", "\r\n") + "\r\n,,\r\n\r\n",
        join_lines(ISO).replace("\n", "\r"),
        join_lines(ISO).replace(",", "|"),
        join_lines(ISO).replace(",", "\t"),
        "sep=;\n" + join_lines(ISO).replace(",", ";"),
        join_lines(ISO).replace("\n", ",\n"),
        "# from the \u2028 sensor\n# by us\n" + join_lines(ISO),
        "# time,a\r\n" + join_lines(ISO, "#time,a,b").replace("\n", "\r\n"),
        "time, hours, UTC;a;b\n" + "".join(f"{time};{n},0;1,5\n" for n, time in enumerate(ISO)),
        join_lines(
            (f"{number},{time}" for number, time in zip([1, 2] * 30, since_1970(1), strict=True)),
            "hour,ts,a,b",
        ),
        join_lines((f"{time},x\u2028y\x85z\x0c" for time in ISO), "time,text,a,b"),
        join_lines((f'{time},"x\ny"' for time in ISO), "time,text,a,b"),
        join_lines((f"{time},1,2" for time in ISO), "time,q,q,a,b"),
        join_lines(ISO).encode("utf-16"),
        gzip.compress(join_lines(ISO).encode(), mtime=0),
    ],
)
def test_a_table_is_read_however_it_is_stored(tmp_path: Path, text: str | bytes) -> None:
    assert_in_order(read(tmp_path, text), "1 h")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (join_lines((f"{t},1" for t in ISO), "time,a,a,b"), "has 2 columns 'a': rename all but one"),
        (
            join_lines(ISO).split("\n", 1)[1],
            "no column 'a'; it has: .* \\(a header with names must be the first",
        ),
        (
            join_lines(ISO).replace("25 12:00:00", '25 12:00:00"') + '"',
            "line 62 of .*: it cannot be read as CSV",
        ),
        (
            join_lines((f'{t},"x\ny"' for t in ISO), "time,n,a,b") + "1,2\n",
            "line 122 of .* has 2 fields and the header 4",
        ),
        ("time,a,b\n", "there are no rows of data"),
        ("\n \n", "is empty"),
        (
            join_lines(ISO, "time,é,b").encode("latin-1"),
            r"line 1 is not UTF-8 \(byte 0xe9\); save the file as UTF-8",
        ),
        (join_lines(ISO).encode("utf-16-le"), "it is not text; save it as CSV in UTF-8"),
        (gzip.compress(join_lines(ISO).encode(), mtime=0)[:60], "cannot be read: Compressed file ended"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises((BadSeries, FileError), match=message):
        read(tmp_path, text)


def read_numbers(tmp_path: Path, a: str, b: str, separator: str = ";", **options: Any) -> list[float]:
    """Return the column a of a table in which a and b are repeated, a's second value in every other row."""
    first, second = a.split(" | ") if " | " in a else (a, a)
    rows = [separator.join([time, (first, second)[n % 2], b]) for n, time in enumerate(ISO)]
    table = read(tmp_path, "\n".join([separator.join(["time", "a", "b"]), *rows]), **options)
    values: list[float] = table.series["a"].values[:2].tolist()
    return values


@pytest.mark.parametrize(
    ("a", "b", "values"),
    [
        ("12,5 | 3", "1", [12.5, 3]),
        ("0,123 | 3", "1", [0.123, 3]),
        ("1.234,5 | 1.234", "1", [1234.5, 1234]),
        ("1.234 | 2", "12,5", [1234, 2]),
        ("1,234 | 2", "12,5", [1.234, 2]),
        ("1,234 | 2", "12.5", [1234, 2]),
        ("1,234,567 | 1,234", "1", [1234567, 1234]),
        ("1.234 | 2", "1", [1.234, 2]),
        ("1\u202f234,5 | 1 234", "1", [1234.5, 1234]),
        ("1'234.5 | −3", "1", [1234.5, -3]),
        ("1.5e-3 | .5", "1", [0.0015, 0.5]),
    ],
)
def test_numbers_have_a_decimal_point_or_comma_as_the_columns_show(
    tmp_path: Path, a: str, b: str, values: list[float]
) -> None:
    assert read_numbers(tmp_path, a, b) == values


def test_numbers_in_quotes_between_commas_have_separators_of_thousands(tmp_path: Path) -> None:
    assert read_numbers(tmp_path, '"1,234" | 999', "1", ",") == [1234, 999]


@pytest.mark.parametrize(
    ("a", "message"),
    [
        ("1,234 | 999", "such as 1,234, whose comma may be a decimal comma or separate thousands"),
        ("1,5 | 1.5", "'1,5', not a number with a decimal point, as the others are"),
        ("12% | 5", "a has numbers with % and without a sign; write all of them in one unit"),
        ("12% | $5", "a has numbers with [$] and %; write"),
        ("12 km | 5", "line 2 of .*: a is '12 km', not a number"),
        ("1_000 | 5", "'1_000', not a number"),
        ("1e999 | 5", "'1e999', not a finite number"),
        (f"{'9' * 400} | 5", r"'9{20}… \(400 characters\), not a finite number"),
    ],
)
def test_numbers_that_cannot_be_told_are_refused(tmp_path: Path, a: str, message: str) -> None:
    with pytest.raises(BadSeries, match=message):
        read_numbers(tmp_path, a, "1")


@pytest.mark.parametrize("mark", ["", "?", "-", ".", "..", "NA", "#N/A", "null", "NaN", "—"])
def test_marks_of_missing_values_are_known(tmp_path: Path, mark: str) -> None:
    values = read_numbers(tmp_path, f"{mark} | 5", "1")
    assert np.isnan(values[0])
    assert values[1] == 5


def test_a_number_that_stands_for_a_missing_value_is_named_or_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadSeries, match=r"a is -999, far from the other values \(30 such\); say --missing=-999"
    ):
        read(tmp_path, "\n".join(["time,a,b", *(f"{t},{(-999, n)[n % 2]},1" for n, t in enumerate(ISO))]))
    for written, code in (("-999.0", "-999"), ("unknown", "Unknown")):
        values = read_numbers(tmp_path, f"{written} | 5", "1", missing=(code,))
        assert np.isnan(values[0])
        assert values[1] == 5
    assert read_numbers(tmp_path, "-999 | 5", "1", missing=("NA",)) == [-999, 5]


def parse_records(values: list[bytes]) -> Table:
    rows = [decode_row(value) for value in values]
    table = RawTable("topic t", ["ts", "a", "b"], [row for row in rows if row is not None])
    table.where = [f"offset {number}" for number in range(len(table.rows))]
    return parse_table(table, ["a", "b"], ReadingOptions())


def test_records_of_a_topic_are_read_by_the_same_rules() -> None:
    values = [{"ts": ts, "a": a, "b": 0.5} for a, ts in enumerate(since_1970(1000))]
    values[7]["a"] = float("nan")
    table = parse_records([json.dumps(value).encode() for value in reversed(values)])
    assert (table.step, table.series["a"].values[8]) == ("1 h", 8)
    assert np.isnan(table.series["a"].values[7])
    assert table.series["b"].values[7] == 0.5


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000, "1e400", "Infinity", '"' + "9" * 400 + '"'])
def test_a_number_too_large_for_a_float_is_refused_with_its_place(number: str) -> None:
    records = [f'{{"ts": "{time}", "a": 1, "b": 2}}'.encode() for time in ISO]
    records[3] = records[3].replace(b'"a": 1', b'"a": ' + number.encode())
    with pytest.raises(BadSeries, match=r"^offset 3 of topic t: a is .{1,60}, not a finite number"):
        parse_records(records)


@pytest.mark.parametrize("value", [b"not JSON", b"[1]", b"", b"\xff", b"[" * 100_000])
def test_a_record_that_is_no_json_object_is_no_row(value: bytes) -> None:
    assert decode_row(value) is None


def run_lags(path: Path, *options: str) -> Any:
    return CliRunner().invoke(main, ["lags", str(path), "--x", "temp", "--y", "demand", *options])


def test_newest_first_with_american_times_keeps_the_direction(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    times = [datetime(2026, 1, 1) + timedelta(hours=number) for number in range(600)]
    rows = [
        f"{time.month}/{time.day}/{time.year} {time:%H:%M},{x},{y}"
        for time, x, y in zip(times, *plant_lag(2), strict=True)
    ]
    path.write_text("\n".join(["when,temp,demand", *reversed(rows)]))
    output = json.loads(run_lags(path, "--json").stdout)
    assert (output["step"], output["pairs"][0]["best_lag"]) == ("1 h", 2)
    assert output["pairs"][0]["words"].startswith("temp leads demand by 2 h")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--time-format", "ISO"],
            2,
            "'ISO' is no format of times; one is '%d.%m.%Y %H:%M', or one of s, ms, us, ns",
        ),
        (["--time-format", "%d.%Q"], 2, "'%d.%Q' is no format of times"),
        (["--time-format", "%d.%m.%Y"], 1, "no column has times of the format '%d.%m.%Y'"),
        (
            ["--time-format", "%d.%m.%Y", "--time", "time"],
            1,
            "line 2 of data.csv: time is '2026-01-27 18:00:00', not a time of the format %d.%m.%Y",
        ),
        (["--no-times", "--time", "time"], 2, "--no-times goes with neither --time nor --time-format"),
    ],
)
def test_options_about_times_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text(join_lines(ISO, "time,temp,demand"))
    result = run_lags(Path("data.csv"), *options)
    assert result.exit_code == code, result.output
    assert message in result.stderr.strip().splitlines()[-1]
