"""The built-in SQL jobs on the real stack: beside pandas over the same records, and accepted."""

import json
import math
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pandas as pd
import pytest
from kafka import KafkaProducer
from reading import Topic as Reader
from reading import send
from stacks import Stack

from flink_jobs.sql.tables import group_name
from streamlearn.broker.broker import Broker
from streamlearn.local import chaos
from streamlearn.pipelines import digits, pm25
from streamlearn.pipelines.base import Pipeline
from streamlearn.waiting import wait_until
from streamlearn.warehouse import acceptance
from streamlearn.warehouse.acceptance import TopicReport
from streamlearn.warehouse.catalogue import Topic

HOURS = 24 * 40
DAY = pd.Timedelta(days=1)
Rows = dict[tuple[Any, ...], dict[str, Any]]


@contextmanager
def running_job(stack: Stack, name: str) -> Iterator[None]:
    """Run a built-in job, then stop it."""
    stack.streamlearn("sql", "run", name)
    try:
        yield
    finally:
        stack.streamlearn("sql", "stop", name, check=False)


def read(stack: Stack, topic: str) -> list[dict[str, Any]]:
    reader = Reader(stack.settings.kafka, topic)
    rows = reader.read().json()
    reader.close()
    return rows


def read_newest(stack: Stack, topic: str, *key: str) -> Rows:
    """Return the newest row of each key."""
    return {tuple(row[name] for name in key): row for row in read(stack, topic)}


def settle(stack: Stack, pipeline: Pipeline) -> None:
    """Wait until the learning job has answered every record."""
    wait_until(lambda: chaos.is_caught_up(stack.settings, pipeline), 300, "all answers", every_s=0.2)


def has_read_all(stack: Stack, job: str, topic: str) -> bool:
    """Whether a SQL job has committed that it has read a topic to its end."""
    with Broker(stack.settings) as broker:
        reached = broker.committed_offset(group_name(job), topic)
        # A topic that is written in transactions ends after the marker of the last one.
        return reached is not None and broker.is_hole(topic, reached, broker.stable_end(topic))


