"""SQL on the streams: tables from the catalogue, scripts of the client, and files as jobs."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from kafka import KafkaProducer
from msgspec.structs import replace
from reading import Topic as Reader
from reading import create_topic
from stacks import ROOT, Stack

from flink_jobs import keep
from flink_jobs.checkpoints import find_newest_in, savepoint_folder
from flink_jobs.sql import jobs
from flink_jobs.sql.client import TableFilter, format_script
from flink_jobs.sql.tables import build_bounded_tables, build_stream_tables
from streamlearn.cli.main import main
from streamlearn.errors import ConfigurationError, FileError
from streamlearn.operations import flink_api
from streamlearn.pipelines import pm25
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until
from streamlearn.warehouse.catalogue import Column, Topic, find_topic, load_catalogue, load_stack_catalogue

SECRET = Settings(kafka_security="SASL_PLAINTEXT", kafka_user="me", kafka_password="it's secret")
RAW = find_topic(load_catalogue([pm25.pipeline]), "pm25")
KEYED = Topic(
    "a.b", "mine: warehouse", "", (Column("k", "INT"), Column("v", "DOUBLE")), ("k",), 1, layer="summary"
)

WARM = """
EXECUTE STATEMENT SET BEGIN
  INSERT INTO `warm.hours` SELECT `temp`, COUNT(*), MAX(`ts`) FROM `pm25` WHERE `temp` > 25 GROUP BY `temp`;
END;
"""
WARM_TOPICS = """
layer = "summary"

[[topics]]
name = "warm.hours"
owner = "warm: warehouse"
description = "Warm hours by temperature."
key = ["temp"]
partitions = 1
cleanup = "compact"
retention = "for ever"
columns = [
    { name = "temp", type = "DOUBLE", unit = "°C" },
    { name = "hours", type = "BIGINT" },
    { name = "newest", type = "STRING" },
]
"""


def test_a_topic_without_a_key_is_a_table_of_its_records_with_a_watermark() -> None:
    (ddl,) = build_stream_tables([RAW], Settings(kafka="kafka:9"), "mine")
    assert "`pollution` DOUBLE" in ddl
    assert "WATERMARK FOR `event_time` AS `event_time` - INTERVAL '0.001' SECOND" in ddl
    assert "'properties.group.id' = 'streamlearn-warehouse-mine'" in ddl
    assert "'properties.bootstrap.servers' = 'kafka:9'" in ddl
    assert "bounded" not in ddl


def test_a_topic_with_a_key_is_written_exactly_once_under_its_key() -> None:
    (ddl,) = build_stream_tables([KEYED], Settings(), "mine")
    assert "PRIMARY KEY (`k`) NOT ENFORCED" in ddl
    assert "'connector' = 'upsert-kafka'" in ddl
    assert "'sink.delivery-guarantee' = 'exactly-once'" in ddl
    assert "'sink.transactional-id-prefix' = 'streamlearn-warehouse-mine-a.b:'" in ddl


def test_a_topic_with_a_key_and_a_time_is_versioned() -> None:
    (ddl,) = build_stream_tables([replace(KEYED, event_time="TO_TIMESTAMP(`v`)")], Settings(), "mine")
    assert "PRIMARY KEY (`k`) NOT ENFORCED" in ddl
    assert "WATERMARK FOR `event_time` AS `event_time`" in ddl


def test_a_bounded_table_ends_where_it_is_told_or_at_the_end() -> None:
    raw, log, view = build_bounded_tables([RAW, KEYED], Settings(), {"pm25": {0: 5, 1: 7}})
    assert "'scan.bounded.specific-offsets' = 'partition:0,offset:5;partition:1,offset:7'" in raw
    assert "'scan.bounded.mode' = 'latest-offset'" in log
    assert log.startswith("CREATE TABLE `a.b.log`")
    assert view.startswith("CREATE VIEW `a.b` AS SELECT `k`, `v` FROM")


def test_a_password_stands_in_tables_as_it_is() -> None:
    (ddl,) = build_stream_tables([RAW], SECRET)
    assert 'username="me" password="it\'\'s secret";' in ddl


def test_a_script_ends_each_statement_once() -> None:
    assert format_script({"a": "b"}, ["SELECT 1;\n", "SELECT 2"]) == "SET 'a' = 'b';\nSELECT 1;\nSELECT 2;\n"


def test_only_results_are_shown() -> None:
    lines: list[str] = []
    show = TableFilter(lines.append)
    for line in (
        "Flink SQL> CREATE TABLE a (",
        ">   'password' = 'x'",
        "> )[INFO] Execute statement succeeded.",
        "Flink SQL> SELECT `n`+---+",
        "| n |",
        "+---+",
        "| 1 |",
        "+---+",
        "2 rows in set (1.0 seconds)",
        "Flink SQL> ",
        "Shutting down the session...",
    ):
        show(line)
    assert lines == ["+---+", "| n |", "+---+", "| 1 |", "+---+", "2 rows in set (1.0 seconds)"]


def test_a_file_is_a_job_of_its_name_with_the_topics_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "warm.sql"
    path.write_text(WARM)
    job, catalogue = jobs.read_job(str(path))
    assert (job.job_name, catalogue) == ("warm: warehouse", "")
    path.with_suffix(".toml").write_text(WARM_TOPICS)
    assert jobs.read_job(str(path))[1] == WARM_TOPICS
    settings = Settings(home=tmp_path / "home")
    jobs.keep(settings, job)
    (tmp_path / "home" / "warehouse" / "warm.toml").write_text(WARM_TOPICS)
    assert jobs.list_kept(settings) == {"warm": job}
    assert find_topic(load_stack_catalogue(settings), "warm.hours").layer == "summary"
    jobs.forget(settings, "warm")
    assert jobs.list_kept(settings) == {}


def test_up_with_the_warehouse_keeps_every_job_that_comes_along(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    jobs.keep_built_in(settings)
    kept = jobs.list_kept(settings)
    assert list(kept) == jobs.list_built_in() == ["digits", "pm25"]
    written = {job.job_name: job.text for job in kept.values()}
    for topic in load_stack_catalogue(settings):
        if topic.layer in {"detail", "summary"}:
            assert f"INSERT INTO `{topic.name}`" in written[topic.owner]
            assert topic.key


def test_a_file_that_cannot_be_a_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no file nothing\.sql"):
        jobs.read_job("nothing.sql")
    odd = tmp_path / "odd name.sql"
    odd.write_text("")
    with pytest.raises(ConfigurationError, match="letters, digits, - and _"):
        jobs.read_job(str(odd))
    mine = tmp_path / "mine.sql"
    mine.write_text("")
    mine.with_suffix(".toml").write_text("layer = 'summary'\n")
    with pytest.raises(FileError, match="is not a layer"):
        jobs.read_job(str(mine))


def test_a_job_goes_on_from_its_newest_checkpoint_or_savepoint(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    folder = tmp_path / "jobs"
    assert find_newest_in(folder, settings) is None
    for path in (folder / "abcdef123" / "chk-1", savepoint_folder(settings) / "savepoint-abcdef-77"):
        path.mkdir(parents=True)
        (path / "_metadata").touch()
    os.utime(folder / "abcdef123" / "chk-1" / "_metadata", (1, 1))
    newest = find_newest_in(folder, settings)
    assert newest is not None
    assert newest.name == "savepoint-abcdef-77"


def test_folders_and_kafka_of_a_sql_job_are_those_that_its_workers_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "workers.env"
    file.write_text("STREAMLEARN_KAFKA=broker:9\nSTREAMLEARN_CHECKPOINT_DIR=/mnt\n")
    settings = Settings(home=tmp_path, flink="http://flink:8081", worker_settings=str(file))
    job, scripts, folders = jobs.SqlJob("mine", ""), list[str](), list[str]()
    running = flink_api.Job("abcdef123", job.job_name, "RUNNING", 0)
    savepoint = savepoint_folder(settings) / "savepoint-abcdef-77"
    savepoint.mkdir(parents=True)
    (savepoint / "_metadata").touch()
    jobs._checkpoint_folder(settings, job).joinpath(running.id).mkdir(parents=True)
    monkeypatch.setattr(jobs, "check_configured", lambda settings: None)
    monkeypatch.setattr(jobs, "load_live_catalogue", lambda broker: [RAW])
    monkeypatch.setattr(
        jobs, "run_script", lambda settings, script, echo: scripts.append(script) or [f"Job ID: {'a' * 32}"]
    )
    monkeypatch.setattr(flink_api, "newest_job", lambda settings, name: None)
    monkeypatch.setattr(flink_api, "stop", lambda settings, job, folder: folders.append(folder))
    jobs.submit_sql(settings, job)
    for line in (
        "'properties.bootstrap.servers' = 'broker:9'",
        f"SET 'execution.checkpointing.dir' = 'file:///mnt/warehouse/mine/{job.digest}'",
        "SET 'execution.checkpointing.savepoint-dir' = 'file:///mnt/savepoints'",
        "SET 'execution.state-recovery.path' = 'file:///mnt/savepoints/savepoint-abcdef-77'",
        "SET 'rest.address' = 'flink'",
    ):
        assert line in scripts[0]
    monkeypatch.setattr(flink_api, "newest_job", lambda settings, name: running)
    jobs.stop_sql(settings, "mine")
    assert folders == ["file:///mnt/savepoints"]


def test_sql_jobs_are_kept_until_they_are_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, looks = Settings(home=tmp_path), []

    def look(keeper: keep._SqlKeeper) -> tuple[str, float]:
        looks.append(keeper._job)
        return "it runs", 0.001

    monkeypatch.setattr(keep._SqlKeeper, "_submit_if_missing", look)
    monkeypatch.setattr(keep, "_POLL_S", 0.01)
    threading.Thread(target=keep.keep_sql_running, args=(settings, print), daemon=True).start()
    for text in ("first", "second"):
        jobs.keep(settings, jobs.SqlJob("mine", text))
        wait_until(lambda: jobs.SqlJob("mine", text) in looks[-1:], 10, text, every_s=0.01)  # noqa: B023
    jobs.forget(settings, "mine")

    def is_left_alone() -> bool:
        count = len(looks)
        threading.Event().wait(0.05)
        return len(looks) == count

    wait_until(is_left_alone, 10, "the job to be left alone", every_s=0.01)


def test_what_cannot_be_run_is_told_in_a_line(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["sql", "run", "nothing.sql"], env={"STREAMLEARN_HOME": str(tmp_path)})
    assert (told.exit_code, told.output.count("\n")) == (1, 1)
    assert "there is no file nothing.sql" in told.output
    told = CliRunner().invoke(main, ["sql", "-e", "SELECT 1"], env={"STREAMLEARN_HOME": str(tmp_path)})
    assert told.exit_code == 1
    assert "no stack was set up" in told.output


@pytest.fixture(scope="module")
def hours(stack: Stack) -> int:
    """Return how many hours of PM2.5 the stack has, among them summer's."""
    stack.streamlearn("replay", "pm25", "--rate", "0", "--limit", "5000")
    reader = Reader(stack.settings.kafka, "pm25")
    # A null is no row.
    count = len(reader.read().json())
    reader.close()
    return count