def is_valid(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which records are no odd ones of `send_odd_records`."""
    return ~(table.pollution > 2000) & (table.snow >= 0)


def read_hours(stack: Stack) -> pd.DataFrame:
    """Return the hours of the topic that are not late, with what is known of each, by pandas alone."""
    table = pd.DataFrame(read(stack, "pm25"))
    table = table[is_valid(table)].copy()
    table["time"] = pd.to_datetime(table.ts)
    table = table[table.time > table.time.cummax().shift().fillna(pd.Timestamp(0))].reset_index(drop=True)
    same = (table.wnd_dir == table.wnd_dir.shift()) & (table.wnd_spd >= table.wnd_spd.shift())
    elapsed_h = table.time.diff() / pd.Timedelta(hours=1)
    table["wind"] = table.wnd_spd.where(~same, table.wnd_spd.diff() / elapsed_h).round(2)
    table["day"] = table.time.dt.floor("D")
    return table


def add_up(stack: Stack, topic: str, column: str, *more_key: str) -> int:
    """Return the sum of a column of a summary over its newest rows."""
    return sum(row[column] for row in read_newest(stack, topic, "window_start", *more_key).values())


def wait_until_closed(stack: Stack, hours: pd.DataFrame) -> None:
    """Wait until all days but the last are closed, of forecasts all but the last two, and all is counted."""
    newest = hours.day.max()
    errors = read_errors(stack)
    scored = int((errors.target < hours.time.max()).sum())
    refused = len(read(stack, "pm25.dead_letter"))
    records = len(read(stack, "pm25"))
    ends = {"pm25.summary.day": newest, "pm25.summary.wind": newest, "pm25.summary.horizon": newest - DAY}

    def is_done() -> bool:
        return (
            has_read_all(stack, "pm25", "pm25")
            and has_read_all(stack, "pm25", "pm25_forecast")
            and has_read_all(stack, "pm25", "pm25.dead_letter")
            and all(
                str(end) in {row["window_end"] for row in read(stack, topic)} for topic, end in ends.items()
            )
            and add_up(stack, "pm25.summary.hour", "forecasts", "horizon", "hour") == scored
            and add_up(stack, "pm25.summary.records", "records") == records
            and add_up(stack, "pm25.summary.refused", "records", "kind") == refused
        )

    wait_until(is_done, 300, "every day to be closed", every_s=1)


@pytest.fixture(scope="module")
def hours(stack: Stack) -> pd.DataFrame:
    stack.streamlearn("replay", "pm25", "--rate", "0", "--limit", str(HOURS))
    send_odd_records(stack)
    settle(stack, pm25.pipeline)
    return read_hours(stack)


def send_odd_records(stack: Stack) -> None:
    """Send what cannot be learned: no record, two that do not fit, a repeated hour, and a late one."""
    records = read(stack, "pm25")
    newest, earlier = records[-1], records[-6]
    odd = [{**newest, "pollution": 5000.0}, {**newest, "snow": -1.0}, newest, earlier]
    send(stack.settings.kafka, "pm25", [None, *(json.dumps(record).encode() for record in odd)])


@pytest.fixture(scope="module")
def pm25_job(stack: Stack, hours: pd.DataFrame) -> Iterator[Stack]:
    """Run the job of PM2.5 until it has closed what it can."""
    with running_job(stack, "pm25"):
        wait_until_closed(stack, hours)
        yield stack


def summarize(group: "pd.DataFrame") -> dict[str, Any]:
    readings = group.pollution.dropna()
    return {
        "hours": len(group),
        "readings": len(readings),
        "mean_ugm3": readings.mean() if len(readings) else None,
        "max_ugm3": readings.max() if len(readings) else None,
        "hours_above_75": int((readings > 75).sum()),
    }


def assert_same(row: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=0.00051), row


def test_the_days_of_pm25_are_those_that_pandas_computes(pm25_job: Stack, hours: pd.DataFrame) -> None:
    rows = read_newest(pm25_job, "pm25.summary.day", "window_start")
    closed = hours[hours.day < hours.day.max()]
    assert {start for (start,) in rows} == {str(day) for day in closed.day}
    for day, group in closed.groupby("day"):
        assert_same(rows[(str(day),)], summarize(group))


def test_the_winds_of_pm25_are_those_that_pandas_computes(pm25_job: Stack, hours: pd.DataFrame) -> None:
    rows = read_newest(pm25_job, "pm25.summary.wind", "window_start", "wnd_dir")
    closed = hours[hours.day < hours.day.max()]
    groups = {(str(day), wind): group for (day, wind), group in closed.groupby(["day", "wnd_dir"])}
    assert rows.keys() == groups.keys()
    for key, group in groups.items():
        assert_same(rows[key], {**summarize(group), "wind_ms": group.wind.mean()})


def test_the_detail_has_each_valid_hour_with_wind_humidity_and_season(
    pm25_job: Stack, hours: pd.DataFrame
) -> None:
    rows = read_newest(pm25_job, "pm25.detail", "event_time")
    assert len(rows) >= len(hours) - 1
    for hour in hours.iloc[:-1].itertuples():
        row = rows[(str(hour.time),)]
        vapour = [math.exp(17.625 * value / (243.04 + value)) for value in (hour.dew, hour.temp)]
        expected = {
            "wind_ms": hour.wind,
            "humidity": round(100 * vapour[0] / vapour[1], 1),
            "hour": hour.time.hour,
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected, abs=0.051)
        seasons = ("winter", "spring", "summer", "autumn")
        assert row["season"] == seasons[hour.time.month % 12 // 3]


def read_errors(stack: Stack) -> pd.DataFrame:
    """Return each forecast's error beside that of persistence, with the hour that it was for."""
    answers: dict[str, dict[str, Any]] = {}
    for row in read(stack, "pm25_forecast"):
        answers.setdefault(row["ts"], row)
    errors = []
    for ts, answer in answers.items():
        for horizon, forecast in answer["forecast"].items():
            target = pd.Timestamp(ts) + pd.Timedelta(hours=int(horizon))
            truth = answers.get(str(target), {}).get("pollution")
            if None not in (truth, forecast, answer["pollution"]):
                pair = abs(forecast - truth), abs(answer["pollution"] - truth)
                errors.append((target, int(horizon), *pair))
    return pd.DataFrame(errors, columns=["target", "horizon", "mae_ugm3", "persistence_mae_ugm3"])


def summarize_errors(group: pd.DataFrame) -> dict[str, Any]:
    means = group[["mae_ugm3", "persistence_mae_ugm3"]].mean()
    return {"forecasts": len(group), **means}


def test_the_errors_of_forecasts_stand_beside_those_of_persistence(
    pm25_job: Stack, hours: pd.DataFrame
) -> None:
    errors = read_errors(pm25_job)
    days = {
        (str(day), horizon): group
        for (day, horizon), group in errors.groupby([errors.target.dt.floor("D"), "horizon"])
    }
    rows = read_newest(pm25_job, "pm25.summary.horizon", "window_start", "horizon")
    # A forecast waits a day for what it is for.
    assert rows.keys() == {key for key in days if pd.Timestamp(key[0]) < hours.day.max() - DAY}
    for key, row in rows.items():
        assert_same(row, summarize_errors(days[key]))


def test_the_errors_of_forecasts_by_month_and_hour_are_those_that_pandas_computes(
    pm25_job: Stack, hours: pd.DataFrame
) -> None:
    errors = read_errors(pm25_job)
    rows = read_newest(pm25_job, "pm25.summary.hour", "window_start", "horizon", "hour")
    # An hour is closed by the one after it.
    errors = errors[errors.target < hours.time.max()]
    months = errors.target.dt.to_period("M").dt.start_time
    groups = {
        (str(month), horizon, hour): group
        for (month, horizon, hour), group in errors.groupby([months, "horizon", errors.target.dt.hour])
    }
    assert rows.keys() == groups.keys()
    assert {row["window_end"] for row in rows.values()} >= {"2010-02-01 00:00:00", "2010-03-01 00:00:00"}
    for key, group in groups.items():
        assert rows[key]["until"] == str(group.target.max())
        assert_same(rows[key], summarize_errors(group))


def test_every_record_of_pm25_is_counted_late_and_refused_ones_too(pm25_job: Stack) -> None:
    table = pd.DataFrame(read(pm25_job, "pm25"))
    days = {str(day): group for day, group in table.groupby(pd.to_datetime(table.ts).dt.floor("D"))}
    rows = read_newest(pm25_job, "pm25.summary.records", "window_start")
    assert {start for (start,) in rows} == days.keys()
    for start, group in days.items():
        valid = group[is_valid(group)]
        expected = {
            "records": len(group),
            "invalid": len(group) - len(valid),
            "repeated": len(valid) - valid.ts.nunique(),
        }
        assert_same(rows[(start,)], expected)
    assert sum(row["invalid"] for row in rows.values()) >= 2
    reasons: dict[str, set[str]] = {}
    for letter in read(pm25_job, "pm25.dead_letter"):
        reasons.setdefault(find_kind(letter["reason"]), set()).add(letter["reason"])
    refused = read_newest(pm25_job, "pm25.summary.refused", "window_start", "kind")
    assert {kind for _, kind in refused} == reasons.keys() >= {"repeated", "late", "unreadable", "invalid"}
    assert all(row["example"] in reasons[kind] for (_, kind), row in refused.items())
    assert sum(row["records"] for row in refused.values()) == len(read(pm25_job, "pm25.dead_letter"))


def find_kind(reason: str) -> str:
    if "steps late" in reason:
        return "repeated" if " 0 steps late" in reason else "late"
    return "unreadable" if reason == "the value is null" else "invalid"


def test_the_days_are_served_as_the_topic_has_them(pm25_job: Stack) -> None:
    topic = read_newest(pm25_job, "pm25.summary.day", "window_start")
    expected = [topic[key] for key in sorted(topic)]

    def is_served() -> bool:
        try:
            with urllib.request.urlopen(f"{pm25_job.url}/v2/models/pm25/summaries/day", timeout=30) as answer:
                return json.load(answer)["rows"] == expected
        except urllib.error.HTTPError as error:
            error.close()
            return False

    wait_until(is_served, 120, "the days to be copied and served", every_s=0.5)


def test_what_the_stream_has_said_of_pm25_is_accepted_until_a_row_is_altered(pm25_job: Stack) -> None:
    accepted = pm25_job.streamlearn("accept", "pm25", check=False)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    reader = Reader(pm25_job.settings.kafka, "pm25.summary.day")
    value = next(value for value in reversed(reader.read().values) if value)
    reader.close()
    row = json.loads(value)
    key = json.dumps({name: row[name] for name in ("window_start", "window_end")}, separators=(",", ":"))
    altered = json.dumps({**row, "max_ugm3": 999.0}, separators=(",", ":"))
    producer = KafkaProducer(bootstrap_servers=pm25_job.settings.kafka)
    try:
        producer.send("pm25.summary.day", key=key.encode(), value=altered.encode()).get(timeout=30)
        refused = pm25_job.streamlearn("accept", "pm25", check=False)
        assert refused.returncode == 1, refused.stdout + refused.stderr
        assert f"window_start={row['window_start']}" in refused.stdout
        assert f"altered: max_ugm3 is 999.0, the records give {row['max_ugm3']}" in refused.stdout
    finally:
        producer.send("pm25.summary.day", key=key.encode(), value=value).get(timeout=30)
        producer.close(timeout=10)


def check_minutes_and_classes(batch: dict[str, list[dict[str, Any]]], answers: list[dict[str, Any]]) -> None:
    """Check the figures that the same SQL gives in batch mode, where every window is closed."""
    labelled = [answer for answer in answers if answer.get("actual_y") is not None]
    right = sum(answer["actual_y"] == answer["predict_y"] for answer in labelled)
    minutes = batch["digits.summary.minute"]
    assert [sum(row[name] for row in minutes) for name in ("digits", "labelled", "right")] == [
        len(answers),
        len(labelled),
        right,
    ]
    # Each digit is in five windows.
    classes = batch["digits.summary.class"]
    counts = Counter(answer["actual_y"] for answer in labelled)
    by_class, by_window = Counter[int](), Counter[str]()
    for row in classes:
        by_class[row["actual_y"]] += row["digits"]
        by_window[row["window_start"]] += row["digits"]
    for row in classes:
        share = row["digits"] / by_window[row["window_start"]]
        assert_same(row, {"accuracy": row["right"] / row["digits"], "share": share})
    assert by_class == {label: 5 * count for label, count in counts.items()}
    for row in minutes:
        assert_same(row, {"accuracy": row["right"] / row["labelled"] if row["labelled"] else None})


def test_the_confusion_of_digits_counts_every_answer_and_is_accepted(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch: dict[str, list[dict[str, Any]]] = {}

    def compare_rows(topic: Topic, said: Any, given: Any, **options: Any) -> TopicReport:
        batch[topic.name] = given
        return acceptance.compare_rows(topic, said, given, **options)

    monkeypatch.setattr("flink_jobs.sql.acceptance.compare_rows", compare_rows)
    stack.streamlearn("replay", "digits", "--rate", "0", "--limit", "1500")
    send(stack.settings.kafka, "handwritten_digit", [None])
    settle(stack, digits.pipeline)
    refused = len(read(stack, "handwritten_digit.dead_letter"))
    answers = read(stack, "digit_predict")
    pairs = ((row.get("actual_y"), row.get("predict_y")) for row in answers)
    expected = Counter(pair for pair in pairs if None not in pair)

    def counts() -> dict[tuple[Any, ...], int]:
        rows = read_newest(stack, "digits.summary.confusion", "actual_y", "predict_y")
        return {key: row["digits"] for key, row in rows.items()}

    with running_job(stack, "digits"):
        wait_until(
            lambda: (
                counts() == expected
                and has_read_all(stack, "digits", "digit_predict")
                and add_up(stack, "digits.summary.refused", "records", "kind") == refused
            ),
            300,
            "every answer to be counted",
            every_s=1,
        )
        accepted = stack.streamlearn("accept", "digits", check=False)
        assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert len(read_newest(stack, "digits.detail", "partition", "offset")) == len(answers)
    check_minutes_and_classes(batch, answers)


@pytest.mark.release
def test_what_the_streams_have_said_is_accepted_after_kills_in_the_middle(pm25_job: Stack) -> None:
    stack = pm25_job
    names = {"digits": ("digit_predict", digits.pipeline), "pm25": ("pm25_forecast", pm25.pipeline)}

    def find_reached() -> dict[str, int | None]:
        with Broker(stack.settings) as broker:
            return {
                name: broker.committed_offset(group_name(name), topic) for name, (topic, _) in names.items()
            }

    with running_job(stack, "digits"), ExitStack() as replays:
        for name in names:
            words = ("replay", name, "--rate", "100", "--loop")
            command = [sys.executable, "-m", "streamlearn", *words]
            process = subprocess.Popen(command, env=stack.environment(), stdout=subprocess.DEVNULL)
            replays.callback(process.wait)
            replays.callback(process.kill)
        for part in ("taskmanager", "jobmanager", "taskmanager"):
            before = find_reached()
            wait_until(
                lambda: all(reached != before[name] for name, reached in find_reached().items()),  # noqa: B023
                300,
                f"both jobs to have gone on before the {part} is killed",
            )
            os.kill(stack.find_service(part).pid, signal.SIGKILL)
        replays.close()
        for name, (topic, pipeline) in names.items():
            settle(stack, pipeline)
            wait_until(partial(has_read_all, stack, name, topic), 300, f"{name} to have read all", every_s=1)
            accepted = stack.streamlearn("accept", name, check=False)
            assert accepted.returncode == 0, accepted.stdout + accepted.stderr


@pytest.mark.release
def test_five_years_of_pm25_are_summarised_as_pandas_does_it(pm25_job: Stack) -> None:
    pm25_job.streamlearn("replay", "pm25", "--rate", "0")
    settle(pm25_job, pm25.pipeline)
    hours = read_hours(pm25_job)
    assert len(hours) == 43_800
    wait_until_closed(pm25_job, hours)
    test_the_days_of_pm25_are_those_that_pandas_computes(pm25_job, hours)
    test_the_winds_of_pm25_are_those_that_pandas_computes(pm25_job, hours)
    test_the_detail_has_each_valid_hour_with_wind_humidity_and_season(pm25_job, hours)
    test_the_errors_of_forecasts_stand_beside_those_of_persistence(pm25_job, hours)
    test_the_errors_of_forecasts_by_month_and_hour_are_those_that_pandas_computes(pm25_job, hours)
    accepted = pm25_job.streamlearn("accept", "pm25", check=False)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