def test_a_question_in_sql_is_answered_and_ends(stack: Stack, hours: int) -> None:
    asked = stack.streamlearn("sql", "-e", "SELECT COUNT(*) AS n, MAX(`temp`) AS warmest FROM pm25")
    assert f"| {hours} |" in asked.stdout.replace("  ", " ")
    assert asked.stdout.splitlines()[-1].startswith("1 row in set")


def test_the_client_opens_with_every_topic_as_a_table(stack: Stack) -> None:
    opened = subprocess.run(
        [sys.executable, "-m", "streamlearn", "sql"],
        input="SHOW TABLES;\nQUIT;\n",
        env=stack.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert opened.returncode == 0, opened.stdout + opened.stderr
    assert opened.stdout.startswith("Every topic is a table")
    for topic in ("pm25", "digit_predict", "pm25.dead_letter"):
        assert f" {topic} |" in opened.stdout


def test_sql_that_is_refused_says_why_and_ends_with_1(stack: Stack) -> None:
    asked = stack.streamlearn("sql", "-e", "SELECT nothing FROM pm25", check=False)
    assert asked.returncode == 1
    assert "Column 'nothing' not found in any table" in asked.stderr
    assert "Traceback" not in asked.stderr + asked.stdout


def read_newest(stack: Stack, topic: str) -> dict[float, int]:
    """Return the hours by temperature that the job's topic holds."""
    reader = Reader(stack.settings.kafka, topic)
    rows = reader.read().json()
    reader.close()
    return {row["temp"]: row["hours"] for row in rows}


def test_a_sql_file_runs_as_a_job_and_goes_on_after_its_jobmanager_died(
    stack: Stack, hours: int, tmp_path: Path
) -> None:
    path = tmp_path / "warm.sql"
    path.write_text(WARM)
    path.with_suffix(".toml").write_text(WARM_TOPICS)
    reader = Reader(stack.settings.kafka, "pm25")
    expected: dict[float, int] = {}

    def count_warm() -> dict[float, int]:
        temperatures = [row["temp"] for row in reader.read().json() if row["temp"] > 25]
        return {value: temperatures.count(value) for value in set(temperatures)}

    try:
        stack.streamlearn("sql", "run", str(path))
        expected = count_warm()
        wait_until(lambda: read_newest(stack, "warm.hours") == expected, 120, "the hours", every_s=0.5)
        assert "warm.hours" in stack.streamlearn("topics", "list").stdout
        assert "already" in stack.streamlearn("sql", "run", str(path)).stdout
        first = flink_api.newest_job(stack.settings, "warm: warehouse")
        os.kill(stack.find_service("jobmanager").pid, signal.SIGKILL)
        stack.streamlearn("replay", "pm25", "--rate", "0", "--limit", "300", "--skip", "5000")
        expected = count_warm()
        wait_until(lambda: read_newest(stack, "warm.hours") == expected, 300, "the new hours", every_s=0.5)
        again = flink_api.newest_job(stack.settings, "warm: warehouse")
        assert first is not None
        assert again is not None
        assert first.id != again.id
    finally:
        reader.close()
        stack.streamlearn("sql", "stop", "warm", check=False)
    assert "warm" not in stack.streamlearn("sql", "list").stdout


def read_block(page: str, text: str) -> str:
    """Return the block of a page of the documentation in which a text stands."""
    blocks = re.findall(r"```(?:sql|toml)\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    (block,) = (block for block in blocks if text in block)
    return str(block)


FIRSTS = """
layer = "detail"

[[topics]]
name = "firsts.hours"
owner = "firsts: warehouse"
description = "Hours, and whether their wind came for the first time in 30 days."
key = ["ts"]
partitions = 1
columns = [
    { name = "ts", type = "STRING" },
    { name = "wnd_dir", type = "STRING" },
    { name = "is_first", type = "BOOLEAN" },
]
"""

WINDS = (
    ("NW", "steppe", "2010-01-01 00:00:00"),
    ("SE", "sea", "2010-01-01 00:00:00"),
    ("NW", "Siberia", "2010-02-01 12:00:00"),
)


def send_winds(stack: Stack) -> None:
    create_topic(stack.settings.kafka, "winds", cleanup_policy="compact")
    producer = KafkaProducer(bootstrap_servers=stack.settings.kafka)
    for wind, name, since in WINDS:
        value = json.dumps({"wnd_dir": wind, "name": name, "valid_from": since}).encode()
        producer.send("winds", key=json.dumps({"wnd_dir": wind}).encode(), value=value)
    producer.close()


def test_hours_are_joined_with_what_held_at_their_time_and_first_winds_are_marked(
    stack: Stack, hours: int, tmp_path: Path
) -> None:
    send_winds(stack)
    for name, sql, catalogue in (
        ("named", read_block("warehouse.md", "INTO `named.hours`"), read_block("warehouse.md", '"winds"')),
        ("firsts", read_block("warehouse.md", "INTO `firsts.hours`"), FIRSTS),
    ):
        (tmp_path / f"{name}.sql").write_text(sql)
        (tmp_path / f"{name}.toml").write_text(catalogue)
    names: dict[str, str | None] = {}
    firsts: dict[str, bool] = {}
    last: dict[str, pd.Timestamp] = {}
    newest = pd.Timestamp(0)
    for row in read_rows(stack, "pm25"):
        time, wind = pd.Timestamp(row["ts"]), row["wnd_dir"]
        held = [name for key, name, since in WINDS if key == wind and pd.Timestamp(since) <= time]
        names.setdefault(row["ts"], held[-1] if held else None)
        if time >= newest:
            newest, before = time, last.get(wind)
            firsts[row["ts"]] = before is None or before < time - pd.Timedelta(days=30)
            last[wind] = time
    try:
        for name in ("named", "firsts"):
            stack.streamlearn("sql", "run", str(tmp_path / f"{name}.sql"))
        # An hour is said when a later one has come: the last one is not.
        newest_hour = max(names)
        names.pop(newest_hour), firsts.pop(newest_hour)
        for topic, column, expected in (("named.hours", "name", names), ("firsts.hours", "is_first", firsts)):

            def is_said(topic: str = topic, column: str = column, expected: Any = expected) -> bool:
                said = {row["ts"]: row[column] for row in read_rows(stack, topic)}
                return {ts: value for ts, value in said.items() if ts != newest_hour} == expected

            wait_until(is_said, 300, f"the hours of {topic}", every_s=1)
    finally:
        for name in ("named", "firsts"):
            stack.streamlearn("sql", "stop", name, check=False)
    assert sum(firsts.values()) >= 4


def read_rows(stack: Stack, topic: str) -> list[dict[str, Any]]:
    reader = Reader(stack.settings.kafka, topic)
    rows = reader.read().json()
    reader.close()
    return rows
